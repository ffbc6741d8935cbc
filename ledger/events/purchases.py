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
    """A lot is bought, tried or given: credits, a window of time, or both, with its money.

    `start` None is the commit's time, `earliest` the requested start if it is later than that; `expiry` None is never.
    `shares` sum to `cost`. `funding` is the holder of the money: `escrow` a contract on a chain, `direct` the
    receivers, `none` if nothing was paid to the ledger's knowledge. `asset_decimals` are those that the chain reports,
    where the log did not have them yet.
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
    """A lot starts: its credits become available. `draws` is the debt it pays, `((0, credits),)`, oldest debt first."""

    account: int
    lot: int
    draws: Draws = ()
    instant: int

    def __post_init__(self) -> None:
        check_draws(self.draws, sum(credits for _, credits in self.draws))
        check(all(lot == 0 for lot, _ in self.draws), "a lot that starts pays debt")


class Withdrawn(Event, frozen=True, kw_only=True, tag="withdrawn"):
    """Unused credits leave with their unearned money, by lot; a window without credits ends here.

    If a chain has paid an exited subscriber, `fact` is that exit and `paid` the sum that it paid in `asset`: the money
    of this event, and what had been withdrawn from the lots before and was still in escrow.
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
    """A payment, or a part of it, was void: `money` goes back to the payer and `credits` of the lot are withdrawn.

    They are taken from unused credits first, then from spent ones, then from held ones; spent or held credits become
    debt under any rule of the plan. `expiry` is the new end of a window without credits that was reversed in part.
    `repaid` is the part of that debt that other lots pay immediately. A payment of an invoice is owed again, and the
    credit line has `room` credits less.
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
    """A dispute was won: the lot gets back the `credits` and the `money` that its reversals had taken.

    The credits return to the lot as unused, and pay the account's debt: `repaid`. A payment of an invoice pays it
    again, and the credit line has `room` credits more.
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
