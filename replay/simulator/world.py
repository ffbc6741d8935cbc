"""The world of one run: a random generator, a clock, a disk and a chain, and the processes that share them."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from random import Random

from chains.outbox import Step
from chains.testing import Harness
from ledger.amounts import SECOND
from ledger.commands import Command, CreatePlan, Give, RegisterAgent
from ledger.engine import Ledger
from ledger.errors import (
    ChainUnavailable,
    Closed,
    LogError,
    OutcomeUnknown,
    SendUnknown,
    SettlementStopped,
)
from ledger.log import Commit
from ledger.refusals import PaymentRequired, Reason

from .customers import Customers
from .environment import Environment
from .finish import finish
from .laws import DECLARED_ERRORS_ONLY, Violated, require
from .oracle import Oracle
from .payers import Payers
from .process import Caller, Crash, Engine, Interrupted, Process
from .reads import Projection, Projections, check_explanation, check_past, check_statement

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
"""The kinds of steps, with the relative frequency of each."""

_DAY = 86_400


class World(Environment):
    """One run: `begin`, any number of `step`s, `end`. All raise Violated where a law does not hold."""

    def __init__(
        self,
        seed: int,
        *,
        faults: frozenset[str],
        harness: Callable[[Random], Harness],
        engine: Engine,
        projections: Mapping[str, Projection],
    ) -> None:
        super().__init__(seed, faults, harness)
        self.oracle = Oracle(self.disk, self.market)
        self.processes = [Process(self, name) for name in NAMES[: self.random.randint(1, len(NAMES))]]
        self._engine, self._projections = engine, Projections(projections)
        self._confirmations = self.random.choice((None, None, None, 0, 1))
        weights = {kind: weight * self.random.choice((0, 1, 1, 2)) for kind, weight in ACTIONS.items()}
        weights |= {kind: ACTIONS[kind] for kind in ("ask", "lead")}
        self._kinds = [kind for kind, weight in weights.items() for _ in range(weight)]
        self._depth = self._overtakings = 0

    # -- beginning, steps, end -----------------------------------------------------------------------------------------

    def begin(self, plans: Sequence[CreatePlan]) -> None:
        """Create the plans, and buy some of them. Raises PaymentRequired for a plan that the ledger refuses."""
        self.faults.on = False
        ledger = self._open(self.processes[0])
        for plan in plans:
            ledger.execute(plan).unwrap()
        ledger.execute(RegisterAgent(agent="bot", owner="acme", plans=(plans[0].plan,))).unwrap()
        for plan in plans:
            if plan.onchain_id and plan.asset == self.market.harness.asset:
                credits = min(int(plan.credits), 60)
                self.market.sell(self.random, plan.onchain_id, credits, 0 if credits else plan.seconds or 30)
        names, subscribers = [plan.plan for plan in plans], self.market.harness.subscribers
        self.payers = Payers(self.random, subscribers, plans)
        for command in self.payers.first():
            ledger.execute(command)
        self.customers = Customers(self.random, subscribers, names, self.oracle.charges, self.payers)
        for _ in range(2 * len(plans)):
            self._buy()
        self.market.pass_time()
        self._watch(self.processes[0])
        self.oracle.follow()
        self.faults.on = True

    def step(self) -> None:
        """Do one action, and check everything."""
        self.steps += 1
        kind = self.random.choice(self._kinds)
        self.actions[kind] += 1
        process = self.random.choice(self.processes)
        if kind in _CHAINS:
            self.note("the chain", kind, getattr(self, f"_{kind}")())
        elif kind == "wait":
            self._wait()
        else:
            self._attempt(process, kind)
        self._check()

    def end(self) -> None:
        """Stop the faults, finish what was begun, and check the whole log."""
        self.faults.on, self.full = False, 0
        self.steps += 1
        for process in self.processes:
            if process.ledger is not None:
                self._drain(process)
            process.stop()
        process = self.processes[0]
        self.market.calm()
        ledger = self._open(process)
        rejected = finish(self.market, process.watcher, process.outbox)
        self.oracle.follow()
        self.oracle.money()
        if not self.market.owing():
            self.oracle.all_is_settled(ledger, process.outbox)
        self.oracle.agrees(ledger, process.name)
        ledger.snapshot()
        self.oracle.is_kept()
        self.oracle.agrees(self._open(process), "an engine that was opened again")
        self._project(process)
        self._projections.check(self.oracle.entries)
        self.oracle.is_clean(rejected)
        process.stop()

    # -- an action of a process, which may fail on the way ---------------------------------------------------------

    def overtake(self, seldom: bool = False) -> None:
        """Let another process act between two calls of a process, now and then: once, or several times in a row."""
        strikes = self.faults.strikes("overtake", 80 if seldom else 12)
        if strikes and self.random.randrange(3) == 0:
            self._overtakings = self.random.randint(2, 5)
        if self._overtakings:
            self._overtakings -= 1
            strikes = True
        others = [other for other in self.processes if other.ledger is not None and not other.busy]
        if not strikes or not self.faults.on or self._depth or not others:
            return
        self._depth += 1
        try:
            kinds = ("intrude",) if self._overtakings else ("ask", "lead", "execute", "execute", "step_outbox", "watch")
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
            self._crash(process, crash)
            if crash.power and self._depth:
                raise
        except Interrupted:
            self.note(process.name, kind, "was interrupted")
        except (OutcomeUnknown, Closed) as error:
            self.note(process.name, kind, error)
            process.stop()
        except (LogError, ChainUnavailable, SendUnknown, SettlementStopped, PaymentRequired) as error:
            self.note(process.name, kind, error)
            self._check_declared(error)
        except Violated:
            raise
        except Exception as error:
            raise Violated(DECLARED_ERRORS_ONLY, traceback.format_exc()) from error
        finally:
            process.busy, process.doomed = False, None

    def _check_declared(self, error: Exception) -> None:
        refused = error.refused.reason if isinstance(error, PaymentRequired) else None
        require(refused in (None, Reason.batch_open), DECLARED_ERRORS_ONLY, repr(error))

    def _crash(self, process: Process, crash: Crash) -> None:
        self.note(process.name, "crashes", crash)
        for crashed in self.processes if crash.power else [process]:
            self.unheard += len(crashed.callers)
            crashed.stop()
        if crash.power:
            self.disk.cut_power(self.random)
        else:
            self.disk.drop_unfinished(self.random)

    def _open(self, process: Process) -> Ledger:
        self.restarts += 1
        self.note(process.name, "opens", "")
        return process.open(self._engine, self.market.connect(), self._confirmations)

    def _check(self) -> None:
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
        """Put a caller's commands into the queue."""
        caller = Caller([self._draw(process) for _ in range(self.random.choice((1, 1, 1, 2, 3)))])
        process.callers.append(caller)
        self._ledger(process).queue.enqueue(caller)
        self.note(process.name, "queues", caller.commands)
        if self.random.randrange(2):
            self._lead(process)

    def _lead(self, process: Process) -> None:
        """Let the leader take the whole queue."""
        if not process.callers:
            return
        begun, process.uninterrupted = len(self.disk.commits), True
        try:
            self._ledger(process).queue.lead()
        finally:
            process.uninterrupted = False
        answered = [caller for caller in process.callers if caller.answered]
        process.callers = [caller for caller in process.callers if not caller.answered]
        self._answer(process, answered, begun)

    def _execute(self, process: Process) -> None:
        """Execute one command, whose caller may be interrupted."""
        self._drain(process)
        caller, begun = Caller([self._draw(process)]), len(self.disk.commits)
        self.note(process.name, "executes", caller.asked)
        try:
            caller.outcomes = [self._ledger(process).execute(caller.asked[0])]
        except (LogError, OutcomeUnknown) as error:
            caller.error = error
        self._answer(process, [caller], begun)

    def _intrude(self, process: Process) -> None:
        """Execute a command that is hardly ever refused, so that another process loses the race and decides again."""
        self._drain(process)
        subscriber, plan = self.random.choice(self.market.harness.subscribers), self.customers.any_plan()
        self.note(
            process.name, "gives", self._ledger(process).execute(Give(subscriber=subscriber, plan=plan, credits=1))
        )

    def _draw(self, process: Process) -> Command:
        at = max(process.clock(), self.oracle.books.at)
        command = self.customers.draw(self.oracle.books, at)
        self.customers.remember(command)
        return command

    def _answer(self, process: Process, callers: Sequence[Caller], begun: int) -> None:
        """Check the callers' outcomes against the log."""
        written = self._written(process, begun)
        self.oracle.follow()
        for caller in callers:
            self.note(process.name, "answers", caller.error or caller.outcomes)
            self.oracle.answered(caller, written)
            self.count(caller.asked, caller.outcomes, caller.error)
        self.oracle.refused(callers, written)
        errors = [caller.error for caller in callers]
        restarts_on = OutcomeUnknown if self.random.randrange(3) else Closed  # the store is closed from then on
        if any(isinstance(error, Closed | restarts_on) for error in errors):
            process.stop()

    def _written(self, process: Process, begun: int) -> list[Commit]:
        numbers = range(begun, len(self.disk.commits))
        return [self.disk.commits[number] for number in numbers if self.disk.writers[number] == process.name]

    def _drain(self, process: Process) -> None:
        """Answer the callers in the queue: any other use of the engine would wait for them."""
        while process.callers:
            self._lead(process)

    # -- other uses of an engine ---------------------------------------------------------------------------------------

    def _restart(self, process: Process) -> None:
        """Close the engine, and open it again."""
        self._drain(process)
        self._ledger(process).close()
        self._agrees(process, self._open(process))

    def _snapshot(self, process: Process) -> None:
        self._ledger(process).snapshot()
        self.note(process.name, "saves a snapshot", "")

    def _read(self, process: Process) -> None:
        """Read the past, an account and a charge, and check them."""
        ledger, random = self._ledger(process), self.random
        seq = random.randint(0, len(self.oracle.entries))
        if not seq or self.oracle.ends(seq):
            check_past(ledger, self.disk.commits, seq)
        else:
            ledger.as_of(seq=seq)
        check_statement(ledger, random.choice(self.market.harness.subscribers), self.customers.any_plan())
        check_explanation(ledger, self.oracle.charges, random)

    def _project(self, process: Process) -> None:
        self._projections.advance(self._ledger(process))

    # -- settling ------------------------------------------------------------------------------------------------------

    def _watch(self, process: Process) -> None:
        self._drain(process)
        self.note(process.name, "imports chain facts", process.watcher.sync())

    def _open_batch(self, process: Process) -> None:
        self._drain(process)
        self.note(process.name, "opens a batch", process.outbox.open(self.market.harness.asset))

    def _step_outbox(self, process: Process) -> None:
        self._drain(process)
        for _ in range(self.random.randint(1, 6)):
            step = process.outbox.step()
            self.note(process.name, "steps its outbox", step.name)
            if step is Step.idle:
                return

    def _settle(self, process: Process) -> None:
        self._drain(process)
        settled = process.outbox.settle([self.market.harness.asset], pauses=range(self.random.randint(0, 12)))
        self.note(process.name, "settles", settled)

    # -- the chain and the clock ---------------------------------------------------------------------------------------

    def _buy(self) -> str:
        return self.market.buy(self.random)

    def _mine(self) -> str:
        return self.market.mine(self.random.randint(1, 4))

    def _leave_chain(self) -> str:
        return self.market.leave_or_claim(self.random)

    def _trouble(self) -> str:
        if self.faults.strikes("operator", 1):
            return self.market.trouble_the_operator(self.random)
        return "nothing"

    def _wait(self) -> None:
        """Advance the time: by seconds, by days, or to an instant at which something is due, give or take 1 µs."""
        random = self.random
        match random.randrange(8):
            case 0:
                self.now += 1
            case 1 | 2 | 3:
                coming = self.oracle.instants()
                instant = random.choice(coming) if coming else self.now
                self.now = max(self.now, instant + random.randint(-1, 1))
            case 4 if self.payers.wait or random.randrange(6) == 0:
                self.now += random.choice((1, 2, 32)) * _DAY * SECOND + random.randint(-1, 1)
            case _:
                self.now += random.randint(0, 12) * SECOND
        if self.faults.strikes("clock", 8):
            process = random.choice(self.processes)
            process.skew = random.choice((0, -1, 1, -20 * SECOND, 5 * SECOND, 40 * SECOND))
        self.note("time", "advances", self.now)

    # -- helpers --------------------------------------------------------------------------------------------------

    def _ledger(self, process: Process) -> Ledger:
        """Return the engine of a process. Raises Closed where it was stopped."""
        if process.ledger is None:
            raise Closed("the process is not running")
        return process.ledger


_CHAINS = ("buy", "mine", "leave_chain", "trouble")
