"""Stores that fail, lose races or are interrupted: errors are correct, and the books stay with the log."""

import linecache
import resource
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from patience import PATIENCE
from small_ledger import ASK, BUY, PRO, REFUSED, Overtaken, Unlucky, a_day, change, commits, photograph, refolded
from standing_clock import Clock

from ledger import Answer, Give, Ledger, LedgerError, Request, writer
from ledger.books import Books
from ledger.errors import Closed, Damaged, Locked, NotWritten, OutcomeUnknown
from ledger.folding import refold
from ledger.log import Commit, Head
from ledger.stores.memory import MemoryStore
from ledger.stores.sqlite import SQLiteStore

# -- stores of somebody else -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [NotWritten("no space"), OutcomeUnknown("no answer"), OSError("gone")], ids=repr)
@pytest.mark.parametrize("written", [False, True])
def test_an_append_that_fails_gives_its_error_and_the_books_stay_with_the_log(
    path: Path, clock: Clock, error: Exception, written: bool
) -> None:
    store = Unlucky(SQLiteStore(path, id="test"))
    with Ledger(store, clock) as ledger:
        ledger.execute_many([PRO, BUY])
        store.fail_with(error, written)
        with pytest.raises(type(error)):
            ledger.execute_many([ASK, REFUSED])
        assert ledger.head.seq == (4 if written else 3)
        assert ledger.state() == refolded(path)
        ledger.execute(ASK).unwrap()
        assert ledger.state() == refolded(path)


def test_every_command_of_a_group_gets_the_error_also_the_refused_one(path: Path, clock: Clock) -> None:
    inner = SQLiteStore(path, id="test")
    entered, opened = threading.Semaphore(0), threading.Semaphore(0)

    class Gate(Unlucky):
        """Shows when an append begins, and lets it go on when told."""

        def append(self, expected: Head, commit: Commit) -> None:
            entered.release()
            assert opened.acquire(timeout=PATIENCE)
            super().append(expected, commit)

    store = Gate(inner)
    with Ledger(store, clock) as ledger:
        opened.release()
        ledger.execute_many([PRO, BUY])
        entered.acquire()
        told: list[Any] = []

        def run(command: Any) -> None:
            try:
                told.append(ledger.execute(command))
            except Exception as error:  # noqa: BLE001 - what the caller is told is what is tested
                told.append(error)

        first = threading.Thread(target=run, args=(ASK,))
        first.start()
        assert entered.acquire(timeout=PATIENCE)
        followers = [threading.Thread(target=run, args=(command,)) for command in (ASK, REFUSED, BUY)]
        for thread in followers:
            thread.start()
        while len(ledger.queue._queue) < 3:
            threading.Event().wait(0.001)
        opened.release()
        first.join()
        assert entered.acquire(timeout=PATIENCE)
        store.fail_with(OutcomeUnknown("no answer"))
        opened.release()
        for thread in followers:
            thread.join()
        assert [type(answer) for answer in told] == [Answer, OutcomeUnknown, OutcomeUnknown, OutcomeUnknown]
        assert ledger.head.seq == 4
        assert ledger.state() == refolded(path)


def test_a_group_that_was_overtaken_is_decided_again(ledger: Ledger, path: Path) -> None:
    ledger._writer.store = Overtaken(ledger._writer.store, path)
    answers = ledger.execute_many([Request(subscriber="ben", plan="pro"), ASK])
    assert [answer.unwrap().seq for answer in answers] == [6, 7]
    assert len(commits(path)) == 3
    assert ledger.state() == refolded(path)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_full_disk_leaves_log_and_books_as_they_were(ledger: Ledger, path: Path) -> None:
    """A real one, made by a limit on the size of files."""
    before = photograph(ledger)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
        with pytest.raises((NotWritten, OutcomeUnknown)):
            ledger.execute_many(Give(subscriber="ann", plan="pro", credits=1) for _ in range(2_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    with suppress(Closed):  # it may stay closed where the outcome was not known
        assert photograph(ledger) == before
        ledger.execute(BUY).unwrap()
        assert ledger.state() == refolded(path)
    with Ledger.open(path) as again:
        assert again.state() == refolded(path)


# -- interrupts --------------------------------------------------------------------------------------------------------


def interrupted(nth: int, file: str, do: Callable[[], object]) -> str:
    """Do it, with a KeyboardInterrupt at the nth line that is run in `file`: that line, or "" where there are fewer.

    Lines with a `with` are passed over: a trace sees them a second time on the way out, where no signal is taken.
    """
    left, where = nth, ""

    def trace(frame: FrameType, what: str, _: Any) -> Any:
        nonlocal left, where
        code = frame.f_code
        if what != "line" or not code.co_filename.endswith(file):
            return trace
        line = linecache.getline(code.co_filename, frame.f_lineno).strip()
        left -= not line.startswith("with ")
        if left == 0 and not where:
            where = f"{file}:{frame.f_lineno}: {line}"
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        do()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)
    return where


def said_by_another_thread(ledger: Ledger) -> list[Any]:
    """What a purchase comes to in another thread: an answer, an error, or nothing where it never ends."""
    said: list[Any] = []

    def run() -> None:
        try:
            said.append(ledger.execute(BUY))
        except Exception as error:  # noqa: BLE001 - what the caller is told is what is tested
            said.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return said


@pytest.mark.parametrize(
    "file",
    [
        "engine.py",
        "queue.py",
        "writer.py",
        "group.py",
        "draft.py",
        "folding.py",
        "reducers/__init__.py",
        "log/commits.py",
        "stores/sqlite.py",
    ],
)
def test_an_interrupt_at_any_line_leaves_a_ledger_that_works(tmp_path: Path, clock: Clock, file: str) -> None:
    """Another thread can write, and the books are the log's: nobody waits for a leader that is gone."""
    spoilt = []
    for nth in count(1):
        path = tmp_path / f"{nth}.db" if "sqlite" in file else None
        ledger = Ledger.open(path, clock=clock)
        ledger.execute_many([PRO, BUY])
        where = interrupted(nth, f"ledger/{file}", partial(ledger.execute_many, [ASK, REFUSED, BUY]))
        if not where:
            break
        said = said_by_another_thread(ledger)
        if not said or not isinstance(said[0], Answer):
            spoilt.append((where, said))
        elif ledger.state() != refold(ledger._writer.store.read()).dump():
            spoilt.append((where, "the books are not the log's"))
    assert spoilt == []


class Twin(MemoryStore):
    """A second handle on a log in memory."""

    def __init__(self, of: MemoryStore) -> None:
        super().__init__(id=of.id)
        self._commits = of._commits


@pytest.mark.parametrize(
    "file", ["engine.py", "writer.py", "folding.py", "reducers/__init__.py", "log/commits.py", "log/bodies.py"]
)
def test_an_interrupt_at_any_line_of_catching_up_leaves_the_books_right(clock: Clock, file: str) -> None:
    spoilt = []
    for nth in count(1):
        store = MemoryStore()
        with Ledger(Twin(store), clock) as ledger, Ledger(store, clock) as other:
            other.execute_many([PRO, BUY])
            other.execute_many([ASK, BUY])
            where = interrupted(nth, f"ledger/{file}", lambda ledger=ledger: ledger.head)  # type: ignore[misc]
            try:
                right = ledger.state() == other.state()
            except (LedgerError, LookupError):
                right = False
            if not right:
                spoilt.append(where)
        if not where:
            break
    assert spoilt == []


def test_a_log_that_lost_its_end_under_an_open_ledger_is_damaged_and_nobody_writes_on(path: Path, clock: Clock) -> None:
    """It neither waits for ever for a head that nobody has, nor goes on from books that the log does not say."""
    with Ledger.open(path, clock=clock) as ledger:
        ledger.execute_many([PRO, BUY])
        ledger.execute(BUY)
        change(path, "DROP TRIGGER commits_are_not_deleted")
        change(path, "DELETE FROM commits WHERE first_seq = (SELECT max(first_seq) FROM commits)")
        for ask in (lambda: ledger.execute(BUY), lambda: ledger.balance("alice", "pro"), lambda: ledger.head):
            with pytest.raises(Damaged, match="the log ends at 3 by now"):
                ask()
    with closing(SQLiteStore(path)) as store:
        assert store.head().seq == 3


# -- events ------------------------------------------------------------------------------------------------------------


def test_a_long_decision_is_overtaken_a_few_times_and_then_holds_the_log(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch of many accounts takes long to decide; other processes that never pause must not starve it."""
    with Ledger.open(path, clock=clock) as ledger:
        a_day(ledger, clock)
        with Ledger.open(path, clock=clock, lock_seconds=0) as other:
            tries: list[str] = []
            honest = writer.decide_group

            def decide(books: Books, *arguments: Any, **named: Any) -> Any:
                if books is ledger._writer.books:
                    try:
                        tries.append("overtaken" if other.execute(BUY).accepted else "refused")
                    except Locked:
                        tries.append("held")
                return honest(books, *arguments, **named)

            monkeypatch.setattr(writer, "decide_group", decide)
            assert ledger.execute(BUY).accepted
            monkeypatch.setattr(writer, "decide_group", honest)
            assert tries == ["overtaken"] * 3 + ["held"]
            assert other.execute(BUY).accepted, "the log is let go of again"
            assert other.state() == ledger.state()
