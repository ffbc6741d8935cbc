"""Commands of lots and accounts: purchases, gifts, withdrawals, reversals, freezes and exits."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from ..events import (
    Fact,
    Funding,
)
from .command import (
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
    """What a chain says was bought: money by receiver, and what for it. It holds whatever the plan says by now."""

    asset: Name
    shares: dict[Name, Annotated[int, Meta(ge=0)]]
    credits: Credits = 0
    seconds: Seconds = 0


class Purchase(Command, frozen=True, kw_only=True, tag="purchase"):
    """Buy a plan at its price, or try it where it is a trial. A `payment` id is used once, for ever.

    `terms` are those of a purchase that was seen on a chain; its `funding` names the escrow.
    """

    subscriber: Name
    plan: Name
    payment: Text = ""
    funding: Funding = "none"
    start: Moment | None = None
    terms: Terms | None = None


class Give(Command, frozen=True, kw_only=True, tag="give"):
    """Give credits, a window of `seconds`, or both, at no cost. None of `priority` is the plan's."""

    subscriber: Name
    plan: Name
    credits: Credits = 0
    seconds: Seconds = 0
    start: Moment | None = None
    expiry: Moment | None = None
    priority: Priority | None = None


class Withdraw(Command, frozen=True, kw_only=True, tag="withdraw"):
    """Take unused credits back with their unearned money: of one lot or (0) of all, that many or (None) all unheld.

    A window without credits ends now, and the money of its rest leaves; a lot that has not started leaves whole.
    """

    subscriber: Name
    plan: Name
    lot: Number = 0
    credits: Credits | None = None
    reason: Text = ""


class Reverse(Command, frozen=True, kw_only=True, tag="reverse"):
    """Undo a purchase whose payment turned out void, by lot or by payment id: all that is left of its money, or
    `amount` of it (in the asset's smallest unit), with as large a part of its credits."""

    subscriber: Name
    plan: Name
    lot: Number = 0
    payment: Text = ""
    amount: Annotated[int, Meta(ge=1)] | None = None


class Reinstate(Command, frozen=True, kw_only=True, tag="reinstate"):
    """Undo the reversals of a purchase, by lot or by payment id: the dispute was won, the money is there again."""

    subscriber: Name
    plan: Name
    lot: Number = 0
    payment: Text = ""


class Freeze(Command, frozen=True, kw_only=True, tag="freeze"):
    """Admit no new requests of this account, and sell it nothing. `fact` is the exit request that a chain has seen, if
    that is why."""

    subscriber: Name
    plan: Name
    fact: Fact | None = None


class Unfreeze(Command, frozen=True, kw_only=True, tag="unfreeze"):
    """Undo a freeze that no chain asked for."""

    subscriber: Name
    plan: Name


class Exit(Command, frozen=True, kw_only=True, tag="exit"):
    """A chain has paid a subscriber who left: what was unused of the lots that it funded is withdrawn.

    The money is what the chain paid (`amount` of the asset's smallest unit): first what had left those lots before and
    was still in escrow, then what they have not earned, then what they had.
    """

    subscriber: Name
    plan: Name
    fact: Fact
    asset: Name
    amount: Annotated[int, Meta(ge=0)]
