"""The scripted business in a process whose system calls fail, or in which it dies: strace makes them.

Only calls on the files of the log and of the mock chain are counted, so that the N-th is the same one in every run.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
import scripted_business
from scripted_business import SHARES, STEPS, Business, Told

from ledger import Answer
from ledger.events import encode
from replay.audit import audit

WRITES = ("pwrite64", "ftruncate", "unlink")
SYNCS = ("fdatasync", "fsync")
OTHERS = ("write", "writev", "pwritev", "pwritev2", "rename", "unlinkat", "fallocate", "sync_file_range")
"""Calls that would change a file too, and that SQLite does not make here."""

needs_strace = pytest.mark.skipif(
    shutil.which("strace") is None, reason="needs strace to make system calls fail: apt-get install strace"
)
CALL = re.compile(r"^\d+ +(?P<call>\w+)\((?:\d+<)?\"?(?P<file>[^>\"]+)")


class Hit(NamedTuple):
    """A call that was made on a file of the business."""

    call: str
    file: str


class Run(NamedTuple):
    """How a run of the script went: its exit code (negative: a signal), what it said, its calls and the failed ones."""

    code: int
    done: int
    told: Mapping[str, Told]
    failed: tuple[str, ...]
    calls: tuple[Hit, ...]
    injected: tuple[Hit, ...]


def run(folder: Path, *faults: str, calls: tuple[str, ...] = (*WRITES, *SYNCS)) -> Run:
    """Run the script in a new folder, with faults as strace's `inject` takes them."""
    folder.mkdir()
    trace = folder.with_name(f"{folder.name}.trace")
    files = [folder / f"{log}{side}" for log in ("toll.db", "toll.db.mock") for side in ("", "-wal", "-shm", "-journal")]
    command = ["strace", "-f", "-qq", "-y", "-e", "signal=none", "-o", str(trace), "-e", f"trace={','.join(calls)}"]
    for file in (folder, *files):
        command += ["-P", str(file)]
    for fault in faults:
        command += ["-e", f"inject={fault}"]
    command += [sys.executable, scripted_business.__file__, str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    said = [json.loads(line) for line in ended.stdout.splitlines()]
    assert not ended.stderr, ended.stderr
    lines = trace.read_text().splitlines()
    return Run(
        ended.returncode,
        sum("done" in words for words in said),
        {words["key"]: Told(**words) for words in said if "key" in words},
        tuple(words["failed"] for words in said if "failed" in words),
        tuple(_hits(lines)),
        tuple(_hits([line for line in lines if line.endswith("(INJECTED)")])),
    )


def _hits(lines: list[str]) -> list[Hit]:
    found = [match for line in lines if (match := CALL.match(line))]
    return [Hit(match["call"], Path(match["file"]).name) for match in found]


class Books(NamedTuple):
    """What a business has come to in the end."""

    state: bytes
    events: tuple[Told, ...]
    due: Mapping[str, int]
    batches: int


def finish(folder: Path, ran: Run) -> Books:
    """Open what a run has left behind, hold it to what the run said, and do the rest of the script."""
    business = Business(folder)
    business.answers = {key: Answer(told.seq, told.at, None) for key, told in ran.told.items()}
    if ran.done:
        assert audit(business.log).clean
    found = business.in_log()
    assert {key: found[key] for key in ran.told} == ran.told
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
    return books


def _books(business: Business) -> Books:
    return Books(
        business.ledger.state(),
        tuple(Told("", seq, at, encode(event).decode()) for seq, at, event in business.ledger.events()),
        {receiver: business.chain.due(receiver, "USD") for receiver in SHARES},
        len(business.chain.batches()),
    )
