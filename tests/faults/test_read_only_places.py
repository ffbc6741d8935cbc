"""A log where nothing can be written: an append says that nothing was, what was written before is read, and all goes on
once it can be written again."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from loop_images import make, mounted, needs_loop_devices

from ledger import Charge, CreatePlan, Give, Ledger, engine
from ledger.errors import Closed, LogError, NotWritten, OutcomeUnknown
from replay.audit.run import audit

CHARGE = Charge(subscriber="alice", plan="pro", key="charge")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return trade(tmp_path / "toll.db")


def trade(log: Path) -> Path:
    with Ledger.open(log) as ledger:
        ledger.execute(CreatePlan(plan="pro", owner="acme", credits=1)).unwrap()
        ledger.execute(Give(subscriber="alice", plan="pro", credits=9)).unwrap()
    return log


@contextmanager
def read_only(*files: Path) -> Iterator[None]:
    """Nobody may write to the files, root neither."""
    if os.geteuid() != 0:
        for file in files:
            file.chmod(0o444)
        yield
        return
    if shutil.which("chattr") is None:
        pytest.skip("needs chattr, since root may write to any file: apt-get install e2fsprogs")
    done = subprocess.run(["chattr", "+i", *files], capture_output=True, text=True, check=False)
    try:
        if done.returncode:
            pytest.skip(f"needs a file system with attributes, since root may write to any file: {done.stderr}")
        yield
    finally:
        subprocess.run(["chattr", "-i", *files], capture_output=True, check=False)


def holds_nothing_of_it(ledger: Ledger) -> bool:
    balance = ledger.balance("alice", "pro")
    assert balance is not None
    return balance.available == 9 and ledger.head.seq == 3


def test_an_append_by_a_reader_was_not_written_and_the_reader_goes_on(log):
    with Ledger.open(log, read_only=True) as ledger:
        with pytest.raises(NotWritten, match="opened read-only") as caught:
            ledger.execute(CHARGE)
        assert (caught.value.code, caught.value.hint) == ("io", "open it without `read_only`")
        assert holds_nothing_of_it(ledger)


@pytest.mark.parametrize("others", [False, True])
def test_an_append_to_a_file_that_is_read_only_was_not_written_and_the_ledger_goes_on(log, others):
    """Whether or not another has the log open, too, with what it wrote last in the side file."""
    with ExitStack() as open_elsewhere:
        if others:
            open_elsewhere.enter_context(Ledger.open(log)).snapshot()
        with read_only(log), Ledger.open(log) as ledger:
            with pytest.raises(NotWritten, match="readonly") as caught:
                ledger.execute(CHARGE)
            assert caught.value.code == "io"
            assert "permissions" in caught.value.hint
            assert holds_nothing_of_it(ledger)
            with pytest.raises(LogError, match="readonly"):
                ledger.snapshot()
            assert holds_nothing_of_it(ledger)
            assert audit(log).clean
    with Ledger.open(log) as ledger:
        assert ledger.execute(CHARGE).unwrap().seq == 4


@pytest.mark.skipif(os.name == "posix" and os.geteuid() != 0, reason="needs root: an open file stays open for others")
def test_a_file_that_turns_read_only_under_an_open_ledger_takes_nothing_half(log):
    with Ledger.open(log) as ledger:
        ledger.execute(Give(subscriber="alice", plan="pro", credits=1, key="gift")).unwrap()
        with read_only(log, log.with_name("toll.db-wal")), pytest.raises((NotWritten, OutcomeUnknown)):
            ledger.execute(CHARGE)
    with Ledger.open(log) as ledger:
        assert ledger.head.seq == 5
        assert ledger.execute(CHARGE).unwrap().seq == 6
    assert audit(log).clean


@needs_loop_devices
def test_a_log_on_a_file_system_that_is_read_only_is_read_and_cannot_be_opened_to_be_written(tmp_path):
    image = tmp_path / "disk"
    make(image, megabytes=16, block=4096)
    with mounted(image) as disk:
        trade(disk / "toll.db")
    with mounted(image, "ro") as disk:
        before = (disk / "toll.db").read_bytes()
        with Ledger.open(disk / "toll.db", read_only=True) as ledger:
            assert holds_nothing_of_it(ledger)
        assert audit(disk / "toll.db").clean
        with pytest.raises(LogError, match=r"toll\.db: unable to open database file") as caught:
            Ledger.open(disk / "toll.db")
        assert (caught.value.code, caught.value.hint) == ("io", "check the path and its permissions")
        assert (disk / "toll.db").read_bytes() == before
        assert sorted(os.listdir(disk)) == ["lost+found", "toll.db"]


@pytest.mark.parametrize("mode", ["DELETE", "TRUNCATE"])
def test_a_copy_in_another_journal_mode_is_written_ahead_again(log, mode):
    """In the other modes a commit may be taken back by a power cut after its answer."""
    with closing(sqlite3.connect(log)) as connection:
        assert connection.execute(f"PRAGMA journal_mode = {mode}").fetchone() == (mode.lower(),)
    with Ledger.open(log, read_only=True) as ledger:
        assert holds_nothing_of_it(ledger)
    with read_only(log), pytest.raises(LogError, match="readonly") as caught:
        Ledger.open(log)
    assert caught.value.code == "io"
    with Ledger.open(log) as ledger:
        assert ledger.execute(CHARGE).unwrap().seq == 4
    with closing(sqlite3.connect(log)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_snapshot_that_cannot_be_written_as_a_ledger_is_closed_is_done_without(log, monkeypatch):
    monkeypatch.setattr(engine, "SNAPSHOT_EVENTS", 1)
    with read_only(log), Ledger.open(log) as ledger:
        assert holds_nothing_of_it(ledger)
    with pytest.raises(Closed):
        ledger.balances()
