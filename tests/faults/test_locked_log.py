"""Another process holds the log: a writer waits, and says at last what it waits for; a reader goes on."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ledger import Answer, AsyncLedger, Charge, CreatePlan, Give, Ledger
from ledger.errors import Locked, WrongType, WrongValue
from ledger.stores.fair_lock import FairLock

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


@pytest.mark.parametrize("how", ["IMMEDIATE", "EXCLUSIVE"])
def test_a_writer_says_what_it_has_waited_for_and_a_reader_goes_on(log, how):
    with Ledger.open(log, lock_seconds=0.05) as writer, Ledger.open(log, read_only=True) as reader:
        with held(log, f"BEGIN {how}"):
            with pytest.raises(Locked, match="lock") as caught:
                writer.execute(CHARGE)
            assert str(caught.value).startswith("another process holds the log's lock; waited 0.05 s for it")
            assert caught.value.code == "locked"
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


@pytest.mark.parametrize("read_only", [False, True])
def test_a_log_that_another_process_has_for_itself_is_said_to_be_locked(log, read_only):
    with held(log, *EVERYONE_OUT), pytest.raises(Locked, match=r"waited 0\.05 s") as caught:
        Ledger.open(log, read_only=read_only, lock_seconds=0.05)
    assert "wait for the other process" in caught.value.hint
    assert "`lock_seconds`" in caught.value.hint
    with Ledger.open(log, read_only=read_only) as ledger:
        assert ledger.head.seq == 3


@pytest.mark.parametrize("read_only", [False, True])
def test_the_async_twin_waits_as_long_as_it_is_told(log, read_only):
    with held(log, *EVERYONE_OUT), pytest.raises(Locked, match=r"waited 0\.05 s"):
        asyncio.run(AsyncLedger.open(log, read_only=read_only, lock_seconds=0.05))


def test_processes_that_wait_behind_another_wait_no_longer_in_all(log):
    """The time for the turn and the time for the lock are one time: in the turn only what is left is waited for."""
    file = Path(f"{log}-wal")
    with Ledger.open(log, lock_seconds=60), FairLock(file).turn(60):
        other = FairLock(file)
        with other.turn(0.05) as left:
            assert left == 0.05, "there is none left, and one try more"
        with FairLock(file).turn(1.5) as left:
            assert left == 1
    with Ledger.open(log), FairLock(file).turn(60) as left:
        assert left == 60


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), 86_401])
def test_a_wait_out_of_its_bounds_raises(value):
    with pytest.raises(WrongValue, match="lock_seconds"):
        Ledger.open(lock_seconds=value)


@pytest.mark.parametrize("value", ["5", True, [5]])
def test_a_wait_that_is_no_number_raises(value):
    with pytest.raises(WrongType, match="lock_seconds"):
        Ledger.open(lock_seconds=value)


def test_a_log_in_memory_has_no_lock_to_wait_for():
    with Ledger.open(lock_seconds=5) as ledger:
        assert ledger.head.seq == 0
