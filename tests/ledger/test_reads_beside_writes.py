"""Readings do their work beside the writer, each of one head.

Nothing is timed: one side is stopped in the middle of what it does, and the other gets through.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standing_clock import Clock

from ledger import (
    Adjust,
    Charge,
    CreatePlan,
    Freeze,
    Give,
    Ledger,
    Purchase,
    Release,
    Request,
    Reverse,
    Tick,
    scans,
)
from ledger.errors import Closed, OutcomeUnknown
from ledger.log import Commit, Head
from ledger.stores.memory import MemoryStore
from ledger.stores.sqlite import SQLiteStore

NAMES = [f"s{number}" for number in range(7)]
USAGE = {"units": 1}

Reading = Callable[[Ledger], object]
READINGS: dict[str, Reading] = {
    "balance": lambda ledger: ledger.balance("s3", "pro"),
    "balances": lambda ledger: ledger.balances(),
    "balances of a plan": lambda ledger: ledger.balances(plan="pro"),
    "lots": lambda ledger: ledger.lots("s3", "pro"),
    "requests": lambda ledger: ledger.requests(),
    "earned": lambda ledger: ledger.earned(),
    "escrows": lambda ledger: ledger.escrows(),
    "statement": lambda ledger: ledger.statement("s3", "pro"),
    "explain": lambda ledger: ledger.explain(charge_of(ledger)),
    "events": lambda ledger: list(ledger.events()),
    "commits": lambda ledger: list(ledger.commits()),
    "as_of": lambda ledger: ledger.as_of().balances(),
    "head": lambda ledger: ledger.head,
}
LONG = [name for name in READINGS if name not in ("balance", "lots", "head")]
"""Those that let writers go first, now and then."""


def plan() -> CreatePlan:
    return CreatePlan(
        plan="pro",
        owner="acme",
        asset="USD",
        price={"acme": 1_000},
        credits=1_000,
        policy="complexity",
        parameters={"weights": {"units": 1}},
    )


def charge_of(ledger: Ledger) -> int:
    return 1 + 2 * len(NAMES) + 1


def shop(ledger: Ledger) -> Ledger:
    """Seven accounts, each with a charge that was corrected and a request that is open."""
    ledger.execute(plan()).unwrap()
    ledger.execute_many([Purchase(subscriber=name, plan="pro") for name in NAMES])
    charged = ledger.execute_many([charge(name) for name in NAMES])
    assert charged[0].unwrap().seq == charge_of(ledger)
    ledger.execute_many([Adjust(charge=answer.unwrap().seq, credits=-1, reason="refund") for answer in charged])
    for name in NAMES:
        ledger.execute(Request(subscriber=name, plan="pro", estimate=USAGE)).unwrap()
    return ledger


def charge(name: str) -> Charge:
    return Charge(subscriber=name, plan="pro", usage=USAGE)


def everybody() -> list[Charge]:
    return [charge(name) for name in NAMES]


class Gate:
    """Stops a thread where it waits, until it is opened."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def wait(self) -> None:
        self.reached.set()
        assert self.opened.wait(60)


@contextmanager
def stopped(work: Callable[[], Any], gate: Gate) -> Iterator[Any]:
    """The work in a thread that has reached the gate; it goes on at the end of the block."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        try:
            assert gate.reached.wait(60)
            yield future
        finally:
            gate.opened.set()
        future.result()


def slow(store: type[Any], gate: Gate) -> type[Any]:
    """A store whose appends stop at the gate once it is armed."""

    class Slow(store):  # type: ignore[misc]
        armed = False

        def append(self, expected: Head, commit: Commit) -> None:
            if self.armed:
                gate.wait()
            super().append(expected, commit)

    return Slow


class Closable:
    """A store that offers the core of a store's protocol alone, as a third party's may."""

    def __init__(self, store: Any) -> None:
        self.id = store.id
        for name in ("head", "append", "read", "load_snapshot", "save_snapshot", "close"):
            setattr(self, name, getattr(store, name))


@pytest.fixture(params=["sqlite", "memory"])
def ledger(request: pytest.FixtureRequest, path: Path, clock: Clock) -> Iterator[Ledger]:
    with Ledger.open(path if request.param == "sqlite" else None, clock=clock, id="shop") as opened:
        yield shop(opened)


@pytest.mark.parametrize("kind", ["sqlite", "memory"])
def test_a_reading_answers_while_a_charge_is_being_written(kind: str, path: Path, clock: Clock) -> None:
    gate = Gate()
    store = slow(SQLiteStore, gate)(path) if kind == "sqlite" else slow(MemoryStore, gate)()
    with Ledger(store, clock) as ledger:
        shop(ledger)
        before = {name: reading(ledger) for name, reading in READINGS.items()}
        store.armed = True
        with stopped(lambda: ledger.execute(charge("s3")), gate) as charged:
            assert {name: reading(ledger) for name, reading in READINGS.items()} == before
            assert not charged.done()
        assert ledger.head.seq == before["head"].seq + 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", READINGS)
def test_no_reading_answers_after_an_append_whose_outcome_is_unknown(name: str, path: Path, clock: Clock) -> None:
    """The store closes itself then: what a reader of the file does not see now may be found at the next opening."""

    class Doubtful(SQLiteStore):
        armed = False

        def append(self, expected: Head, commit: Commit) -> None:
            if self.armed:
                self.close()
                raise OutcomeUnknown("the append failed, and so did reading the log again")
            super().append(expected, commit)

    store = Doubtful(path)
    with Ledger(store, clock) as ledger:
        shop(ledger)
        READINGS[name](ledger)
        store.armed = True
        with pytest.raises(OutcomeUnknown):
            ledger.execute(charge("s3"))
        with pytest.raises(Closed):
            READINGS[name](ledger)


@pytest.mark.parametrize("name", LONG)
def test_a_charge_is_written_while_a_reading_is_under_way(
    name: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the reading gives is of the head at which it began."""
    before = READINGS[name](ledger)
    gate = Gate()
    monkeypatch.setattr(ledger._pace, "step", gate.wait)
    with stopped(lambda: READINGS[name](ledger), gate) as reading:
        monkeypatch.undo()
        for command in (
            *everybody(),
            Purchase(subscriber="new", plan="pro"),
            Give(subscriber="s6", plan="pro", credits=5),
        ):
            assert ledger.execute(command).accepted
        assert not reading.done()
    assert reading.result() == before
    assert READINGS[name](ledger) != before or name in ("explain", "escrows", "requests")


def test_two_readings_go_on_side_by_side(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate()
    monkeypatch.setattr(ledger._pace, "step", gate.wait)
    with stopped(ledger.balances, gate) as first:
        monkeypatch.undo()
        ledger.execute_many(everybody())
        assert [balance.spent for balance in ledger.balances()] == [1] * len(NAMES)
    assert [balance.spent for balance in first.result()] == [0] * len(NAMES)


def test_books_that_are_loaded_anew_begin_a_reading_again(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after an interrupt in the middle of a fold."""
    gate = Gate()
    monkeypatch.setattr(scans, "MAX_COPIED", 2)
    with monkeypatch.context() as patch:
        patch.setattr(ledger._pace, "step", gate.wait)
        with stopped(ledger.balances, gate) as reading:
            patch.undo()
            ledger.execute_many(everybody())
            ledger._writer.stale = True
    assert [balance.spent for balance in reading.result()] == [1] * len(NAMES)


def test_a_reading_of_a_ledger_that_is_closed_meanwhile_says_so(path: Path, clock: Clock) -> None:
    with Ledger.open(path, clock=clock) as ledger:
        shop(ledger)
        events = ledger.events()
        next(events)
        ledger.close()
        with pytest.raises(Closed):
            list(events) and list(ledger.events())
    with Ledger.open(path, clock=clock, read_only=True) as ledger:
        assert len(list(ledger.events())) == ledger.head.seq


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_a_scan_is_of_the_head_at_which_it_began(data: st.DataObject) -> None:
    """Whatever is written between its parts, and also where two scans are under way."""
    clock = Clock()
    with Ledger.open(clock=clock, id="shop") as ledger, pytest.MonkeyPatch.context() as patch:
        shop(ledger)
        patch.setattr(scans, "MAX_COPIED", data.draw(st.integers(1, 3)))
        patch.setattr(scans, "MAX_PASSED", data.draw(st.integers(1, 4)))
        depth = 0

        def write() -> None:
            nonlocal depth
            depth += 1
            if depth < 3:
                ledger.execute_many(data.draw(st.lists(COMMANDS, max_size=3)))
                clock.now += data.draw(st.sampled_from((0, 1_000_000)))
                if depth == 1 and data.draw(st.booleans()):
                    check()
            depth -= 1

        def check() -> None:
            patch.setattr(ledger._pace, "step", lambda: None)
            before = ledger.balances()
            patch.setattr(ledger._pace, "step", write)
            assert ledger.balances() == before
            patch.setattr(ledger._pace, "step", lambda: None)

        check()
        assert not ledger._writer.scans._open


NAMED = st.sampled_from([*NAMES, "new", "newer"])
COMMANDS = st.one_of(
    st.builds(charge, NAMED),
    st.builds(lambda name: Purchase(subscriber=name, plan="pro"), NAMED),
    st.builds(lambda name: Give(subscriber=name, plan="pro", credits=3), NAMED),
    st.builds(lambda name: Request(subscriber=name, plan="pro", estimate=USAGE), NAMED),
    st.builds(lambda name: Freeze(subscriber=name, plan="pro"), NAMED),
    st.builds(lambda n: Reverse(subscriber=NAMES[n], plan="pro", lot=2 + 2 * n), st.integers(0, 6)),
    st.builds(lambda request: Release(request=request, reason="failed"), st.integers(30, 37)),
    st.just(Tick()),
)


@pytest.mark.parametrize("kind", ["sqlite", "memory", "a store without readers"])
def test_readings_never_mix_two_heads(kind: str, path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every commit charges all accounts alike, so that at every head all have spent the same."""
    monkeypatch.setattr(scans, "MAX_COPIED", 2)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    store: Any = SQLiteStore(path) if kind == "sqlite" else MemoryStore()
    with Ledger(Closable(store) if "without" in kind else store, clock) as ledger, ThreadPoolExecutor(5) as pool:
        shop(ledger)
        ended = threading.Event()

        def read_until_ended(read: Callable[[], None]) -> int:
            times = 0
            while not ended.is_set() or not times:
                read()
                times += 1
            return times

        def balances() -> None:
            begun = ledger.head.seq
            read = ledger.balances()
            assert len({balance.spent for balance in read}) == 1
            assert len(read) == len(NAMES)
            for balance in read:
                parts = (balance.available, balance.held, balance.spent, balance.lapsed, balance.withdrawn)
                assert sum(parts) == balance.issued == 1_000
            assert read[0].spent >= ledger.as_of(seq=begun).balances()[0].spent

        def statement() -> None:
            read = ledger.statement("s3", "pro")
            assert read is not None
            then = ledger.as_of(seq=read.seq).balance("s3", "pro")
            assert then is not None
            assert {name: getattr(read.closing, name) for name in read.closing.__struct_fields__} == {
                name: getattr(then, name) for name in read.closing.__struct_fields__
            }

        def events() -> None:
            seqs = [entry.seq for entry in ledger.events()]
            assert seqs == list(range(1, len(seqs) + 1))

        def earned() -> None:
            (usd,) = ledger.earned()
            assert usd.earned % len(NAMES) == 0
            assert sum(usd.receivers.values()) == usd.earned

        readings = [pool.submit(read_until_ended, read) for read in (balances, statement, events, earned)]
        try:
            for _ in range(40):
                assert all(outcome.accepted for outcome in ledger.execute_many(everybody()))
        finally:
            ended.set()
            sys.setswitchinterval(interval)
        for reading in readings:
            assert reading.result()


def test_a_reading_sees_what_another_handle_wrote_before_it(path: Path, clock: Clock) -> None:
    with Ledger.open(path, clock=clock) as ledger, Ledger.open(path, clock=clock) as other:
        shop(ledger)
        for number in range(5):
            writer, reader = (ledger, other) if number % 2 else (other, ledger)
            writer.execute_many(everybody())
            assert [balance.spent for balance in reader.balances()] == [2 * number + 1] * len(NAMES)
            assert reader.head == writer.head
            writer.execute(charge("s0"))
            balance = reader.balance("s0", "pro")
            assert balance is not None
            writer.execute_many([charge(name) for name in NAMES if name != "s0"])
            assert balance.spent == 2 * number + 2
            read = reader.statement("s0", "pro")
            assert read is not None
            assert (read.seq, read.closing.spent) == (reader.head.seq, balance.spent)


def test_what_was_answered_is_read(ledger: Ledger) -> None:
    """A reading that begins after an answer has it, whoever else writes."""

    def charge_and_read(name: str) -> None:
        for spent in range(1, 11):
            ledger.execute(charge(name)).unwrap()
            balance = ledger.balance(name, "pro")
            assert balance is not None
            assert balance.spent == spent
            (also,) = [balance for balance in ledger.balances() if balance.subscriber == name]
            assert also.spent == spent

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(charge_and_read, NAMES[:4]))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to see open files")
@pytest.mark.parametrize("name", ["balances", "statement"])
def test_no_reader_holds_the_file_while_a_process_forks(
    name: str, path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger.open(path, clock=clock) as ledger:
        shop(ledger)
        before = READINGS[name](ledger)
        gate = Gate()
        monkeypatch.setattr(ledger._pace, "step", gate.wait)
        with stopped(lambda: READINGS[name](ledger), gate) as reading:
            monkeypatch.undo()
            assert inherited(path) == []
        assert reading.result() == before
        assert ledger.execute(charge("s3")).accepted


def inherited(path: Path) -> list[str]:
    """The files of a log that a child of this process has open after a fork."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        links = [
            os.readlink(f"/proc/self/fd/{name}")
            for name in os.listdir("/proc/self/fd")
            if int(name) != 0 and os.path.islink(f"/proc/self/fd/{name}")
        ]
        os.write(theirs, "\n".join(link for link in links if link.startswith(str(path))).encode())
        os._exit(0)
    os.close(theirs)
    os.waitpid(child, 0)
    with open(ours) as answer:
        return answer.read().split()
