"""The environment of a run, which its processes share: random generator, time, faults, disk and chain."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Sequence
from random import Random

from chains.testing import Harness
from ledger.amounts import SECOND
from ledger.commands import Command
from ledger.refusals import Refused

from .disk import Disk
from .faults import Faults
from .market import Market

BEGIN = 1_701_388_680 * SECOND
"""2023-11-30, two minutes before the end of a month."""

_TRACED = 30


class Environment(ABC):
    """The state of a run: `now` in UTC microseconds, `full` the appends that still fail since the disk is full.

    `trace` has the last actions; the counters are those of `SimulationReport`.
    """

    def __init__(self, seed: int, faults: frozenset[str], harness: Callable[[Random], Harness]) -> None:
        self.random = Random(seed)
        self.now, self.full, self.steps = BEGIN, 0, 0
        self.disk = Disk(f"simulation {seed}")
        self.faults = Faults(self.random, faults)
        self.market = Market(harness(self.random))
        self.trace: deque[tuple[int, str, str, object]] = deque(maxlen=_TRACED)
        self.actions: Counter[str] = Counter()
        self.commands: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.unheard = self.restarts = 0

    @abstractmethod
    def overtake(self, seldom: bool = False) -> None:
        """Let another process act between two calls of a process, now and then."""

    def note(self, subject: str, action: str, result: object) -> None:
        """Add a line to the trace."""
        self.trace.append((self.steps, subject, action, result))

    def count(self, commands: Sequence[Command], outcomes: Sequence[object], error: BaseException | None) -> None:
        """Count a caller's commands by their outcomes."""
        if error is not None:
            self.failed[type(error).__name__] += len(commands)
        for command, outcome in zip(commands, outcomes, strict=False):
            self.commands[type(command).__name__] += 1
            if isinstance(outcome, Refused):
                self.refused[str(outcome.reason)] += 1
