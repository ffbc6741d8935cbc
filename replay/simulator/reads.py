"""Reads that are checked against the whole log: the past, an account's statement, an explanation, and projections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Any, TypeAlias

from ledger.engine import Ledger
from ledger.folding import refold
from ledger.log import Commit, Entry
from ledger.readings import Reading

from .laws import Violated, require

Projection: TypeAlias = Callable[[Any, Entry], Any]
"""Folds one entry into a state, which is None at first, and returns the new state."""


def check_past(ledger: Ledger, commits: Iterable[Commit], seq: int) -> None:
    """Raise Violated where the balances after `seq`, a commit's last sequence, are not those of the log up to it."""
    then = ledger.as_of(seq=seq)
    books = refold(commit for commit in commits if commit.last_seq <= seq)
    same = then.balances() == Reading(books, books.at).balances()
    require(same, "the past does not change", f"after {seq} balances are {then.balances()}")


def check_statement(ledger: Ledger, subscriber: str, plan: str) -> None:
    """Raise Violated where an account's statement and its balance differ."""
    statement, balance = ledger.statement(subscriber, plan), ledger.balance(subscriber, plan)
    if statement is None or balance is None:
        return
    closing = statement.closing
    same = (closing.available, closing.held, closing.spent) == (balance.available, balance.held, balance.spent)
    require(same, "a statement ends with the balance", f"{closing} and {balance}")


def check_explanation(ledger: Ledger, charges: Sequence[int], random: Random) -> None:
    """Raise Violated where a charge's explanation does not give its price."""
    if charges:
        explained = ledger.explain(random.choice(charges))
        agrees = explained is not None and explained.agrees is True
        require(agrees, "a charge can be explained", f"{explained}")


class Projections:
    """The user's projections: each advances at random from its last state, and is compared with a fold from the start
    of the log."""

    def __init__(self, projections: Mapping[str, Projection]) -> None:
        self._projections = dict(projections)
        self._states: dict[str, tuple[int, Any]] = dict.fromkeys(projections, (0, None))

    def advance(self, ledger: Ledger) -> None:
        """Fold the log's new entries into each projection. Raises Violated where one raises."""
        for name in self._projections:
            after, state = self._states[name]
            try:
                for entry in ledger.events(after):
                    state, after = self._fold(name, state, entry), entry.seq
            finally:
                self._states[name] = after, state

    def check(self, entries: Sequence[Entry]) -> None:
        """Raise Violated where a projection's state is not that of a fold from the start."""
        for name, (after, state) in self._states.items():
            again: object = None
            for entry in entries[:after]:
                again = self._fold(name, again, entry)
            law = f"the projection {name} is the same from the beginning"
            require(bool(state == again), law, f"after {after} it is {state}, and folded anew {again}")

    def _fold(self, name: str, state: object, entry: Entry) -> object:
        try:
            return self._projections[name](state, entry)
        except Exception as error:
            raise Violated(f"the projection {name} takes every event", f"{entry}: {error!r}") from error
