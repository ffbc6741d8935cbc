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
from .events import (
    Adjusted,
    Charged,
    ContractRef,
    Draws,
    Event,
    Lapsed,
    Payout,
    Purchased,
    Reheld,
    Reinstated,
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
from .values import consume, total

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
        self._reversed_before: dict[int, int] = {}
        self._returned: dict[int, int] = {}
        self._holds: dict[int, tuple[int, Draws]] = {}
        self._debts: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self._batches: dict[tuple[ContractRef, int], tuple[str, tuple[Payout, ...]]] = {}

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
            self._pay(_money(event, seq, event.cost, 0))

    def _repay(self, account: int, lot: int, money: int) -> None:
        """Money of a lot goes back to its payer; below 0, it comes again."""
        if money:
            event, before = self._purchases[lot], self._returned.get(lot, 0)
            self._returned[lot] = before + money
            self._pay(_money(event, lot, before, before + money))
            self._pay([Leg(event.asset, "payer", account, lot, money)])

    def _started(self, seq: int, event: Started) -> None:
        account, lot = event.account, event.lot
        gone = self._reversed_before.pop(lot, 0)
        self._move(account, ((lot, gone),), ISSUED, WITHDRAWN)
        self._move(account, ((lot, self._purchases[lot].credits - gone),), ISSUED, AVAILABLE)
        self._pay_debts(account, ((lot, total(event.draws)),))

    def _lapsed(self, seq: int, event: Lapsed) -> None:
        self._move(event.account, ((event.lot, event.credits),), AVAILABLE, LAPSED)

    def _withdrawn(self, seq: int, event: Withdrawn) -> None:
        self._move(event.account, event.draws, AVAILABLE, WITHDRAWN)
        for lot, money in event.money.items():
            self._repay(event.account, lot, money)

    def _reversed(self, seq: int, event: Reversed) -> None:
        """Credits leave the lot: first what is left, then what was spent, then what is held, which is owed then.

        Of a lot that has not started nothing is issued yet: they leave it as it starts.
        """
        account, lot = event.account, event.lot
        if self.places(account, lot)[ISSUED]:
            places = self.places(account, lot)
            rest = min(event.credits, places[AVAILABLE])
            spent = min(event.credits - rest, places[SPENT])
            self._move(account, ((lot, rest),), AVAILABLE, WITHDRAWN)
            self._move(account, ((lot, spent),), SPENT, WITHDRAWN)
            self._move(account, ((0, spent),), AVAILABLE, SPENT)
            self._owe(account, lot, ((0, spent),))
            self._unhold(account, lot, event.credits - rest - spent)
        elif event.credits:
            self._reversed_before[lot] = self._reversed_before.get(lot, 0) + event.credits
        self._repay(account, lot, event.money)
        self._pay_debts(account, event.repaid)

    def _unhold(self, account: int, lot: int, credits: int) -> None:
        """What open requests hold of a lot becomes debt: the oldest request first, of each what it drew last."""
        for request in [name for name, (owner, _) in self._holds.items() if owner == account] if credits else ():
            draws: list[tuple[int, int]] = []
            held = 0
            for name, part in reversed(self._holds[request][1]):
                taken = min(part, credits) if name == lot else 0
                held, credits = held + taken, credits - taken
                draws += [(each, amount) for each, amount in ((0, taken), (name, part - taken)) if amount]
            if held:
                self._holds[request] = (account, tuple(reversed(draws)))
                self._move(account, ((lot, held),), HELD, WITHDRAWN)
                self._move(account, ((0, held),), AVAILABLE, HELD)
                self._owe(account, request, ((0, held),))

    def _reinstated(self, seq: int, event: Reinstated) -> None:
        account, lot = event.account, event.lot
        if self.places(account, lot)[ISSUED]:
            self._move(account, ((lot, event.credits),), WITHDRAWN, AVAILABLE)
        elif event.credits:
            self._reversed_before[lot] = self._reversed_before.get(lot, 0) - event.credits
        self._repay(account, lot, -event.money)
        self._pay_debts(account, event.repaid)

    # -- requests and charges: a request's own hold first, then available lots -----------------------------------------

    def _requested(self, seq: int, event: Requested) -> None:
        self._holds[seq] = (event.account, event.draws)
        self._move(event.account, event.draws, AVAILABLE, HELD)

    def _reheld(self, seq: int, event: Reheld) -> None:
        before = self._holds[event.request][1]
        self._holds[event.request] = (event.account, event.draws)
        change: dict[int, int] = {}
        for sign, draws in ((-1, before), (1, event.draws)):
            for lot, credits in draws:
                change[lot] = change.get(lot, 0) + sign * credits
        self._move(event.account, ((lot, -credits) for lot, credits in change.items() if credits < 0), HELD, AVAILABLE)
        self._move(event.account, ((lot, credits) for lot, credits in change.items() if credits > 0), AVAILABLE, HELD)

    def _released(self, seq: int, event: Released) -> None:
        account, draws = self._holds.pop(event.request, (0, ()))
        self._forgive(account, event.request, draws)
        self._move(account, draws, HELD, AVAILABLE)
        self._pay_debts(account, event.repaid)

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
        self._pay_debts(account, event.repaid)

    def _adjusted(self, seq: int, event: Adjusted) -> None:
        if event.credits > 0:
            self._owe(event.account, event.charge, event.draws)
            self._move(event.account, event.draws, AVAILABLE, SPENT)
        else:
            self._forgive(event.account, event.charge, event.draws)
            self._move(event.account, event.draws, SPENT, AVAILABLE)
            self._pay_debts(event.account, event.repaid)

    # -- batches -------------------------------------------------------------------------------------------------------

    def _opened(self, seq: int, event: SettlementOpened | SettlementAdopted) -> None:
        self._batches[event.contract_ref, event.number] = (event.asset, event.payouts)
        self._pay(_pay(event.asset, event.payouts, "deferred", "due"))

    def _ended(self, seq: int, event: SettlementConfirmed | SettlementFailed) -> None:
        asset, payouts = self._batches.pop((event.contract_ref, event.number), ("", ()))
        goal = "settled" if isinstance(event, SettlementConfirmed) else "deferred"
        self._pay(_pay(asset, payouts, "due", goal))

    # -- debts: who owes what for what, oldest first -------------------------------------------------------------------

    def _owe(self, account: int, source: int, draws: Draws) -> None:
        for lot, credits in draws:
            if lot == 0 and credits:
                self._debts[account].append((source, credits))

    def _pay_debts(self, account: int, repaid: Draws) -> None:
        """Lots pay debt, the oldest first: what it was for is then drawn on them, held by a request that is open, else
        spent."""
        for lot, credits in repaid:
            while credits and self._debts[account]:
                source, owed = self._debts[account][0]
                part = min(credits, owed)
                credits -= part
                self._debts[account][:1] = [(source, owed - part)] if owed > part else []
                place = SPENT
                if source in self._holds:
                    place = HELD
                    self._holds[source] = (account, _relabel(self._holds[source][1], lot, part))
                self._move(account, ((lot, part),), AVAILABLE, place)
                self._move(account, ((0, part),), place, AVAILABLE)

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


def _money(event: Purchased, lot: int, before: int, after: int) -> Iterator[Leg]:
    """To where a lot's money is, with the receivers where funding is direct, else deferred: its payer had `before` of
    it, and has `after`.

    What the receivers of direct money have given back in all is parted by their shares at both, so that none gives back
    more than it had.
    """
    if event.funding != "direct":
        yield Leg(event.asset, "deferred", event.account, lot, before - after)
        return
    shares = [share.amount for share in event.shares]
    for share, less, more in zip(event.shares, split(after, shares), split(before, shares), strict=True):
        yield Leg(event.asset, "settled", 0, 0, more - less, share.receiver)


def _pay(asset: str, payouts: Iterable[Payout], origin: str, goal: str) -> Iterator[Leg]:
    for payout in payouts:
        for place, amount in ((origin, -payout.amount), (goal, payout.amount)):
            yield Leg(asset, place, 0, 0, amount, "" if place == "deferred" else payout.receiver)


def _relabel(draws: Draws, lot: int, credits: int) -> Draws:
    """Draws whose first `credits` drawn on debt are drawn on a lot instead, each in its place."""
    changed: list[tuple[int, int]] = []
    for name, amount in draws:
        part = min(amount, credits) if name == 0 else 0
        credits -= part
        changed += [(each, rest) for each, rest in ((lot, part), (name, amount - part)) if rest]
    return tuple(changed)


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
    Reinstated: Journal._reinstated,
    Reheld: Journal._reheld,
    SettlementOpened: Journal._opened,
    SettlementAdopted: Journal._opened,
    SettlementConfirmed: Journal._ended,
    SettlementFailed: Journal._ended,
}
"""By event, what posts it; all other events move nothing."""
