"""Ctrl-C at any step, as often as one likes: nobody waits for ever, nobody is told what is not so, nothing stays held.

Interrupts are placed (`placed_interrupts`) in one thread; whoever else waits, or comes later, must get an answer or an
error, and what each is told must agree with what was written.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from placed_interrupts import LONG, Steps
from standing_clock import Clock

from ledger import Answer, Command, CreatePlan, Ledger, Purchase, RegisterAgent, Request
from ledger import queue as groups_module
from ledger.errors import NotWritten, OutcomeUnknown
from ledger.folding import refold
from ledger.queue import CommandQueue, ThreadTicket
from ledger.stores.memory import MemoryStore
from ledger.stores.sqlite import SQLiteStore

PRO = CreatePlan(plan="pro", owner="acme", credits=1_000, parameters={"per": "call"})
BUY = Purchase(subscriber="ann", plan="pro")
ASK = Request(subscriber="ann", plan="pro", estimate={"calls": 3})


def few_of(*every_run: tuple[int, ...], more: list[tuple[int, ...]]) -> list[Any]:
    """Distances between interrupts: a few of them in every run, more in the sweep."""
    return [*every_run, *(pytest.param(gaps, marks=pytest.mark.sweep) for gaps in more)]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits looks for a leader often, so that thousands of cases take seconds."""
    monkeypatch.setattr(groups_module, "WAKE_INTERVAL", timedelta(milliseconds=2))


class Waiting(threading.Thread):
    """Somebody else who asks the queue for something, and what came of it."""

    def __init__(self, queue: CommandQueue[str], name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.queue, self.told = queue, ""
        self.start()

    def run(self) -> None:
        try:
            (self.told,) = self.queue.run([self.name])
        except Exception as error:  # noqa: BLE001 - what it is told is what is tested
            self.told = type(error).__name__


class Books:
    """What a queue does, in small: commands are written, and what the last group came to can be recalled.

    While the command `mine` is done another one comes, so that there is somebody who must be told to lead.
    """

    def __init__(self) -> None:
        self.queue = CommandQueue(self.do, self.recall)
        self.written: list[object] = []
        self.outcomes: list[str | Exception] = []
        self.doing: list[object] = []
        self.others: list[Waiting] = []
        self.before, self.came_before = ThreadTicket[str](["before"]), False

    def do(self, commands: list[object]) -> list[str | Exception]:
        self.outcomes, self.doing = [], commands
        if "mine" in commands:
            self.comes("while it leads")
        self.written += commands
        self.outcomes = [f"did {command}" for command in commands]
        return self.outcomes

    def recall(self, commands: list[object]) -> list[str | Exception]:
        return self.outcomes if commands is self.doing else []

    def comes(self, name: str) -> None:
        """Another caller is in the queue by now."""
        self.others.append(Waiting(self.queue, name))
        while not any(name in ticket.commands for ticket in self.queue._queue):
            time.sleep(0)

    def settled(self) -> list[str]:
        """What is wrong after the interrupts: somebody waits for ever, or was told what is not so."""
        later = Waiting(self.queue, "later")
        later.join(LONG)
        self.others.append(later)
        wrong = []
        for other in reversed(self.others):
            other.join(LONG)
            count = self.written.count(other.name)
            if not other.told:
                wrong.append(f"{other.name!r} waits for ever")
            elif other.told == "NotWritten":
                wrong += [f"{other.name!r} was written {count} times"] * (count != 0)
            elif count != 1 or other.told != f"did {other.name}":
                wrong.append(f"{other.name!r} was written {count} times, and told {other.told!r}")
        before = self.before.outcomes or self.before.error
        if self.came_before and (not before or (before == ["did before"]) != ("before" in self.written)):
            wrong.append(f"who came before was told {before}")
        if later.told != "did later":
            wrong.append(f"who came later was told {later.told!r}")
        return wrong + ["mine was written twice"] * (self.written.count("mine") > 1)


def leads(books: Books) -> None:
    books.queue.run(["mine"])


def follows(books: Books) -> None:
    """Somebody is in the queue before it, and is named leader, but is slow to wake."""
    books.queue.enqueue(books.before)
    books.came_before = True
    books.queue.run(["mine"])


def is_named(books: Books) -> None:
    """It is named leader while it sleeps."""
    queue, mine = books.queue, ThreadTicket[str](["mine"])
    queue.enqueue(books.before)
    books.came_before = True
    mine.wait = queue.lead  # type: ignore[method-assign]  # another leads while it sleeps
    queue.serve(mine)


def placed(gaps: list[int], role: Callable[[Books], None]) -> tuple[list[str], list[str]]:
    """Where the interrupts came, and what is wrong then."""
    books, steps = Books(), Steps(gaps, "ledger/queue.py")
    books.queue.run(["first"])
    steps.run(lambda: role(books))
    return steps.where, books.settled()


@pytest.mark.parametrize("role", [leads, follows, is_named])
def test_an_interrupt_at_any_bytecode_of_the_queue_leaves_nobody_waiting(role: Callable[[Books], None]) -> None:
    nth = 1
    while (found := placed([nth], role))[0]:
        assert found[1] == [], found[0]
        nth += 1
    assert nth > 200


@pytest.mark.parametrize("role", [leads, follows])
@pytest.mark.parametrize("more", few_of((4,), (3, 11), more=[(1,), (9,), (16,), (30,), (1, 1), (6, 6)]), ids=str)
def test_interrupts_that_follow_each_other_leave_nobody_waiting(
    role: Callable[[Books], None], more: tuple[int, ...]
) -> None:
    """The next ones come while the first is handled, so many bytecodes later."""
    struck = 0
    for nth in range(1 + len(more), 500, 3):
        where, wrong = placed([nth, *more], role)
        assert wrong == [], where
        if not where:
            break
        struck += len(where) == 1 + len(more)
    assert struck


# -- a ledger ----------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["", "stores/"])
def part(request: pytest.FixtureRequest) -> str:
    """In which files of the core interrupts come: all, with a log in memory; the stores, with one in a file."""
    return request.param  # type: ignore[no-any-return]


@contextmanager
def opened_new(path: Path | None) -> Iterator[Ledger]:
    with Ledger.open(path, clock=Clock()) as opened:
        if isinstance(opened._writer.store, SQLiteStore):
            opened._writer.store._open_connection().execute("PRAGMA synchronous = OFF")  # no power fails here
        opened.execute_many([PRO, BUY])
        yield opened


@pytest.fixture
def ledger(part: str, path: Path) -> Iterator[Ledger]:
    with opened_new(path if part else None) as opened:
        yield opened


def told_in_a_thread(ledger: Ledger, command: Command = BUY) -> Any:
    """What somebody else is told, who asks for something now."""
    told: list[Any] = []

    def ask() -> None:
        try:
            told.append(ledger.execute(command))
        except Exception as error:  # noqa: BLE001 - what it is told is what is tested
            told.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(LONG)
    return told[0] if told else "waits for ever"


@pytest.mark.parametrize("more", few_of((), (2,), more=[(1,), (5,), (1, 1)]), ids=str)
@pytest.mark.parametrize("stride", [4, pytest.param(1, marks=pytest.mark.sweep)])
def test_a_ledger_goes_on_after_interrupts_wherever_they_are_taken(
    part: str, tmp_path: Path, more: tuple[int, ...], stride: int
) -> None:
    """Everybody else can write, and the books are the log's; on a file, nothing is begun and left so."""
    struck = 0
    for nth in range(1, 3_000, 1 if part else stride):  # at each fourth place in every run
        with opened_new(tmp_path / f"{nth}.db" if part else None) as ledger:
            steps = Steps([nth, *more], part, taken=True)
            steps.run(lambda ledger=ledger: ledger.execute_many([ASK, BUY]))  # type: ignore[misc]
            told = told_in_a_thread(ledger)
            assert isinstance(told, Answer), (steps.where, told)
            assert ledger.state() == refold(ledger._writer.store.read()).dump(), steps.where
        if not steps.where:
            break
        struck += len(steps.where) == 1 + len(more)
    assert struck or part


class Seen(MemoryStore):
    """A log in which an interrupt comes right after a commit was written."""

    armed = False

    def append(self, expected: Any, commit: Any) -> None:
        super().append(expected, commit)
        if self.armed:
            self.armed = False
            raise KeyboardInterrupt


def test_who_shares_a_commit_with_an_interrupted_leader_is_told_what_was_written() -> None:
    store = Seen(id="test")
    with Ledger(store, Clock()) as ledger:
        ledger.execute_many([PRO, BUY])
        follower = ThreadTicket[Any]([ASK, BUY])
        ledger.queue.enqueue(follower)
        store.armed = True
        with pytest.raises(KeyboardInterrupt):
            ledger.queue.lead()
        ledger.queue.lead()
        assert [outcome.seq for outcome in follower.outcomes] == [4, 5]
        assert ledger.head.seq == 6


def test_who_shares_a_commit_that_was_not_written_is_told_so() -> None:
    class Unseen(MemoryStore):
        def append(self, expected: Any, commit: Any) -> None:
            if commit.first_seq > 1:
                raise KeyboardInterrupt
            super().append(expected, commit)

    with Ledger(Unseen(id="test"), Clock()) as ledger:
        ledger.execute_many([PRO, BUY])
        follower = ThreadTicket[Any]([ASK])
        ledger.queue.enqueue(follower)
        for _ in range(2):
            with suppress(KeyboardInterrupt):
                ledger.queue.lead()
        assert isinstance(follower.error, NotWritten)
        assert ledger.head.seq == 3


def test_where_the_log_cannot_be_read_again_the_outcome_is_unknown() -> None:
    store = Seen(id="test")
    ledger = Ledger(store, Clock())
    ledger.execute_many([PRO, BUY])
    follower = ThreadTicket[Any]([ASK])
    ledger.queue.enqueue(follower)
    store.armed = True
    with pytest.raises(KeyboardInterrupt):
        ledger.queue.lead()
    store.close()
    ledger.queue.lead()
    assert isinstance(follower.error, OutcomeUnknown)


# -- holds -------------------------------------------------------------------------------------------------------------


def enter(ledger: Ledger) -> None:
    """Enter and never leave, as who is interrupted in entering does."""
    ledger.request("ann", "pro", estimate={"calls": 3}).__enter__()


def enter_and_leave(ledger: Ledger) -> None:
    with ledger.request("ann", "pro", estimate={"calls": 3}):
        pass


def held(ledger: Ledger) -> tuple[int, int]:
    balance = ledger.balance("ann", "pro")
    assert balance is not None
    return balance.open_requests, balance.held


def test_an_interrupt_wherever_it_is_taken_in_entering_leaves_no_hold_behind(ledger: Ledger, part: str) -> None:
    for nth in range(1, 3_000):
        steps = Steps([nth], part, taken=True)
        steps.run(lambda: enter(ledger))
        if not steps.where:
            break
        assert held(ledger) == (0, 0), steps.where
    assert nth > 5
    assert held(ledger) == (1, 3)


@pytest.mark.parametrize("more", few_of((3,), (2, 2), more=[(1,), (10,), (40,)]), ids=str)
def test_after_more_interrupts_the_next_command_gives_the_hold_back(
    ledger: Ledger, part: str, more: tuple[int, ...]
) -> None:
    for nth in range(1, 3_000, 1 if part else 2):
        steps = Steps([nth, *more], part, taken=True)
        steps.run(lambda: enter(ledger))
        if not steps.where:
            break
        assert isinstance(told_in_a_thread(ledger, RegisterAgent(agent=f"{nth}", owner="acme")), Answer)
        assert held(ledger) == (0, 0), steps.where
    assert nth > 5


def test_a_hold_that_no_command_gave_back_is_given_back_when_the_ledger_closes(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / "toll.db"
    with Ledger.open(path, clock=clock) as ledger:
        ledger.execute_many([PRO, BUY])
        ledger.queue.abandoned.append(admitted(ledger))
        assert held(ledger) == (1, 3)
    with Ledger.open(path, clock=clock) as ledger:
        assert held(ledger) == (0, 0)


def admitted(ledger: Ledger) -> Any:
    """A request that was admitted to somebody who is gone."""
    from ledger.metering import _Entering

    ticket = _Entering([ASK])
    ledger.queue.serve(ticket)
    return ticket


def test_a_hold_that_cannot_be_given_back_now_is_given_back_later(clock: Clock) -> None:
    class Full(MemoryStore):
        full = False

        def append(self, expected: Any, commit: Any) -> None:
            if self.full:
                raise NotWritten("no space")
            super().append(expected, commit)

    store = Full(id="test")
    with Ledger(store, clock) as ledger:
        ledger.execute_many([PRO, BUY])
        ledger.queue.abandoned.append(admitted(ledger))
        store.full = True
        ledger.queue.lead()
        assert held(ledger) == (1, 3)
        store.full = False
        assert ledger.execute(BUY)
        assert held(ledger) == (0, 0)
        assert not ledger.queue.abandoned


def test_a_hold_of_somebody_else_is_not_given_back_by_who_repeats_its_key(ledger: Ledger, part: str) -> None:
    with ledger.request("ann", "pro", estimate={"calls": 3}, key="k"):
        for nth in range(1, 3_000):
            steps = Steps([nth], part, taken=True)
            steps.run(lambda: ledger.request("ann", "pro", estimate={"calls": 3}, key="k").__enter__())
            assert held(ledger) == (1, 3), steps.where
            if not steps.where:
                break


@pytest.mark.parametrize("stride", [4, pytest.param(1, marks=pytest.mark.sweep)])
def test_an_interrupt_in_leaving_gives_the_hold_back_all_the_same(ledger: Ledger, part: str, stride: int) -> None:
    """Wherever it comes after leaving has begun; in every run, at each fourth place."""
    for nth in range(1, 3_000, 1 if part else stride):
        context = ledger.request("ann", "pro", estimate={"calls": 3})
        context.__enter__()
        steps = Steps([1 + nth], part, taken=True)
        steps.run(lambda context=context: context.__exit__(None, None, None))  # type: ignore[misc]
        assert held(ledger) == (0, 0), steps.where
        if not steps.where:
            break
    assert nth > 5
