"""Contenders that do the same work, timed in rounds: subject, floor, peer; subject, floor, peer; …

A machine's speed changes from minute to minute, so a figure is a ratio of two times of the same round: the
median of those ratios is reported, with the lowest and the highest. Every contender gets a fresh folder on the same
disk, and its answer is checked each time: a faster wrong answer is no figure.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import NamedTuple


class Trial(NamedTuple):
    """One contender that is prepared. `work` is timed, unless it returns the seconds that it measured itself; `answer`
    is called afterwards."""

    work: Callable[[], float | None]
    answer: Callable[[], object]


class WrongAnswer(AssertionError):
    """A contender did the work, and its answer is wrong."""


def never_missing() -> str | None:
    """Return None: the contender runs anywhere."""
    return None


@dataclass(frozen=True)
class Contender:
    """An implementation of the work. `prepare` makes a trial in an empty folder; `missing` returns a sentence that
    names what this machine lacks for it, or None."""

    name: str
    prepare: Callable[[Path], AbstractContextManager[Trial]]
    expected: Callable[[], object]
    missing: Callable[[], str | None] = never_missing


@dataclass
class Times:
    """The seconds of each contender by name, one a round, and the reasons why contenders were skipped."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def median(self, name: str) -> float:
        """Return the median seconds of a contender."""
        return median(self.seconds[name])

    def ratios(self, name: str, other: str) -> list[float]:
        """Return, for each round, how many times as fast as `other` the contender `name` was; lowest first."""
        return sorted(theirs / ours for ours, theirs in zip(self.seconds[name], self.seconds[other], strict=True))


def run_once(contender: Contender, folder: Path) -> float:
    """Run a contender in that empty folder; return its seconds. Raises WrongAnswer."""
    with contender.prepare(folder) as trial:
        gc.collect()
        begun = time.perf_counter()
        own_seconds = trial.work()
        seconds = time.perf_counter() - begun if own_seconds is None else own_seconds
        if (answer := trial.answer()) != (expected := contender.expected()):
            raise WrongAnswer(f"{contender.name} came to {answer}, and the work comes to {expected}")
    return seconds


def in_rounds(contenders: Sequence[Contender], rounds: int, folder: Path) -> Times:
    """Time all contenders in turn, `rounds` times; every second round goes backwards, so that none is always first."""
    times = Times()
    for contender in contenders:
        if (missing := contender.missing()) is not None:
            times.skipped[contender.name] = missing
    present = [contender for contender in contenders if contender.name not in times.skipped]
    for number in range(rounds):
        for contender in present if number % 2 == 0 else reversed(present):
            with tempfile.TemporaryDirectory(dir=folder) as fresh:
                times.seconds.setdefault(contender.name, []).append(run_once(contender, Path(fresh)))
    return times
