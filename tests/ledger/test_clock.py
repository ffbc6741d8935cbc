"""The machine's clock: followed while it is slewed or set by a little, not believed once it leapt, until it is right
again or somebody accepts it. Whatever happens to it, readings go on, and a refused write leaves all as it was."""

import asyncio
import os
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standing_clock import BEGIN

from ledger import Answer, AsyncLedger, CreatePlan, Ledger, LedgerError, Purchase, Request
from ledger.clock import MAX_MOVED, WallClock, elapsed_time, system_clock
from ledger.commands import MAX_TIME
from ledger.errors import BadData, ClockMoved
from ledger.events import Limits, RateLimit
from ledger.stores.memory import MemoryStore

NANO = 1_000_000_000
DAY = 86_400 * NANO
PRO = CreatePlan(plan="pro", owner="acme", credits=1_000, parameters={"per": "call"}, hold_seconds=3_600)
BUY = Purchase(subscriber="ann", plan="pro")
ASK = Request(subscriber="ann", plan="pro", estimate={"calls": 3})


class Machine:
    """A machine's two sources of time, in nanoseconds."""

    def __init__(self) -> None:
        self.wall, self.elapsed = BEGIN * 1_000, 7 * NANO
        self.once = 0  # what the next look at the wall clock is off by, and no other
        self.clock = WallClock(self._look, lambda: self.elapsed)

    def _look(self) -> int:
        off, self.once = self.once, 0
        return self.wall + off

    def passes(self, nanoseconds: int) -> None:
        self.wall += nanoseconds
        self.elapsed += nanoseconds


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def ledger(machine: Machine) -> Ledger:
    opened = Ledger(MemoryStore(id="test"), machine.clock)
    opened.execute_many([PRO, BUY])
    return opened


# -- the clock ---------------------------------------------------------------------------------------------------------


NOW = 1_790_000_000 * 10**6


@pytest.mark.parametrize(
    ("reading", "said"),
    [
        (NOW // 10**6, "a time of these years in seconds"),
        (NOW // 10**3, "a time of these years in milliseconds"),
        (NOW * 10**3, "a time of these years in nanoseconds"),
        (NOW / 10**6, "whole microseconds are needed"),
        (MAX_TIME + 1, "a time beyond the year 9999"),
    ],
)
def test_a_clock_in_other_units_neither_dates_a_new_log_nor_writes_to_one(reading: Any, said: str) -> None:
    new = Ledger(MemoryStore(id="test"), lambda: reading)
    with pytest.raises(BadData, match=f"clock: .*{said}") as caught:
        new.execute(PRO)
    assert "whole microseconds" in caught.value.hint
    assert new.head.seq == 0
    store = MemoryStore(id="test")
    Ledger(store, lambda: NOW).execute_many([PRO, BUY])
    later = Ledger(store, lambda: reading)
    for use in (later.tick, later.balances):
        with pytest.raises(BadData, match=f"clock: .*{said}"):
            use()
    assert later.head.at == NOW


@pytest.mark.parametrize("first", [0, 1, 1_000, 10**9 - 10**8])
def test_simulated_time_may_begin_with_small_numbers_and_pass_through_all(first: int) -> None:
    now = [first]
    ledger = Ledger(MemoryStore(id="test"), lambda: now[0])
    for reading in (first, 10**9, 2 * 10**9, 2 * 10**12, NOW):
        now[0] = reading
        ledger.execute_many([PRO, BUY])
        assert ledger.execute(BUY).unwrap().at == reading


def test_it_gives_utc_microseconds() -> None:
    assert abs(system_clock() - time.time_ns() // 1000) < 60_000_000
    assert isinstance(system_clock, WallClock)


def test_the_first_reading_is_believed_whatever_it_is(machine: Machine) -> None:
    machine.wall += 1_000 * DAY
    assert machine.clock() == machine.wall // 1000


@pytest.mark.parametrize("way", [1, -1])
def test_a_minute_is_believed_and_more_is_not(machine: Machine, way: int) -> None:
    machine.clock()
    machine.wall += way * MAX_MOVED
    assert machine.clock() == machine.wall // 1000
    machine.wall += way * (MAX_MOVED + 1)
    with pytest.raises(ClockMoved):
        machine.clock()


@pytest.mark.parametrize(("moved", "said"), [(DAY, "86,400 s ahead of"), (-90 * NANO, "90 s behind")])
def test_the_error_says_by_how_much_which_way_and_what_to_do(machine: Machine, moved: int, said: str) -> None:
    machine.clock()
    machine.passes(DAY)
    machine.wall += moved
    with pytest.raises(ClockMoved, match=said) as caught:
        machine.clock()
    assert isinstance(caught.value, LedgerError)
    assert caught.value.code == "io"
    assert "accept_clock" in caught.value.hint
    assert "correct the clock" in caught.value.hint


@given(st.lists(st.tuples(st.integers(0, 40 * DAY), st.integers(-MAX_MOVED, MAX_MOVED)), max_size=60))
def test_a_clock_that_drifts_is_followed_however_far_it_comes(steps: list[tuple[int, int]]) -> None:
    """Each reading that is believed is what the next is compared with."""
    machine = Machine()
    machine.clock()
    for passed, slewed in steps:
        machine.passes(passed)
        machine.wall += slewed
        assert machine.clock() == machine.wall // 1000


@given(st.lists(st.tuples(st.integers(0, 40 * DAY), st.integers(-3 * MAX_MOVED, 3 * MAX_MOVED)), max_size=60))
def test_no_reading_that_is_believed_is_more_than_a_minute_from_what_passed(steps: list[tuple[int, int]]) -> None:
    machine = Machine()
    last, at = machine.clock(), machine.elapsed
    for passed, moved in steps:
        machine.passes(passed)
        machine.wall += moved
        implied = last + (machine.elapsed - at) // 1000
        try:
            now = machine.clock()
        except ClockMoved:
            assert abs(machine.wall // 1000 - implied) >= MAX_MOVED // 1000 - 1  # each is rounded down by itself
            assert abs(machine.clock.estimate() - implied) <= 1
        else:
            assert abs(now - implied) <= MAX_MOVED // 1000 + 1
            assert machine.clock.estimate() == now
            last, at = now, machine.elapsed


def test_what_was_off_once_is_asked_again(machine: Machine) -> None:
    """As for a process that was stopped between the looks at its two sources."""
    machine.clock()
    machine.once = DAY
    assert machine.clock() == machine.wall // 1000
    machine.once = -DAY
    assert machine.clock.estimate() == machine.wall // 1000


def test_a_clock_that_is_right_again_is_believed_again(machine: Machine) -> None:
    machine.clock()
    machine.wall += DAY
    for _ in range(3):  # it does not get used to it
        machine.passes(3_600 * NANO)
        with pytest.raises(ClockMoved):
            machine.clock()
    machine.wall -= DAY
    assert machine.clock() == machine.wall // 1000


def test_what_is_accepted_is_what_the_next_reading_is_compared_with(machine: Machine) -> None:
    machine.clock()
    machine.wall += DAY
    machine.clock.accept()
    assert machine.clock() == machine.wall // 1000
    machine.wall -= DAY
    with pytest.raises(ClockMoved):
        machine.clock()


def test_time_in_which_the_machine_slept_has_passed() -> None:
    """On Linux CLOCK_MONOTONIC stands still in a suspended machine, and CLOCK_BOOTTIME does not."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        assert abs(elapsed_time() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)) < MAX_MOVED
    before = elapsed_time()
    assert elapsed_time() >= before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system with fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_goes_on_with_what_its_parent_believed(machine: Machine) -> None:
    machine.clock()
    child = os.fork()
    if child == 0:
        machine.wall += DAY
        try:
            machine.clock()
        except ClockMoved:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


# -- a ledger ----------------------------------------------------------------------------------------------------------


def test_one_reading_a_day_ahead_stops_nothing(ledger: Ledger, machine: Machine) -> None:
    """It would have ended the hold, and every window of a rate limit until that day has passed."""
    limited = Limits(rate=RateLimit(2, 60))
    ledger.execute_many([CreatePlan(plan="few", owner="acme", credits=9, limits=limited)])
    ledger.execute(Purchase(subscriber="ann", plan="few"))
    held = ledger.execute(ASK).unwrap()
    machine.wall += DAY
    with pytest.raises(ClockMoved):
        ledger.execute(ASK)
    machine.wall -= DAY
    machine.passes(NANO)
    assert [request.id for request in ledger.requests()] == [held.seq]
    assert ledger.execute(Request(subscriber="ann", plan="few"))


WRITES: dict[str, Callable[[Ledger], Any]] = {
    "execute": lambda ledger: ledger.execute(ASK),
    "several": lambda ledger: ledger.execute_many([ASK, BUY]),
    "refused": lambda ledger: ledger.execute(Request(subscriber="nobody", plan="pro")),
    "tick": lambda ledger: ledger.tick(),
    "request": lambda ledger: ledger.request("ann", "pro").__enter__(),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("moved", [DAY, -DAY], ids=["ahead", "behind"])
def test_a_write_is_refused_and_changes_nothing(
    ledger: Ledger, machine: Machine, write: Callable[[Ledger], Any], moved: int
) -> None:
    machine.passes(NANO)
    head, state = ledger.head, ledger.state()
    machine.wall += moved
    for _ in range(2):
        with pytest.raises(ClockMoved):
            write(ledger)
    assert (ledger.head, ledger.state()) == (head, state)
    machine.wall -= moved
    write_again = WRITES["execute"](ledger)
    assert write_again.at == machine.wall // 1000


@pytest.mark.parametrize("moved", [DAY, -DAY], ids=["ahead", "behind"])
def test_readings_go_on_by_the_time_that_passed(ledger: Ledger, machine: Machine, moved: int) -> None:
    held = ledger.execute(ASK).unwrap()
    machine.wall += moved
    machine.passes(3_599 * NANO)
    assert [request.id for request in ledger.requests()] == [held.seq]
    balance = ledger.balance("ann", "pro")
    assert balance is not None
    assert balance.held == 3
    assert ledger.statement("ann", "pro") is not None
    machine.passes(1_000 * NANO)  # now the hold has expired
    balance = ledger.balance("ann", "pro")
    assert balance is not None
    assert balance.held == 0


def test_an_operator_accepts_the_clock(ledger: Ledger, machine: Machine) -> None:
    machine.wall += DAY
    with pytest.raises(ClockMoved):
        ledger.execute(ASK)
    ledger.accept_clock()
    assert ledger.execute(ASK).unwrap().at == machine.wall // 1000


def test_an_operator_accepts_the_clock_in_opening(ledger: Ledger, machine: Machine) -> None:
    machine.wall += DAY
    with Ledger.open(clock=machine.clock) as other, pytest.raises(ClockMoved):
        other.execute(PRO)
    with Ledger.open(clock=machine.clock, accept_clock=True) as other:
        assert other.execute(PRO)
    assert ledger.execute(ASK)  # it has the same clock


def test_tasks_accept_the_clock_too(machine: Machine) -> None:
    async def main() -> None:
        async with await AsyncLedger.open(clock=machine.clock) as ledger:
            assert all(await ledger.execute_many([PRO, BUY]))
            machine.wall += DAY
            with pytest.raises(ClockMoved):
                await ledger.execute(ASK)
            with pytest.raises(ClockMoved):
                async with ledger.request("ann", "pro"):
                    pass
            await ledger.accept_clock()
            assert await ledger.execute(ASK)
            machine.wall += DAY
            async with await AsyncLedger.open(clock=machine.clock, accept_clock=True) as other:
                assert await other.execute(PRO)

    asyncio.run(main())


def test_a_clock_that_the_caller_gives_is_believed() -> None:
    now = BEGIN
    with Ledger.open(clock=lambda: now) as ledger:
        ledger.execute_many([PRO, BUY])
        now += 365 * DAY // 1000
        ledger.accept_clock()  # there is nothing to accept
        assert ledger.execute(BUY).unwrap().at == now


def test_how_far_the_clock_is_behind_the_log(ledger: Ledger, machine: Machine) -> None:
    """By a little, since more is not believed; or as it is opened, by anything."""
    machine.passes(40 * NANO)
    assert ledger.clock_behind == 0
    head = ledger.execute(ASK).unwrap().at
    machine.wall -= 30 * NANO
    assert ledger.clock_behind == 30_000_000
    answer = ledger.execute(ASK)
    assert isinstance(answer, Answer)
    assert answer.at == head
    machine.passes(50 * NANO)
    assert ledger.clock_behind == 0
