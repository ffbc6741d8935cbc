"""A process of the simulation: an engine, an outbox and a watcher, which may crash between any two calls.

There are no threads. Callers put their commands into the engine's own queue, and the random generator decides when the
leader takes it. Between two calls of a process to its disk or its chain, other processes may act.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias, TypeVar

from chains.mock import (
    Delay,
    Drop,
    Duplicate,
    Fault,
    Lie,
    MockChain,
    NoFinality,
    Refuse,
    SettleThenTimeOut,
    TimeOut,
)
from chains.outbox import Outbox
from chains.watcher import Watcher
from ledger.clock import Clock
from ledger.commands import Command, admit_all
from ledger.engine import Ledger
from ledger.errors import ChainUnavailable, Locked, NotWritten, SendUnknown
from ledger.log import Snapshot
from ledger.outcomes import Outcome
from ledger.plugins import Chain, Store
from ledger.settlement.messages import Attempt, Batch, ChainFact, Found, Standing

from .disk import DiskStore, Fate, Surroundings, unreadable
from .environment import Environment

MAX_SPACE_LENGTH = 12
"""The most appends that fail while the disk is full."""
_SOON, _LATER = (8, 40)
"""The most calls before a crash that was drawn."""

T = TypeVar("T")

Engine: TypeAlias = Callable[[Store, Clock], Ledger]
"""Makes the engine of a process, such as `Ledger` itself."""


class Crash(BaseException):
    """A process ends between two calls; with `power`, all do."""

    def __init__(self, power: bool) -> None:
        super().__init__("the power fails" if power else "the process is gone")
        self.power = power


class Interrupted(KeyboardInterrupt):
    """A caller is interrupted while it waits for its answer."""


class Caller:
    """A caller's commands in the queue, and their outcomes: a `ledger.queue.Ticket`."""

    def __init__(self, commands: Sequence[Command]) -> None:
        self.asked = commands
        self.commands: Sequence[object] = admit_all(commands)
        self.outcomes: list[Outcome | Exception] = []
        self.error: BaseException | None = None
        self.leads = False
        self.loop = None  # it belongs to no event loop, and is woken directly
        self.answered = False

    def wake(self, beside: Sequence[object] = ()) -> None:
        """Note that the outcomes are there."""
        self.answered = True

    def lead(self) -> None:
        """Note that it is the leader."""
        self.leads = True


class Process(Surroundings):
    """A process, running or not, and the faults of its disk and its chain."""

    def __init__(self, environment: Environment, name: str) -> None:
        self._environment, self.name = environment, name
        self.skew = 0
        self.busy = False
        self.callers: list[Caller] = []
        self.doomed: tuple[int, bool] | None = None
        self.uninterrupted = False  # while it leads: an interrupt would be for a caller that is not on the stack
        self.ledger: Ledger | None = None
        self.outbox: Outbox
        self.watcher: Watcher

    def clock(self) -> int:
        """Return this process's time, in UTC microseconds."""
        return self._environment.now + self.skew

    def open(self, engine: Engine, chain: Chain, confirmations: int | None) -> Ledger:
        """Start, or restart. Raises LedgerError where the log cannot be read."""
        self.stop()
        ledger = engine(DiskStore(self._environment.disk, self.name, self), self.clock)
        asked = AskedChain(chain, self)
        self.outbox, self.watcher = Outbox(ledger, asked), Watcher(ledger, asked, confirmations=confirmations)
        self.ledger = ledger
        return ledger

    def stop(self) -> None:
        """End, with all state lost; waiting callers get no answer."""
        self.ledger, self.callers, self.doomed = None, [], None

    def doom(self, power: bool) -> None:
        """Schedule a crash, in a few calls of this action."""
        random = self._environment.random
        self.doomed = (random.randrange(random.choice((_SOON, _LATER))), power)

    # -- faults of its store ------------------------------------------------------------------------------------------

    def before(self, call: str) -> None:
        """Strike before a call to the disk. Raises LogError, Crash or Interrupted."""
        self._interrupt_or_crash()
        strikes = self._environment.faults.strikes
        if call in ("append", "hold") and strikes("lock", 60):
            raise Locked("the simulated log is locked")
        if call == "append":
            self._environment.overtake()
            if strikes("space", 300):
                self._environment.full = self._environment.random.randint(1, MAX_SPACE_LENGTH)
        if call in ("append", "save_snapshot", "save_keys") and self._environment.full:
            self._environment.full -= 1
            raise NotWritten("the simulated disk is full")
        if call in ("read", "head", "load_snapshot", "keys_end", "find_key") and strikes("read", 300):
            raise unreadable()

    def after(self, call: str) -> None:
        """Strike after an append, or after a snapshot was saved."""
        if call == "save_snapshot" and self._environment.faults.strikes("snapshot", 6):
            self._environment.disk.snapshots[-1].damaged = True
        self._interrupt_or_crash()

    def fate(self) -> Fate:
        """Draw the outcome of an append."""
        if self._environment.faults.strikes("write", 60):
            return Fate.failed
        if self._environment.faults.strikes("unknown", 60):
            return Fate.unknown_done if self._environment.random.randrange(2) else Fate.unknown_failed
        return Fate.done

    def written(self) -> None:
        """Crash between the write and the sync, where one is scheduled."""
        self._crash_if_due()

    def reading(self) -> None:
        """Fail to read one more commit, now and then."""
        if self._environment.faults.strikes("read", 3_000):
            raise unreadable()

    def finds(self, snapshots: list[Snapshot]) -> Snapshot | None:
        """Return the latest, an older one, or none."""
        if snapshots and self._environment.faults.strikes("snapshot", 6):
            snapshots = snapshots[: self._environment.random.randrange(len(snapshots))]
        return super().finds(snapshots)

    def loses_keys(self) -> bool:
        """Lose the stored keys, now and then."""
        return self._environment.faults.strikes("snapshot", 60)

    # -- between any two calls -----------------------------------------------------------------------------------------

    def _interrupt_or_crash(self) -> None:
        self._crash_if_due()
        if not self.uninterrupted and self._environment.faults.strikes("interrupt", 300):
            raise Interrupted

    def _crash_if_due(self) -> None:
        if self.doomed is None:
            return
        left, power = self.doomed
        self.doomed = (left - 1, power)
        if left <= 0:
            self._environment.faults.struck["power" if power else "crash"] += 1
            raise Crash(power)

    # -- what its chain does -------------------------------------------------------------------------------------------

    def asks(self, call: str, chain: Chain) -> None:
        """Strike before a call to the chain. Raises ChainUnavailable, Crash or Interrupted."""
        self._interrupt_or_crash()
        strikes = self._environment.faults.strikes
        self._environment.overtake(seldom=True)
        if strikes("reorganise", 40):
            self._environment.market.reorganise(self._environment.random)
        if isinstance(chain, MockChain):
            chain.script(*self._faults_of(call))
        if strikes("node", 60):
            raise ChainUnavailable("the simulated node is down")

    def heard(self, call: str) -> None:
        """Strike after a call to the chain: its answer is lost. Raises ChainUnavailable or SendUnknown."""
        if self._environment.faults.strikes("node", 120):
            raise SendUnknown("no answer came") if call == "send" else ChainUnavailable("the answer was lost")
        self._interrupt_or_crash()

    def _faults_of(self, call: str) -> Iterator[Fault]:
        """Yield a mock chain's faults in this call."""
        strikes, random = self._environment.faults.strikes, self._environment.random
        if call == "send" and strikes("send", 4):
            late, twice = Delay(blocks=random.randint(0, 3)), Duplicate(blocks=random.randint(0, 3))
            yield random.choice((Drop(), late, SettleThenTimeOut(), TimeOut(), twice))
        if call == "simulate" and strikes("lie", 20):
            yield Refuse(on="simulate")
        if call in ("find", "confirm") and strikes("lie", 60):
            yield Lie(on="find" if call == "find" else "confirm")
        if call in ("facts", "final_block", "find", "confirm") and strikes("lie", 60):
            yield NoFinality(calls=1)


class AskedChain:
    """A chain as one process calls it: faults may strike before and after each call."""

    def __init__(self, chain: Chain, process: Process) -> None:
        self._chain, self._process = chain, process

    @property
    def name(self) -> str:
        """The chain's CAIP-2 name."""
        return self._chain.name

    @property
    def contract(self) -> str:
        """The contract there."""
        return self._chain.contract

    def facts(self, after: int = 0, confirmations: int | None = None) -> Sequence[ChainFact]:
        """Return purchases and exits."""
        return self._ask("facts", lambda: list(self._chain.facts(after, confirmations)))

    def final_block(self) -> int:
        """Return the last final block."""
        return self._ask("final_block", self._chain.final_block)

    def simulate(self, batch: Batch) -> str | None:
        """Return why the contract would refuse a batch; None if it would not."""
        return self._ask("simulate", lambda: self._chain.simulate(batch))

    def prepare(self, batch: Batch, attempts: Sequence[Attempt]) -> Attempt | None:
        """Return the batch's next attempt."""
        return self._ask("prepare", lambda: self._chain.prepare(batch, attempts))

    def send(self, attempt: Attempt) -> None:
        """Broadcast an attempt."""
        self._ask("send", lambda: self._chain.send(attempt))

    def find(self, number: int) -> Found:
        """Return what the chain has under a batch's number."""
        return self._ask("find", lambda: self._chain.find(number))

    def confirm(self, attempt: Attempt) -> Standing:
        """Return the standing of an attempt's transaction."""
        return self._ask("confirm", lambda: self._chain.confirm(attempt))

    def published(self, number: int) -> bytes | None:
        """Return a batch's published leaf file."""
        return self._ask("published", lambda: self._chain.published(number))

    def due(self, receiver: str, asset: str) -> int:
        """Return the amount due to a receiver."""
        return self._ask("due", lambda: self._chain.due(receiver, asset))

    def claimed(self, receiver: str, asset: str) -> int:
        """Return the amount that a receiver has claimed."""
        return self._ask("claimed", lambda: self._chain.claimed(receiver, asset))

    def escrow(self, asset: str) -> int:
        """Return the money in escrow for subscribers."""
        return self._ask("escrow", lambda: self._chain.escrow(asset))

    def holdings(self, asset: str) -> int:
        """Return the contract's balance."""
        return self._ask("holdings", lambda: self._chain.holdings(asset))

    def pause(self) -> None:
        """Wait as the chain does."""
        self._ask("pause", self._chain.pause)

    def close(self) -> None:
        """Do nothing: the chain is shared by all processes."""

    def _ask(self, call: str, do: Callable[[], T]) -> T:
        self._process.asks(call, self._chain)
        answer = do()
        self._process.heard(call)
        return answer
