"""What the rooms may import of each other, beyond what import-linter holds."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import ledger

ROOT = Path(__file__).parent.parent
OTHERS = ("pricing", "chains", "replay", "gateway", "tollbook")
FILES = [path for room in OTHERS for path in sorted((ROOT / room).rglob("*.py"))]
CORE = sorted((ROOT / "ledger").rglob("*.py"))

PUBLIC = {
    "ledger",
    "ledger.amounts",
    "ledger.clock",
    "ledger.commands",
    "ledger.errors",
    "ledger.events",
    "ledger.folding",
    "ledger.log",
    "ledger.outcomes",
    "ledger.plugins",
    "ledger.rating",
    "ledger.readings",
    "ledger.refusals",
    "ledger.rounding",
    "ledger.settlement",
    "ledger.statements",
    "ledger.stores",
    "ledger.testing",
}
"""The modules of the core that other rooms may import, with all that is below them."""

FOR_READERS_OF_BOOKS = {
    "ledger.account_index",
    "ledger.accounts",
    "ledger.books",
    "ledger.catalogue",
    "ledger.engine",
    "ledger.expiry",
    "ledger.identity",
    "ledger.legs",
    "ledger.movements",
    "ledger.periods",
    "ledger.reducers",
    "ledger.tariffs",
    "ledger.values",
}
"""Internal modules that `replay` may import too: it audits the books, reports from them and simulates the engine."""

pytestmark = pytest.mark.skipif(not FILES, reason="needs the checkout, not a copy of the tests")


def imports(path: Path) -> Iterator[str]:
    """The modules that a file imports, as absolute names; `from ledger import books` is ledger.books."""
    package = list(path.relative_to(ROOT).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            yield module
            for alias in node.names:
                if (ROOT / module.replace(".", "/") / f"{alias.name}.py").exists():
                    yield f"{module}.{alias.name}"


def within(module: str, names: set[str]) -> bool:
    return module in names or any(module.startswith(f"{name}.") for name in names - {"ledger"})


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_other_rooms_import_only_the_named_modules_of_the_core(path):
    allowed = PUBLIC | (FOR_READERS_OF_BOOKS if path.relative_to(ROOT).parts[0] == "replay" else set())
    strange = {module for module in imports(path) if module.split(".")[0] == "ledger" and not within(module, allowed)}
    assert strange == set()


@pytest.mark.parametrize("path", [*CORE, *FILES], ids=lambda path: str(path.relative_to(ROOT)))
def test_no_product_module_imports_test_kits(path):
    parts = path.relative_to(ROOT).parts
    if "testing" in parts or parts[:2] == ("replay", "simulator"):
        return
    assert {module for module in imports(path) if "testing" in module.split(".")} == set()


def test_the_core_and_its_page_name_the_public_modules():
    page = (ROOT / "ARCHITECTURE.md").read_text()
    for name in sorted(PUBLIC - {"ledger"}):
        assert f"`{name}`" in (ledger.__doc__ or ""), name
        assert f"`{name.removeprefix('ledger.')}`" in page, name
