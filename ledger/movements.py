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
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from .amounts import split
from .books import consume, total
from .events import (
    Adjusted,
    Charged,
    Draws,
    Event,
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

ISSUED, AVAILABLE, HELD, SPENT, LAPSED, WITHDRAWN = range(6)
PLACES = ("issued", "available", "held", "spent", "lapsed", "withdrawn")
"""Where a lot's credits are, in the order of the numbers above."""

Move: TypeAlias = tuple[int, int, int, int, int]
"""Two legs of credits in one: account, lot, the place that they leave, the place that they come to, and how many."""


class Leg(NamedTuple):
    """`amount` of `unit` comes to (or, negative, leaves) a place of an account's lot, or of a receiver."""

    unit: str
    place: str
    account: int
    lot: int
    amount: int
    receiver: str = ""


class Journal:
    """Posts events as legs, in the order of the log, and keeps what they come to.

    `lots` has by account and lot the credits at each of `PLACES`, `money` the other legs' amounts by (unit, place,
    account, lot, receiver). Credits only ever move from one place of a lot to another, so they are posted as moves;
    `moved` has those of the last event, and `paid` its legs of money.
    """

    def __init__(self) -> None:
        self.lots: dict[int, dict[int, list[int]]] = {}
        self.money: dict[tuple[str, str, int, int, str], int] = defaultdict(int)
        self.moved: list[Move] = []
        self.paid: list[Leg] = []
        self._purchases: dict[int, Purchased] = {}
        self._holds: dict[int, tuple[int, Draws]] = {}
        self._debts: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self._batches: dict[tuple[str, str, int], tuple[str, tuple[Payout, ...]]] = {}

    def post(self, entry: Entry) -> list[Leg]:
        """Post an event. Returns its legs."""
        self.follow(entry.seq, entry.event)
        return [*self._legs_of_credits(), *self.paid]

    def follow(self, seq: int, event: Event) -> None:
        """Post an event; its legs stay in `moved` and `paid` until the next one."""
        self.moved.clear()
        if self.paid:
            self.paid.clear()
        posting = _POSTINGS.get(type(event))
        if posting is not None:
            posting(self, seq, event)

    @property
    def totals(self) -> dict[tuple[str, str, int, int, str], int]:
        """What all legs come to, by (unit, place, account, lot, receiver)."""
        credits = {
            (CREDITS, place, account, lot, ""): amount
            for account, lots in self.lots.items()
            for lot, amounts in lots.items()
            for place, amount in zip(PLACES, amounts, strict=True)
        }
        return {**credits, **self.money}

    def credits(self, account: int, lot: int, place: str) -> int:
        """The credits of a lot at a place."""
        return self.places(account, lot)[PLACES.index(place)]

    def places(self, account: int, lot: int) -> Sequence[int]:
        """The credits of a lot at each of `PLACES`."""
        return self.lots.get(account, {}).get(lot, _NOWHERE)

    def _legs_of_credits(self) -> Iterator[Leg]:
        for account, lot, origin, goal, credits in self.moved:
            yield Leg(CREDITS, PLACES[origin], account, lot, -credits)
            yield Leg(CREDITS, PLACES[goal], account, lot, credits)

    def _move(self, account: int, draws: Iterable[tuple[int, int]], origin: int, goal: int) -> None:
        lots = self.lots.get(account)
        if lots is None:
            lots = self.lots[account] = {}
        for lot, credits in draws:
            if credits:
                places = lots.get(lot)
                if places is None:
                    places = lots[lot] = [0] * len(PLACES)
                places[origin] -= credits
                places[goal] += credits
                self.moved.append((account, lot, origin, goal, credits))

    def _pay(self, legs: Iterable[Leg]) -> None:
        for leg in legs:
            unit, place, account, lot, amount, receiver = leg
            self.money[unit, place, account, lot, receiver] += amount
            self.paid.append(leg)

    # -- purchases: money comes with the lot, credits when it starts ---------------------------------------------------

    def _purchased(self, seq: int, event: Purchased) -> None:
        self._purchases[seq] = event
        if event.cost:
            self._pay([Leg(event.asset, "payer", event.account, seq, -event.cost)])
            self._pay(_money(event, seq, event.cost))

    def _repay(self, account: int, lot: int, money: int) -> None:
        if money:
            event = self._purchases[lot]
            self._pay(_money(event, lot, -money))
            self._pay([Leg(event.asset, "payer", account, lot, money)])

    def _started(self, seq: int, event: Started) -> None:
        account, lot = event.account, event.lot
        self._move(account, ((lot, self._purchases[lot].credits),), ISSUED, AVAILABLE)
        paid = total(event.draws)
        while paid and self._debts[account]:
            source, owed = self._debts[account].pop(0)
            part = min(paid, owed)
            paid -= part
            if owed > part:
                self._debts[account].insert(0, (source, owed - part))
            place = SPENT
            if source in self._holds:
                place = HELD
                self._holds[source] = (account, _relabel(self._holds[source][1], lot, part))
            self._move(account, ((lot, part),), AVAILABLE, place)
            self._move(account, ((0, part),), place, AVAILABLE)

    def _lapsed(self, seq: int, event: Lapsed) -> None:
        self._move(event.account, ((event.lot, event.credits),), AVAILABLE, LAPSED)

    def _withdrawn(self, seq: int, event: Withdrawn) -> None:
        self._move(event.account, event.draws, AVAILABLE, WITHDRAWN)
        for lot, money in event.money.items():
            self._repay(event.account, lot, money)

    def _reversed(self, seq: int, event: Reversed) -> None:
        account, lot = event.account, event.lot
        places = self.places(account, lot)
        rest, spent = places[AVAILABLE], places[SPENT]
        self._move(account, ((lot, rest),), AVAILABLE, WITHDRAWN)
        self._move(account, ((lot, spent),), SPENT, WITHDRAWN)
        self._move(account, ((0, spent),), AVAILABLE, SPENT)
        self._owe(account, lot, ((0, spent),))
        for request, (owner, draws) in list(self._holds.items()):
            held = sum(credits for name, credits in draws if name == lot) if owner == account else 0
            if held:
                self._move(account, ((lot, held),), HELD, WITHDRAWN)
                self._move(account, ((0, held),), AVAILABLE, HELD)
                self._holds[request] = (owner, tuple((0 if name == lot else name, part) for name, part in draws))
                self._owe(account, request, ((0, held),))
        purchase = self._purchases[lot]
        repaid = self.money.get((purchase.asset, "payer", account, lot, ""), 0)
        self._repay(account, lot, -repaid)

    # -- requests and charges: a request's own hold first, then available lots -----------------------------------------

    def _requested(self, seq: int, event: Requested) -> None:
        self._holds[seq] = (event.account, event.draws)
        self._move(event.account, event.draws, AVAILABLE, HELD)

    def _released(self, seq: int, event: Released) -> None:
        account, draws = self._holds.pop(event.request, (0, ()))
        self._forgive(account, event.request, draws)
        self._move(account, draws, HELD, AVAILABLE)

    def _charged(self, seq: int, event: Charged) -> None:
        account, request = event.account, event.request
        if request not in self._holds:
            self._move(account, event.draws, AVAILABLE, SPENT)
            self._owe(account, seq, event.draws)
            return
        taken, rest = consume(self._holds[request][1], event.credits)
        more = consume(event.draws, total(taken))[1] if event.draws != taken else ()
        self._move(account, taken, HELD, SPENT)
        self._move(account, more, AVAILABLE, SPENT)
        self._forgive(account, request, taken)
        self._owe(account, seq, taken)
        if event.final:
            self._forgive(account, request, rest)
            self._move(account, rest, HELD, AVAILABLE)
            del self._holds[request]
        else:
            self._holds[request] = (account, rest)
        self._owe(account, seq, more)

    def _adjusted(self, seq: int, event: Adjusted) -> None:
        if event.credits > 0:
            self._owe(event.account, event.charge, event.draws)
            self._move(event.account, event.draws, AVAILABLE, SPENT)
        else:
            self._forgive(event.account, event.charge, event.draws)
            self._move(event.account, event.draws, SPENT, AVAILABLE)

    # -- batches -------------------------------------------------------------------------------------------------------

    def _opened(self, seq: int, event: SettlementOpened | SettlementAdopted) -> None:
        self._batches[event.chain, event.contract, event.number] = (event.asset, event.payouts)
        self._pay(_pay(event.asset, event.payouts, "deferred", "due"))

    def _ended(self, seq: int, event: SettlementConfirmed | SettlementFailed) -> None:
        asset, payouts = self._batches.pop((event.chain, event.contract, event.number), ("", ()))
        goal = "settled" if isinstance(event, SettlementConfirmed) else "deferred"
        self._pay(_pay(asset, payouts, "due", goal))

    # -- debts: who owes what for what, oldest first -------------------------------------------------------------------

    def _owe(self, account: int, source: int, draws: Draws) -> None:
        for lot, credits in draws:
            if lot == 0 and credits:
                self._debts[account].append((source, credits))

    def _forgive(self, account: int, source: int, draws: Draws) -> None:
        credits = 0
        for lot, part in draws:
            if lot == 0:
                credits += part
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


def _money(event: Purchased, lot: int, amount: int) -> Iterator[Leg]:
    """To where a lot's money is: with the receivers where funding is direct, else deferred."""
    if event.funding != "direct":
        yield Leg(event.asset, "deferred", event.account, lot, amount)
        return
    parts = split(abs(amount), [share.amount for share in event.shares])
    for share, part in zip(event.shares, parts, strict=True):
        yield Leg(event.asset, "settled", 0, 0, part if amount > 0 else -part, share.receiver)


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


_NOWHERE: Sequence[int] = (0,) * len(PLACES)

_POSTINGS: dict[type[Event], Callable[[Journal, int, Any], None]] = {
    Purchased: Journal._purchased,
    Started: Journal._started,
    Requested: Journal._requested,
    Released: Journal._released,
    Charged: Journal._charged,
    Adjusted: Journal._adjusted,
    Lapsed: Journal._lapsed,
    Withdrawn: Journal._withdrawn,
    Reversed: Journal._reversed,
    SettlementOpened: Journal._opened,
    SettlementAdopted: Journal._opened,
    SettlementConfirmed: Journal._ended,
    SettlementFailed: Journal._ended,
}
"""By event, what posts it; all other events move nothing."""
