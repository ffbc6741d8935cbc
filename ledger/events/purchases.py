"""Events of lots and accounts: purchases, starts, withdrawals, reversals and freezes."""

from __future__ import annotations

from ..amounts import check_credits, check_money
from ..values import (
    Draws,
    Fact,
    Funding,
    Kind,
    Share,
    check,
    check_asset_decimals,
    check_draws,
    check_repaid,
)
from .event import Event


class Purchased(Event, frozen=True, kw_only=True, tag="purchased"):
    """A lot is bought, tried or given: credits, a window of time, or both, with its money. Its sequence is the lot's
    number.

    Fields:
        account: Number of the account, from 1; the next one where this opens it.
        kind: "sale", "trial" or "gift".
        credits: Credits of the lot, in the plan's smallest unit.
        seconds: Seconds of its window; 0: none.
        cost: Money of the lot, in the asset's smallest unit.
        shares: The same by receiver.
        funding: Holder of the money: an escrow on a chain, "direct" the receivers, "none" neither.
        start: Start, in UTC microseconds. None: the commit's time.
        expiry: End, in UTC microseconds. None: never.
        priority: Order in which lots are drawn: the lowest first.
        earliest: Start that the command wanted, in UTC microseconds, if it is later than the commit.
        asset_decimals: Decimals of the asset as the chain reports them, where the log did not have them yet.
    """

    account: int
    subscriber: str
    plan: str
    kind: Kind = "sale"
    credits: int = 0
    seconds: int = 0
    asset: str = ""
    cost: int = 0
    shares: tuple[Share, ...] = ()
    funding: Funding = "none"
    payment: str = ""
    start: int | None = None
    expiry: int | None = None
    priority: int = 0
    earliest: int | None = None
    asset_decimals: int | None = None

    def __post_init__(self) -> None:
        check_credits(self.credits, self.seconds)
        check_money(self.cost)
        check_asset_decimals(self.asset_decimals)
        check(self.account >= 1, "accounts are numbered from 1")
        check(sum(share.amount for share in self.shares) == self.cost, "the shares sum to the cost")
        check(len({share.receiver for share in self.shares}) == len(self.shares), "each receiver has one share")
        check(self.kind == "sale" or self.cost == 0, "only a sale has a cost")
        check(self.credits > 0 or self.expiry is not None, "a lot has credits, or an expiry, or both")


class Started(Event, frozen=True, kw_only=True, tag="started"):
    """A lot starts: its credits become available.

    Fields:
        draws: Debt that it pays, `((0, credits),)`, oldest debt first.
    """

    account: int
    lot: int
    draws: Draws = ()
    instant: int

    def __post_init__(self) -> None:
        check_draws(self.draws, sum(credits for _, credits in self.draws))
        check(all(lot == 0 for lot, _ in self.draws), "a lot that starts pays debt")


class Withdrawn(Event, frozen=True, kw_only=True, tag="withdrawn"):
    """Unused credits leave with their unearned money; a window without credits ends here. So do credits that expire
    under `on_lapse="refund"` (reason `lapsed`), the lots of an exited subscriber (reason `exit`), and what returns to a
    credit line that is wider than its limit and what is paid (reason `limit`).

    Fields:
        draws: Credits that leave, by lot.
        money: Money that leaves, in the asset's smallest unit, by lot.
        instant: Time of what was due and caused it, in UTC microseconds. None: a command did.
        fact: Exit of the subscriber, whom a chain has paid. None: no exit.
        asset: Asset that the chain paid; empty: no exit.
        paid: Sum that the chain paid: the money of this event, and what had been withdrawn from the lots before and was
            still in escrow.
    """

    account: int
    draws: Draws = ()
    money: dict[int, int] = {}
    reason: str = ""
    instant: int | None = None
    fact: Fact | None = None
    asset: str = ""
    paid: int = 0

    def __post_init__(self) -> None:
        check_draws(self.draws, sum(credits for _, credits in self.draws))
        check_money(self.paid, *self.money.values())
        check(all(lot > 0 for lot, _ in self.draws), "debt cannot be withdrawn")


class Reversed(Event, frozen=True, kw_only=True, tag="reversed"):
    """A payment, or a part of it, was void: its money goes back to the payer.

    Credits of the lot are taken from unused ones first, then from spent ones, then from held ones; spent or held
    credits become debt under any rule of the plan. A payment of an invoice is owed again.

    Fields:
        credits: Credits of the lot that are withdrawn.
        money: Money that goes back, in the asset's smallest unit.
        expiry: New end of a window without credits that was reversed in part, in UTC microseconds. None: it does not
            move.
        repaid: Part of the new debt that other lots pay at once, by lot.
        room: Credits by which the credit line shrinks, if the payment was of an invoice.
    """

    account: int
    lot: int
    payment: str = ""
    credits: int = 0
    money: int = 0
    expiry: int | None = None
    repaid: Draws = ()
    room: int = 0

    def __post_init__(self) -> None:
        check_credits(self.credits, self.room)
        check_money(self.money)
        check_repaid(self.repaid)


class Reinstated(Event, frozen=True, kw_only=True, tag="reinstated"):
    """A dispute was won: the lot gets back what its reversals had taken. Its credits are unused again. A payment of an
    invoice pays it again.

    Fields:
        credits: Credits that return.
        money: Money that is back, in the asset's smallest unit.
        room: Credits by which the credit line grows, if the payment was of an invoice.
    """

    account: int
    lot: int
    payment: str = ""
    credits: int = 0
    money: int = 0
    repaid: Draws = ()
    room: int = 0

    def __post_init__(self) -> None:
        check_credits(self.credits, self.room)
        check_money(self.money)
        check_repaid(self.repaid)


class Frozen(Event, frozen=True, kw_only=True, tag="frozen"):
    """The account takes no new requests and buys nothing; open requests end as usual."""

    account: int
    fact: Fact | None = None


class Unfrozen(Event, frozen=True, kw_only=True, tag="unfrozen"):
    """The account takes requests and buys again."""

    account: int
