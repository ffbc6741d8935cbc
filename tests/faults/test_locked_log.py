"""Another process holds the log: a writer waits, and says at last what it waits for; a reader goes on."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ledger import Answer, Charge, CreatePlan, Give, Ledger
from ledger.errors import Locked
from ledger.stores import sqlite

CHARGE = Charge(subscriber="alice", plan="pro", key="charge")
HOLD = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2:]:
    connection.execute(statement).fetchall()
os.write(1, b"held\\n")
os.read(0, 1)
connection.close()
"""
EVERYONE_OUT = ("PRAGMA locking_mode = EXCLUSIVE", "BEGIN EXCLUSIVE", "COMMIT")
"""What leaves a connection alone with the file, for as long as it is open."""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    with Ledger.open(tmp_path / "toll.db") as ledger:
        ledger.execute(CreatePlan(plan="pro", owner="acme", credits=1)).unwrap()
        ledger.execute(Give(subscriber="alice", plan="pro", credits=9)).unwrap()
    return tmp_path / "toll.db"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "LOCK_SECONDS", 0.05)


@contextmanager
def held(log: Path, *statements: str) -> Iterator[subprocess.Popen[bytes]]:
    """Another process has done these statements on the file, and stays; a byte lets it go."""
    command = [sys.executable, "-c", HOLD, str(log), *statements]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("how", ["IMMEDIATE", "EXCLUSIVE"])
def test_a_writer_says_what_it_has_waited_for_and_a_reader_goes_on(log, how):
    with Ledger.open(log) as writer, Ledger.open(log, read_only=True) as reader:
        with held(log, f"BEGIN {how}"):
            with pytest.raises(Locked, match="lock") as caught:
                writer.execute(CHARGE)
            assert (caught.value.code, "another process" in str(caught.value)) == ("locked", True)
            for ledger in (writer, reader):
                balance = ledger.balance("alice", "pro")
                assert balance is not None
                assert (balance.available, ledger.head.seq) == (9, 3)
            with Ledger.open(log, read_only=True) as newcomer:
                assert newcomer.head.seq == 3
        assert writer.execute(CHARGE).unwrap().seq == 4
        assert reader.head.seq == 4


def test_a_writer_waits_until_the_other_process_lets_go(log):
    answers: list[Answer] = []
    with Ledger.open(log) as writer, held(log, "BEGIN IMMEDIATE") as holder:
        thread = threading.Thread(target=lambda: answers.append(writer.execute(CHARGE).unwrap()))
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()
        assert holder.stdin is not None
        holder.stdin.write(b"\n")
        thread.join()
    assert [answer.seq for answer in answers] == [4]


def test_a_process_that_dies_with_the_lock_leaves_nothing_locked(log):
    with Ledger.open(log) as writer:
        unfinished = (
            "INSERT INTO commits SELECT first_seq + count, 1, at, '[]', x'' FROM commits ORDER BY 1 DESC LIMIT 1"
        )
        with held(log, "BEGIN IMMEDIATE", unfinished) as holder:
            holder.kill()
            holder.wait()
            assert writer.execute(CHARGE).unwrap().seq == 4


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("read_only", [False, True])
def test_a_log_that_another_process_has_for_itself_is_said_to_be_locked(log, read_only):
    with held(log, *EVERYONE_OUT), pytest.raises(Locked, match="lock") as caught:
        Ledger.open(log, read_only=read_only)
    assert "wait for the other process" in caught.value.hint
    with Ledger.open(log, read_only=read_only) as ledger:
        assert ledger.head.seq == 3
