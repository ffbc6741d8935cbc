"""Commands of postpaid accounts: subscriptions, payments of invoices, and what is written off."""

from __future__ import annotations

from typing import Literal

from ..events import InvoicePaid, Subscribed, WrittenOff
from .command import Command, Name, Number, Text, WrittenLimit, WrittenMoney


class Subscribe(Command[Subscribed], frozen=True, kw_only=True, tag="subscribe"):
    """Let a subscriber use a postpaid plan, on a credit line. What is used is invoiced at the end of each period. A
    subscriber subscribes once: with the same limit again it is answered as before, however late, and writes nothing.

    Fields:
        credit_limit: Credits that this subscriber may owe: used, held and invoiced. None: the plan's.

    Example:
        Subscribe(subscriber="carol", plan="payg")
    """

    subscriber: Name
    plan: Name
    credit_limit: WrittenLimit | None = None


class PayInvoice(Command[InvoicePaid], frozen=True, kw_only=True, tag="pay_invoice"):
    """Record a payment of an invoice, or of a part of it. The money is earned, and the credit line grows by what it
    paid for.

    Fields:
        payment: Id of the payment, which pays once, permanently.
        amount: Money that was paid, in the asset's smallest unit or written ("1.50"). None: all that is owed on the
            invoice.
        funding: Holder of the money. "direct": the receivers have it. "none": it is due to them.

    Example:
        PayInvoice(
            subscriber="carol",
            plan="payg",
            invoice=1,
            payment="bank-17",
        )
    """

    subscriber: Name
    plan: Name
    invoice: Number
    payment: Name
    amount: WrittenMoney | None = None
    funding: Literal["direct", "none"] = "direct"


class WriteOff(Command[WrittenOff], frozen=True, kw_only=True, tag="write_off"):
    """Give up what is owed on an invoice, or a part of it. The credit line grows by it.

    Fields:
        amount: Money that is given up, in the asset's smallest unit or written ("1.50"). None: all that is owed on the
            invoice.

    Example:
        WriteOff(subscriber="carol", plan="payg", invoice=1, reason="goodwill")
    """

    subscriber: Name
    plan: Name
    invoice: Number
    amount: WrittenMoney | None = None
    reason: Text = ""
