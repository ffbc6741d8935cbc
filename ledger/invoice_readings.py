"""Readings of postpaid accounts: invoices, and what is owed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

from .accounts import Account
from .billing import Invoice, price
from .events import PlanCreated
from .shown import Shown

InvoiceStatus: TypeAlias = Literal["open", "overdue", "paid", "written_off", "credit_note"]


class InvoiceReading(Shown, frozen=True, kw_only=True):
    """An invoice at one time: the credits used in a period, and their money in the asset's smallest unit. A credit note
    is an invoice below 0.

    Of an invoice, money = paid + credited + written_off + owed; `credited` is what credit notes and earlier payments
    have taken off. A credit note has its money alone: the others are 0. Of an account, the money of all of them
    together is what was paid and written off, and is owed, less its credit.
    Its events are those of the account after sequence `after` up to `seq`, which is None for an invoice that is due and
    not yet written. `at` and `due` are UTC microseconds.
    """

    credits_shown = ("credits",)
    money_shown = "money", "paid", "credited", "written_off", "owed"

    account: int
    subscriber: str
    plan: str
    invoice: int
    status: InvoiceStatus
    period: str
    at: int
    due: int
    credits: int
    decimals: int
    asset: str
    asset_decimals: int
    money: int
    paid: int
    credited: int
    written_off: int
    owed: int
    seq: int | None
    after: int


class BillingReading(Shown, frozen=True, kw_only=True):
    """Sums that a postpaid account owes. `limit` and `unbilled` are credits: those that may be owed at most, and those
    used since the last invoice. Their price, what is `owed` on invoices, and `credit` that will pay the next ones, are
    money in the asset's smallest unit."""

    credits_shown = "limit", "unbilled"
    money_shown = "unbilled_price", "owed", "credit"

    decimals: int
    asset: str
    asset_decimals: int
    limit: int
    unbilled: int
    unbilled_price: int
    owed: int
    credit: int
    overdue: bool


def billing_of(account: Account, terms: PlanCreated, decimals: int) -> BillingReading | None:
    """Return what an account owes, as it is due; None if its plan is prepaid."""
    if (billing := account.billing) is None:
        return None
    spent = account.lots[billing.line].spent
    return BillingReading(
        decimals=terms.decimals,
        asset=terms.asset,
        asset_decimals=decimals,
        limit=billing.limit,
        unbilled=spent - billing.billed,
        unbilled_price=price(terms, spent) - billing.invoiced,
        owed=billing.owed,
        credit=billing.credit,
        overdue=billing.overdue,
    )


def invoices_of(account: Account, terms: PlanCreated, decimals: int) -> Iterator[InvoiceReading]:
    """Yield the invoices of an account as it is due, oldest first."""
    after = 0
    for invoice in account.billing.invoices.values() if account.billing is not None else ():
        yield InvoiceReading(
            account=account.number,
            subscriber=account.subscriber,
            plan=account.plan,
            invoice=invoice.number,
            status=_status(invoice),
            period=invoice.period,
            at=invoice.at,
            due=invoice.due,
            credits=invoice.credits,
            decimals=terms.decimals,
            asset=terms.asset,
            asset_decimals=decimals,
            money=invoice.money,
            paid=invoice.paid,
            credited=invoice.credited,
            written_off=invoice.written_off,
            owed=invoice.owed,
            seq=invoice.seq or None,
            after=after,
        )
        after = invoice.seq


def _status(invoice: Invoice) -> InvoiceStatus:
    if invoice.money < 0 or invoice.credits < 0:
        return "credit_note"
    if invoice.owed:
        return "overdue" if invoice.overdue else "open"
    return "written_off" if invoice.written_off else "paid"
