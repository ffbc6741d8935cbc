"""Faults by kind, and the random generator that decides when they strike.

Each run draws the frequency of each kind, often zero: runs that leave out different things find more than runs that do
a little of everything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from random import Random

from ledger.errors import BadData

KINDS: dict[str, str] = {
    "crash": "a process crashes between two calls to the disk or the chain; its books and waiting callers are lost",
    "power": "all processes crash in one instant, and commits that are not synced may be lost",
    "interrupt": "a caller is interrupted between two calls, and its process lives on",
    "write": "an append fails, and nothing was written",
    "unknown": "an append fails, it may have been done or not, and the store must be opened again",
    "space": "the disk is full for a while",
    "lock": "the log is locked by another process for too long",
    "read": "the log cannot be read, or only a part of it",
    "snapshot": "a snapshot is lost, damaged, or an older one",
    "overtake": "another process acts between two calls of this one, at times several times in a row",
    "clock": "a process's clock is set back, or runs ahead of the others",
    "node": "the chain does not answer: before a call, or after it did what was asked",
    "send": "a transaction is lost, late or duplicated, or its sending gets no answer",
    "lie": "the chain gives a false receipt, no final block, or a false refusal",
    "reorganise": "the chain replaces its last blocks",
    "operator": "the operator's nonce is used, fees rise, the guardian cancels a batch",
}
"""All kinds of faults."""

_LEVELS = (0, 0, 1, 1, 1, 4)
"""A kind's rate in a run, as a multiple of its usual rate; each is equally likely."""


def chosen(words: str | Collection[str]) -> frozenset[str]:
    """Return the named kinds: `all`, `none`, or kinds, in one comma-separated text or several. Raises BadData."""
    named = words.split(",") if isinstance(words, str) else list(words)
    if named == ["all"]:
        return frozenset(KINDS)
    if named in (["none"], []):
        return frozenset()
    if unknown := [name for name in named if name not in KINDS]:
        raise BadData(f"there is no fault {unknown[0]!r}", f"give all, none, or some of {', '.join(KINDS)}")
    return frozenset(named)


class Faults:
    """Draws at each opportunity whether a fault strikes, and counts those that did.

    A number is drawn for excluded kinds as well, so that excluding one changes as little of the run as possible.
    """

    def __init__(self, random: Random, kinds: frozenset[str]) -> None:
        self._random, self._kinds = random, kinds
        self._levels = {kind: random.choice(_LEVELS) for kind in KINDS}
        self.on = True
        self.struck: Counter[str] = Counter()

    def comes(self, kind: str, once_in: int) -> bool:
        """True about once in so many calls: a fault of the kind is to be scheduled."""
        drawn = self._random.randrange(once_in * 4)
        return self.on and kind in self._kinds and drawn < 4 * self._levels[kind]

    def strikes(self, kind: str, once_in: int) -> bool:
        """True about once in so many calls, and counted: a fault of the kind strikes now."""
        comes = self.comes(kind, once_in)
        self.struck[kind] += comes
        return comes
