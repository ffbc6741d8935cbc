"""`tollbook copy`: a log whole, as of one moment, while others write to it; and what is said of copies that are not."""

import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from ledger import Charge, CreatePlan, Give, Ledger
from ledger.errors import AlreadyExists, Damaged
from ledger.stores import backup
from ledger.stores.backup import copy_log
from ledger.stores.sqlite import SQLiteStore
from replay.audit.run import audit


def trade(log: Path, charges: int = 5) -> Ledger:
    """An open ledger that has charged so often."""
    ledger = Ledger.open(log, clock=lambda: 1_700_000_000_000_000)
    ledger.execute(CreatePlan(plan="pro", owner="acme", credits=1)).unwrap()
    ledger.execute(Give(subscriber="alice", plan="pro", credits=10**9)).unwrap()
    for _ in range(charges):
        ledger.execute(Charge(subscriber="alice", plan="pro")).unwrap()
    return ledger


def pages(log: Path) -> list[bytes]:
    """What SQLite reads of a file, but for the page with its counters."""
    with closing(sqlite3.connect(f"file:{log}?mode=ro", uri=True)) as connection:
        whole = connection.serialize()
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    return [whole[at : at + size] for at in range(size, len(whole), size)]


# -- the copy ----------------------------------------------------------------------------------------------------------


def test_the_answer_has_the_copys_head_and_number_of_events(tollbook, told, tmp_path):
    answer = tollbook("copy", told.log, tmp_path / "copy.db", "--json").json
    head = tollbook("audit", told.log, "--json").json["head"]
    assert answer == {"log": str(told.log), "copy": str(tmp_path / "copy.db"), "events": 20, "head": head}
    assert "20 events copied" in tollbook("copy", told.log, tmp_path / "again.db").out


def test_a_copy_of_a_log_that_is_open_is_whole_and_a_log_like_any(tollbook, tmp_path):
    with trade(tmp_path / "log.db") as ledger:
        assert tollbook("copy", tmp_path / "log.db", tmp_path / "copy.db").code == 0
        assert pages(tmp_path / "copy.db") == pages(tmp_path / "log.db")
        head = ledger.head
    assert audit(tmp_path / "copy.db", against=tmp_path / "log.db").clean
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("PRAGMA application_id").fetchone() == (0x546F6C6C,)
        assert copy.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        with closing(sqlite3.connect(tmp_path / "log.db")) as log:
            assert copy.execute("PRAGMA user_version").fetchone() == log.execute("PRAGMA user_version").fetchone()
    with Ledger.open(tmp_path / "copy.db") as copied:
        assert copied.head == head
        copied.execute(Charge(subscriber="alice", plan="pro")).unwrap()
    assert sorted(os.listdir(tmp_path)) == ["copy.db", "log.db"]


def test_a_copy_has_what_was_committed_when_it_began_whatever_is_written_meanwhile(tmp_path, monkeypatch):
    """A writer that never rests does not make it begin anew, and waits for nothing."""
    monkeypatch.setattr(backup, "_PAGES", 8)
    with trade(tmp_path / "log.db", charges=2_000) as ledger:
        before, steps = ledger.head, []

        def write(done: int, total: int) -> None:
            steps.append((done, total))
            ledger.execute(Charge(subscriber="alice", plan="pro")).unwrap()

        copied = copy_log(tmp_path / "log.db", tmp_path / "copy.db", progress=write)
        assert copied.head == before
        assert (ledger.head.seq - before.seq, len(steps)) == (len(steps), len(steps))
        assert len(steps) > 1
        assert steps[-1][0] == steps[-1][1]
    assert audit(tmp_path / "copy.db").clean


def test_copies_beside_a_process_that_writes_are_prefixes(tmp_path):
    ledger, over = trade(tmp_path / "log.db"), threading.Event()

    def write() -> None:
        while not over.is_set():
            ledger.execute(Charge(subscriber="alice", plan="pro")).unwrap()

    writing = threading.Thread(target=write)
    writing.start()
    try:
        for number in range(5):
            copied = copy_log(tmp_path / "log.db", tmp_path / f"{number}.db")
            report = audit(tmp_path / f"{number}.db")
            assert (report.clean, report.head.seq) == (True, copied.head.seq)
            assert audit(tmp_path / "log.db", since=f"{copied.head.seq}:{copied.head.hash.hex()}").clean
    finally:
        over.set()
        writing.join()
        ledger.close()


def test_an_empty_log_can_be_copied(tmp_path):
    Ledger.open(tmp_path / "log.db", id="mine").close()
    assert copy_log(tmp_path / "log.db", tmp_path / "copy.db").commits == 0
    with closing(SQLiteStore(tmp_path / "copy.db", read_only=True)) as copy:
        assert copy.id == "mine"


# -- what is refused, and leaves nothing -------------------------------------------------------------------------------


@pytest.mark.parametrize("there", ["copy.db", "copy.db-wal", "copy.db-journal", "copy.db.part"])
def test_what_exists_is_not_touched(tollbook, told, tmp_path, there):
    (tmp_path / there).write_text("mine")
    error = tollbook("copy", told.log, tmp_path / "copy.db", "--json").error
    assert (error["code"], there in error["message"]) == ("exists", True)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(there, "mine")]


def test_a_log_is_not_copied_onto_itself(told):
    with pytest.raises(AlreadyExists):
        copy_log(told.log, told.log)


@pytest.mark.parametrize(("name", "code"), [("nowhere.db", "not_found"), ("text.db", "not_a_log")])
def test_what_is_no_log_is_not_copied(tollbook, tmp_path, name, code):
    (tmp_path / "text.db").write_text("a text, long enough to be none of SQLite's files")
    assert tollbook("copy", tmp_path / name, tmp_path / "copy.db", "--json").error["code"] == code
    assert sorted(os.listdir(tmp_path)) == ["text.db"]


def test_a_folder_that_is_not_there_is_an_error_in_one_line(tollbook, told, tmp_path):
    done = tollbook("copy", told.log, tmp_path / "no" / "copy.db")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert f"{tmp_path / 'no' / 'copy.db'} cannot be written" in done.err


def test_an_error_names_the_file_that_was_asked_for_and_not_the_one_beside_it(tollbook, told, tmp_path):
    for to in (tmp_path / "no" / "copy.db", told.log / "copy.db", tmp_path / ("a" * 253)):
        for error in (tollbook("copy", told.log, to, "--json").error, export(tollbook, told.log, to)):
            assert (error["code"], str(to) in error["message"], ".part" in str(error)) == ("io", True, False)


def export(tollbook, log, to):
    return tollbook("export", log, "--to", "csv", "--out", to, "--json").error


def test_a_copy_that_is_interrupted_leaves_nothing(tmp_path):
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with trade(tmp_path / "log.db", charges=1_000):
        pass
    with pytest.raises(KeyboardInterrupt):
        copy_log(tmp_path / "log.db", tmp_path / "copy.db", progress=stop)
    assert os.listdir(tmp_path) == ["log.db"]


STOPPED = """
import os, signal, sys, time
from pathlib import Path
from gateway.cli import main as cli
from ledger.stores import backup
backup._PAGES = 1
copy = backup._back_up
def back_up(source, part, to, progress):
    copy(source, part, to, lambda done, total: (progress(done, total), os.kill(os.getpid(), signal.SIGINT)))
backup._back_up = back_up
sys.exit(cli.main(["copy", *sys.argv[1:]]))
"""


def test_an_interrupted_command_exits_130_and_leaves_nothing(start, told, tmp_path, patience):
    running = start(sys.executable, "-c", STOPPED, told.log, tmp_path / "copy.db", text=True)
    out, error = running.communicate(timeout=patience)
    assert (running.returncode, out, error) == (130, "", "tollbook: interrupted\n")
    assert os.listdir(tmp_path) == []


def test_a_disk_that_is_full_leaves_nothing(told, tmp_path, program):
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 8; trap '' XFSZ; exec {program} copy {told.log} {tmp_path / 'copy.db'} --json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert '"code":"io"' in done.stderr
    assert os.listdir(tmp_path) == []


# -- copies that are not whole -----------------------------------------------------------------------------------------


@pytest.fixture
def torn(tmp_path) -> Path:
    """The file alone of a log that is open."""
    with trade(tmp_path / "log.db"):
        (tmp_path / "torn.db").write_bytes((tmp_path / "log.db").read_bytes())
    return tmp_path / "torn.db"


READING = [("balance",), ("events",), ("export", "--to", "csv", "--out", "-"), ("events", "--json")]


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_a_command_that_reads_one_says_so_once_on_stderr(tollbook, torn, words):
    command, *rest = words
    done = tollbook(command, torn, *rest)
    assert done.code == 0
    [line] = done.err.splitlines()
    assert "write-ahead file is missing" in line
    assert "tollbook copy" in line
    assert line.startswith('{"warning":' if "--json" in words else "tollbook: warning: ")


def test_a_command_that_writes_refuses_one(tollbook, torn):
    error = tollbook("settle", torn, "--json").error
    assert (error["code"], "tollbook copy" in error["hint"]) == ("bad_data", True)


def test_it_is_copied_as_it_is_where_that_is_asked_for(tollbook, torn, tmp_path):
    error = tollbook("copy", torn, tmp_path / "whole.db", "--json").error
    assert (error["code"], "--as-it-is" in error["hint"]) == ("bad_data", True)
    assert tollbook("copy", torn, tmp_path / "whole.db", "--as-it-is").code == 0
    assert tollbook("settle", tmp_path / "whole.db").code == 0
    with pytest.raises(Damaged):
        Ledger.open(torn)


def test_the_audit_of_one_has_a_finding(tollbook, torn):
    done = tollbook("audit", torn, "--json")
    assert (done.code, done.json["verdict"]) == (1, "findings")
    assert "tollbook copy" in done.json["findings"][0]["message"]


def test_the_audit_of_a_log_without_events_says_so(tollbook, tmp_path):
    Ledger.open(tmp_path / "log.db").close()
    done = tollbook("audit", tmp_path / "log.db")
    assert (done.code, done.out.splitlines()[0]) == (0, f"{tmp_path / 'log.db'}: clean, 0 events")
    assert done.err.startswith("tollbook: warning: ")
    assert "tollbook copy" in done.err
    told = tollbook("audit", tmp_path / "log.db", "--json").json
    assert (told["head"]["seq"], ["0 events" in text for text in told["warnings"]]) == (0, [True])


def test_the_audit_of_a_log_with_events_has_no_warning(tollbook, told):
    done = tollbook("audit", told.log, "--json")
    assert (done.err, done.json["warnings"]) == ("", [])
