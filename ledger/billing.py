"""Billing of a postpaid account: its credit line, its invoices, and what is owed on them.

A credit line is a lot of the credits that may be used before they are paid: as many as the plan's limit, plus those
that payments and write-offs have cleared. So requests hold and charges draw on it as on any lot, after all others.

At the end of a metering period the use of the line since the last invoice is invoiced. The price is rounded once:
what all invoices of an account come to is ⌊invoiced credits · price of the plan / credits of the plan⌋, and an invoice
is the difference to the one before. A period in which more came back than was used gives a credit note, which is an
invoice below 0: it lowers what is owed, oldest invoice first, then what was written off, then the next invoices.

Invariant, property-tested: invoiced = paid + written off + owed − credit, of an account and (without the credit) of
each of its invoices.

Invariant, property-tested: after any commit a credit line has nothing available, or what is used, held and available
on it is at most the limit and what is cleared (`cleared`). So no request is admitted that would be owed beyond the
limit. Payments and write-offs widen the line; what returns to it later, or is no longer cleared because a payment was
reversed or a write-off became void, is withdrawn from it as soon as it is available (`excess`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from .events import PlanCreated

if TYPE_CHECKING:
    from .accounts import Account, Lot


class Invoice(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An invoice: the credits used in a period and their money, in the asset's smallest unit, below 0 for a credit
    note. `at` and `due` are UTC microseconds; `credited` is what credit notes have taken off;
    `seq` that of its event, 0 until it is written."""

    number: int
    period: str
    at: int
    due: int
    credits: int
    money: int
    paid: int = 0
    credited: int = 0
    written_off: int = 0
    overdue: bool = False
    seq: int = 0

    @property
    def owed(self) -> int:
        """The money that is still to be paid; 0 for a credit note."""
        return max(0, self.money - self.paid - self.credited - self.written_off)


class Billing(msgspec.Struct, array_like=True, gc=False):
    """The billing of an account. `line` is the lot of its credit line and `limit` the credits that it may owe;
    `next_bill` the instant of the next invoice (UTC microseconds), 0 if there is nothing to invoice.

    `billed` are the credits, `invoiced` the money of all invoices; `paid` and `written_off` what became of it.
    """

    line: int
    limit: int
    billed: int = 0
    invoiced: int = 0
    paid: int = 0
    written_off: int = 0
    next_bill: int = 0
    invoices: dict[int, Invoice] = {}

    @property
    def owed(self) -> int:
        """The money that is to be paid on all invoices."""
        return sum(invoice.owed for invoice in self.invoices.values())

    @property
    def credit(self) -> int:
        """The money that was paid beyond what is invoiced: the next invoices are lower by it."""
        return self.paid + self.written_off + self.owed - self.invoiced

    @property
    def overdue(self) -> bool:
        """True if an invoice is overdue."""
        return any(invoice.overdue for invoice in self.invoices.values())

    def clone(self) -> Billing:
        """Return a copy that can be changed without this one changing."""
        return replace(self, invoices=dict(self.invoices))

    def put(self, invoice: Invoice) -> None:
        """Add an invoice, or replace it."""
        self.invoices = {**self.invoices, invoice.number: invoice}


def price(terms: PlanCreated, credits: int) -> int:
    """Return the money of so many credits on a plan, rounded down, in the asset's smallest unit."""
    return terms.cost * credits // terms.credits


def cleared(terms: PlanCreated, billing: Billing, line: Lot, paid: int = 0, written_off: int = 0) -> int:
    """Return the credits of a line that are no longer owed once so much more is paid or written off.

    They are those that the money is the price of, rounded down; all that are invoiced where nothing is owed, and more
    where more was paid. What is written off clears credits that are used: where they come back, a write-off is void.
    """
    paid += billing.paid
    most = max(line.spent, _worth(terms, billing, paid))
    return min(_worth(terms, billing, paid + billing.written_off + written_off), most)


def excess(terms: PlanCreated, account: Account) -> int:
    """Return the credits by which an account's credit line is wider than its limit and what is cleared; 0 for an
    account without one."""
    if (billing := account.billing) is None:
        return 0
    line = account.lots[billing.line]
    return max(0, width(billing, line) - cleared(terms, billing, line))


def width(billing: Billing, line: Lot) -> int:
    """Return the credits by which a credit line is wider than its limit."""
    return line.credits - line.withdrawn - billing.limit


def _worth(terms: PlanCreated, billing: Billing, money: int) -> int:
    """Return the credits that an amount of money pays, all that are invoiced if it is as much as they cost."""
    credits = money * terms.credits // terms.cost
    return max(billing.billed, credits) if money >= billing.invoiced else min(billing.billed, credits)


def balance_credit(billing: Billing) -> None:
    """Let credit pay what is owed, oldest invoice first, then take the place of what was written off; and owe again,
    on the latest invoices first, what credit no longer covers."""
    credit = billing.credit
    for invoice in list(billing.invoices.values()):
        if credit > 0 and invoice.owed:
            part = min(credit, invoice.owed)
            credit -= part
            billing.put(replace(invoice, credited=invoice.credited + part))
    for invoice in reversed(billing.invoices.values()):
        part = min(credit, invoice.written_off) if credit > 0 else -min(-credit, invoice.credited)
        if part:
            credit -= part
            void = max(0, part)
            billing.written_off -= void
            billing.put(replace(invoice, credited=invoice.credited + part, written_off=invoice.written_off - void))
