"""What the project asks of its own code, as tests."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ("ledger", "pricing", "chains", "replay", "gateway")
SOURCES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]

pytestmark = pytest.mark.skipif(not SOURCES, reason="needs the checkout, not a copy of the tests")


def test_no_module_is_named_for_nothing():
    assert [path for path in SOURCES if re.search("util|helper|manager|common|base|misc", path.stem)] == []


def test_tests_have_no_packages_that_would_shadow_the_rooms():
    assert list((ROOT / "tests").rglob("__init__.py")) == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_functions_and_files_stay_readable(path):
    text = path.read_text()
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    longest = max((node.end_lineno - node.lineno + 1 for node in functions), default=0)
    assert longest <= 70
    assert len(text.splitlines()) <= 650


def test_the_core_reads_no_clock_and_no_randomness_but_where_it_is_handed_in():
    allowed = {
        ("clock.py", "time"),
        ("sqlite.py", "time"),
        ("fair_lock.py", "time"),
    }  # the system clock handed in by default; waiting for a lock
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
