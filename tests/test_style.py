"""What the project asks of its own code, as tests."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("tollbook", "ledger", "pricing", "chains", "replay", "gateway")
SOURCES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]

MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_PARAMETERS = 300, 60, 8

LONGER_FILES: dict[str, int] = {
    "ledger/stores/sqlite.py": 380,
    "replay/simulator/world.py": 394,
    "chains/testing/evm_harness.py": 382,
    "ledger/movements.py": 333,
    "chains/evm/node.py": 361,
    "chains/outbox.py": 358,
    "chains/testing/walk.py": 342,
    "chains/testing/end_to_end.py": 341,
    "chains/evm/chain.py": 330,
    "ledger/queue.py": 329,
    "ledger/testing/stores.py": 305,
}
"""Files that were longer when the limit came, with their lengths then. These lists only shrink."""

LONGER_FUNCTIONS: dict[str, int] = {}
"""Functions that were longer, likewise."""

MORE_PARAMETERS: dict[str, int] = {
    "gateway/cli/commands/demo.py:demo": 10,
    "gateway/cli/commands/chain/deploy.py:deploy": 9,
}
"""Functions with more parameters, likewise."""

CALLED_FROM_OUTSIDE: set[str] = {
    "chains/evm/local/backend.py:get_transaction_by_hash",
    "chains/evm/local/backend.py:send_raw_transaction",
    "chains/evm/local/backend.py:validate_gas",
    "chains/evm/local/serving.py:do_POST",
    "chains/evm/local/serving.py:handle_error",
    "chains/evm/local/serving.py:log_message",
    "chains/evm/local/serving.py:process_request",
    "chains/mock/controls.py:block_hash",
    "chains/testing/anvil_control.py:impersonate",
    "chains/testing/anvil_control.py:set_nonce",
    "chains/testing/evm_harness.py:AnvilHarness",
    "chains/testing/evm_harness.py:TesterHarness",
    "ledger/engine.py:_repr_html_",
    "ledger/readings.py:_repr_html_",
    "ledger/shown.py:_repr_html_",
    "ledger/refusals.py:http_status",
    "ledger/statements.py:_repr_html_",
    "ledger/views.py:clock_behind",
    "replay/tables/pictures.py:_repr_svg_",
    "replay/simulator/customers.py:_adjust_charge",
    "replay/simulator/customers.py:_adjust_period",
    "replay/simulator/customers.py:_catalogue",
    "replay/simulator/customers.py:_charge_directly",
    "replay/simulator/customers.py:_extend",
    "replay/simulator/customers.py:_freeze",
    "replay/simulator/customers.py:_give",
    "replay/simulator/customers.py:_nonsense",
    "replay/simulator/customers.py:_reinstate",
    "replay/simulator/customers.py:_reverse",
    "replay/simulator/customers.py:_tick",
    "replay/simulator/customers.py:_unfreeze",
    "replay/simulator/customers.py:_withdraw",
    "replay/simulator/world.py:_intrude",
    "replay/simulator/world.py:_leave_chain",
    "replay/simulator/world.py:_restart",
    "replay/simulator/world.py:_step_outbox",
    "replay/simulator/world.py:_trouble",
}
"""Names that nothing in the project refers to: a framework calls them, or only users do."""

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

pytestmark = pytest.mark.skipif(not SOURCES, reason="needs the checkout, not a copy of the tests")


def functions() -> Iterator[tuple[str, Function]]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, Function):
                yield f"{path.relative_to(ROOT)}:{node.name}", node


def parameters(node: Function) -> int:
    """How many a caller can give: `self` and `cls` are not counted, nor what is behind a star."""
    listed = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return len([each for each in listed if each.arg not in ("self", "cls")])


def held_to(limit: int, exceptions: dict[str, int], sizes: dict[str, int]) -> list[str]:
    """What breaks the limit or its own exception, and exceptions that are no longer needed."""
    beyond = [f"{name}: {size}" for name, size in sizes.items() if size > exceptions.get(name, limit)]
    return beyond + [f"{name} needs no exception" for name in exceptions if sizes.get(name, 0) <= limit]


def test_no_module_is_named_for_nothing():
    assert [path for path in SOURCES if re.search("util|helper|manager|common|base|misc", path.stem)] == []


def test_tests_have_no_packages_that_would_shadow_the_rooms():
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_files_stay_short():
    lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in SOURCES}
    assert held_to(MAX_FILE_LINES, LONGER_FILES, lines) == []


def test_functions_stay_short():
    lines: Counter[str] = Counter()
    for name, node in functions():
        lines[name] = max(lines[name], (node.end_lineno or 0) - node.lineno + 1)
    assert held_to(MAX_FUNCTION_LINES, LONGER_FUNCTIONS, lines) == []


def test_functions_have_few_parameters():
    counts: Counter[str] = Counter()
    for name, node in functions():
        counts[name] = max(counts[name], parameters(node))
    assert held_to(MAX_PARAMETERS, MORE_PARAMETERS, counts) == []


def referred_to() -> Counter[str]:
    """How often the project's own code uses each name: reads it, imports it past a package, or has it in text."""
    names: Counter[str] = Counter()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name):
                    names[name] += 1
                case ast.ImportFrom() if path.name != "__init__.py":
                    names.update(alias.name for alias in node.names)
                case ast.Constant(value=str() as text) if len(text) < 60:
                    names.update(re.findall(r"\w+", text))
    return names


def declared() -> Iterator[tuple[str, str]]:
    """Functions, methods and classes, and the constants of modules, each with its place. What a decorator took in is
    used by it."""
    for path in SOURCES:
        tree, where = ast.parse(path.read_text()), path.relative_to(ROOT)
        for node in ast.walk(tree):
            if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("__"):
                plain = {ast.unparse(each) for each in node.decorator_list} <= {
                    "property",
                    "staticmethod",
                    "classmethod",
                }
                if plain:
                    yield f"{where}:{node.name}", node.name
        for node in tree.body:
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    if isinstance(target, ast.Name) and not target.id.startswith("__"):
                        yield f"{where}:{target.id}", target.id


def test_nothing_is_declared_that_nobody_uses():
    used = referred_to()
    unused = {place for place, name in declared() if not used[name]}
    assert unused == CALLED_FROM_OUTSIDE


def test_the_core_reads_no_clock_and_no_randomness_but_where_it_is_handed_in():
    allowed = {
        ("clock.py", "time"),  # the system clock, handed in by default
        ("fair_lock.py", "time"),  # waiting for a lock
        ("lock_wait.py", "time"),  # the same
        ("pacing.py", "time"),  # how long a reading worked, and pauses
    }
    found = set()
    for path in sorted((ROOT / "ledger").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {(path.name, name.name) for name in node.names if name.name in ("time", "random", "secrets")}
    assert found <= allowed


def test_no_float_is_near_an_amount():
    for path in sorted((ROOT / "ledger").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), f"{path}:{node.lineno}"
            assert not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)), f"{path}:{node.lineno}"
