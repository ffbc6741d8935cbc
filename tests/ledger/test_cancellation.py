"""A task that is cancelled while it enters or leaves `async with ledger.request(…)` leaves no hold behind, wherever it
stands; whoever goes on is answered, and the event loop never waits."""

import asyncio
import functools
import threading
import time
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from typing import Any

import pytest
from patience import PATIENCE
from standing_clock import Clock

from ledger import AsyncLedger, CreatePlan, Ledger, Purchase
from ledger.events import Limits, Released, Requested
from ledger.log import Commit, Head
from ledger.stores.memory import MemoryStore

PRO = CreatePlan(plan="pro", owner="acme", credits=1_000, parameters={"per": "call"}, limits=Limits(open=2))
BUY = Purchase(subscriber="ann", plan="pro")


class Gate(MemoryStore):
    """A log whose appends wait at a gate while it is shut."""

    def __init__(self) -> None:
        super().__init__(id="test")
        self.passes, self.inside = threading.Event(), threading.Semaphore(0)
        self.passes.set()

    def append(self, expected: Head, commit: Commit) -> None:
        self.inside.release()
        assert self.passes.wait(PATIENCE)
        super().append(expected, commit)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def ledger(gate: Gate) -> Iterator[Ledger]:
    with Ledger(gate, Clock()) as opened:
        opened.execute_many([PRO, BUY])
        gate.inside = threading.Semaphore(0)
        yield opened
        gate.passes.set()


async def use(ledger: AsyncLedger) -> None:
    async with ledger.request("ann", "pro", estimate={"calls": 3}):
        await asyncio.sleep(0)


async def free(ledger: AsyncLedger) -> None:
    """Come back when nobody has the turn and nothing is left to give back, as somebody who writes finds it."""
    assert await ledger.execute(BUY)
    while ledger.ledger.queue.has_leader or ledger.ledger.queue.abandoned:
        await asyncio.sleep(0.001)


def held(ledger: Ledger) -> tuple[int, int]:
    balance = ledger.balance("ann", "pro")
    assert balance is not None
    return balance.open_requests, balance.held


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(main(), PATIENCE)

    asyncio.run(limited())


def cancel_task(task: asyncio.Task[None], turns: int) -> Callable[[], Awaitable[None]]:
    async def cancelled() -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    return cancelled


async def by_cancelling(ledger: AsyncLedger, turns: int) -> None:
    """The task is cancelled after so many turns of the loop."""
    task = asyncio.create_task(use(ledger))
    await cancel_task(task, turns)()


async def by_timeout(ledger: AsyncLedger, turns: int) -> None:
    """A timeout that has passed after so many turns."""
    scope: list[asyncio.Timeout] = []

    async def limited() -> None:
        async with asyncio.timeout(PATIENCE) as timeout:
            scope.append(timeout)
            await use(ledger)

    task = asyncio.create_task(limited())
    for _ in range(turns):
        await asyncio.sleep(0)
    if scope and not task.done():
        scope[0].reschedule(asyncio.get_running_loop().time())
    await asyncio.gather(task, return_exceptions=True)


async def by_a_group(ledger: AsyncLedger, turns: int) -> None:
    """Another task of its group fails after so many turns."""

    async def fail() -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        raise ValueError

    async def together() -> None:
        async with asyncio.TaskGroup() as group:
            for each in (use(ledger), use(ledger), fail()):
                group.create_task(each)

    with pytest.raises(ExceptionGroup):
        await together()


async def by_gather(ledger: AsyncLedger, turns: int) -> None:
    """The task that gathers several is cancelled after so many turns."""

    async def several() -> None:
        await asyncio.gather(use(ledger), use(ledger))

    task = asyncio.create_task(several())
    await cancel_task(task, turns)()


WAYS = [by_cancelling, by_timeout, by_a_group, by_gather]


@pytest.mark.parametrize("way", WAYS)
def test_cancelling_at_any_turn_of_the_loop_leaves_no_hold(
    ledger: Ledger, way: Callable[[AsyncLedger, int], Awaitable[None]]
) -> None:
    async def main() -> None:
        crowd = AsyncLedger(ledger)
        for turns in range(40):
            await way(crowd, turns)
            await free(crowd)
            assert held(ledger) == (0, 0), turns

    run(main)


@types.coroutine
def cancelled_at(k: int, work: Coroutine[Any, Any, None], waits: list[int]) -> Generator[Any, Any, None]:
    """Do the work in this task, which is cancelled at the k-th time that it waits; `waits` counts them."""
    step = functools.partial(work.send, None)
    while True:
        try:
            waited_for = step()
        except StopIteration:
            return
        waits.append(k)
        if len(waits) == k:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        try:
            yield waited_for
            step = functools.partial(work.send, None)
        except BaseException as error:  # noqa: BLE001 - the work is to see it
            step = functools.partial(work.throw, error)


def test_cancelling_at_any_await_leaves_no_hold(ledger: Ledger) -> None:
    async def at(k: int, crowd: AsyncLedger, waits: list[int]) -> None:
        await cancelled_at(k, use(crowd), waits)

    async def main() -> None:
        crowd, k, waits = AsyncLedger(ledger), 0, [0]
        while len(waits) >= k:
            k, waits = k + 1, []
            await asyncio.gather(at(k, crowd, waits), return_exceptions=True)
            await free(crowd)
            assert held(ledger) == (0, 0), k
        assert k == 4  # entering, the work, leaving; and none

    run(main)


def test_what_no_leader_has_taken_is_not_written_at_all(ledger: Ledger, gate: Gate) -> None:
    async def main() -> None:
        crowd = AsyncLedger(ledger)
        gate.passes.clear()
        writing = asyncio.create_task(crowd.execute(BUY))
        await asyncio.to_thread(gate.inside.acquire, timeout=PATIENCE)
        waiting = [asyncio.create_task(use(crowd)) for _ in range(5)]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        told = await asyncio.gather(*waiting, return_exceptions=True)  # at once, though the append stands at the gate
        assert [type(error) for error in told] == [asyncio.CancelledError] * 5
        gate.passes.set()
        assert await writing
        await free(crowd)
        kinds = [type(entry.event) for entry in ledger.events()]
        assert Requested not in kinds
        assert Released not in kinds

    run(main)


def test_what_a_leader_has_taken_is_given_back_as_soon_as_it_is_written(ledger: Ledger, gate: Gate) -> None:
    """Before anybody who asks later: the limit of two open requests refuses nobody."""

    async def main() -> None:
        crowd = AsyncLedger(ledger)
        gate.passes.clear()
        taken = [asyncio.create_task(use(crowd)) for _ in range(2)]
        await asyncio.to_thread(gate.inside.acquire, timeout=PATIENCE)
        for task in taken:
            task.cancel()
        await asyncio.gather(*taken, return_exceptions=True)
        later = [asyncio.create_task(use(crowd)) for _ in range(2)]
        await asyncio.sleep(0)
        gate.passes.set()
        await asyncio.gather(*later)
        await free(crowd)
        assert held(ledger) == (0, 0)

    run(main)


def test_nobody_need_come_later_for_a_hold_to_be_given_back(ledger: Ledger, gate: Gate) -> None:
    async def main() -> None:
        crowd = AsyncLedger(ledger)
        gate.passes.clear()
        task = asyncio.create_task(use(crowd))
        await asyncio.to_thread(gate.inside.acquire, timeout=PATIENCE)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        gate.passes.set()
        while ledger.queue.has_leader or ledger.queue.abandoned:
            await asyncio.sleep(0.001)
        assert held(ledger) == (0, 0)
        assert isinstance(list(ledger.events())[-1].event, Released)

    run(main)


def test_what_was_answered_before_its_task_went_on_is_given_back_by_itself(ledger: Ledger) -> None:
    """The task is cancelled after its answer came, and before it hears of it; nobody leads then, and nobody comes."""

    class Seen(AsyncLedger):
        def ticket(self, commands: Any) -> Any:
            self.last = super().ticket(commands)
            return self.last

    async def main() -> None:
        crowd = Seen(ledger)
        task = asyncio.create_task(use(crowd))
        await asyncio.sleep(0)
        while ledger.queue.has_leader or not crowd.last.outcomes:
            time.sleep(0.001)  # the loop stands still, and the leader does not
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        while ledger.queue.has_leader or ledger.queue.abandoned:
            await asyncio.sleep(0.001)
        assert held(ledger) == (0, 0)

    run(main)


@pytest.mark.parametrize("taken", [True, False])
def test_a_loop_that_ends_meanwhile_leaves_no_hold(ledger: Ledger, gate: Gate, taken: bool) -> None:
    crowd = AsyncLedger(ledger)

    async def main() -> None:
        gate.passes.clear()
        tasks = [asyncio.create_task(use(crowd))]
        await asyncio.to_thread(gate.inside.acquire, timeout=PATIENCE)
        if not taken:
            tasks.append(asyncio.create_task(use(crowd)))
            await asyncio.sleep(0)

    asyncio.run(main())  # it cancels what is left when it ends
    gate.passes.set()
    asyncio.run(crowd.close())
    assert held_again(gate) == (0, 0)


def held_again(store: Gate) -> tuple[int, int]:
    """As the log has it, for somebody who opens it later."""
    store._closed = False
    with Ledger(store, Clock()) as later:
        return held(later)


def test_closing_gives_back_what_was_cancelled_before(ledger: Ledger, gate: Gate) -> None:
    async def main() -> None:
        crowd = AsyncLedger(ledger)
        gate.passes.clear()
        task = asyncio.create_task(use(crowd))
        await asyncio.to_thread(gate.inside.acquire, timeout=PATIENCE)
        task.cancel()
        closing = asyncio.create_task(crowd.close())
        await asyncio.gather(task, return_exceptions=True)
        gate.passes.set()
        await closing

    run(main)
    assert held_again(gate) == (0, 0)


def test_a_leaving_that_is_cancelled_gives_back_all_the_same(ledger: Ledger, gate: Gate) -> None:
    async def main() -> None:
        crowd = AsyncLedger(ledger)
        entered = asyncio.Event()

        async def work() -> None:
            async with crowd.request("ann", "pro", estimate={"calls": 3}):
                entered.set()
                gate.passes.clear()

        task: asyncio.Task[Any] = asyncio.create_task(work())
        await entered.wait()
        await asyncio.to_thread(gate.inside.acquire, timeout=PATIENCE)
        await asyncio.to_thread(gate.inside.acquire, timeout=PATIENCE)  # its release stands at the gate
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        gate.passes.set()
        await free(crowd)
        assert held(ledger) == (0, 0)

    run(main)


def test_a_task_that_follows_a_leader_that_is_gone_looks_for_itself(ledger: Ledger) -> None:
    """A thread is named leader and never leads, as after interrupts that cut every cleanup short."""

    async def main() -> None:
        from ledger.queue import ThreadTicket

        crowd = AsyncLedger(ledger)
        assert ledger.queue.enqueue(ThreadTicket([BUY]))
        assert await crowd.execute(BUY)
        assert await crowd.execute(BUY)

    run(main)
