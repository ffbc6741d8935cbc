"""The work behind a request: what it uses and how long it takes, and what a service can guess of that beforehand."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from ledger.amounts import MAX_CREDITS, SECOND
from replay.workload.traces import Row

MAX_LENGTH = 600 * SECOND
"""No request takes longer, whatever a trace says of it."""

_BEFORE_THE_FIRST_TOKEN = SECOND // 5
_OUTPUT_TOKEN = SECOND // 50
_FIRST_GUESS = 256


class Work(NamedTuple):
    """What a request came to: its usage, and how many microseconds it took."""

    usage: dict[str, int]
    duration: int


def work_of(row: Row) -> Work:
    """A row's usage with `calls` and `seconds` beside its tokens, so that every policy finds something to price.

    50 output tokens take a second; a row that says its own `seconds` or `calls` is believed.
    """
    seconds = row.usage.get("seconds")
    if seconds is None:
        duration = _BEFORE_THE_FIRST_TOKEN + row.usage.get("output_tokens", 0) * _OUTPUT_TOKEN
    else:
        duration = max(_BEFORE_THE_FIRST_TOKEN, seconds * SECOND)
    duration = min(duration, MAX_LENGTH)
    return Work({"calls": 1, "seconds": -(-duration // SECOND), **row.usage}, duration)


def known_after(dimension: str) -> bool:
    """Whether a dimension is known only when the work is done; the rest is known when it is asked for."""
    return dimension == "seconds" or dimension.endswith("output_tokens")


def first_half(usage: dict[str, int]) -> dict[str, int]:
    """What a service reports half-way: all that was known before, and half of what the work brings about."""
    return {name: units // 2 if known_after(name) else units for name, units in usage.items()}


class Guess:
    """What a service expects of a request: what is known before, and the mean so far, per model, of what is not."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str | None, str], tuple[int, int]] = defaultdict(lambda: (0, 0))

    def estimate(self, row: Row) -> dict[str, int]:
        """The usage with which a request asks to be admitted."""
        return {
            name: self._mean(row.model, name) if known_after(name) else units
            for name, units in work_of(row).usage.items()
        }

    def learn(self, row: Row, usage: dict[str, int]) -> None:
        """Take what a request really used into the means."""
        for name, units in usage.items():
            if known_after(name):
                number, total = self._seen[row.model, name]
                self._seen[row.model, name] = (number + 1, total + units)

    def _mean(self, model: str | None, name: str) -> int:
        number, total = self._seen[model, name]
        if number:
            return min(-(-total // number), MAX_CREDITS)
        return _FIRST_GUESS if name != "seconds" else _FIRST_GUESS * _OUTPUT_TOKEN // SECOND
