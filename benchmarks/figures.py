"""Figures: a subject beside its floors and peers, with its aim."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from .rounds import Contender, Times, in_rounds, never_missing


@dataclass(frozen=True)
class Aim:
    """The aim of a comparison: the subject is at least `least` times as fast as `other`; `words` is its text."""

    other: str
    least: float
    words: str


@dataclass(frozen=True)
class Limit:
    """The upper limit of a quantity; `words` is its text."""

    most: float
    words: str


@dataclass(frozen=True)
class Comparison:
    """A subject that does `operations` of one kind (`unit`), beside others that do the same."""

    name: str
    title: str
    unit: str
    operations: int
    subject: Contender
    others: tuple[Contender, ...]
    aims: tuple[Aim, ...] = ()
    limit: Limit | None = None
    """An upper limit of the seconds of one operation."""

    @property
    def contenders(self) -> tuple[Contender, ...]:
        """The subject and the others."""
        return (self.subject, *self.others)

    def measure(self, folder: Path, rounds: int) -> list[Row]:
        """Time all contenders; return a row for the subject beside each of the others."""
        times = in_rounds(self.contenders, rounds, folder)
        if self.subject.name in times.skipped:
            return [Row(self.name, self.title, self.unit, skipped=times.skipped[self.subject.name])]
        return [self._row(times, other) for other in self.others] or [self._alone(times)]

    def _alone(self, times: Times) -> Row:
        each = times.median(self.subject.name) / self.operations
        row = Row(self.name, self.title, self.unit, value=each, spread=_spread(times.seconds[self.subject.name]))
        if self.limit is not None:
            row.aim, row.reached = self.limit.words, each < self.limit.most
        return row

    def _row(self, times: Times, other: Contender) -> Row:
        row = self._alone(times)
        row.other = other.name
        if other.name in times.skipped:
            row.skipped = times.skipped[other.name]
            return row
        row.other_value = times.median(other.name) / self.operations
        ratios = times.ratios(self.subject.name, other.name)
        row.ratio, row.ratios = median(ratios), (ratios[0], ratios[-1])
        for aim in self.aims:
            if aim.other == other.name:
                row.aim, row.reached = aim.words, row.ratio >= aim.least
        return row


@dataclass(frozen=True)
class Quantity:
    """A quantity that is counted, not timed: bytes. `measure_once` also checks the thing that it counts."""

    name: str
    title: str
    unit: str
    measure_once: Callable[[Path], float]
    limit: Limit | None = None
    missing: Callable[[], str | None] = never_missing

    def measure(self, folder: Path, rounds: int) -> list[Row]:
        """Count it once: it does not vary."""
        if (missing := self.missing()) is not None:
            return [Row(self.name, self.title, self.unit, skipped=missing)]
        row = Row(self.name, self.title, self.unit, value=self.measure_once(folder), counted=True)
        if self.limit is not None:
            row.aim, row.reached = self.limit.words, row.value <= self.limit.most
        return [row]


@dataclass
class Row:
    """A figure beside one other. `value` is the seconds of one operation, or what was counted; ratios are how many
    times as fast the subject was as the other: the median, and the lowest and highest of all rounds."""

    name: str
    title: str
    unit: str
    value: float = 0
    spread: float = 0
    other: str = ""
    other_value: float = 0
    ratio: float = 0
    ratios: tuple[float, float] = (0, 0)
    aim: str = ""
    reached: bool | None = None
    skipped: str = ""
    failed: str = ""
    counted: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the row as JSON; fields that do not apply are left out."""
        fields = {name: value for name, value in vars(self).items() if value not in ("", 0, None, (0, 0))}
        return fields if self.reached is None else fields | {"reached": self.reached}


def _spread(seconds: Sequence[float]) -> float:
    """Return the difference between the slowest and the fastest round, as a part of the median."""
    return (max(seconds) - min(seconds)) / median(seconds)
