"""`tollbook backup`: a log whole, as of one moment, while others write; restoring it; and copies that are not whole."""

import os
import re
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
from ledger.stores.backup import back_up
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
    answer = tollbook("backup", told.log, tmp_path / "copy.db", "--json").json
    head = tollbook("audit", told.log, "--json").json["head"]
    size = (tmp_path / "copy.db").stat().st_size
    paths = {"log": str(told.log), "copy": str(tmp_path / "copy.db")}
    assert answer == {**paths, "events": 20, "head": head, "bytes": size}
    said = tollbook("backup", told.log, tmp_path / "again.db").out
    assert said.startswith(
        f"20 events backed up from {told.log} to {tmp_path / 'again.db'} ({size:,} bytes); head 20, "
    )


def test_copy_is_another_name_of_it(tollbook, told, tmp_path):
    backup, copy = (tollbook(name, told.log, tmp_path / f"{name}.db", "--json").json for name in ("backup", "copy"))
    assert {**copy, "copy": backup["copy"]} == backup


def test_a_copy_of_a_log_that_is_open_is_whole_and_a_log_like_any(tollbook, tmp_path):
    with trade(tmp_path / "log.db") as ledger:
        assert tollbook("backup", tmp_path / "log.db", tmp_path / "copy.db").code == 0
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

        copied = back_up(tmp_path / "log.db", tmp_path / "copy.db", progress=write)
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
            copied = back_up(tmp_path / "log.db", tmp_path / f"{number}.db")
            report = audit(tmp_path / f"{number}.db")
            assert (report.clean, report.head.seq) == (True, copied.head.seq)
            assert audit(tmp_path / "log.db", since=f"{copied.head.seq}:{copied.head.hash.hex()}").clean
    finally:
        over.set()
        writing.join()
        ledger.close()


def test_an_empty_log_can_be_copied(tmp_path):
    Ledger.open(tmp_path / "log.db", id="mine").close()
    assert back_up(tmp_path / "log.db", tmp_path / "copy.db").commits == 0
    with closing(SQLiteStore(tmp_path / "copy.db", read_only=True)) as copy:
        assert copy.id == "mine"


# -- what is refused, and leaves nothing -------------------------------------------------------------------------------


@pytest.mark.parametrize("there", ["copy.db", "copy.db-wal", "copy.db-journal", "copy.db.part"])
def test_what_exists_is_not_touched(tollbook, told, tmp_path, there):
    (tmp_path / there).write_text("mine")
    error = tollbook("backup", told.log, tmp_path / "copy.db", "--json").error
    assert (error["code"], there in error["message"]) == ("exists", True)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(there, "mine")]


def test_a_log_is_not_copied_onto_itself(told):
    with pytest.raises(AlreadyExists):
        back_up(told.log, told.log)


@pytest.mark.parametrize(("name", "code"), [("nowhere.db", "not_found"), ("text.db", "not_a_log")])
def test_what_is_no_log_is_not_copied(tollbook, tmp_path, name, code):
    (tmp_path / "text.db").write_text("a text, long enough to be none of SQLite's files")
    assert tollbook("backup", tmp_path / name, tmp_path / "copy.db", "--json").error["code"] == code
    assert sorted(os.listdir(tmp_path)) == ["text.db"]


def test_a_folder_that_is_not_there_is_an_error_in_one_line(tollbook, told, tmp_path):
    done = tollbook("backup", told.log, tmp_path / "no" / "copy.db")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert f"{tmp_path / 'no' / 'copy.db'} cannot be written" in done.err


def test_an_error_names_the_file_that_was_asked_for_and_not_the_one_beside_it(tollbook, told, tmp_path):
    for to in (tmp_path / "no" / "copy.db", told.log / "copy.db", tmp_path / ("a" * 253)):
        for error in (tollbook("backup", told.log, to, "--json").error, export(tollbook, told.log, to)):
            assert (error["code"], str(to) in error["message"], ".part" in str(error)) == ("io", True, False)


def export(tollbook, log, to):
    return tollbook("export", log, "--to", "csv", "--out", to, "--json").error


def test_a_copy_that_is_interrupted_leaves_nothing(tmp_path):
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with trade(tmp_path / "log.db", charges=1_000):
        pass
    with pytest.raises(KeyboardInterrupt):
        back_up(tmp_path / "log.db", tmp_path / "copy.db", progress=stop)
    assert os.listdir(tmp_path) == ["log.db"]


STOPPED = """
import os, signal, sys, time
from pathlib import Path
from gateway.cli import main as cli
from ledger.stores import backup
backup._PAGES = 1
copy = backup._copy
def back_up(source, part, to, progress):
    copy(source, part, to, lambda done, total: (progress(done, total), os.kill(os.getpid(), signal.SIGINT)))
backup._copy = back_up
sys.exit(cli.main(["backup", *sys.argv[1:]]))
"""


def test_an_interrupted_command_exits_130_and_leaves_nothing(start, told, tmp_path, patience):
    running = start(sys.executable, "-c", STOPPED, told.log, tmp_path / "copy.db", text=True)
    out, error = running.communicate(timeout=patience)
    assert (running.returncode, out, error) == (130, "", "tollbook: interrupted\n")
    assert os.listdir(tmp_path) == []


def test_a_disk_that_is_full_leaves_nothing(told, tmp_path, program):
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 8; trap '' XFSZ; exec {program} backup {told.log} {tmp_path / 'copy.db'} --json"],
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
    assert "tollbook backup" in line
    assert line.startswith('{"warning":' if "--json" in words else "tollbook: warning: ")


def test_a_command_that_writes_refuses_one(tollbook, torn):
    error = tollbook("settle", torn, "--json").error
    assert (error["code"], "tollbook backup" in error["hint"]) == ("bad_data", True)


def test_it_is_copied_as_it_is_where_that_is_asked_for(tollbook, torn, tmp_path):
    error = tollbook("backup", torn, tmp_path / "whole.db", "--json").error
    assert (error["code"], "--as-it-is" in error["hint"]) == ("bad_data", True)
    assert tollbook("backup", torn, tmp_path / "whole.db", "--as-it-is").code == 0
    assert tollbook("settle", tmp_path / "whole.db").code == 0
    with pytest.raises(Damaged):
        Ledger.open(torn)


def test_the_audit_of_one_has_a_finding(tollbook, torn):
    done = tollbook("audit", torn, "--json")
    assert (done.code, done.json["verdict"]) == (1, "findings")
    assert "tollbook backup" in done.json["findings"][0]["message"]


def test_the_audit_of_a_log_without_events_says_so(tollbook, tmp_path):
    Ledger.open(tmp_path / "log.db").close()
    done = tollbook("audit", tmp_path / "log.db")
    assert (done.code, done.out.splitlines()[0]) == (0, f"{tmp_path / 'log.db'}: clean, 0 events")
    assert done.err.startswith("tollbook: warning: ")
    assert "tollbook backup" in done.err
    told = tollbook("audit", tmp_path / "log.db", "--json").json
    assert (told["head"]["seq"], ["0 events" in text for text in told["warnings"]]) == (0, [True])


def test_the_audit_of_a_log_with_events_has_no_warning(tollbook, told):
    done = tollbook("audit", told.log, "--json")
    assert (done.err, done.json["warnings"]) == ("", [])


# -- damage, and restoring a backup ------------------------------------------------------------------------------------


@pytest.fixture
def damaged(shop, spoil) -> Path:
    """A log in which one number of a commit was changed."""
    spoil(shop.log, '"credits":-24', '"credits":-25')
    return shop.log


def test_a_damaged_log_is_no_backup(tollbook, damaged, tmp_path):
    error = tollbook("backup", damaged, tmp_path / "copy.db", "--json").error
    assert error["code"] == "bad_data"
    assert f"{damaged} cannot be backed up: hash chain broken at sequence" in error["message"]
    assert not list(tmp_path.glob("copy.db*"))
    assert tollbook("backup", damaged, tmp_path / "copy.db", "--as-it-is").code == 0
    assert tollbook("audit", tmp_path / "copy.db", "--json").json == {
        **tollbook("audit", damaged, "--json").json,
        "log": str(tmp_path / "copy.db"),
    }


def test_the_error_for_damage_says_how_to_restore_a_backup_and_that_works(tollbook, told, damaged, tmp_path):
    """The steps are those of the hint: move the log and its side files away, and back the backup up to its place."""
    tollbook("backup", told.log, tmp_path / "monday.db")
    with pytest.raises(Damaged) as caught:
        Ledger.open(damaged)
    move, _, command = caught.value.hint.partition("; ")[2].partition(", and run ")
    assert move == "to restore a backup, move the log and its -wal and -shm files away"
    assert command == "`tollbook backup BACKUP LOG`"
    damaged.with_name(f"{damaged.name}-wal").write_bytes(b"what a writer left behind")
    for side in ("", "-wal", "-shm"):
        if (beside := damaged.with_name(damaged.name + side)).exists():
            beside.rename(tmp_path / f"damaged{side}")
    words = command.strip("`").replace("BACKUP", str(tmp_path / "monday.db")).replace("LOG", str(damaged)).split()
    assert tollbook(*words[1:]).code == 0
    assert tollbook("audit", damaged).code == 0
    with Ledger.open(damaged) as ledger:
        assert ledger.head.seq == told.seq["head"]


def test_a_side_file_that_is_left_behind_is_not_taken_for_the_backups(tollbook, told, tmp_path):
    (tmp_path / "log.db-wal").write_bytes(b"what a writer left behind")
    assert tollbook("backup", told.log, tmp_path / "log.db", "--json").error["code"] == "exists"


GUIDE = Path(__file__).parent.parent.parent / "docs" / "guides" / "back_up_and_restore.md"


@pytest.mark.skipif(not GUIDE.exists(), reason="the guide is not beside a copy of the tests")
def test_the_guide_runs(program, tmp_path):
    """Its commands in order, in one folder; then the backup stands in the place of the log."""
    script = "\n".join(re.findall(r"```sh\n(.*?)```", GUIDE.read_text(), re.DOTALL))
    assert script.count("tollbook backup") >= 3
    path = f"{Path(program).parent}:{os.environ['PATH']}"
    words = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(words, cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "it continues from the earlier head" in done.stdout
    assert "--adopt" in done.stderr, "the chain has a batch that the backup lacks"
    assert audit(tmp_path / "toll.db").clean
