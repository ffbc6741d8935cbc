"""The scripted business in a process of its own that is killed, or whose system calls fail; and what must be true then.

strace makes them fail. Only calls on the files of the log and of the mock chain are counted, so that the N-th is the
same one in every run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
import scripted_business
from patience import PATIENCE
from scripted_business import GAVE_UP, SHARES, STEPS, Business, Told

from ledger import Answer
from ledger.events import encode
from ledger.plugins import contract_of
from replay.audit.run import audit

SYNCS = ("fdatasync", "fsync", "sync_file_range")
CHANGES = (
    *("pwrite64", "pwritev", "pwritev2", "write", "writev", "fallocate", "ftruncate"),
    *("unlink", "unlinkat", "rename", "renameat2"),
)
"""Every call that may change a file; which of them SQLite makes is found out."""
FOLDER = "the folder"


def _missing() -> str | None:
    if shutil.which("strace") is None:
        return "needs strace to make system calls fail: apt-get install strace"
    tried = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, text=True, check=False)
    return f"needs to be let trace a process, to make its calls fail: {tried.stderr}" if tried.returncode else None


MISSING = _missing()
needs_strace = pytest.mark.skipif(MISSING is not None, reason=MISSING or "")
_CALL = re.compile(r"\d+ +(?P<call>\w+)\((?:\d+<)?\"?(?P<file>[^>\"]+)")


class Hit(NamedTuple):
    """A call on a file of the business."""

    call: str
    file: str


class Run(NamedTuple):
    """How a run went: its exit code (below 0 a signal), the steps done, what was acknowledged, what failed by its
    error's name, all calls that were counted, and those that were made to fail."""

    code: int
    done: int
    told: Mapping[str, Told]
    failed: Sequence[str]
    calls: Sequence[Hit] = ()
    injected: Sequence[Hit] = ()


def run(folder: Path, *options: str, under: Sequence[str] = ()) -> Run:
    """Run the script in a folder, in a process `under` another program."""
    folder.mkdir(exist_ok=True)
    ended = subprocess.run(
        [*under, sys.executable, "-B", scripted_business.__file__, str(folder), *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert not ended.stderr, ended.stderr  # an error that nobody caught, or a warning
    said = [json.loads(line) for line in ended.stdout.splitlines()]
    return Run(
        ended.returncode,
        sum("done" in words for words in said),
        {words["key"]: Told(**words) for words in said if "key" in words},
        [words["failed"] for words in said if "failed" in words],
    )


def strace(files: Iterable[Path], trace: Path, *faults: str) -> list[str]:
    """strace, with faults as its `inject` takes them: `fdatasync:error=EIO:when=3`, counted on these files alone. It
    writes their calls into `trace`."""
    command = ["strace", "-f", "-qq", "-y", "-e", "signal=none", "-o", str(trace)]
    command += ["-e", f"trace={','.join(f'?{call}' for call in (*CHANGES, *SYNCS))}"]
    for path in files:
        command += ["-P", str(path)]
    for fault in faults:
        command += ["-e", f"inject={fault}"]
    return command


def traced(folder: Path, *faults: str) -> Run:
    """Run the script with faults on the files of its folder."""
    trace = folder.with_name(f"{folder.name}.trace")
    names = [f"{log}{side}" for log in ("toll.db", "toll.db.mock") for side in ("", "-wal", "-shm", "-journal")]
    ran = run(folder, under=strace([folder, *(folder / name for name in names)], trace, *faults))
    lines = trace.read_text().splitlines()
    injected = [line for line in lines if line.endswith("(INJECTED)")]
    return ran._replace(calls=_hits(folder, lines), injected=_hits(folder, injected))


def _hits(folder: Path, lines: Sequence[str]) -> list[Hit]:
    found = [match for line in lines if (match := _CALL.match(line))]
    return [Hit(each["call"], FOLDER if each["file"] == str(folder) else Path(each["file"]).name) for each in found]


class Books(NamedTuple):
    """What a business has come to in the end."""

    readings: str
    due: Mapping[str, int]
    batches: int
    state: bytes
    events: Sequence[str]

    def agree(self, other: Books) -> bool:
        """Whether they say the same. After doubt about a transaction, the log has one event more that says so; then
        the money and the credits are what counts."""
        doubted = any('"settlement_unknown"' in event for event in self.events)
        return self[:3] == other[:3] if doubted else self == other


def finish(folder: Path, ran: Run) -> Books:
    """Open what a run has left behind, hold it to what the run said, and do the rest of the script."""
    business = Business(folder)
    business.answers = {key: Answer(told.seq, told.at, None) for key, told in ran.told.items()}
    if ran.done:
        assert audit(business.log).clean
    found = business.in_log()
    assert {key: found.get(key) for key in ran.told} == ran.told
    rest = found.keys() - ran.told.keys()
    assert not rest or rest == business.keys(ran.done)  # the step under way, whole
    for index in range(len(STEPS)):
        if index < ran.done and not business.keys(index):
            continue
        for told in business.do(index):
            assert told == found.get(told.key, told)  # a key gets its first answer
    books = _books(business)
    business.close()
    assert audit(business.log).clean
    with closing(sqlite3.connect(business.log)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    return books


def ended(ran: Run) -> bool:
    """Whether a run came to its end, done or given up; any other exit code is a bug."""
    assert ran.code in (0, GAVE_UP)
    assert (ran.code == 0) == (ran.done == len(STEPS))
    return ran.code == 0


def _books(business: Business) -> Books:
    ledger, chain = business.ledger, business.chain
    settled = ledger.settling(contract_of(chain)).settled
    return Books(
        repr((ledger.balances(), ledger.earned(), settled)),
        {receiver: chain.due(receiver, "USD") for receiver in SHARES},
        len(chain.batches()),
        ledger.state(),
        [f"{seq} {at} {encode(event).decode()}" for seq, at, event in ledger.events()],
    )
