"""Each command's help has examples that run, and its exit codes."""

import os
import re
import shlex
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from gateway.cli.commands import Commands
from gateway.cli.commands.chain import ChainCommands
from gateway.cli.lazy import load
from gateway.demo import Options, run

ELSEWHERE = ("eip155:", "evm", "Azure", "found.db", "invoices LOG --")
"""Of examples that need another chain, a trace that is not ours, a damaged log, or one with invoices."""

PAGES = {name: load(Commands.package, name).help for name in Commands.short_help_of if name != "chain"}
EXAMPLES = [
    line.strip()
    for page in PAGES.values()
    for line in page.splitlines()
    if re.match(" *tollbook ", line) and not any(part in line for part in ELSEWHERE)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with a log, its mock chain, a copy of the log, and a trace with a column of its own."""
    folder = tmp_path_factory.mktemp("examples")
    run(Options(db=folder / "toll.db", requests=600, subscribers=12))
    shutil.copy(folder / "toll.db", folder / "COPY")
    rows = "".join(f"2026-01-01T00:{minute:02}:00Z,{minute}\n" for minute in range(60))
    (folder / "usage.csv").write_text(f"timestamp,pages\n{rows}")
    return folder


@pytest.fixture
def place(folder, tmp_path, monkeypatch) -> Path:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def of_the_log(log: Path) -> dict[str, str]:
    """What the examples name, and what this log has instead; and less work for those that take long."""
    with closing(sqlite3.connect(log)) as read:
        charge, account = read.execute("SELECT max(seq), account FROM events WHERE type = 'charged'").fetchone()
        find = "SELECT event ->> 'subscriber', event ->> 'plan' FROM events WHERE type = 'purchased' AND account = ?"
        subscriber, plan = read.execute(find, (account,)).fetchone()
        first, last = read.execute("SELECT min(at), max(at) FROM events").fetchone()
    return {
        r"\bLOG\b": "toll.db",
        r"\balice\b": subscriber,
        r"\bpro\b": plan,
        r"(explain toll.db) 1234": rf"\1 {charge}",
        r"2023-11-16T18:00:00Z": str(first),
        r"2023-11-16T19:00:00Z": str(last),
        r"--db toll.db": "--db new.db",
        r"--out toll.db && datasette toll.db": "--out other.db",
        r"--seeds \d+": "--seeds 1 --steps 5",
        r"^tollbook simulate$": "tollbook simulate --seeds 1 --steps 5",
        r"^(tollbook demo.*)$": r"\1 --requests 40",
    }


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_help_runs(example, place, program, tollbook):
    """In this process where it is one command and nothing of a shell: a process takes half a second to start."""
    if example.startswith("tollbook plot"):
        pytest.importorskip("matplotlib")
    for tool in ("jq", "sqlite3"):
        if re.search(rf"(\| |\$\(){tool} ", example) and shutil.which(tool) is None:
            pytest.skip(f"needs {tool}")
    for named, here in of_the_log(place / "toll.db").items():
        example = re.sub(named, here, example)
    if not re.search(r"[|&;<>$]", example):
        command, *words = shlex.split(example)
        assert command == "tollbook"
        assert (answer := tollbook(*words)).code == 0, answer.err
        assert answer.out
        return
    env = {**os.environ, "PATH": f"{Path(program).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", example], cwd=place, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("group", [Commands, ChainCommands])
def test_each_help_says_what_it_does_shows_an_example_and_has_the_exit_codes(group):
    for name in group.short_help_of:
        page = load(group.package, name).help
        if name == "chain":
            continue
        assert page.index(group.short_help_of[name]) < page.index("Examples:") < page.index("Exit codes: 0 "), name
