"""What an event means: balanced legs, as in double entry.

Credits move, per lot, between issued, available, held, spent, lapsed and withdrawn; lot 0 is debt. Money moves, per
asset, between payer, deferred, due to each receiver, and settled.

Invariant: for every event the legs of each unit sum to zero. Hence the whole book does, at every sequence, and two
parts of a log post one after the other and add.

An event does not repeat what an earlier one said (a release does not say what was held), so a `Journal` keeps what is
open: holds, debts, the lots' terms, batches. The books fold by `reducers`, the journal by legs: two roads to one
number, which is what an audit compares.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from .amounts import split
from .books import consume, total
from .events import (
    Adjusted,
    Charged,
    Draws,
    Lapsed,
    Payout,
    Purchased,
    Released,
    Requested,
    Reversed,
    SettlementAdopted,
    SettlementConfirmed,
    SettlementFailed,
    SettlementOpened,
    Started,
    Withdrawn,
)
from .log import Entry

CREDITS = "credits"
"""The unit of legs of credits; the unit of other legs is their asset."""


class Leg(NamedTuple):
    """`amount` of `unit` comes to (or, negative, leaves) a place of an account's lot, or of a receiver."""

    unit: str
    place: str
    account: int
    lot: int
    amount: int
    receiver: str = ""


class Journal:
    """Posts events as legs, in the order of the log, and keeps totals by (unit, place, account, lot, receiver)."""

    def __init__(self) -> None:
        self.totals: dict[tuple[str, str, int, int, str], int] = defaultdict(int)
        self._purchases: dict[int, Purchased] = {}
        self._holds: dict[int, tuple[int, Draws]] = {}
        self._debts: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self._batches: dict[tuple[str, str, int], tuple[str, tuple[Payout, ...]]] = {}

    def post(self, entry: Entry) -> list[Leg]:
        """The legs of an event, added to the totals."""
        legs = list(self._legs(entry))
        for unit, place, account, lot, amount, receiver in legs:
            self.totals[unit, place, account, lot, receiver] += amount
        return legs

    def credits(self, account: int, lot: int, place: str) -> int:
        """The credits of a lot at a place."""
        return self.totals.get((CREDITS, place, account, lot, ""), 0)

    def _legs(self, entry: Entry) -> Iterator[Leg]:
        event = entry.event
        match event:
            case Purchased():
                yield from self._purchased(entry.seq, event)
            case Started():
                yield from self._started(event)
            case Requested():
                self._holds[entry.seq] = (event.account, event.draws)
                yield from _move(event.account, event.draws, "available", "held")
            case Released():
                account, draws = self._holds.pop(event.request, (0, ()))
                self._forgive(account, event.request, draws)
                yield from _move(account, draws, "held", "available")
            case Charged():
                yield from self._charged(entry.seq, event)
            case Adjusted() if event.credits > 0:
                self._owe(event.account, event.charge, event.draws)
                yield from _move(event.account, event.draws, "available", "spent")
            case Adjusted():
                self._forgive(event.account, event.charge, event.draws)
                yield from _move(event.account, event.draws, "spent", "available")
            case Lapsed():
                yield from _move(event.account, ((event.lot, event.credits),), "available", "lapsed")
            case Withdrawn():
                yield from _move(event.account, event.draws, "available", "withdrawn")
                for lot, money in event.money.items():
                    yield from self._repay(event.account, lot, money)
            case Reversed():
                yield from self._reversed(event)
            case SettlementOpened() | SettlementAdopted():
                self._batches[event.chain, event.contract, event.number] = (event.asset, event.payouts)
                yield from _pay(event.asset, event.payouts, "deferred", "due")
            case SettlementConfirmed() | SettlementFailed():
                asset, payouts = self._batches.pop((event.chain, event.contract, event.number), ("", ()))
                confirmed = isinstance(event, SettlementConfirmed)
                yield from _pay(asset, payouts, "due", "settled" if confirmed else "deferred")
            case _:
                pass

    # -- purchases: money comes with the lot, credits when it starts ---------------------------------------------------

    def _purchased(self, seq: int, event: Purchased) -> Iterator[Leg]:
        self._purchases[seq] = event
        if event.cost:
            yield Leg(event.asset, "payer", event.account, seq, -event.cost)
            yield from self._money(event, seq, event.cost)

    def _money(self, event: Purchased, lot: int, amount: int) -> Iterator[Leg]:
        """To where a lot's money is: with the receivers where funding is direct, else deferred."""
        if event.funding != "direct":
            yield Leg(event.asset, "deferred", event.account, lot, amount)
            return
        parts = split(abs(amount), [share.amount for share in event.shares])
        for share, part in zip(event.shares, parts, strict=True):
            yield Leg(event.asset, "settled", 0, 0, part if amount > 0 else -part, share.receiver)

    def _repay(self, account: int, lot: int, money: int) -> Iterator[Leg]:
        if money:
            event = self._purchases[lot]
            yield from self._money(event, lot, -money)
            yield Leg(event.asset, "payer", account, lot, money)

    def _started(self, event: Started) -> Iterator[Leg]:
        account, lot = event.account, event.lot
        credits = self._purchases[lot].credits
        if credits:
            yield from _move(account, ((lot, credits),), "issued", "available")
        paid = total(event.draws)
        while paid and self._debts[account]:
            source, owed = self._debts[account].pop(0)
            part = min(paid, owed)
            paid -= part
            if owed > part:
                self._debts[account].insert(0, (source, owed - part))
            place = "spent"
            if source in self._holds:
                place = "held"
                self._holds[source] = (account, _relabel(self._holds[source][1], lot, part))
            yield from _move(account, ((lot, part),), "available", place)
            yield from _move(account, ((0, part),), place, "available")

    def _reversed(self, event: Reversed) -> Iterator[Leg]:
        account, lot = event.account, event.lot
        rest, spent = self.credits(account, lot, "available"), self.credits(account, lot, "spent")
        yield from _move(account, ((lot, rest),), "available", "withdrawn")
        yield from _move(account, ((lot, spent),), "spent", "withdrawn")
        yield from _move(account, ((0, spent),), "available", "spent")
        self._owe(account, lot, ((0, spent),))
        for request, (owner, draws) in list(self._holds.items()):
            held = sum(credits for name, credits in draws if name == lot) if owner == account else 0
            if held:
                yield from _move(account, ((lot, held),), "held", "withdrawn")
                yield from _move(account, ((0, held),), "available", "held")
                self._holds[request] = (owner, tuple((0 if name == lot else name, part) for name, part in draws))
                self._owe(account, request, ((0, held),))
        purchase = self._purchases[lot]
        repaid = self.totals.get((purchase.asset, "payer", account, lot, ""), 0)
        yield from self._repay(account, lot, -repaid)

    # -- charges: the request's own hold first, then available lots ----------------------------------------------------

    def _charged(self, seq: int, event: Charged) -> Iterator[Leg]:
        account = event.account
        _, hold = self._holds.get(event.request, (account, ()))
        taken, rest = consume(hold, event.credits)
        more = consume(event.draws, total(taken))[1]
        yield from _move(account, taken, "held", "spent")
        yield from _move(account, more, "available", "spent")
        self._forgive(account, event.request, taken)
        self._owe(account, seq, taken)
        if event.request in self._holds:
            self._holds[event.request] = (account, rest)
            if event.final:
                self._forgive(account, event.request, rest)
                yield from _move(account, rest, "held", "available")
                del self._holds[event.request]
        self._owe(account, seq, more)

    # -- debts: who owes what for what, oldest first -------------------------------------------------------------------

    def _owe(self, account: int, source: int, draws: Draws) -> None:
        self._debts[account] += [(source, credits) for lot, credits in draws if lot == 0 and credits]

    def _forgive(self, account: int, source: int, draws: Draws) -> None:
        credits = sum(part for lot, part in draws if lot == 0)
        if not credits:
            return
        debts = self._debts[account]
        own = [place for place, (name, _) in enumerate(debts) if name == source]
        others = [place for place, (name, _) in enumerate(debts) if name != source and name not in self._holds]
        others.sort(key=lambda place: (debts[place][0] in self._purchases, place))
        for place in (*reversed(own), *reversed(others)):
            name, owed = debts[place]
            part = min(owed, credits)
            credits -= part
            debts[place] = (name, owed - part)
        self._debts[account] = [(name, owed) for name, owed in debts if owed]


def _move(account: int, draws: Iterable[tuple[int, int]], origin: str, goal: str) -> Iterator[Leg]:
    for lot, credits in draws:
        if credits:
            yield Leg(CREDITS, origin, account, lot, -credits)
            yield Leg(CREDITS, goal, account, lot, credits)


def _pay(asset: str, payouts: Iterable[Payout], origin: str, goal: str) -> Iterator[Leg]:
    for payout in payouts:
        for place, amount in ((origin, -payout.amount), (goal, payout.amount)):
            yield Leg(asset, place, 0, 0, amount, "" if place == "deferred" else payout.receiver)


def _relabel(draws: Draws, lot: int, credits: int) -> Draws:
    debt = tuple((name, part) for name, part in draws if name == 0)
    paid, owed = consume(debt, credits)
    moved = tuple((lot, part) for _, part in paid)
    position = next(place for place, (name, _) in enumerate(draws) if name == 0)
    rest = tuple((name, part) for name, part in draws[position:] if name != 0)
    return (*draws[:position], *moved, *owed, *rest)
