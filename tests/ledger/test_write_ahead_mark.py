"""The mark in a log's own file: a copy of that file alone, made while a writer has the log open, says what it is; and
nothing that SQLite or we make of a whole log says so."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path

import pytest
from examples import examples
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from ledger import CreatePlan, Give, Ledger
from ledger.errors import Damaged, Locked
from ledger.events import PlanRetired
from ledger.log import Snapshot, encode_commit
from ledger.stores import sqlite
from ledger.stores.backup import back_up
from ledger.stores.sqlite import IncompleteLog, SQLiteStore
from ledger.stores.wal_mark import marked
from replay.audit.run import audit

SIDES = ("", "-wal")


def trade(log: Path, number: int = 3) -> Ledger:
    """An open ledger that has sold something."""
    ledger = Ledger.open(log)
    ledger.execute(CreatePlan(plan="pro", owner="acme", credits=1)).unwrap()
    for _ in range(number):
        ledger.execute(Give(subscriber="alice", plan="pro", credits=9)).unwrap()
    return ledger


def file_alone(log: Path, to: Path) -> Path:
    """What `cp` makes of the log's file."""
    return Path(shutil.copy(log, to))


def files(log: Path, to: Path) -> Path:
    """The log's file and what was written ahead of it, as a process that dies leaves them."""
    for side in SIDES:
        if log.with_name(log.name + side).exists():
            shutil.copy(log.with_name(log.name + side), to.with_name(to.name + side))
    return to


def backup(log: Path, to: Path) -> Path:
    with closing(sqlite3.connect(log)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)
    return to


def vacuum(log: Path, to: Path) -> Path:
    with closing(sqlite3.connect(log)) as source:
        source.execute("VACUUM INTO ?", (str(to),))
    return to


def copy(log: Path, to: Path) -> Path:
    back_up(log, to)
    return to


def dump(log: Path, to: Path) -> Path:
    """The log as SQLite reads it, page for page, as tools that replicate files make it."""
    with closing(sqlite3.connect(log)) as source:
        to.write_bytes(source.serialize())
    return to


def read_by_others(log: Path, to: Path) -> Path:
    """A dead writer's files, after a program that knows nothing of us has opened and closed them."""
    with closing(sqlite3.connect(files(log, to))) as other:
        other.execute("SELECT count(*) FROM commits").fetchone()
    assert not to.with_name(f"{to.name}-wal").exists()
    return to


WHOLE: dict[str, Callable[[Path, Path], Path]] = {
    "its files": files,
    "SQLite's backup": backup,
    "VACUUM INTO": vacuum,
    "tollbook backup": copy,
    "its pages": dump,
    "closed by others": read_by_others,
}


def says(log: Path) -> bool:
    """Whether the log says that it misses what was written ahead; all ways to ask agree."""
    with closing(SQLiteStore(log, read_only=True, warn=False)) as store:
        incomplete = store.incomplete
    found = [each.message for each in audit(log).findings if each.field == "write-ahead file"]
    assert bool(found) == incomplete
    return incomplete


# -- a copy of the file alone ------------------------------------------------------------------------------------------


def test_a_copy_of_the_file_of_an_open_log_is_not_clean(tmp_path):
    with trade(tmp_path / "log.db"):
        report = audit(file_alone(tmp_path / "log.db", tmp_path / "cp.db"))
    assert (report.verdict, report.head.seq) == ("findings", 0)
    [found] = report.findings
    assert (found.kind, found.field, found.expected, found.found) == (
        "unreadable",
        "write-ahead file",
        "present",
        "missing",
    )
    assert "tollbook backup" in found.message


def test_so_does_one_of_a_log_that_was_opened_again(tmp_path):
    trade(tmp_path / "log.db").close()
    with Ledger.open(tmp_path / "log.db") as ledger:
        before = file_alone(tmp_path / "log.db", tmp_path / "before.db")
        ledger.execute(Give(subscriber="bob", plan="pro", credits=9)).unwrap()
        after = file_alone(tmp_path / "log.db", tmp_path / "after.db")
    assert (says(before), says(after)) == (False, True)


def test_an_audit_in_parts_says_it_too(tmp_path):
    with trade(tmp_path / "log.db"):
        cp = file_alone(tmp_path / "log.db", tmp_path / "cp.db")
    assert audit(cp, processes=2) == audit(cp)


def test_it_is_read_with_a_warning_and_not_written_to(tmp_path):
    """What would be written follows an older log than the one that was acknowledged."""
    with trade(tmp_path / "log.db"):
        cp = file_alone(tmp_path / "log.db", tmp_path / "cp.db")
    before = cp.read_bytes()
    with pytest.warns(IncompleteLog, match="made while a writer had it open") as told, Ledger.open(cp, read_only=True):
        pass
    assert "tollbook backup" in told[0].message.hint
    assert Path(told[0].filename) != Path(sqlite.__file__)
    for _ in range(2):  # opening leaves nothing that would look like a write-ahead file
        with pytest.raises(Damaged, match="write-ahead file is missing") as raised:
            Ledger.open(cp)
        assert raised.value.hint == told[0].message.hint
    assert cp.read_bytes() == before


def test_a_write_ahead_file_with_nothing_in_it_is_as_good_as_none(tmp_path):
    with trade(tmp_path / "log.db"):
        cp = file_alone(tmp_path / "log.db", tmp_path / "cp.db")
        (tmp_path / "cp.db-wal").touch()
    assert says(cp)


def test_a_copy_of_it_as_it_is_is_a_log_like_any(tmp_path):
    with trade(tmp_path / "log.db"):
        cp = file_alone(tmp_path / "log.db", tmp_path / "cp.db")
    with pytest.raises(Damaged, match="write-ahead file is missing"):
        back_up(cp, tmp_path / "whole.db")
    assert not (tmp_path / "whole.db").exists()
    back_up(cp, tmp_path / "whole.db", as_it_is=True)
    assert not says(tmp_path / "whole.db")
    trade(tmp_path / "whole.db").close()


# -- and nothing else --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", WHOLE)
def test_whatever_is_made_of_a_whole_log_is_whole(tmp_path, kind):
    with trade(tmp_path / "log.db") as ledger:
        made = WHOLE[kind](tmp_path / "log.db", tmp_path / "made.db")
        assert not says(made)
        with closing(SQLiteStore(made, read_only=True)) as store:
            assert store.head() == ledger.head
        Ledger.open(made).close()
    assert not says(made)


def test_a_log_that_was_closed_is_whole_without_its_side_files(tmp_path):
    trade(tmp_path / "log.db").close()
    assert os.listdir(tmp_path) == ["log.db"]
    assert not says(tmp_path / "log.db")


def test_a_log_that_was_opened_and_not_written_to_has_no_mark(tmp_path):
    """Its write-ahead file is empty: a crash may lose it, and nothing with it."""
    trade(tmp_path / "log.db").close()
    with Ledger.open(tmp_path / "log.db"):
        assert not says(file_alone(tmp_path / "log.db", tmp_path / "cp.db"))


def test_the_write_ahead_file_is_looked_for_where_a_link_leads(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "real" / "log.db")
    with closing(SQLiteStore(tmp_path / "real" / "log.db")) as store:
        store.append(store.head(), encode_commit(store.head(), 0, [PlanRetired(plan="pro")]))
        with closing(sqlite3.connect(tmp_path / "real" / "log.db")) as other:
            other.execute("INSERT INTO snapshots (seq, version) VALUES (-1, 'written ahead')")  # as a writer dies
            other.commit()
        assert not says(tmp_path / "link.db")


def test_a_checkpoint_by_another_program_takes_the_mark_away(tmp_path):
    with trade(tmp_path / "log.db"):
        with closing(sqlite3.connect(tmp_path / "log.db")) as other:
            assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        assert not says(file_alone(tmp_path / "log.db", tmp_path / "cp.db"))


def test_the_mark_is_in_no_table_that_anybody_reads(tmp_path):
    with trade(tmp_path / "log.db") as ledger, closing(sqlite3.connect(tmp_path / "log.db")) as other:
        assert not marked(other)
        ledger.snapshot()
        assert other.execute("SELECT count(*), min(seq) FROM snapshots").fetchone() == (1, ledger.head.seq)


def test_a_log_without_snapshots_goes_without_a_mark(tmp_path):
    trade(tmp_path / "log.db").close()
    with closing(sqlite3.connect(tmp_path / "log.db")) as other:
        other.execute("DROP TABLE snapshots")
    with Ledger.open(tmp_path / "log.db") as ledger:
        ledger.execute(Give(subscriber="bob", plan="pro", credits=9)).unwrap()
        assert not says(file_alone(tmp_path / "log.db", tmp_path / "cp.db"))
    assert audit(tmp_path / "log.db").clean


DIES = """
import os, signal, sys
from ledger import CreatePlan, Ledger
from ledger.stores import wal_mark as marking

class Connection(marking.sqlite3.Connection):
    steps = int(sys.argv[2])
    def execute(self, sql, *rest):
        done = super().execute(sql, *rest)
        if "written ahead" in sql or "wal_checkpoint" in sql or sql == "COMMIT":
            Connection.steps -= 1
            if not Connection.steps:
                os.kill(os.getpid(), signal.SIGKILL)
        return done

connect = marking.sqlite3.connect
marking.sqlite3.connect = lambda *rest, **more: connect(*rest, factory=Connection, **more)
ledger = Ledger.open(sys.argv[1])
ledger.execute(CreatePlan(plan="pro", owner="acme", credits=1)).unwrap()
ledger.execute(CreatePlan(plan="max", owner="acme", credits=1)).unwrap()
"""


@pytest.mark.parametrize("stride", [3, pytest.param(1, marks=pytest.mark.sweep)])
def test_a_writer_that_dies_as_it_sets_the_mark_leaves_a_whole_log(tmp_path, stride):
    """At each third step, and in the sweep at each, with what it had written ahead beside the file; who opens it next
    takes away what is left."""
    for step in count(1, stride):
        log = tmp_path / f"{step}.db"
        died = subprocess.run([sys.executable, "-c", DIES, log, str(step)], check=False).returncode
        if died != -signal.SIGKILL:
            break
        if not log.stat().st_size:
            continue  # not a log yet
        assert not says(log)
        Ledger.open(log).close()
        assert os.path.exists(log.with_name(f"{log.name}-wal")) is False
        assert not says(log)
    assert step > 8


def test_what_interrupts_the_setting_of_the_mark_is_made_up_for(tmp_path, monkeypatch):
    trade(tmp_path / "log.db").close()
    ledger = Ledger.open(tmp_path / "log.db")

    def interrupted(connection: sqlite3.Connection) -> bool:
        connection.execute("INSERT INTO snapshots (seq, version) VALUES (-1, 'written ahead')")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(sqlite, "set_mark", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ledger.execute(Give(subscriber="bob", plan="pro", credits=9))
    ledger.close()
    assert not says(tmp_path / "log.db")


def test_a_lock_that_is_held_leaves_the_log_without_a_mark_and_the_ledger_going_on(tmp_path):
    trade(tmp_path / "log.db").close()
    with Ledger.open(tmp_path / "log.db", lock_seconds=0.01) as ledger:
        with closing(sqlite3.connect(tmp_path / "log.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(Locked):
                ledger.execute(Give(subscriber="bob", plan="pro", credits=9))
        assert not says(file_alone(tmp_path / "log.db", tmp_path / "cp.db"))
        ledger.execute(Give(subscriber="bob", plan="pro", credits=9)).unwrap()
        assert says(file_alone(tmp_path / "log.db", tmp_path / "cp2.db"))


# -- the law -----------------------------------------------------------------------------------------------------------


class Writers(RuleBasedStateMachine):
    """Writers open, write to and close one log, and whatever is made of it says whether it is whole."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.log = self.folder / "log.db"
        self.copies = count()
        self.writers: list[SQLiteStore] = []
        SQLiteStore(self.log).close()
        self.pages, sqlite.CHECKPOINT_PAGES = sqlite.CHECKPOINT_PAGES, 12

    def teardown(self) -> None:
        sqlite.CHECKPOINT_PAGES = self.pages
        for writer in self.writers:
            writer.close()
        if not self.failing():
            assert not says(self.log)
        shutil.rmtree(self.folder)

    def failing(self) -> bool:
        return sys.exc_info()[0] is not None

    @rule()
    @precondition(lambda self: len(self.writers) < 3)
    def opens(self) -> None:
        self.writers.append(SQLiteStore(self.log))

    @rule(which=st.integers(0, 2))
    @precondition(lambda self: self.writers)
    def closes(self, which: int) -> None:
        self.writers.pop(which % len(self.writers)).close()

    @rule(which=st.integers(0, 2), commits=st.integers(1, 8), held=st.booleans())
    @precondition(lambda self: self.writers)
    def writes(self, which: int, commits: int, held: bool) -> None:
        writer = self.writers[which % len(self.writers)]
        for _ in range(commits):
            commit = encode_commit(writer.head(), 0, [PlanRetired(plan="pro")])
            if held:
                with writer.hold():
                    writer.append(writer.head(), commit)
            else:
                writer.append(writer.head(), commit)

    @rule(which=st.integers(0, 2), size=st.integers(0, 20_000))
    @precondition(lambda self: self.writers)
    def keeps_a_snapshot(self, which: int, size: int) -> None:
        writer = self.writers[which % len(self.writers)]
        if (head := writer.head()).seq:
            writer.save_snapshot(Snapshot(head.seq, head.hash, "test", bytes(size)))

    @rule()
    def is_read_by_another_program(self) -> None:
        with closing(sqlite3.connect(self.log)) as other:
            other.execute("SELECT count(*) FROM commits").fetchone()

    @rule(how=st.sampled_from(sorted(WHOLE)))
    def what_is_made_of_it_is_whole(self, how: str) -> None:
        made = WHOLE[how](self.log, self.folder / f"{next(self.copies)}.db")
        with closing(SQLiteStore(made, read_only=True, warn=False)) as store:
            assert not store.incomplete
            assert store.head() == self.head()

    @rule()
    def a_copy_of_the_file_alone_has_all_or_says_so(self) -> None:
        made = file_alone(self.log, self.folder / f"{next(self.copies)}.db")
        with closing(SQLiteStore(made, read_only=True, warn=False)) as store:
            assert store.incomplete or store.head() == self.head()

    def head(self):
        with closing(SQLiteStore(self.log, read_only=True)) as store:
            return store.head()


TestWriters = Writers.TestCase
TestWriters.settings = examples(20, stateful_step_count=25)


def test_a_long_log_is_written_into_its_file_now_and_then(tmp_path):
    """Not in the write-ahead file for ever, and each time with the mark."""
    with closing(SQLiteStore(tmp_path / "log.db")) as store:
        for _ in range(1_200):
            store.append(store.head(), encode_commit(store.head(), 0, [PlanRetired(plan="p" * 500)] * 8))
        behind = file_alone(tmp_path / "log.db", tmp_path / "cp.db")
        with closing(SQLiteStore(behind, read_only=True, warn=False)) as copied:
            assert 0 < copied.head().seq < store.head().seq
            assert copied.incomplete
        assert (tmp_path / "log.db-wal").stat().st_size < 8_000_000


def test_a_reader_that_keeps_it_from_being_written_back_is_not_waited_for(tmp_path):
    with (
        closing(SQLiteStore(tmp_path / "log.db")) as store,
        closing(sqlite3.connect(tmp_path / "log.db", isolation_level=None)) as reader,
    ):
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM commits").fetchone()
        for _ in range(600):
            store.append(store.head(), encode_commit(store.head(), 0, [PlanRetired(plan="p" * 500)] * 8))
        reader.execute("COMMIT")
        for _ in range(200):
            store.append(store.head(), encode_commit(store.head(), 0, [PlanRetired(plan="p" * 500)] * 8))
        assert says_of_file(tmp_path) == (True, True)


def says_of_file(folder: Path) -> tuple[bool, bool]:
    made = file_alone(folder / "log.db", folder / "cp.db")
    with closing(SQLiteStore(made, read_only=True, warn=False)) as store:
        return store.incomplete, store.head().seq > 0
