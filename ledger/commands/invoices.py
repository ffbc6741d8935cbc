"""Commands of postpaid accounts: subscriptions, payments of invoices, and what is written off."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from ..events import InvoicePaid, Subscribed, WrittenOff
from .command import Command, Name, Number, Text


class Subscribe(Command[Subscribed], frozen=True, kw_only=True, tag="subscribe"):
    """Let a subscriber use a postpaid plan, up to the plan's credit limit."""

    subscriber: Name
    plan: Name


class PayInvoice(Command[InvoicePaid], frozen=True, kw_only=True, tag="pay_invoice"):
    """Record a payment of an invoice: of `amount` (in the asset's smallest unit), or of all that is owed on it.

    A `payment` id can be used once, permanently. With `funding` `direct` the receivers have the money; with `none` it
    is due to them.
    """

    subscriber: Name
    plan: Name
    invoice: Number
    payment: Name
    amount: Annotated[int, Meta(ge=1)] | None = None
    funding: Literal["direct", "none"] = "direct"


class WriteOff(Command[WrittenOff], frozen=True, kw_only=True, tag="write_off"):
    """Give up `amount` (in the asset's smallest unit) of an invoice, or all that is owed on it."""

    subscriber: Name
    plan: Name
    invoice: Number
    amount: Annotated[int, Meta(ge=1)] | None = None
    reason: Text = ""
