"""Many callers on one ledger: threads, processes, tasks. What comes together shares a commit, and nothing is lost."""

import asyncio
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from patience import PATIENCE

from ledger import (
    Answer,
    AsyncLedger,
    Charge,
    CreatePlan,
    Give,
    Ledger,
    Outcome,
    PaymentRequired,
    Purchase,
    Request,
)
from ledger.errors import Closed, LogError, NotWritten, OutcomeUnknown
from ledger.events import Charged, Purchased, Requested
from ledger.folding import refold
from ledger.log import Commit, Head
from ledger.queue import ThreadTicket, outcomes_of
from ledger.stores.memory import MemoryStore
from ledger.stores.sqlite import SQLiteStore

BEGIN = 1_700_000_000_000_000

PRO = CreatePlan(plan="pro", owner="acme", credits=100, parameters={"per": "call"})
BUY = Purchase(subscriber="ann", plan="pro")


def ask(calls: int = 1, key: str | None = None) -> Request:
    return Request(subscriber="ann", plan="pro", estimate={"calls": calls}, key=key)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "toll.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with Ledger.open(path, clock=lambda: BEGIN, id="test") as opened:
        opened.execute_many([PRO, BUY])
        yield opened


def refolded(path: Path) -> bytes:
    with closing(SQLiteStore(path, read_only=True)) as store:
        return refold(store.read()).dump()


def number_of_commits(ledger: Ledger) -> int:
    return len(list(ledger.commits()))


def in_threads(count: int, do: Callable[[int], Any]) -> list[Any]:
    """What `do` gives in so many threads that begin together."""
    together = threading.Barrier(count)

    def run(number: int) -> Any:
        together.wait(PATIENCE)
        return do(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count), timeout=PATIENCE))


# -- threads -----------------------------------------------------------------------------------------------------------


def test_threads_share_commits_and_nothing_is_lost_or_done_twice(ledger: Ledger, path: Path) -> None:
    """50 threads, 20 commands each, one after the other."""

    def buy(thread: int) -> list[Outcome]:
        return [ledger.execute(Give(subscriber=f"{thread}", plan="pro", credits=n + 1)) for n in range(20)]

    answers = in_threads(50, buy)
    for thread, given in enumerate(answers):
        events = [answer.unwrap().event for answer in given]
        assert [event.credits for event in events if isinstance(event, Purchased)] == list(range(1, 21))
        balance = ledger.balance(f"{thread}", "pro")
        assert balance is not None
        assert balance.available == 210
    seqs = [answer.seq for given in answers for answer in given]
    assert len(set(seqs)) == 1_000
    assert ledger.head.seq == 3 + 2_000
    assert number_of_commits(ledger) < 250
    assert ledger.state() == refolded(path)


def test_threads_never_spend_more_than_there_is(ledger: Ledger) -> None:
    """100 credits, 400 requests for up to 3 each: what is admitted is covered, and nothing that fits is refused."""
    answers = in_threads(20, lambda thread: [ledger.execute(ask(1 + (thread + n) % 3)) for n in range(20)])
    held = [answer.event.hold for given in answers for answer in given if isinstance(answer, Answer)]  # type: ignore[union-attr]
    balance = ledger.balance("ann", "pro")
    assert balance is not None
    assert sum(held) == balance.held == 100
    assert balance.available == 0


def test_threads_that_hold_and_charge_leave_books_that_add_up(ledger: Ledger, path: Path) -> None:
    def use(thread: int) -> int:
        charged = 0
        for number in range(10):
            held = ledger.execute(ask(3))
            if isinstance(held, Answer):
                done = ledger.execute(Charge(request=held.seq, usage={"calls": number % 3})).unwrap()
                charged += done.event.credits  # type: ignore[union-attr]
        return charged

    charged = sum(in_threads(12, use))
    balance = ledger.balance("ann", "pro")
    assert balance is not None
    assert (balance.spent, balance.held, balance.available) == (charged, 0, 100 - charged)
    assert ledger.state() == refolded(path)


def test_one_key_from_many_threads_is_done_once(ledger: Ledger) -> None:
    answers = in_threads(30, lambda _: ledger.execute(ask(key="k")))
    (first,) = [answer for answer in answers if isinstance(answer, Answer) and not answer.repeated]
    assert sorted(answers, key=lambda answer: answer is not first) == [first, *[replace(first, repeated=True)] * 29]
    assert ledger.head.seq == 4


def test_readers_see_whole_commands_only(ledger: Ledger) -> None:
    """A purchase is two events; no reading sees one without the other."""

    def write() -> None:
        for _ in range(300):
            ledger.execute(Purchase(subscriber="ben", plan="pro")).unwrap()

    def read() -> None:
        for balance in ledger.balances("ben"):
            assert balance.issued == balance.available
            assert balance.issued % 100 == 0
        assert (ledger.head.seq - 3) % 2 == 0
        assert len(list(ledger.events(after=3))) % 2 == 0

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while writer.is_alive():
            read()
    finally:
        writer.join()
    read()


class Gate(MemoryStore):
    """A store whose appends wait at a gate, so that a test says who queues behind whom."""

    def __init__(self) -> None:
        super().__init__(id="test")
        self.entered, self.passes = threading.Semaphore(0), threading.Semaphore(1_000)

    def shut(self) -> None:
        self.entered, self.passes = threading.Semaphore(0), threading.Semaphore(0)

    def open(self) -> None:
        self.passes.release(1_000)

    def let_one_in(self) -> None:
        self.passes.release()

    def append(self, expected: Head, commit: Commit) -> None:
        self.entered.release()
        assert self.passes.acquire(timeout=PATIENCE)
        super().append(expected, commit)


def queued(ledger: Ledger, count: int) -> None:
    """Wait until so many callers stand in the queue."""
    end = time.monotonic() + PATIENCE
    while len(ledger.queue._queue) < count:
        assert time.monotonic() < end, "they never came into the queue"
        time.sleep(0.001)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def gated(gate: Gate) -> Iterator[Ledger]:
    with Ledger(gate, lambda: BEGIN) as ledger:
        ledger.execute_many([PRO, BUY])
        gate.shut()
        yield ledger
        gate.open()


class Caller(threading.Thread):
    """A thread that does one command and keeps what it was told."""

    def __init__(self, ledger: Ledger, command: Any) -> None:
        super().__init__(daemon=True)
        self.ledger, self.command = ledger, command
        self.told: Any = None
        self.start()

    def run(self) -> None:
        try:
            self.told = self.ledger.execute(self.command)
        except BaseException as error:  # noqa: BLE001 - what the caller is told is what is tested
            self.told = error

    def done(self) -> Any:
        self.join(PATIENCE)
        assert not self.is_alive(), "this caller waits for ever"
        return self.told

    def interrupt(self, error: type[BaseException]) -> None:
        assert self.ident is not None
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.ident), ctypes.py_object(error))


class Stop(BaseException):
    """Ends a thread from outside, as a debugger or a worker's time limit does."""


def test_an_answer_that_cannot_be_read_again_is_not_its_neighbours_error() -> None:
    class Worn(MemoryStore):
        """Nothing of it can be read again."""

        def read(self, after: int = 0) -> Iterator[Commit]:
            raise LogError("the disk gives nothing")

    store = Worn(id="test")
    with Ledger(store, lambda: BEGIN) as ledger:
        ledger.execute_many([PRO, BUY, ask(key="first")])
        again, new = ThreadTicket[Outcome]([ask(key="first")]), ThreadTicket[Outcome]([BUY])
        assert [ledger.queue.enqueue(ticket) for ticket in (again, new)] == [True, False]
        ledger.queue.lead()
        with pytest.raises(LogError, match="gives nothing"):
            outcomes_of(again)
        assert [outcome.accepted for outcome in outcomes_of(new)] == [True]
        assert store.head().seq == 6  # it was told what is so: the purchase and the start of its lot were written


def test_all_who_wait_share_the_next_commit(gated: Ledger, gate: Gate) -> None:
    leader = Caller(gated, ask())
    assert gate.entered.acquire(timeout=PATIENCE)
    followers = [Caller(gated, ask()) for _ in range(40)]
    queued(gated, 40)
    gate.open()
    assert [leader.done().seq, *sorted(follower.done().seq for follower in followers)] == list(range(4, 45))
    assert number_of_commits(gated) == 3


def test_a_follower_that_is_interrupted_while_it_sleeps_hands_the_lead_on(gated: Ledger, gate: Gate) -> None:
    """It is told so when it is woken, which may be to lead: then another must."""
    leader = Caller(gated, ask())
    assert gate.entered.acquire(timeout=PATIENCE)
    followers = []
    for number in range(3):
        followers.append(Caller(gated, ask()))
        queued(gated, number + 1)
    followers[0].interrupt(Stop)
    gate.open()
    assert isinstance(leader.done(), Answer)
    assert isinstance(followers[0].done(), Stop)
    assert [type(follower.done()) for follower in followers[1:]] == [Answer, Answer]
    assert isinstance(Caller(gated, ask()).done(), Answer)
    assert gated.state() == refold(gate.read()).dump()


def test_the_group_of_a_leader_that_is_interrupted_before_it_wrote_is_told_so(gated: Ledger, gate: Gate) -> None:
    first = Caller(gated, ask())
    assert gate.entered.acquire(timeout=PATIENCE)
    group = []
    for number in range(3):
        group.append(Caller(gated, ask()))
        queued(gated, number + 1)
    gate.let_one_in()
    assert isinstance(first.done(), Answer)
    assert gate.entered.acquire(timeout=PATIENCE)
    group[0].interrupt(Stop)
    later = Caller(gated, ask())
    queued(gated, 1)
    gate.open()
    assert isinstance(group[0].done(), Stop)
    assert [type(caller.done()) for caller in group[1:]] == [NotWritten, NotWritten]
    assert isinstance(later.done(), Answer)
    assert gated.state() == refold(gate.read()).dump()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs signals to a thread")
def test_a_main_thread_that_is_interrupted_while_it_waits_takes_its_command_back(gated: Ledger, gate: Gate) -> None:
    """Ctrl-C reaches a main thread in the middle of its sleep, and nobody must wait for it afterwards."""
    assert threading.current_thread() is threading.main_thread()
    leader = Caller(gated, ask())
    assert gate.entered.acquire(timeout=PATIENCE)

    def press() -> None:
        queued(gated, 1)
        time.sleep(0.05)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    presser = threading.Thread(target=press)
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        gated.execute(Give(subscriber="ann", plan="pro", credits=7))
    presser.join()
    follower = Caller(gated, ask())
    queued(gated, 1)
    gate.open()
    assert isinstance(leader.done(), Answer)
    assert isinstance(follower.done(), Answer)
    assert [lot.credits for lot in gated.lots("ann", "pro")] == [100]
    assert isinstance(gated.execute(ask()), Answer)


INTERRUPTED = """
import json, signal, sys, threading
from ledger import CreatePlan, Give, Ledger
from ledger.errors import NotWritten, OutcomeUnknown

ledger = Ledger.open(sys.argv[1])
ledger.execute(CreatePlan(plan="pro", owner="acme", credits=1)).unwrap()
done, unknown, errors, stop = [0] * 5, [0] * 5, [], threading.Event()
main = threading.main_thread().ident
ignore = lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)

def give(number):
    try:
        ledger.execute(Give(subscriber=str(number), plan="pro", credits=1)).unwrap()
        done[number] += 1
    except NotWritten:
        pass
    except OutcomeUnknown:
        unknown[number] += 1

def go_on(number):
    try:
        while not stop.is_set():
            give(number)
    except Exception as error:
        errors.append(repr(error))

def press():
    while not stop.is_set():
        signal.pthread_kill(main, signal.SIGINT)
        stop.wait(0.002)

ignore()
threads = [threading.Thread(target=go_on, args=(number,), daemon=True) for number in range(4)]
presser = threading.Thread(target=press, daemon=True)
for thread in (*threads, presser):
    thread.start()
for _ in range(150):
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        while True:
            give(4)
    except KeyboardInterrupt:
        ignore()
        unknown[4] += 1
    except Exception as error:
        ignore()
        errors.append(repr(error))
        break
stop.set()
for thread in (*threads, presser):
    thread.join(300)
stuck = sum(thread.is_alive() for thread in threads)
given = {} if stuck else {balance.subscriber: balance.available for balance in ledger.balances()}
print(json.dumps({"errors": errors, "stuck": stuck, "done": done, "unknown": unknown, "given": given}))
"""


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs signals to a thread")
def test_interrupts_at_any_moment_lose_nothing_that_was_acknowledged_and_stop_nobody(path: Path) -> None:
    """Ctrl-C in the main thread, 150 times, while it and four others write. Those in its group are told what is so."""
    said = run_python(INTERRUPTED, path)
    assert said["errors"] == []
    assert said["stuck"] == 0
    for number, (done, unknown) in enumerate(zip(said["done"], said["unknown"], strict=True)):
        assert done <= said["given"].get(str(number), 0) <= done + unknown
    with Ledger.open(path) as ledger:
        assert ledger.state() == refolded(path)


# -- processes ---------------------------------------------------------------------------------------------------------


def run_python(program: str, *arguments: object) -> Any:
    """What a program of its own process prints, as JSON."""
    (said,) = run_together([(program, *arguments)])
    return said


def run_together(programs: list[tuple[object, ...]]) -> list[Any]:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", *map(str, program)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for program in programs
    ]
    said = []
    try:
        for process in started:
            out, wrong = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0, wrong
            said.append(json.loads(out))
    finally:
        for process in started:
            process.kill()
            process.wait()
    return said


HOLDS = """
import json, sys
from ledger import Ledger, Request

held = []
with Ledger.open(sys.argv[1]) as ledger:
    for number in range(60):
        calls = 1 + (number + int(sys.argv[2])) % 3
        answer = ledger.execute(Request(subscriber="ann", plan="pro", estimate={"calls": calls}))
        if answer:
            held.append([answer.seq, answer.event.hold])
    keyed = [
        ledger.execute(Request(subscriber="ben", plan="pro", estimate={"calls": 1}, key=f"key {number}")).unwrap().seq
        for number in range(10)
    ]
    print(json.dumps({"held": held, "keyed": keyed, "seen": ledger.head.seq}))
"""


@pytest.mark.parametrize("count", [2, 3])
def test_processes_on_one_file_see_each_other_and_share_their_keys(path: Path, count: int) -> None:
    """No lost update, no overspend, one answer to a key whoever asks."""
    with Ledger.open(path) as ledger:
        ledger.execute_many([PRO, BUY, Purchase(subscriber="ben", plan="pro")])
        said = run_together([(HOLDS, path, number) for number in range(count)])
        held = [seq for process in said for seq, _ in process["held"]]
        assert len(set(held)) == len(held)
        assert sum(hold for process in said for _, hold in process["held"]) == 100
        assert len({tuple(process["keyed"]) for process in said}) == 1
        assert ledger.head.seq == max(process["seen"] for process in said) == 5 + len(held) + 10
        kinds = {entry.seq: type(entry.event) for entry in ledger.events()}
        assert {kinds[seq] for seq in held} == {Requested}
        assert ledger.state() == refolded(path)


def test_a_process_sees_what_another_wrote_at_once(ledger: Ledger, path: Path) -> None:
    with Ledger.open(path, clock=lambda: BEGIN) as other:
        for number in range(10):
            one, two = (ledger, other) if number % 2 else (other, ledger)
            held = one.execute(ask()).unwrap()
            assert [request.id for request in two.requests()] == [held.seq]
            two.execute(Charge(request=held.seq, usage={"calls": 1})).unwrap()
            assert one.requests() == []
            assert one.state() == two.state()
            assert one.head == two.head


OPENS = """
import json, sys
from ledger import CreatePlan, Ledger

with Ledger.open(sys.argv[1]) as ledger:
    ledger.execute(CreatePlan(plan=sys.argv[2], owner="acme", credits=1)).unwrap()
    print(json.dumps(ledger.id))
"""


def test_processes_that_make_a_ledger_at_the_same_moment_make_one(path: Path) -> None:
    ids = run_together([(OPENS, path, number) for number in range(4)])
    assert len(set(ids)) == 1
    with Ledger.open(path) as ledger:
        assert ledger.id == ids[0]
        assert ledger.head.seq == 4


def test_threads_that_make_a_ledger_at_the_same_moment_make_one(tmp_path: Path) -> None:
    for number in range(10):
        place = tmp_path / f"{number}.db"
        ledgers = in_threads(6, lambda _, place=place: Ledger.open(place))  # type: ignore[misc]
        assert len({ledger.id for ledger in ledgers}) == 1
        for ledger in ledgers:
            ledger.close()


def test_threads_on_several_handles_of_one_file_lose_nothing(path: Path) -> None:
    ledgers = [Ledger.open(path) for _ in range(3)]
    ledgers[0].execute_many([PRO, BUY])
    answers = in_threads(9, lambda thread: [ledgers[thread % 3].execute(ask()) for _ in range(20)])
    assert sum(answer.accepted for given in answers for answer in given) == 100
    for ledger in ledgers:
        assert ledger.state() == refolded(path)
        ledger.close()


# -- asyncio -----------------------------------------------------------------------------------------------------------


def test_tasks_share_commits(path: Path) -> None:
    async def main() -> tuple[list[Outcome], int]:
        async with await AsyncLedger.open(path, clock=lambda: BEGIN) as ledger:
            await ledger.execute_many([PRO, BUY])
            answers = await asyncio.gather(*(ledger.execute(ask()) for _ in range(200)))
            return answers, await ledger.read(number_of_commits, ledger.ledger)

    answers, commits = asyncio.run(main())
    assert [answer.accepted for answer in answers] == [True] * 100 + [False] * 100
    assert [answer.seq for answer in answers if isinstance(answer, Answer)] == list(range(4, 104))
    assert commits <= 10


def test_a_cancelled_task_does_not_withdraw_its_command(gated: Ledger, gate: Gate) -> None:
    async def main() -> None:
        ledger = AsyncLedger(gated)
        leader = asyncio.create_task(ledger.execute(ask()))
        await asyncio.to_thread(gate.entered.acquire, timeout=PATIENCE)
        waiting = [asyncio.create_task(ledger.execute(ask())) for _ in range(5)]
        await asyncio.sleep(0)
        for task in (leader, *waiting[:3]):
            task.cancel()
        told = await asyncio.gather(leader, *waiting[:3], return_exceptions=True)
        assert [type(error) for error in told] == [asyncio.CancelledError] * 4
        gate.open()
        assert all(await asyncio.gather(*waiting[3:]))
        assert len(await ledger.read(gated.requests)) == 6
        assert await ledger.execute(ask())
        await ledger.close()

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_the_event_loop_goes_on_while_an_append_lasts(gated: Ledger, gate: Gate) -> None:
    async def main() -> None:
        ledger = AsyncLedger(gated)
        writing = asyncio.create_task(ledger.execute(ask()))
        await asyncio.to_thread(gate.entered.acquire, timeout=PATIENCE)
        for _ in range(100):  # each of these is a turn of the loop, and the append still stands at the gate
            await asyncio.sleep(0)
        assert not writing.done()
        gate.open()
        assert await writing
        await ledger.close()

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_threads_and_tasks_share_one_queue(gated: Ledger, gate: Gate) -> None:
    async def main() -> None:
        ledger = AsyncLedger(gated)
        first = Caller(gated, ask())
        await asyncio.to_thread(gate.entered.acquire, timeout=PATIENCE)
        tasks = [asyncio.create_task(ledger.execute(ask())) for _ in range(10)]
        await asyncio.sleep(0)
        callers = [Caller(gated, ask()) for _ in range(10)]
        await asyncio.to_thread(queued, gated, 20)
        gate.open()
        assert all(await asyncio.gather(*tasks))
        assert all([await asyncio.to_thread(caller.done) for caller in (first, *callers)])
        await ledger.close()

    asyncio.run(asyncio.wait_for(main(), PATIENCE))
    assert len({commit.first_seq for commit in gate._commits}) == 3


def test_tasks_get_the_error_of_their_group(tmp_path: Path) -> None:
    class Broken(MemoryStore):
        def append(self, expected: Head, commit: Commit) -> None:
            raise OutcomeUnknown("no answer")

    async def main() -> list[Any]:
        async with AsyncLedger(Ledger(Broken())) as ledger:
            commands = [PRO, ask(), PRO]
            return await asyncio.gather(*(ledger.execute(one) for one in commands), return_exceptions=True)

    told = asyncio.run(asyncio.wait_for(main(), PATIENCE))
    assert [type(error) for error in told] == [OutcomeUnknown] * 3


def test_closing_waits_for_what_is_queued(gated: Ledger, gate: Gate) -> None:
    async def main() -> list[Outcome]:
        ledger = AsyncLedger(gated)
        first = asyncio.create_task(ledger.execute(ask()))
        await asyncio.to_thread(gate.entered.acquire, timeout=PATIENCE)
        rest = [asyncio.create_task(ledger.execute(ask())) for _ in range(3)]
        await asyncio.sleep(0)
        closing = asyncio.create_task(ledger.close())
        await asyncio.sleep(0.05)
        gate.open()
        answers = await asyncio.gather(first, *rest)
        await closing
        return answers

    assert all(asyncio.run(asyncio.wait_for(main(), PATIENCE)))
    assert gate._commits[-1].last_seq == 7


def test_a_closed_ledger_for_asyncio_says_so(path: Path) -> None:
    async def main() -> None:
        ledger = await AsyncLedger.open(path)
        await ledger.close()
        await ledger.close()
        for _ in range(2):
            with pytest.raises(Closed):
                await asyncio.wait_for(ledger.execute(PRO), PATIENCE)
            with pytest.raises(Closed):
                await ledger.balance("ann", "pro")
        again = await AsyncLedger.open(path)
        again.ledger.close()
        with pytest.raises(Closed):
            await asyncio.wait_for(again.execute(PRO), PATIENCE)
        await again.close()

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_an_empty_list_is_done_at_once(path: Path) -> None:
    async def main() -> list[Outcome]:
        async with await AsyncLedger.open(path) as ledger:
            return await ledger.execute_many([])

    assert asyncio.run(main()) == []


def test_a_loop_that_ended_without_its_answers_holds_nobody_up(gated: Ledger, gate: Gate) -> None:
    ledger = AsyncLedger(gated)

    async def leave() -> None:
        asyncio.ensure_future(ledger.execute(ask()))  # noqa: RUF006 - nobody waits for it, which is the case
        await asyncio.to_thread(gate.entered.acquire, timeout=PATIENCE)

    asyncio.run(leave())
    follower = Caller(gated, ask())
    queued(gated, 1)
    gate.open()
    assert isinstance(follower.done(), Answer)
    assert len(gated.requests()) == 2
    asyncio.run(ledger.close())


def test_one_ledger_serves_one_loop_after_the_other(path: Path) -> None:
    ledger = AsyncLedger(Ledger.open(path))
    assert asyncio.run(ledger.execute(PRO))
    assert asyncio.run(ledger.execute(BUY))
    assert asyncio.run(ledger.execute(ask()))
    asyncio.run(ledger.close())


def test_holding_and_charging_in_many_tasks(path: Path) -> None:
    async def use(ledger: AsyncLedger, number: int) -> int:
        try:
            async with ledger.request("ann", "pro", estimate={"calls": 3}) as request:
                answer = await request.charge({"calls": number % 4})
        except PaymentRequired:
            return 0
        assert isinstance(answer.event, Charged)
        return answer.event.credits

    async def main() -> None:
        async with await AsyncLedger.open(path, clock=lambda: BEGIN) as ledger:
            await ledger.execute_many([PRO, BUY])
            charged = sum(await asyncio.gather(*(use(ledger, number) for number in range(60))))
            balance = await ledger.balance("ann", "pro")
            assert balance is not None
            assert (balance.spent, balance.held, balance.available) == (charged, 0, 100 - charged)

    asyncio.run(asyncio.wait_for(main(), PATIENCE))
    assert os.listdir(path.parent) == [path.name]
