"""Commands of lots and accounts: purchases, gifts, withdrawals, reversals, freezes and exits."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from ..events import (
    Fact,
    Frozen,
    Funding,
    Purchased,
    Reinstated,
    Reversed,
    Unfrozen,
    Withdrawn,
)
from .command import (
    AssetDecimals,
    Command,
    Credits,
    Moment,
    Name,
    Number,
    Priority,
    Seconds,
    Text,
    WrittenCredits,
    WrittenMoney,
)


class Terms(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The terms of a purchase on a chain. They may differ from the plan's present terms.

    Fields:
        asset: Token that was paid, as the chain names it.
        shares: Money by receiver, in the asset's smallest unit.
        credits: Credits that were bought.
        seconds: Length in seconds of the window that was bought.
        asset_decimals: Decimals of the asset, as the chain reports them. None: it does not.
    """

    asset: Name
    shares: dict[Name, Annotated[int, Meta(ge=0)]]
    credits: Credits = 0
    seconds: Seconds = 0
    asset_decimals: AssetDecimals | None = None


class Purchase(Command[Purchased], frozen=True, kw_only=True, tag="purchase"):
    """Buy a plan at its price, or start its trial. It adds a lot to the account: credits, a window of time, or both.

    Fields:
        payment: Id of the payment, which buys once, permanently. Empty: none.
        funding: Holder of the money. "direct": the receivers have it. "none": not the receivers, so what they earn is
            due to them. An escrow: a contract on a chain.
        start: Start of the lot, in UTC microseconds; at the earliest now, and a window's at the end of an open one.
            None: now.
        terms: Terms of a purchase that was seen on a chain, with the escrow as `funding`. None: the plan's.

    Example:
        Purchase(subscriber="alice", plan="pro", payment="invoice-1")
    """

    subscriber: Name
    plan: Name
    payment: Text = ""
    funding: Funding = "none"
    start: Moment | None = None
    terms: Terms | None = None


class Give(Command[Purchased], frozen=True, kw_only=True, tag="give"):
    """Give credits, a window, or both, at no cost.

    Fields:
        credits: Credits that are given, in the plan's smallest unit or written ("1.50"). A plan that sells only time
            takes none.
        seconds: Length in seconds of the window that is given.
        start: Start of the lot, in UTC microseconds; at the earliest now, and a window's at the end of an open one.
            None: now.
        expiry: End of the lot, in UTC microseconds, instead of that by `seconds`. None: the end of the window; without
            one, never.
        priority: Order in which the lot is drawn: the lowest first. None: the plan's.

    Example:
        Give(subscriber="alice", plan="pro", credits=50_00)
    """

    subscriber: Name
    plan: Name
    credits: WrittenCredits = 0
    seconds: Seconds = 0
    start: Moment | None = None
    expiry: Moment | None = None
    priority: Priority | None = None


class Withdraw(Command[Withdrawn], frozen=True, kw_only=True, tag="withdraw"):
    """Withdraw unused credits with their unearned money. Credits that are held stay.

    Fields:
        lot: Lot, by the `seq` of the answer that added it. 0: all lots.
        credits: Credits, in the plan's smallest unit or written ("1.50"). None: all that are not held; then a window
            without credits ends, with the money of its remaining time, and a lot that has not started leaves as a
            whole.

    Example:
        Withdraw(subscriber="alice", plan="pro", credits=100_00, reason="moved")
    """

    subscriber: Name
    plan: Name
    lot: Number = 0
    credits: WrittenCredits | None = None
    reason: Text = ""


class Reverse(Command[Reversed], frozen=True, kw_only=True, tag="reverse"):
    """Reverse a purchase, or a payment of an invoice, whose payment was void (a chargeback): all of it, or a part with
    the same part of its credits. Credits that were spent already become debt. Name it by `lot` or by `payment`.

    Fields:
        lot: Lot, by the `seq` of the answer that bought it. 0: named by `payment`.
        payment: Id of the payment. Empty: named by `lot`.
        amount: Money that is reversed, in the asset's smallest unit or written ("1.50"). None: all that is left of the
            payment.

    Example:
        Reverse(subscriber="alice", plan="pro", payment="invoice-1")
    """

    subscriber: Name
    plan: Name
    lot: Number = 0
    payment: Text = ""
    amount: WrittenMoney | None = None


class Reinstate(Command[Reinstated], frozen=True, kw_only=True, tag="reinstate"):
    """Undo the reversals of a purchase, or of a payment of an invoice: the dispute was won and the money is back. Name
    it by `lot` or by `payment`.

    Fields:
        lot: Lot, by the `seq` of the answer that bought it. 0: named by `payment`.
        payment: Id of the payment. Empty: named by `lot`.

    Example:
        Reinstate(subscriber="alice", plan="pro", payment="invoice-1")
    """

    subscriber: Name
    plan: Name
    lot: Number = 0
    payment: Text = ""


class Freeze(Command[Frozen], frozen=True, kw_only=True, tag="freeze"):
    """Admit no new requests and no direct charges of an account, and sell it nothing. Open requests end as usual.

    Fields:
        fact: Request for an exit on a chain that caused the freeze, which then cannot be undone. None: another cause.

    Example:
        Freeze(subscriber="alice", plan="pro")
    """

    subscriber: Name
    plan: Name
    fact: Fact | None = None


class Unfreeze(Command[Unfrozen], frozen=True, kw_only=True, tag="unfreeze"):
    """Undo a freeze that no request for an exit on a chain caused.

    Example:
        Unfreeze(subscriber="alice", plan="pro")
    """

    subscriber: Name
    plan: Name


class Exit(Command[Withdrawn], frozen=True, kw_only=True, tag="exit"):
    """Record that a chain has paid an exited subscriber, and withdraw the unused credits of the lots that it funded.
    The watcher sends it.

    The amount is taken first from money that was withdrawn from those lots before and was still in escrow, then from
    their unearned money, then from their earned money.

    Fields:
        asset: Token that the chain paid.
        amount: Money that the chain paid, in the asset's smallest unit.

    Example:
        Exit(
            subscriber="bob",
            plan="pro",
            fact=Fact("mock:local", "tollbook", "exit-1"),
            asset="USD",
            amount=10_00,
        )
    """

    subscriber: Name
    plan: Name
    fact: Fact
    asset: Name
    amount: Annotated[int, Meta(ge=0)]
