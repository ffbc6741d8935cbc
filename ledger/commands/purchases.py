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
)


class Terms(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The terms of a purchase on a chain: money by receiver, credits, seconds. They may differ from the plan's present
    terms. `asset_decimals` are those that the chain reports for the asset; None: it does not."""

    asset: Name
    shares: dict[Name, Annotated[int, Meta(ge=0)]]
    credits: Credits = 0
    seconds: Seconds = 0
    asset_decimals: AssetDecimals | None = None


class Purchase(Command[Purchased], frozen=True, kw_only=True, tag="purchase"):
    """Buy a plan at its price, or start its trial. A `payment` id can be used once, permanently.

    `terms` are those of a purchase that was seen on a chain; its `funding` is the escrow.
    """

    subscriber: Name
    plan: Name
    payment: Text = ""
    funding: Funding = "none"
    start: Moment | None = None
    terms: Terms | None = None


class Give(Command[Purchased], frozen=True, kw_only=True, tag="give"):
    """Give credits, a window of `seconds`, or both, at no cost. `priority` None is the plan's priority."""

    subscriber: Name
    plan: Name
    credits: Credits = 0
    seconds: Seconds = 0
    start: Moment | None = None
    expiry: Moment | None = None
    priority: Priority | None = None


class Withdraw(Command[Withdrawn], frozen=True, kw_only=True, tag="withdraw"):
    """Withdraw unused credits with their unearned money, from one `lot` or (0) from all.

    `credits` None is all that are not held. A window without credits ends now, and the money of its remaining time is
    withdrawn; a lot that has not started is withdrawn as a whole.
    """

    subscriber: Name
    plan: Name
    lot: Number = 0
    credits: Credits | None = None
    reason: Text = ""


class Reverse(Command[Reversed], frozen=True, kw_only=True, tag="reverse"):
    """Reverse a purchase whose payment was void (a chargeback), by lot or by payment id: all of its remaining money, or
    `amount` of it (in the asset's smallest unit), with a proportional part of its credits."""

    subscriber: Name
    plan: Name
    lot: Number = 0
    payment: Text = ""
    amount: Annotated[int, Meta(ge=1)] | None = None


class Reinstate(Command[Reinstated], frozen=True, kw_only=True, tag="reinstate"):
    """Undo the reversals of a purchase, by lot or by payment id: the dispute was won and the money is back."""

    subscriber: Name
    plan: Name
    lot: Number = 0
    payment: Text = ""


class Freeze(Command[Frozen], frozen=True, kw_only=True, tag="freeze"):
    """Admit no new requests of this account, and sell it nothing. `fact` is the exit request on a chain that caused the
    freeze, if one did."""

    subscriber: Name
    plan: Name
    fact: Fact | None = None


class Unfreeze(Command[Unfrozen], frozen=True, kw_only=True, tag="unfreeze"):
    """Undo a freeze that no exit request on a chain caused."""

    subscriber: Name
    plan: Name


class Exit(Command[Withdrawn], frozen=True, kw_only=True, tag="exit"):
    """Record that a chain has paid an exited subscriber, and withdraw the unused credits of the lots that it funded.

    `amount` (in the asset's smallest unit) is what the chain paid. It is taken first from money that was withdrawn from
    those lots before and was still in escrow, then from their unearned money, then from their earned money.
    """

    subscriber: Name
    plan: Name
    fact: Fact
    asset: Name
    amount: Annotated[int, Meta(ge=0)]
