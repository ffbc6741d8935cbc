"""The world of one run: one die, one clock, one disk, one chain, and processes that share them."""

from __future__ import annotations

import traceback
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, TypeAlias

from chains.outbox import Step
from chains.testing import Harness
from chains.watcher import Untaken
from ledger.amounts import SECOND
from ledger.commands import Command, CreatePlan, Give, Purchase, RegisterAgent
from ledger.engine import Ledger
from ledger.errors import (
    ChainUnavailable,
    Closed,
    LogError,
    OutcomeUnknown,
    SendUnknown,
    SettlementStopped,
)
from ledger.folding import refold
from ledger.log import Commit, Entry
from ledger.readings import Reading
from ledger.refusals import PaymentRequired, Reason, Refused

from .customers import Customers
from .disk import Disk
from .faults import Faults
from .market import Market
from .oracle import SPEAKS, Oracle, Violated, require
from .process import Caller, Crash, Engine, Interrupted, Process

Projection: TypeAlias = Callable[[Any, Entry], Any]
"""Folds one entry into a state, which is None at first, and returns the new state."""

BEGIN = 1_701_388_680 * SECOND
"""2023-11-30, two minutes before a month ends."""

NAMES = ("one", "two", "three")
ACTIONS: dict[str, int] = {
    "ask": 40,
    "lead": 30,
    "execute": 10,
    "wait": 16,
    "buy": 4,
    "mine": 5,
    "watch": 5,
    "open_batch": 5,
    "step_outbox": 8,
    "settle": 2,
    "leave_chain": 4,
    "trouble": 1,
    "restart": 2,
    "snapshot": 2,
    "read": 4,
    "project": 3,
}
"""How often each kind of step is drawn, beside the others."""

_TRACED = 30
_DAY = 86_400


class World:
    """One run: `begin`, any number of `step`s, `end`. All raise Violated where a law does not hold."""

    def __init__(
        self,
        seed: int,
        *,
        faults: frozenset[str],
        market: Callable[[Random], Harness],
        engine: Engine,
        projections: Mapping[str, Projection],
    ) -> None:
        self.random = Random(seed)
        self.now, self.full, self.steps = BEGIN, 0, 0
        self.disk = Disk(f"simulation {seed}")
        self.faults = Faults(self.random, faults)
        self.market = Market(market(self.random))
        self.oracle = Oracle(self.disk, self.market)
        self.processes = [Process(self, name) for name in NAMES[: self.random.randint(1, len(NAMES))]]
        self.trace: deque[tuple[int, str, str, object]] = deque(maxlen=_TRACED)
        self.actions: Counter[str] = Counter()
        self.commands: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.unheard = self.restarts = 0
        self._engine, self._projections = engine, dict(projections)
        self._projected: dict[str, tuple[int, Any]] = dict.fromkeys(projections, (0, None))
        self._confirmations = self.random.choice((None, None, None, 0, 1))
        weights = {kind: weight * self.random.choice((0, 1, 1, 2)) for kind, weight in ACTIONS.items()}
        weights |= {kind: ACTIONS[kind] for kind in ("ask", "lead")}
        self._kinds = [kind for kind, weight in weights.items() for _ in range(weight)]
        self._depth = self._storm = 0

    # -- beginning, steps, end -----------------------------------------------------------------------------------------

    def begin(self, plans: Sequence[CreatePlan]) -> None:
        """The plans are on sale, and most have bought some. Raises PaymentRequired for a plan that cannot be sold."""
        self.faults.on = False
        ledger = self._open(self.processes[0])
        for plan in plans:
            ledger.execute(plan).unwrap()
        ledger.execute(RegisterAgent(agent="bot", owner="acme", plans=(plans[0].plan,))).unwrap()
        for plan in plans:
            if plan.onchain_id and plan.asset == self.market.harness.asset:
                credits = min(plan.credits, 60)
                self.market.sell(self.random, plan.onchain_id, credits, 0 if credits else plan.seconds or 30)
        names = [plan.plan for plan in plans]
        for subscriber in self.market.harness.subscribers:
            for name in names:
                if self.random.randrange(4):
                    ledger.execute(Purchase(subscriber=subscriber, plan=name, funding="direct"))
        self.customers = Customers(self.random, self.market.harness.subscribers, names, self.oracle.charges)
        for _ in range(2 * len(plans)):
            self._buy()
        self.market.pass_time()
        self._watch(self.processes[0])
        self.oracle.follow()
        self.faults.on = True

    def step(self) -> None:
        """One thing happens, and everything is looked at."""
        self.steps += 1
        kind = self.random.choice(self._kinds)
        self.actions[kind] += 1
        process = self.random.choice(self.processes)
        if kind in _CHAINS:
            self._tell("the chain", kind, getattr(self, f"_{kind}")())
        elif kind == "wait":
            self._wait()
        else:
            self._attempt(process, kind)
        self._look()

    def end(self) -> None:
        """The faults stop. Whatever was begun is finished, and then the whole is judged."""
        self.faults.on, self.full = False, 0
        self.steps += 1
        for process in self.processes:
            if process.ledger is not None:
                self._drain(process)
            process.stop()
        process = self.processes[0]
        self.market.calm()
        ledger = self._open(process)
        untaken = self._finish(process)
        self.oracle.follow()
        self.oracle.money()
        if not self.market.owing():
            self.oracle.all_is_settled(ledger, process.outbox)
        self.oracle.agrees(ledger, process.name)
        ledger.snapshot()
        self.oracle.is_kept()
        self.oracle.agrees(self._open(process), "an engine that was opened again")
        self._project(process)
        for name in self._projections:
            self._check_projection(name)
        self.oracle.is_clean(untaken)
        process.stop()

    # -- a process does something, and may not come to its end ---------------------------------------------------------

    def overtake(self, process: Process, seldom: bool = False) -> None:
        """Between two calls of a process, another one may act: once, or again and again."""
        strikes = self.faults.strikes("overtake", 80 if seldom else 12)
        if strikes and self.random.randrange(3) == 0:
            self._storm = self.random.randint(2, 5)
        if self._storm:
            self._storm -= 1
            strikes = True
        others = [other for other in self.processes if other.ledger is not None and not other.busy]
        if not strikes or not self.faults.on or self._depth or not others:
            return
        self._depth += 1
        try:
            kinds = ("intrude",) if self._storm else ("ask", "lead", "execute", "execute", "step_outbox", "watch")
            self._attempt(self.random.choice(others), self.random.choice(kinds))
        finally:
            self._depth -= 1

    def _attempt(self, process: Process, kind: str) -> None:
        process.busy = True
        if self.faults.comes("crash", 40):
            process.doom(power=False)
        elif self.faults.comes("power", 120):
            process.doom(power=True)
        try:
            if process.ledger is None:
                self._open(process)
            getattr(self, f"_{kind}")(process)
        except Crash as crash:
            self._fall(process, crash)
            if crash.power and self._depth:
                raise
        except Interrupted:
            self._tell(process.name, kind, "was interrupted")
        except (OutcomeUnknown, Closed) as error:
            self._tell(process.name, kind, error)
            process.stop()
        except (LogError, ChainUnavailable, SendUnknown, SettlementStopped, PaymentRequired) as error:
            self._tell(process.name, kind, error)
            self._check_told(error)
        except Violated:
            raise
        except Exception as error:
            raise Violated(SPEAKS, traceback.format_exc()) from error
        finally:
            process.busy, process.doomed = False, None

    def _check_told(self, error: Exception) -> None:
        refused = error.refused.reason if isinstance(error, PaymentRequired) else None
        require(refused in (None, Reason.batch_open), SPEAKS, repr(error))

    def _fall(self, process: Process, crash: Crash) -> None:
        self._tell(process.name, "gone", crash)
        for each in self.processes if crash.power else [process]:
            self.unheard += len(each.callers)
            each.stop()
        if crash.power:
            self.disk.cut_power(self.random)
        else:
            self.disk.drop_unfinished(self.random)

    def _open(self, process: Process) -> Ledger:
        self.restarts += 1
        self._tell(process.name, "opens", "")
        return process.open(self._engine, self.market.connect(), self._confirmations)

    def _look(self) -> None:
        self.oracle.follow()
        self.oracle.money()
        for process in self.processes:
            if process.ledger is not None and self.random.randrange(8) == 0:
                self._agrees(process, process.ledger)

    def _agrees(self, process: Process, ledger: Ledger) -> None:
        was, self.faults.on = self.faults.on, False
        full, self.full = self.full, 0
        try:
            self.oracle.agrees(ledger, process.name)
        except Closed:
            process.stop()
        finally:
            self.faults.on, self.full = was, full

    # -- callers -------------------------------------------------------------------------------------------------------

    def _ask(self, process: Process) -> None:
        """Somebody's commands are put into the queue."""
        caller = Caller([self._draw(process) for _ in range(self.random.choice((1, 1, 1, 2, 3)))])
        process.callers.append(caller)
        self._ledger(process).queue.enqueue(caller)
        self._tell(process.name, "is asked", caller.commands)
        if self.random.randrange(2):
            self._lead(process)

    def _lead(self, process: Process) -> None:
        """Whoever leads takes the whole queue."""
        if not process.callers:
            return
        begun, process.forbearing = len(self.disk.commits), True
        try:
            self._ledger(process).queue.lead()
        finally:
            process.forbearing = False
        answered = [caller for caller in process.callers if caller.answered]
        process.callers = [caller for caller in process.callers if not caller.answered]
        self._hear(process, answered, begun)

    def _execute(self, process: Process) -> None:
        """One command by itself, which its caller may not wait for."""
        self._drain(process)
        caller, begun = Caller([self._draw(process)]), len(self.disk.commits)
        self._tell(process.name, "executes", caller.asked)
        try:
            caller.outcomes = [self._ledger(process).execute(caller.asked[0])]
        except (LogError, OutcomeUnknown) as error:
            caller.error = error
        self._hear(process, [caller], begun)

    def _intrude(self, process: Process) -> None:
        """A command that is hardly ever refused, so that whoever is overtaken by it must decide again."""
        self._drain(process)
        subscriber, plan = self.random.choice(self.market.harness.subscribers), self.customers.any_plan()
        self._tell(
            process.name, "gives", self._ledger(process).execute(Give(subscriber=subscriber, plan=plan, credits=1))
        )

    def _draw(self, process: Process) -> Command:
        at = max(process.clock(), self.oracle.books.at)
        command = self.customers.draw(self.oracle.books, at)
        self.customers.remember(command)
        return command

    def _hear(self, process: Process, callers: Sequence[Caller], begun: int) -> None:
        """What callers are told is held to the log."""
        written = self._written(process, begun)
        self.oracle.follow()
        for caller in callers:
            self._tell(process.name, "answers", caller.error or caller.outcomes)
            self.oracle.answered(caller, written)
            self._count(caller)
        self.oracle.refused(callers, written)
        errors = [caller.error for caller in callers]
        given_up = OutcomeUnknown if self.random.randrange(3) else Closed  # the store is closed from then on
        if any(isinstance(error, Closed | given_up) for error in errors):
            process.stop()

    def _written(self, process: Process, begun: int) -> list[Commit]:
        places = range(begun, len(self.disk.commits))
        return [self.disk.commits[place] for place in places if self.disk.writers[place] == process.name]

    def _count(self, caller: Caller) -> None:
        if caller.error is not None:
            self.failed[type(caller.error).__name__] += len(caller.commands)
        for command, outcome in zip(caller.asked, caller.outcomes, strict=False):
            self.commands[type(command).__name__] += 1
            if isinstance(outcome, Refused):
                self.refused[str(outcome.reason)] += 1

    def _drain(self, process: Process) -> None:
        """Whoever else uses the engine's queue would wait for those who are in it."""
        while process.callers:
            self._lead(process)

    # -- an engine's other uses ----------------------------------------------------------------------------------------

    def _restart(self, process: Process) -> None:
        """Closed in peace, and opened again."""
        self._drain(process)
        self._ledger(process).close()
        self._agrees(process, self._open(process))

    def _snapshot(self, process: Process) -> None:
        self._ledger(process).snapshot()
        self._tell(process.name, "saves a snapshot", "")

    def _read(self, process: Process) -> None:
        """The past, an account and a charge, read by the engine and worked out anew."""
        ledger, random = self._ledger(process), self.random
        seq = random.randint(0, len(self.oracle.entries))
        then = ledger.as_of(seq=seq)
        if not seq or self.oracle.ends(seq):
            books = refold(commit for commit in self.disk.commits if commit.last_seq <= seq)
            same = then.balances() == Reading(books, books.at).balances()
            require(same, "the past does not change", f"after {seq} balances are {then.balances()}")
        subscriber, plan = random.choice(self.market.harness.subscribers), self.customers.any_plan()
        told, balance = ledger.statement(subscriber, plan), ledger.balance(subscriber, plan)
        if told is not None and balance is not None:
            ends = (told.closing.available, told.closing.held, told.closing.spent)
            law = "a statement ends with the balance"
            require(ends == (balance.available, balance.held, balance.spent), law, f"{told.closing} and {balance}")
        if self.oracle.charges:
            explained = ledger.explain(random.choice(self.oracle.charges))
            right = explained is not None and explained.agrees
            require(right, "a charge can be explained", f"{explained}")

    def _project(self, process: Process) -> None:
        """The callers' projections go on from where they were."""
        for name, project in self._projections.items():
            after, state = self._projected[name]
            try:
                for entry in self._ledger(process).events(after):
                    state, after = self._fold(name, project, state, entry), entry.seq
            finally:
                self._projected[name] = after, state

    def _fold(self, name: str, project: Projection, state: object, entry: Entry) -> object:
        try:
            return project(state, entry)
        except Exception as error:
            raise Violated(f"the projection {name} takes every event", f"{entry}: {error!r}") from error

    def _check_projection(self, name: str) -> None:
        after, state = self._projected[name]
        again: object = None
        for entry in self.oracle.entries[:after]:
            again = self._fold(name, self._projections[name], again, entry)
        law = f"the projection {name} is the same from the beginning"
        require(bool(state == again), law, f"after {after} it is {state}, and folded anew {again}")

    # -- settling ------------------------------------------------------------------------------------------------------

    def _watch(self, process: Process) -> None:
        self._drain(process)
        self._tell(process.name, "takes in what the chain says", process.watcher.sync())

    def _open_batch(self, process: Process) -> None:
        self._drain(process)
        self._tell(process.name, "opens a batch", process.outbox.open(self.market.harness.asset))

    def _step_outbox(self, process: Process) -> None:
        self._drain(process)
        for _ in range(self.random.randint(1, 6)):
            step = process.outbox.step()
            self._tell(process.name, "steps its outbox", step.name)
            if step is Step.idle:
                return

    def _settle(self, process: Process) -> None:
        self._drain(process)
        settled = process.outbox.settle([self.market.harness.asset], pauses=range(self.random.randint(0, 12)))
        self._tell(process.name, "settles", settled)

    def _finish(self, process: Process) -> set[str]:
        """Take in what the chain says and settle until nothing is left; the ids of what the ledger has no room for."""
        untaken: Sequence[Untaken] = ()
        for _ in range(60):
            self.market.pass_time()
            untaken = process.watcher.sync()
            try:
                if not process.outbox.settle([self.market.harness.asset], pauses=range(60)):
                    break
            except SettlementStopped:
                self.market.cancel()  # as its hint says
        else:
            require(self.market.owing(), "all is settled in the end", "there is always one more batch")
        refused = [each for each in untaken if "it waits for" not in each.reason and "overflow" not in each.reason]
        require(not refused, "all that the chain says is taken in", f"{refused}")
        return {each.fact.id for each in untaken}

    # -- the chain and the clock ---------------------------------------------------------------------------------------

    def _buy(self) -> str:
        return self.market.buy(self.random)

    def _mine(self) -> str:
        return self.market.mine(self.random.randint(1, 4))

    def _leave_chain(self) -> str:
        market = self.market
        acts = (market.ask_to_leave, market.leave, market.leave, market.leave, market.claim)
        return self.random.choice(acts)(self.random)

    def _trouble(self) -> str:
        if self.faults.strikes("operator", 1):
            return self.market.trouble_the_operator(self.random)
        return "nothing happens"

    def _wait(self) -> None:
        """Nothing, or a little; to the very instant at which something is due, or one beside it; or for days."""
        random = self.random
        match random.randrange(8):
            case 0:
                self.now += 1
            case 1 | 2 | 3:
                self.now = max(self.now, self._instant() + random.randint(-1, 1))
            case 4 if random.randrange(6) == 0:
                self.now += random.choice((1, 2, 32)) * _DAY * SECOND + random.randint(-1, 1)
            case _:
                self.now += random.randint(0, 12) * SECOND
        if self.faults.strikes("clock", 8):
            process = random.choice(self.processes)
            process.skew = random.choice((0, -1, 1, -20 * SECOND, 5 * SECOND, 40 * SECOND))
        self._tell("time", "goes on", self.now)

    def _instant(self) -> int:
        """When the next thing is due on some account."""
        coming = [account.next_due for account in self.oracle.books.accounts.values() if account.next_due is not None]
        return self.random.choice(coming) if coming else self.now

    # -- small things --------------------------------------------------------------------------------------------------

    def _ledger(self, process: Process) -> Ledger:
        """The engine of a process. Raises Closed where it has just been given up."""
        if process.ledger is None:
            raise Closed("the process is not running")
        return process.ledger

    def _tell(self, who: str, does: str, what: object) -> None:
        self.trace.append((self.steps, who, does, what))


_CHAINS = ("buy", "mine", "leave_chain", "trouble")
