"""The engine: answers and refusals as values, one commit a group, books that are never ahead of the log."""

import gc
import hashlib
import json
import linecache
import os
import resource
import signal
import sqlite3
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from patience import PATIENCE
from standing_clock import BEGIN, SECOND, Clock

from ledger import (
    Adjust,
    Answer,
    Charge,
    ContractRef,
    CreatePlan,
    Give,
    Ledger,
    LedgerError,
    PaymentRequired,
    Purchase,
    Reason,
    Refused,
    RegisterAgent,
    Release,
    Request,
    RetireAgent,
    RetirePlan,
    Tick,
    UpdateAgent,
    accounts,
    books,
    catalogue,
    engine,
    writer,
)
from ledger.books import Books
from ledger.errors import Closed, Damaged, Locked, NotWritten, OutcomeUnknown
from ledger.events import Charged, PlanCreated, Purchased, RefusedRequests, Requested, tag
from ledger.folding import SNAPSHOT_VERSION, refold
from ledger.log import Commit, Head, Snapshot
from ledger.plugins import Price, Store, policies
from ledger.settlement import state
from ledger.stores import sqlite
from ledger.stores.memory import MemoryStore
from ledger.stores.sqlite import SQLiteStore

PRO = CreatePlan(plan="pro", owner="acme", price={"acme": 90, "fee": 10}, credits=100)
BUY = Purchase(subscriber="ann", plan="pro")
ASK = Request(subscriber="ann", plan="pro", estimate={"calls": 1})
REFUSED = Request(subscriber="nobody", plan="pro")


@pytest.fixture
def ledger(path: Path, clock: Clock) -> Iterator[Ledger]:
    with Ledger.open(path, clock=clock, id="test") as opened:
        opened.execute_many([PRO, BUY])
        yield opened


def commits(path: Path) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT first_seq, count, at FROM commits ORDER BY first_seq").fetchall()


def photograph(ledger: Ledger) -> tuple[Head, bytes]:
    return ledger.head, ledger.state()


def refolded(path: Path) -> bytes:
    """The books as the log alone makes them."""
    with closing(SQLiteStore(path, read_only=True)) as store:
        return refold(store.read()).dump()


def stored(ledger: Ledger) -> list[str]:
    return [tag(entry.event) for entry in ledger.events()]


# -- answers -----------------------------------------------------------------------------------------------------------


@pytest.mark.smoke
def test_an_accepted_command_answers_with_its_event_in_its_place(ledger: Ledger) -> None:
    answer = ledger.execute(ASK)
    assert isinstance(answer, Answer)
    assert answer
    assert answer.accepted
    assert answer.unwrap() is answer
    assert (answer.seq, answer.at) == (4, BEGIN)
    assert isinstance(answer.event, Requested)
    assert next(ledger.events(after=3)) == (answer.seq, answer.at, answer.event)


@pytest.mark.smoke
def test_a_refusal_is_a_value_and_writes_nothing(ledger: Ledger, path: Path) -> None:
    before, bytes_before = photograph(ledger), commits(path)
    refused = ledger.execute(REFUSED)
    assert isinstance(refused, Refused)
    assert not refused
    assert not refused.accepted
    assert refused.reason is Reason.not_subscribed
    assert (photograph(ledger), commits(path)) == (before, bytes_before)
    with pytest.raises(PaymentRequired) as caught:
        refused.unwrap()
    assert caught.value.refused == refused


def test_what_is_no_command_is_refused_as_malformed(ledger: Ledger) -> None:
    before = photograph(ledger)
    for thing in (None, 7, "buy", object(), PlanCreated, BUY.__class__):
        assert ledger.execute(thing).reason is Reason.malformed  # type: ignore[arg-type, union-attr]
    assert photograph(ledger) == before


def test_the_answer_to_a_command_before_which_time_did_something_is_its_own_event(ledger: Ledger, clock: Clock) -> None:
    ledger.execute(ASK).unwrap()
    clock.now += 600 * SECOND
    answer = ledger.execute(ASK).unwrap()
    assert stored(ledger)[-2:] == ["released", "requested"]
    assert (answer.seq, type(answer.event)) == (ledger.head.seq, Requested)


def test_a_tick_has_no_event_of_its_own(ledger: Ledger, clock: Clock) -> None:
    quiet = photograph(ledger)
    assert ledger.execute(Tick()) == Answer(seq=ledger.head.seq, at=clock.now, event=None)
    assert photograph(ledger) == quiet
    ledger.execute(ASK).unwrap()
    clock.now += 600 * SECOND
    assert ledger.execute(Tick()) == Answer(seq=5, at=clock.now, event=None)
    assert stored(ledger)[-1] == "released"


# -- groups of one caller ----------------------------------------------------------------------------------------------


@pytest.mark.smoke
def test_execute_many_is_one_commit(ledger: Ledger, path: Path) -> None:
    answers = ledger.execute_many([ASK, REFUSED, ASK, Purchase(subscriber="ben", plan="pro"), None, ASK])  # type: ignore[list-item]
    assert [answer.accepted for answer in answers] == [True, False, True, True, False, True]
    assert commits(path) == [(1, 3, BEGIN), (4, 5, BEGIN)]


def test_commands_of_one_group_are_decided_one_after_the_other(ledger: Ledger) -> None:
    """The second sees the books as the first will leave them."""
    whole = Request(subscriber="ann", plan="pro", estimate={"calls": 100}, labels={})
    ledger.execute(CreatePlan(plan="calls", owner="acme", credits=100, parameters={"per": "call"})).unwrap()
    calls = Request(subscriber="cat", plan="calls", estimate={"calls": 60})
    answers = ledger.execute_many([calls, Purchase(subscriber="cat", plan="calls"), calls, calls, whole])
    assert [answer.reason if isinstance(answer, Refused) else "" for answer in answers] == [
        Reason.not_subscribed,
        "",
        "",
        Reason.insufficient_credits,
        "",
    ]


def test_a_group_and_the_same_commands_one_by_one_come_to_the_same_events(path: Path, clock: Clock) -> None:
    """Also where a command names a request by the sequence that it is going to have: one time, one order."""
    commands = [PRO, BUY, ASK, Charge(request=4, usage={"calls": 1}, key="k"), Adjust(charge=5, credits=-1)]
    commands += [ASK, Release(request=7), Charge(request=4, usage={"calls": 1}, key="k"), Charge(request=7)]
    with Ledger.open(clock=clock, id="test") as one, Ledger.open(clock=clock, id="test") as many:
        alone = [one.execute(command) for command in commands]
        assert many.execute_many(commands) == alone
        assert many.state() == one.state()
        assert list(many.events()) == list(one.events())


def test_an_empty_group_writes_nothing(ledger: Ledger) -> None:
    before = photograph(ledger)
    assert ledger.execute_many([]) == []
    assert photograph(ledger) == before


def test_a_group_of_nothing_but_refusals_writes_nothing_but_catches_up(path: Path, ledger: Ledger) -> None:
    with Ledger.open(path) as other:
        other.execute(Purchase(subscriber="nobody", plan="pro")).unwrap()
    wrong = Request(subscriber="nobody", plan="none")
    assert [answer.accepted for answer in ledger.execute_many([wrong, wrong])] == [False, False]
    assert len(commits(path)) == 2
    assert f"{ledger!r}" == "<Ledger test: 5 events, 1 plans, 2 accounts>"


def test_a_group_is_as_long_as_its_caller_makes_it(ledger: Ledger, path: Path) -> None:
    answers = ledger.execute_many(Purchase(subscriber=f"{number}", plan="pro") for number in range(10_000))
    assert all(answers)
    assert len(commits(path)) == 2
    assert len(ledger.balances(plan="pro")) == 10_001


class Temper:
    """A pricing policy of somebody else's that loses its temper when it sees a certain label."""

    version, scope, monotone = 1, "request", True

    def __init__(self, parameters: Any) -> None:
        self.parameters = dict(parameters)

    def total(self, usage: Any, labels: Any) -> Price:
        if labels.get("mood") == "bad":
            raise RuntimeError("not today")
        return Price(sum(usage.values()))


@pytest.fixture
def temper() -> None:
    with suppress(LedgerError):  # it is registered once for all tests
        policies.register("temper", Temper)


@pytest.mark.usefixtures("temper")
def test_a_policy_that_fails_refuses_its_own_command_and_not_its_neighbours(ledger: Ledger, path: Path) -> None:
    moody = CreatePlan(plan="moody", owner="o", credits=50, policy="temper")
    ledger.execute_many([moody, Purchase(subscriber="ann", plan="moody")])
    good = Charge(subscriber="ann", plan="moody", usage={"calls": 3})
    bad = Charge(subscriber="ann", plan="moody", usage={"calls": 3}, labels={"mood": "bad"})
    first, failed, second = ledger.execute_many([good, bad, good])
    assert first
    assert second
    assert isinstance(failed, Refused)
    assert failed.reason is Reason.policy_failed
    assert "not today" in str(failed.facts["detail"])
    assert commits(path)[-1][1] == 2


# -- time and determinism ----------------------------------------------------------------------------------------------


def a_day(ledger: Ledger, clock: Clock) -> None:
    ledger.execute(PRO)
    ledger.execute_many([BUY, Purchase(subscriber="ben", plan="pro", key="k")])
    held = [ledger.execute(ASK).unwrap() for _ in range(3)]
    clock.now += 7 * SECOND
    charge = ledger.execute(Charge(request=held[0].seq, usage={"calls": 1})).unwrap()
    ledger.execute(Adjust(charge=charge.seq, credits=-1, reason="refund"))
    clock.now += 700 * SECOND
    ledger.tick()


@pytest.mark.smoke
def test_the_same_commands_clock_and_id_give_the_same_bytes(tmp_path: Path) -> None:
    heads = []
    for name in ("one.db", "two.db"):
        clock = Clock()
        with Ledger.open(tmp_path / name, clock=clock, id="test") as ledger:
            a_day(ledger, clock)
            heads.append(photograph(ledger))
    assert heads[0] == heads[1]
    with Ledger.open(clock=(clock := Clock()), id="test") as ledger:
        a_day(ledger, clock)
        assert photograph(ledger) == heads[0]
    with Ledger.open(clock=(clock := Clock()), id="another") as ledger:
        a_day(ledger, clock)
        assert ledger.head.hash != heads[0][0].hash


def test_two_ledgers_have_two_ids(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "a.db") as one, Ledger.open(tmp_path / "b.db") as other:
        assert one.id != other.id
    with Ledger.open(tmp_path / "a.db", id="too late") as again:
        assert again.id == one.id


def test_time_never_goes_back_though_the_clock_does(ledger: Ledger, clock: Clock, path: Path) -> None:
    clock.now = BEGIN + 5
    ledger.execute(ASK).unwrap()
    clock.now = BEGIN - 3_600 * SECOND
    assert ledger.execute(ASK).unwrap().at == BEGIN + 5
    clock.now = BEGIN + 9
    assert ledger.execute(ASK).unwrap().at == BEGIN + 9
    assert [at for _, _, at in commits(path)] == [BEGIN, BEGIN + 5, BEGIN + 5, BEGIN + 9]


def test_time_never_goes_back_between_two_ledgers_on_one_file(ledger: Ledger, path: Path) -> None:
    with Ledger.open(path, clock=lambda: BEGIN + 50) as ahead:
        ahead.execute(ASK).unwrap()
    assert ledger.execute(ASK).unwrap().at == BEGIN + 50


def test_readings_apply_what_is_due_without_writing_it(ledger: Ledger, clock: Clock) -> None:
    ledger.execute(ASK).unwrap()
    clock.now += 600 * SECOND
    before = photograph(ledger)
    balance = ledger.balance("ann", "pro")
    assert balance is not None
    assert (balance.held, balance.open_requests) == (0, 0)
    assert ledger.requests() == []
    assert photograph(ledger) == before


# -- refusals that a plan records --------------------------------------------------------------------------------------

RECORDING = CreatePlan(plan="noted", owner="acme", credits=10, record_refusals=True)
UNKNOWN = Request(subscriber="nobody", plan="noted", estimate={"calls": 7})


@pytest.fixture
def noting(ledger: Ledger) -> Ledger:
    ledger.execute_many([RECORDING, RegisterAgent(agent="writer", owner="acme", plans=("noted",))])
    return ledger


def refusals(ledger: Ledger) -> list[RefusedRequests]:
    return [entry.event for entry in ledger.events() if isinstance(entry.event, RefusedRequests)]


def test_a_recorded_refusal_comes_in_the_next_commit_and_never_in_one_of_its_own(noting: Ledger, path: Path) -> None:
    before = photograph(noting)
    for _ in range(3):
        noting.execute(UNKNOWN)
    noting.execute_many([UNKNOWN, UNKNOWN])
    noting.execute(Tick())
    assert photograph(noting) == before
    noting.execute(BUY).unwrap()
    assert stored(noting)[-3:] == ["purchased", "started", "refused"]
    assert commits(path)[-1][1] == 3
    assert refusals(noting) == [RefusedRequests(reason="not_subscribed", plan="noted", estimate={"calls": 7}, count=5)]


def test_a_refusal_is_recorded_only_where_the_plan_says_so(noting: Ledger) -> None:
    noting.execute(REFUSED)
    noting.execute(Request(subscriber="nobody", plan="none"))
    noting.execute(BUY).unwrap()
    assert refusals(noting) == []


def test_a_refusal_moves_nothing(noting: Ledger) -> None:
    noting.execute(UNKNOWN)
    balances = noting.balances()
    noting.execute(RegisterAgent(agent="other", owner="acme")).unwrap()
    assert len(refusals(noting)) == 1
    assert noting.balances() == balances


def test_recorded_refusals_are_limited_to_one_a_second_for_each_kind(noting: Ledger, clock: Clock) -> None:
    noting.execute(UNKNOWN)
    noting.execute(BUY).unwrap()
    for _ in range(20):
        noting.execute(UNKNOWN)
        noting.execute(Request(subscriber="nobody", plan="noted", agent="writer"))
        noting.execute(BUY).unwrap()
    assert [(event.agent, event.count) for event in refusals(noting)] == [(0, 1), (1, 1)]
    clock.now += SECOND
    noting.execute(BUY).unwrap()
    assert [(event.agent, event.count) for event in refusals(noting)[2:]] == [(0, 20), (1, 19)]


def test_refusals_are_not_lost_when_another_process_gets_in_before_them(
    noting: Ledger, path: Path, clock: Clock
) -> None:
    """The first append meets a Conflict; what it was going to write must be in the second."""
    noting.execute(UNKNOWN)
    noting._writer.store = Overtaken(noting._writer.store, path)
    noting.execute(BUY).unwrap()
    assert len(commits(path)) == 4
    assert [event.count for event in refusals(noting)] == [1]


def test_refusals_are_not_lost_when_an_append_fails(path: Path, clock: Clock) -> None:
    store = Unlucky(SQLiteStore(path, id="test"))
    with Ledger(store, clock) as ledger:
        ledger.execute_many([PRO, RECORDING])
        ledger.execute(UNKNOWN)
        store.fail_with(NotWritten("no space"))
        with pytest.raises(NotWritten):
            ledger.execute(BUY)
        ledger.execute(BUY).unwrap()
        assert [event.count for event in refusals(ledger)] == [1]


def test_what_is_recorded_is_what_was_asked_and_not_what_became_of_it(noting: Ledger, path: Path) -> None:
    """The caller's own dict may change before the next commit; the log must not take that in."""
    estimate: dict[str, Any] = {"calls": 7}
    noting.execute(Request(subscriber="nobody", plan="noted", estimate=estimate))
    estimate["calls"] = 1.5
    estimate["more"] = object
    noting.execute(BUY).unwrap()
    assert [event.estimate for event in refusals(noting)] == [{"calls": 7}]
    assert refolded(path) == noting.state()


@pytest.mark.parametrize("wrong", [{"agent": []}, {"agent": None}, {"plan": []}, {"plan": None}, {"estimate": 5}])
def test_a_malformed_request_does_not_spoil_its_group(noting: Ledger, wrong: dict[str, Any]) -> None:
    malformed = Request(**({"subscriber": "nobody", "plan": "noted"} | wrong))
    outcomes = noting.execute_many([BUY, malformed, BUY])
    assert [outcome.accepted for outcome in outcomes] == [True, False, True]


# -- stores of somebody else -------------------------------------------------------------------------------------------


class Wrapper:
    """A third party's store over another one, through the protocol alone."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner

    @property
    def id(self) -> str:
        return self.inner.id

    def head(self) -> Head:
        return self.inner.head()

    def append(self, expected: Head, commit: Commit) -> None:
        self.inner.append(expected, commit)

    def read(self, after: int = 0) -> Iterator[Commit]:
        return self.inner.read(after)

    def load_snapshot(self, version: str, upto: int | None = None) -> Snapshot | None:
        return self.inner.load_snapshot(version, upto)

    def save_snapshot(self, snapshot: Snapshot) -> None:
        self.inner.save_snapshot(snapshot)

    def close(self) -> None:
        self.inner.close()


class Unlucky(Wrapper):
    """Fails one append, before or after the commit is written."""

    error: Exception | None = None
    written: bool = False

    def fail_with(self, error: Exception, written: bool = False) -> None:
        self.error, self.written = error, written

    def append(self, expected: Head, commit: Commit) -> None:
        error, self.error = self.error, None
        if error is None or self.written:
            self.inner.append(expected, commit)
        if error is not None:
            raise error


class Overtaken(Wrapper):
    """Lets another ledger write just before its first append."""

    def __init__(self, inner: Store, path: Path) -> None:
        super().__init__(inner)
        self.path: Path | None = path

    def append(self, expected: Head, commit: Commit) -> None:
        path, self.path = self.path, None
        if path is not None:
            with Ledger.open(path, clock=lambda: BEGIN) as other:
                other.execute(Purchase(subscriber="ben", plan="pro")).unwrap()
        self.inner.append(expected, commit)


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


# -- snapshots: a law --------------------------------------------------------------------------------------------------


@pytest.fixture
def kept(path: Path, clock: Clock) -> tuple[bytes, Head]:
    """A log with a snapshot in the middle; what its books are."""
    with Ledger.open(path, clock=clock, id="test") as ledger:
        a_day(ledger, clock)
        ledger.snapshot()
        ledger.execute(Give(subscriber="ben", plan="pro", credits=5)).unwrap()
        return ledger.state(), ledger.head


def change(path: Path, sql: str, *parameters: object) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(sql, parameters)
        connection.commit()


def snapshot_of(path: Path) -> tuple[Any, ...]:
    with closing(sqlite3.connect(path)) as connection:
        return tuple(connection.execute("SELECT seq, hash, version, body, digest FROM snapshots").fetchone())


def opens_with(path: Path, kept: tuple[bytes, Head]) -> None:
    with Ledger.open(path, clock=Clock(), read_only=True) as ledger:
        assert (ledger.state(), ledger.head) == kept
        assert ledger.as_of(seq=ledger.head.seq)._books.dump() == kept[0]


@pytest.mark.smoke
def test_dropping_the_snapshots_changes_nothing(path: Path, kept: tuple[bytes, Head]) -> None:
    assert snapshot_of(path)[0] == kept[1].seq - 2
    opens_with(path, kept)
    change(path, "DELETE FROM snapshots")
    opens_with(path, kept)


def test_a_snapshot_is_used(path: Path, kept: tuple[bytes, Head]) -> None:
    """Otherwise the law would say little: the log before it is not even read."""
    change(path, "DROP TRIGGER commits_are_not_updated")
    change(path, "UPDATE commits SET body = '[]' WHERE first_seq = 1")
    with Ledger.open(path, read_only=True) as ledger:
        assert ledger.state() == kept[0]


def test_books_with_everything_that_a_catalogue_holds_are_loaded_as_they_were_saved(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.execute(CreatePlan(plan="pro", owner="acme", credits=5)).unwrap()
        for name in ("bot", "other"):
            ledger.execute(RegisterAgent(agent=name, owner="acme")).unwrap()
        ledger.execute(UpdateAgent(agent="bot", plans=("pro",))).unwrap()
        for retired in (RetireAgent(agent="bot"), RetirePlan(plan="pro")):
            ledger.execute(retired).unwrap()
        assert Books.load(ledger.state()).dump() == ledger.state()


def test_corrupting_any_byte_of_a_snapshots_row_changes_nothing(path: Path, kept: tuple[bytes, Head]) -> None:
    row = snapshot_of(path)
    for column, name in ((1, "hash"), (3, "body"), (4, "digest")):
        for place in range(0, len(row[column]), 1 if len(row[column]) < 100 else 29):
            wrong = bytearray(row[column])
            wrong[place] ^= 1
            change(path, f"UPDATE snapshots SET {name} = ?", bytes(wrong))
            opens_with(path, kept)
        change(path, f"UPDATE snapshots SET {name} = ?", row[column])
    opens_with(path, kept)


@pytest.mark.parametrize("value", [None, "", "text", b"", 7, 1.5])
@pytest.mark.parametrize("name", ["hash", "version", "body", "digest"])
def test_a_snapshot_with_anything_else_in_a_column_changes_nothing(
    path: Path, kept: tuple[bytes, Head], name: str, value: object
) -> None:
    change(path, f"UPDATE snapshots SET {name} = ?", value)
    opens_with(path, kept)


def test_corrupting_the_pages_of_a_snapshot_changes_nothing(path: Path, clock: Clock) -> None:
    """On the disk below SQLite: its page may no longer be one, which is SQLite's error, and no reason not to open."""
    with Ledger.open(path, clock=clock, id="test") as ledger:
        a_day(ledger, clock)
        for number in range(60):
            ledger.execute(Purchase(subscriber=f"subscriber {number}", plan="pro"))
    size = path.stat().st_size
    with Ledger.open(path, clock=clock) as ledger:
        ledger.snapshot()
        kept = ledger.state(), ledger.head
    whole = path.read_bytes()
    with closing(sqlite3.connect(path)) as connection:
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'snapshots'").fetchone()[0]
    begin = (root - 1) * 4_096
    places = [*range(begin, begin + 12), *range(begin + 12, begin + 4_096, 401), *range(size, len(whole), 997)]
    assert len(whole) > size + 8_192
    for place in places:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with Ledger.open(path, clock=clock) as ledger:
            assert (ledger.state(), ledger.head) == kept, place


def fakes(row: tuple[Any, ...], kept: tuple[bytes, Head]) -> dict[str, Snapshot]:
    """Whole in themselves, and still not this log's."""
    seq, hash_, version, body, _ = row
    rich = body.replace(b'"credits":100', b'"credits":999').replace(b'"left":', b'"left":9')
    assert rich != body
    return {
        "of another log": Snapshot(seq, bytes(32), version, rich),
        "of another place": Snapshot(seq + 1, hash_, version, rich),
        "from beyond the end": Snapshot(kept[1].seq + 100, hash_, version, rich),
        "of the head of another log": Snapshot(kept[1].seq, bytes(32), version, rich),
        "of other reducers": Snapshot(seq, hash_, "0:1", rich),
        "of no books": Snapshot(seq, hash_, version, b"{}"),
        "of nothing": Snapshot(seq, hash_, version, b""),
    }


FAKES = (
    "of another log",
    "of another place",
    "from beyond the end",
    "of the head of another log",
    "of other reducers",
    "of no books",
    "of nothing",
)


@pytest.mark.parametrize("name", FAKES)
def test_faking_a_snapshot_changes_nothing(path: Path, kept: tuple[bytes, Head], name: str) -> None:
    fake = fakes(snapshot_of(path), kept)[name]
    change(path, "DELETE FROM snapshots")
    with closing(SQLiteStore(path)) as store:
        store.save_snapshot(fake)
    opens_with(path, kept)


@pytest.mark.parametrize("name", FAKES)
def test_a_fake_that_a_simpler_store_believes_changes_nothing(path: Path, kept: tuple[bytes, Head], name: str) -> None:
    """A store that checks nothing, as somebody else's may: the engine holds a snapshot to its sequence and hash."""
    fake = fakes(snapshot_of(path), kept)[name]

    class Credulous(MemoryStore):
        def close(self) -> None:
            pass

    store = Credulous(id="test")
    with closing(SQLiteStore(path)) as log:
        for commit in log.read():
            store.append(store.head(), commit)
    store.save_snapshot(fake)
    with Ledger(store, Clock()) as ledger:
        assert (ledger.state(), ledger.head) == kept
        assert ledger.execute(Give(subscriber="ben", plan="pro", credits=1)).unwrap().seq == kept[1].seq + 1
        assert ledger.state() == refold(store.read()).dump()


def test_a_snapshot_of_another_version_of_the_reducers_is_not_used(path: Path, kept: tuple[bytes, Head]) -> None:
    with closing(SQLiteStore(path)) as store:
        whole = store.load_snapshot(SNAPSHOT_VERSION)
        assert whole is not None
        change(path, "DELETE FROM snapshots")
        store.save_snapshot(whole._replace(version=SNAPSHOT_VERSION + "0", body=b"of the future"))
        assert store.load_snapshot(SNAPSHOT_VERSION) is None
    opens_with(path, kept)


def test_a_change_of_what_books_hold_comes_with_a_new_version() -> None:
    """A field with a default would let old snapshots load, and say what the log does not. Change both together."""
    kept = [
        accounts.Reversal,
        accounts.Lot,
        accounts.OpenRequest,
        accounts.Meter,
        accounts.Correction,
        accounts.Debt,
        accounts.Account,
        catalogue.Plan,
    ]
    kept += [catalogue.Agent, state.OpenBatch, state.Settling, books._Stored]
    shape = json.dumps([each.__struct_fields__ for each in kept]).encode()
    assert (books.VERSION, hashlib.sha256(shape).hexdigest()[:16]) == ("7", "ae2bc988c4130950")


def test_closing_after_much_leaves_a_snapshot_and_closing_after_little_does_not(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "SNAPSHOT_EVENTS", 100)
    with Ledger.open(path, clock=clock) as ledger:
        ledger.execute_many([PRO, *[BUY] * 49])
    with pytest.raises(TypeError):
        snapshot_of(path)
    with Ledger.open(path, clock=clock) as ledger:
        ledger.execute(ASK).unwrap()
        state = ledger.state()
    assert snapshot_of(path)[0] == 100
    with Ledger.open(path, clock=clock) as ledger:
        assert ledger.state() == state
        ledger.execute(ASK).unwrap()
    assert snapshot_of(path)[0] == 100


# -- time travel -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("snapshots", [False, True])
def test_as_of_a_sequence_is_a_ledger_that_ended_there(path: Path, clock: Clock, snapshots: bool) -> None:
    with Ledger.open(path, clock=clock, id="test") as ledger:
        seen: dict[int, Any] = {}
        for number in range(12):
            ledger.execute_many([PRO, BUY] if number == 0 else [ASK, REFUSED])
            clock.now += 100 * SECOND
            seen[ledger.head.seq] = (ledger.state(), ledger.head.at)
            if snapshots and number % 5 == 0:
                ledger.snapshot()
        for seq, (state, at) in seen.items():
            reading = ledger.as_of(seq=seq)
            assert (reading._books.dump(), reading.seq, reading.at) == (state, seq, at)


def test_as_of_the_middle_of_a_commit_is_the_books_there(ledger: Ledger) -> None:
    ledger.execute_many([ASK] * 5)
    for seq in range(3, 9):
        reading = ledger.as_of(seq=seq)
        balance = reading.balance("ann", "pro")
        assert balance is not None
        assert (reading.seq, balance.held, balance.open_requests) == (seq, seq - 3, seq - 3)
    assert ledger.as_of(seq=1).balances() == []
    assert ledger.as_of(seq=0).seq == 0


def test_as_of_a_time_is_a_ledger_that_was_looked_at_then(ledger: Ledger, clock: Clock) -> None:
    """Between two commits, what had become due by then has happened, though it was written later or never."""
    ledger.execute(ASK).unwrap()
    seen: dict[int, Any] = {}
    for step in (0, 1, 599, 600, 601, 700):
        clock.now = BEGIN + step * SECOND
        seen[clock.now] = (ledger.balances(), ledger.lots("ann", "pro"), ledger.requests(), ledger.earned())
    ledger.execute(ASK).unwrap()
    for at, was in seen.items():
        if at == clock.now:
            continue
        reading = ledger.as_of(at=at)
        assert (reading.balances(), reading.lots("ann", "pro"), reading.requests(), reading.earned()) == was
    assert ledger.as_of(at=BEGIN - 1).seq == 0
    assert ledger.as_of(at=clock.now + 10**9).seq == ledger.head.seq


def test_as_of_beyond_the_end_is_an_error(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="ends at sequence 3"):
        ledger.as_of(seq=4)


def test_as_of_without_a_moment_is_the_head(ledger: Ledger) -> None:
    assert ledger.as_of().seq == 3


# -- events ------------------------------------------------------------------------------------------------------------


def test_events_are_given_after_any_sequence_in_order(ledger: Ledger) -> None:
    ledger.execute_many([ASK] * 40)
    for _ in range(70):
        ledger.execute(Give(subscriber="ann", plan="pro", credits=1))
    whole = list(ledger.events())
    assert [entry.seq for entry in whole] == list(range(1, ledger.head.seq + 1))
    for after in (0, 1, 2, 3, 42, 43, 100, ledger.head.seq - 1):
        assert list(ledger.events(after)) == whole[after:]
    assert list(ledger.events(ledger.head.seq)) == []
    assert list(ledger.events(ledger.head.seq + 5)) == []


def test_events_end_where_the_log_ended_when_the_reading_began(ledger: Ledger) -> None:
    events, commits = ledger.events(), ledger.commits()
    first = next(events), next(commits)
    ledger.execute(ASK).unwrap()
    assert [entry.seq for entry in (first[0], *events)] == [1, 2, 3]
    assert [commit.first_seq for commit in (first[1], *commits)] == [1]


def test_a_long_decision_is_overtaken_a_few_times_and_then_holds_the_log(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch of many accounts takes long to decide; other processes that never pause must not starve it."""
    with Ledger.open(path, clock=clock) as ledger:
        a_day(ledger, clock)
        monkeypatch.setattr(sqlite, "LOCK_SECONDS", 0)
        with Ledger.open(path, clock=clock) as other:
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


# -- opening and closing -----------------------------------------------------------------------------------------------


@pytest.mark.smoke
def test_a_ledger_that_is_opened_again_is_the_same(path: Path, clock: Clock) -> None:
    with Ledger.open(path, clock=clock) as ledger:
        a_day(ledger, clock)
        before, known = photograph(ledger), ledger.id
    for _ in range(2):
        with Ledger.open(path, clock=clock) as ledger:
            assert (photograph(ledger), ledger.id) == (before, known)
    with Ledger.open(path, clock=clock) as ledger:
        assert ledger.execute(BUY).unwrap().seq == before[0].seq + 1


USES: dict[str, Callable[[Ledger], object]] = {
    "execute": lambda ledger: ledger.execute(ASK),
    "execute a refusal": lambda ledger: ledger.execute(REFUSED),
    "execute_many": lambda ledger: ledger.execute_many([ASK, BUY]),
    "tick": lambda ledger: ledger.tick(),
    "snapshot": lambda ledger: ledger.snapshot(),
    "request": lambda ledger: ledger.request("ann", "pro").__enter__(),
    "head": lambda ledger: ledger.head,
    "clock_behind": lambda ledger: ledger.clock_behind,
    "balance": lambda ledger: ledger.balance("ann", "pro"),
    "balances": lambda ledger: ledger.balances(),
    "lots": lambda ledger: ledger.lots("ann", "pro"),
    "requests": lambda ledger: ledger.requests(),
    "earned": lambda ledger: ledger.earned(),
    "escrows": lambda ledger: ledger.escrows(),
    "escrowed": lambda ledger: ledger.escrowed(ContractRef("mock:local", "tollbook")),
    "settling": lambda ledger: ledger.settling(ContractRef("mock:local", "tollbook")),
    "batches": lambda ledger: ledger.batches(ContractRef("mock:local", "tollbook")),
    "plan_on_chain": lambda ledger: ledger.plan_on_chain("pro"),
    "statement": lambda ledger: ledger.statement("ann", "pro"),
    "explain": lambda ledger: ledger.explain(3),
    "events": lambda ledger: list(ledger.events()),
    "commits": lambda ledger: list(ledger.commits()),
    "as_of": lambda ledger: ledger.as_of(seq=1),
    "state": lambda ledger: ledger.state(),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_closed_ledger_says_so(ledger: Ledger, use: Callable[[Ledger], object]) -> None:
    ledger.close()
    ledger.close()
    for _ in range(2):  # the first must not leave anything behind on which the second would wait
        with pytest.raises(Closed, match="closed"):
            use(ledger)
    assert "closed" in repr(ledger)


def test_every_public_method_is_tried_on_a_closed_ledger() -> None:
    named = {name for name in dir(Ledger) if not name.startswith("_")}
    assert named - {name.split()[0] for name in USES} == {"open", "close", "id", "queue", "accept_clock"}


def test_a_store_is_named_or_guessed_from_the_place(path: Path) -> None:
    with Ledger.open() as memory, Ledger.open(path) as file, Ledger.open(path, store="sqlite") as named:
        assert isinstance(memory._writer.store, MemoryStore)
        assert named.id == file.id
    with pytest.raises(LedgerError, match="no store 'postgres'"):
        Ledger.open(path, store="postgres")


def test_a_ledger_shows_itself(ledger: Ledger) -> None:
    assert repr(ledger) == "<Ledger test: 3 events, 1 plans, 1 accounts>"
    assert "3 events" in ledger._repr_html_()


def in_a_fork(do: Callable[[], str]) -> str:
    """What `do` says in a child of this process."""
    ours, theirs = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other threads of the test run do not matter here
        child = os.fork()
    if child == 0:
        try:
            said = do()
        except BaseException as error:  # noqa: BLE001 - it must not return into the parent's test
            said = f"{type(error).__name__}: {error}"
        os.write(theirs, said.encode())
        os._exit(0)
    os.close(theirs)
    os.waitpid(child, 0)
    with open(ours) as answer:
        return answer.read()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system with fork")
def test_a_ledger_that_was_opened_before_a_fork_refuses_to_work_after_it(ledger: Ledger, path: Path) -> None:
    def in_child() -> str:
        worked = []
        for name, use in USES.items():
            try:
                use(ledger)
                worked.append(name)
            except Closed as error:
                if "fork" not in str(error):
                    worked.append(f"{name}: {error}")
        ledger.close()
        return ", ".join(worked)

    before = photograph(ledger)
    assert in_a_fork(in_child) == ""
    assert photograph(ledger) == before
    ledger.execute(ASK).unwrap()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system with fork")
def test_a_child_that_opens_the_ledger_again_works_and_so_does_its_parent(ledger: Ledger, path: Path) -> None:
    def in_child() -> str:
        with Ledger.open(path) as own:
            return str(own.execute(Purchase(subscriber="ben", plan="pro")).unwrap().seq)

    assert in_a_fork(in_child) == "4"
    gc.collect()
    assert ledger.execute(ASK).unwrap().seq == 6
    assert ledger.state() == refolded(path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system with fork")
def test_a_fork_in_the_middle_of_a_command_does_not_hang_the_child(path: Path, clock: Clock) -> None:
    """The child finds the parent's locks taken, by a thread that it does not have."""
    said: list[str] = []

    class Forking(Wrapper):
        def append(self, expected: Head, commit: Commit) -> None:
            if not said:
                said.append("")
                said[0] = in_a_fork(lambda: outcome_of(lambda: ledger.execute(ASK)))
            super().append(expected, commit)

    with Ledger(Forking(SQLiteStore(path, id="test")), clock) as ledger:
        ledger.execute_many([PRO, BUY])
    assert "fork" in said[0]


def outcome_of(do: Callable[[], object]) -> str:
    try:
        return repr(do())
    except LedgerError as error:
        return str(error)


def test_the_events_of_the_answers_are_of_the_kinds_that_the_commands_ask_for(ledger: Ledger) -> None:
    held = ledger.execute(ASK).unwrap()
    kinds = [
        ledger.execute(Charge(request=held.seq, usage={"calls": 1})).unwrap().event,
        ledger.execute(Give(subscriber="ann", plan="pro", credits=1)).unwrap().event,
    ]
    assert [type(event) for event in kinds] == [Charged, Purchased]
