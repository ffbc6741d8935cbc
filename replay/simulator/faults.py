"""What can go wrong, by kind, and the die that says when.

Each run draws how often each kind strikes, often not at all: runs that differ in what they never do find more than runs
that always do a little of everything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from random import Random

from ledger.errors import BadData

KINDS: dict[str, str] = {
    "crash": "a process is gone between two calls to the disk or the chain, with its books and all who wait for it",
    "power": "all processes are gone at once, and what was written and not synced is lost, or not",
    "interrupt": "a caller is interrupted between two calls, and its process lives on",
    "write": "an append fails, and nothing was written",
    "unknown": "an append fails, it may have been done or not, and the store must be opened again",
    "space": "the disk is full for a while",
    "lock": "the log is locked by somebody else for too long",
    "read": "the log cannot be read, or only a part of it",
    "snapshot": "a snapshot is lost, or damaged so that it is not found, or is an older one",
    "overtake": "another process acts between two calls of this one; at times again and again",
    "clock": "a process's clock is set back, or runs ahead of the others",
    "node": "the chain cannot be asked, before the call or once it has done what it was asked",
    "send": "what is sent to the chain is lost, late or there twice, or no answer comes",
    "lie": "the chain tells of a receipt that is none, knows no finality, or refuses what it would take",
    "reorganise": "the chain replaces its last blocks",
    "operator": "the operator's nonce is stolen, fees rise, the guardian calls a batch off",
}
"""All kinds of faults."""

_LEVELS = (0, 0, 1, 1, 1, 4)
"""How much of its usual rate a kind has in a run, each as likely as the next."""


def chosen(words: str | Collection[str]) -> frozenset[str]:
    """The kinds that are named: `all`, `none`, or kinds, as one text with commas or as several. Raises BadData."""
    named = words.split(",") if isinstance(words, str) else list(words)
    if named == ["all"]:
        return frozenset(KINDS)
    if named in (["none"], []):
        return frozenset()
    if unknown := [name for name in named if name not in KINDS]:
        raise BadData(f"there is no fault {unknown[0]!r}", f"give all, none, or some of {', '.join(KINDS)}")
    return frozenset(named)


class Faults:
    """Says of each chance for a fault whether it strikes, and counts those that did.

    The die is cast for every kind alike, also for those that are left out, so that leaving one out changes as little
    of the run as can be.
    """

    def __init__(self, random: Random, kinds: frozenset[str]) -> None:
        self._random, self._kinds = random, kinds
        self._levels = {kind: random.choice(_LEVELS) for kind in KINDS}
        self.on = True
        self.struck: Counter[str] = Counter()

    def comes(self, kind: str, once_in: int) -> bool:
        """Whether a fault of the kind is to strike; it is, about once in so many times."""
        cast = self._random.randrange(once_in * 4)
        return self.on and kind in self._kinds and cast < 4 * self._levels[kind]

    def strikes(self, kind: str, once_in: int) -> bool:
        """Whether a fault of the kind strikes now."""
        comes = self.comes(kind, once_in)
        self.struck[kind] += comes
        return comes
