"""docs/command_line.md has every command's JSON keys, and every error's code and exit code."""

import re
from pathlib import Path

import pytest
from settled_shop import tell

from gateway.cli.commands import Commands
from gateway.cli.errors import exit_code
from gateway.errors import UsageError
from ledger.errors import LedgerError
from ledger.refusals import PaymentRequired

PAGE = Path(__file__).parents[2] / "docs" / "command_line.md"
WORDS = {
    "demo": ("demo", "--db", ":memory:", "--requests", "40"),
    "statement": ("statement", "{log}", "--subscriber", "alice", "--plan", "pro"),
    "explain": ("explain", "{log}", "12"),
    "export": ("export", "{log}", "--to", "csv", "--out", "{folder}/out.csv"),
    "plot": ("plot", "{log}", "--subscriber", "alice", "--plan", "pro", "--out", "{folder}/alice.svg"),
    "backup": ("backup", "{log}", "{folder}/backup.db"),
    "copy": ("copy", "{log}", "{folder}/copy.db"),
    "events": ("events", "{log}", "--limit", "1"),
    "simulate": ("simulate", "--seed", "1", "--steps", "5"),
    **{name: (name,) for name in ("policies", "plugins")},
}
COMMANDS = [name for name in Commands.short_help_of if name != "chain"]

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="the page is not beside a copy of the tests")


def rows(heading: str) -> dict[str, list[str]]:
    """The table under a heading: its first column, and the cells after it."""
    part = PAGE.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    cells = [re.split(r" *\| *", line.strip("| ")) for line in part.splitlines() if line.startswith("| `")]
    return {first.strip("`"): rest for first, *rest in cells}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_has_the_keys_of_each_answer(tollbook, told, tmp_path, command):
    if command == "plot":
        pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install -e '.[plots]'")
    log = told.log
    if command in ("settle", "batches"):
        tell(tmp_path)
        log = tmp_path / "shop.db"
    words = [word.format(log=log, folder=tmp_path) for word in WORDS.get(command, (command, "{log}"))]
    assert re.findall(r"`(\w+)`", rows("JSON answers")[command][0]) == list(tollbook(*words, "--json").json)


def test_the_page_has_every_command_and_no_other():
    assert list(rows("JSON answers")) == COMMANDS


def test_the_page_has_every_errors_code_and_exit_code():
    def family(kind):
        ours = [child for child in kind.__subclasses__() if child.__module__.startswith("ledger")]
        return {kind}.union(*map(family, ours))

    listed = {code: cells[0] for code, cells in rows("Errors").items()}
    kinds = family(LedgerError) | {UsageError, PaymentRequired}
    assert listed == {kind.code: str(exit_code(kind.__new__(kind))) for kind in kinds}
