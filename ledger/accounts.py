"""The state of one account: lots, open requests, meters, corrections and debts.

Only `reducers` changes these structs; objects that accounts have in common are shared (`EMPTY`, `share_terms`).
"""

from __future__ import annotations

from typing import Any, Literal, NoReturn, TypeAlias

import msgspec
from msgspec.structs import replace

from .amounts import split
from .billing import Billing
from .catalogue import Plan
from .events import Draws, Escrow, EscrowFunding, Funding, Kind, Share, Usage

LotKind: TypeAlias = Kind | Literal["credit_line", "payment"]
"""The kinds of lots: bought or given; the credit line of a postpaid account; a payment of an invoice (`pays`)."""


class Reversal(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The sums that reversals of a lot have taken: credits, money, time of a window (microseconds); `whole` if all."""

    credits: int
    money: int
    time: int
    whole: bool


class Lot(msgspec.Struct, array_like=True, gc=False):
    """Credits or a window of time on an account, with its money.

    `exited`: a chain has paid out its exited subscriber. The lot has ended; credits that return to it lapse and are
    earned. `extended`: a refund moved its expiry, so no window queues behind it.

    Invariant, once started: credits == left + held + spent + lapsed + withdrawn, and none of them is negative.
    """

    id: int
    kind: LotKind
    credits: int
    seconds: int
    start: int
    expiry: int | None
    priority: int
    asset: str
    cost: int
    shares: tuple[Share, ...]
    funding: Funding
    payment: str
    started: bool = False
    left: int = 0
    held: int = 0
    spent: int = 0
    lapsed: int = 0
    withdrawn: int = 0
    refunded: int = 0
    reversal: Reversal | None = None
    exited: bool = False
    extended: bool = False
    pays: int = 0

    @property
    def reversed(self) -> bool:
        """True if the whole payment was void."""
        return self.reversal is not None and self.reversal.whole

    @property
    def waits(self) -> bool:
        """True if the lot is still to start."""
        return not self.started and not self.reversed

    @property
    def burn_order(self) -> tuple[int, bool, int, int, int]:
        """Sort key of lots: priority, expiry (none last), start, id. It is a total order."""
        return (self.priority, self.expiry is None, self.expiry or 0, self.start, self.id)

    @property
    def used(self) -> int:
        """Credits that are spent or lapsed."""
        return self.spent + self.lapsed

    @property
    def escrow(self) -> Escrow | None:
        """The escrow that holds the money; None if no chain does."""
        return self.funding.escrow if isinstance(self.funding, EscrowFunding) else None

    def lives(self, at: int) -> bool:
        """Return True if the lot counts at a time (UTC microseconds): start ≤ at < expiry."""
        return self.started and self.start <= at and (self.expiry is None or at < self.expiry)

    def earned(self, at: int) -> int:
        """Return the money that the lot has earned, of its cost less refunds, in the asset's smallest unit.

        Invariant: a lot that is used up, or a window that is over, has earned exactly that.
        """
        cost = self.cost - self.refunded
        if not self.started or cost == 0:
            return 0
        if self.credits:
            rest = self.credits - self.withdrawn - self.used
            return split(cost, [self.used, rest])[0] if rest else cost
        assert self.expiry is not None  # a lot without credits is a window
        duration = self.expiry - self.start
        elapsed = min(max(at - self.start, 0), duration)
        if not duration:
            return cost if at >= self.start else 0
        return split(cost, [elapsed, duration - elapsed])[0]

    def is_used_up(self, at: int) -> bool:
        """Return True if the lot can earn no more: no credit is unused, or the window has ended."""
        if not self.started:
            return False
        if self.credits:
            return self.credits == self.withdrawn + self.used
        return self.expiry is not None and self.expiry <= at

    def shares_earned(self, at: int) -> dict[str, int]:
        """Return the earnings of each receiver: ⌊earned · share / cost⌋, and all of them once the lot is used up.

        Invariant: no receiver's part falls unless the lot's earnings do. The floors may sum to less than the earnings;
        the remainder stays deferred until the lot is used up. Then the parts of `split`, none of which is less than its
        floor, sum to all of it.
        """
        earned = self.earned(at)
        if self.is_used_up(at) and self.shares:
            parts = split(earned, [share.amount for share in self.shares])
            return {share.receiver: part for share, part in zip(self.shares, parts, strict=True)}
        return {share.receiver: earned * share.amount // self.cost if self.cost else 0 for share in self.shares}


class OpenRequest(msgspec.Struct, array_like=True, gc=False):
    """An admitted request. `draws` is what it still holds, in the order drawn; `usage` its charged usage so far;
    `period` the period of its admission, in which it is metered."""

    id: int
    at: int
    deadline: int
    agent: int
    tariff: int
    estimate: Usage
    labels: dict[str, str]
    draws: Draws
    period: str
    usage: Usage = {}
    charged: bool = False

    @property
    def hold(self) -> int:
        """Credits that the request still holds."""
        return sum(credits for _, credits in self.draws)


class Meter(msgspec.Struct, array_like=True, gc=False):
    """The charges of one account in one period: usage, the net credits paid, the unpaid rest of the price
    (`shortfall`), and the credits drawn by lot (most recently drawn last)."""

    usage: Usage = msgspec.field(default_factory=dict)
    charged: bool = False
    net: int = 0
    drawn: dict[int, int] = msgspec.field(default_factory=dict)
    shortfall: int = 0

    @property
    def before(self) -> Usage | None:
        """A copy of the usage so far; None if nothing was charged yet."""
        return {**self.usage} if self.charged else None


class Correction(msgspec.Struct, array_like=True, gc=False):
    """The sum of a charge's corrections: net credits, usage, draws added (+) or returned (−) in order, and the change
    of its shortfall."""

    credits: int = 0
    usage: Usage = {}
    draws: tuple[tuple[int, int], ...] = ()
    shortfall: int = 0


class Debt(msgspec.Struct, array_like=True, gc=False):
    """Credits owed for one charge, one open request's hold, or one reversed lot (`source` is its sequence)."""

    source: int
    credits: int
    period: str = ""


class _Empty(dict[Any, Any]):
    def _refuse(self, *arguments: object, **named: object) -> NoReturn:
        raise TypeError("the shared empty dict cannot be changed")

    __setitem__ = setdefault = update = __ior__ = _refuse


EMPTY: dict[Any, Any] = _Empty()
"""A shared immutable empty dict; most accounts never need their own."""


def share_terms(lot: Lot, plan: Plan) -> None:
    """Let a lot on its plan's terms refer to the plan's objects, to save memory."""
    if lot.asset == plan.terms.asset:
        lot.asset = plan.terms.asset
    if lot.shares == plan.terms.price:
        lot.shares = plan.terms.price


class Account(msgspec.Struct, array_like=True, gc=False):
    """One subscriber's position on one plan.

    `unpaid` is money that left its escrow-funded lots and that the chain still holds for the subscriber, by escrow.
    `agenda` has the scheduled events, sorted: (instant, family, id) of lots that start, requests that expire and
    credits that lapse. `window` is the plan's current window of credits, `window_from` the sequence of the first charge
    in it. `purchases` are (start, sequence) of the last two sales or trials that started. `unpriced` are the units that
    no rate has read, in all. `leaving`: an exit request on a chain caused the freeze. `billing` is that of a postpaid
    account. `shortfall` are the credits that were used and not paid, in all.

    Invariants: `held` is the sum of the open requests' holds; `left` the sum of the started lots' left; `debt` the sum
    of `debts`; after every commit debt or left is 0; `agenda` is sorted, and has exactly what `reducers` puts there.
    """

    number: int
    subscriber: str
    plan: str
    lots: dict[int, Lot] = msgspec.field(default_factory=dict)
    burn: list[int] = msgspec.field(default_factory=list)
    requests: dict[int, OpenRequest] = msgspec.field(default_factory=lambda: EMPTY)
    late: dict[int, OpenRequest] = msgspec.field(default_factory=lambda: EMPTY)
    meters: dict[str, Meter] = msgspec.field(default_factory=dict)
    purchases: list[tuple[int, int]] = msgspec.field(default_factory=list)
    corrections: dict[int, Correction] = msgspec.field(default_factory=lambda: EMPTY)
    debts: list[Debt] = msgspec.field(default_factory=list)
    left: int = 0
    held: int = 0
    debt: int = 0
    frozen: bool = False
    tried: bool = False
    arrival: int = 0
    window: int = 0
    window_credits: int = 0
    window_from: int = 0
    agenda: list[tuple[int, int, int]] = msgspec.field(default_factory=list)
    unpaid: dict[str, int] = msgspec.field(default_factory=lambda: EMPTY)
    unpriced: Usage = msgspec.field(default_factory=lambda: EMPTY)
    leaving: bool = False
    billing: Billing | None = None
    shortfall: int = 0

    @property
    def next_due(self) -> int | None:
        """The time of the next due event (UTC microseconds); None if nothing is due."""
        return self.agenda[0][0] if self.agenda else None

    @property
    def available(self) -> int:
        """Credits that a request may hold or a charge may take: the lots' left, less the debt."""
        return self.left - self.debt

    @property
    def debt_spent(self) -> int:
        """The debt that charges owe; open requests hold the remainder (after a reversal)."""
        return sum(debt.credits for debt in self.debts if debt.source not in self.requests)

    def share(self, plan: Plan) -> None:
        """Share equal strings and terms with the plan, and EMPTY with all accounts, to save memory."""
        self.plan = plan.terms.plan
        for name in ("requests", "late", "corrections", "unpaid", "unpriced"):
            if not getattr(self, name):
                setattr(self, name, EMPTY)
        for lot in self.lots.values():
            share_terms(lot, plan)

    def clone(self) -> Account:
        """Return a copy that can be changed without this account changing. Nested values are never changed in place."""
        twin = replace(self)
        twin.lots = {lot_id: replace(lot) for lot_id, lot in self.lots.items()}
        twin.requests = {request_id: replace(request) for request_id, request in self.requests.items()}
        twin.late = dict(self.late)
        twin.unpaid = dict(self.unpaid)
        twin.unpriced = dict(self.unpriced)
        twin.meters = {
            period: Meter({**meter.usage}, meter.charged, meter.net, {**meter.drawn}, meter.shortfall)
            for period, meter in self.meters.items()
        }
        twin.corrections = {charge: replace(correction) for charge, correction in self.corrections.items()}
        twin.debts = [replace(debt) for debt in self.debts]
        twin.billing = None if self.billing is None else self.billing.clone()
        twin.burn, twin.purchases, twin.agenda = list(self.burn), list(self.purchases), list(self.agenda)
        return twin
