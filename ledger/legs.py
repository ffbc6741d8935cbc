"""Legs of double entry: their sums by account, lot, state and receiver, and how those of money are made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from .amounts import split
from .events import Draws, InvoicePaid, Payout, Purchased

CREDITS = "credits"
"""The unit of legs of credits; the unit of other legs is their asset."""

Move: TypeAlias = tuple[int, int, int, int, int]
"""Two legs of credits in one: account, lot, the state that the credits leave, the one that they enter, and how many."""


ISSUED, AVAILABLE, HELD, SPENT, LAPSED, WITHDRAWN = range(6)
STATES = ("issued", "available", "held", "spent", "lapsed", "withdrawn")
"""The states of a lot's credits, in the order of the numbers above."""


class Leg(NamedTuple):
    """An `amount` of `unit` that enters (or, if negative, leaves) a state of an account's lot, or of a receiver."""

    unit: str
    state: str
    account: int
    lot: int
    amount: int
    receiver: str = ""


class Legs:
    """The sums of legs, and the legs of the last event.

    `lots` has the credits in each of `STATES` by account and lot, `money` the amounts of the other legs by (unit,
    state, account, lot, receiver). Credits only move between the states of one lot, so they are posted as moves:
    `moved` has those of the last event, and `paid` its legs of money.
    """

    def __init__(self) -> None:
        self.lots: dict[int, dict[int, list[int]]] = {}
        self.money: dict[tuple[str, str, int, int, str], int] = defaultdict(int)
        self.moved: list[Move] = []
        self.paid: list[Leg] = []

    @property
    def totals(self) -> dict[tuple[str, str, int, int, str], int]:
        """The sums of all legs, by (unit, state, account, lot, receiver)."""
        credits = {
            (CREDITS, state, account, lot, ""): amount
            for account, lots in self.lots.items()
            for lot, amounts in lots.items()
            for state, amount in zip(STATES, amounts, strict=True)
        }
        return {**credits, **self.money}

    def credits(self, account: int, lot: int, state: str) -> int:
        """Return the credits of a lot in a state."""
        return self.states(account, lot)[STATES.index(state)]

    def states(self, account: int, lot: int) -> Sequence[int]:
        """Return the credits of a lot in each of `STATES`."""
        return self.lots.get(account, {}).get(lot, _NONE)

    def _legs_of_credits(self) -> Iterator[Leg]:
        for account, lot, source, target, credits in self.moved:
            yield Leg(CREDITS, STATES[source], account, lot, -credits)
            yield Leg(CREDITS, STATES[target], account, lot, credits)

    def _move(self, account: int, draws: Iterable[tuple[int, int]], source: int, target: int) -> None:
        lots = self.lots.get(account)
        if lots is None:
            lots = self.lots[account] = {}
        for lot, credits in draws:
            if credits:
                states = lots.get(lot)
                if states is None:
                    states = lots[lot] = [0] * len(STATES)
                states[source] -= credits
                states[target] += credits
                self.moved.append((account, lot, source, target, credits))

    def _pay(self, legs: Iterable[Leg]) -> None:
        for leg in legs:
            unit, state, account, lot, amount, receiver = leg
            self.money[unit, state, account, lot, receiver] += amount
            self.paid.append(leg)


def money_legs(event: Purchased | InvoicePaid, lot: int, before: int, after: int) -> Iterator[Leg]:
    """Yield the legs of a lot's money, of which its payer had got back `before` and now has `after`: from the receivers
    if funding is direct, else from deferred.

    The total that receivers of direct money have paid back is split by their shares, before and after, so that none
    pays back more than it received.
    """
    if event.funding != "direct":
        yield Leg(event.asset, "deferred", event.account, lot, before - after)
        return
    shares = [share.amount for share in event.shares]
    for share, less, more in zip(event.shares, split(after, shares), split(before, shares), strict=True):
        yield Leg(event.asset, "settled", 0, 0, more - less, share.receiver)


def payout_legs(asset: str, payouts: Iterable[Payout], source: str, target: str) -> Iterator[Leg]:
    """Yield the legs by which payouts of a batch go from a state to another."""
    for payout in payouts:
        for state, amount in ((source, -payout.amount), (target, payout.amount)):
            yield Leg(asset, state, 0, 0, amount, "" if state == "deferred" else payout.receiver)


def relabel(draws: Draws, lot: int, credits: int) -> Draws:
    """Return draws whose first `credits` drawn on debt are drawn on a lot instead, in the same order."""
    changed: list[tuple[int, int]] = []
    for drawn, amount in draws:
        part = min(amount, credits) if drawn == 0 else 0
        credits -= part
        changed += [(lot_id, rest) for lot_id, rest in ((lot, part), (drawn, amount - part)) if rest]
    return tuple(changed)


def owed_legs(asset: str, account: int, money: int, place: str = "invoiced") -> Iterator[Leg]:
    """Yield the legs by which so much more money is owed on invoices; below 0, less, for what is now at `place`."""
    yield Leg(asset, "receivable", account, 0, money)
    yield Leg(asset, place, account, 0, -money)


_NONE: Sequence[int] = (0,) * len(STATES)
