"""Legs of double entry, and those of money: between payers, deferred, due and settled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .amounts import split
from .events import Draws, InvoicePaid, Payout, Purchased

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
