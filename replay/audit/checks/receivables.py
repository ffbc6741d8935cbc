"""The auditor's own sums of postpaid accounts: what was invoiced, paid, credited and written off, by invoice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ledger.events import Event, Invoiced, InvoicePaid, PlanCreated, Reinstated, Reversed, Subscribed, WrittenOff


@dataclass(slots=True)
class OwnInvoice:
    """An invoice's money, and what became of it."""

    money: int
    due: int
    paid: int = 0
    credited: int = 0
    written_off: int = 0

    @property
    def owed(self) -> int:
        """Return the rest of its money."""
        return max(0, self.money - self.paid - self.credited - self.written_off)


@dataclass(slots=True)
class Receivable:
    """Sums that a subscriber owes. `line` is the lot of the credit line and `limit` the credits that it began with;
    `billed` are all invoiced credits, `paid` is all money that was paid and not reversed, `given_up` all that was ever
    written off. `instant` is that of the last invoice."""

    line: int
    limit: int
    billed: int = 0
    paid: int = 0
    given_up: int = 0
    instant: int = 0
    invoices: dict[int, OwnInvoice] = field(default_factory=dict)

    @property
    def invoiced(self) -> int:
        """Return the money of all invoices, less that of credit notes."""
        return sum(each.money for each in self.invoices.values())

    @property
    def written_off(self) -> int:
        """Return the money that is written off."""
        return sum(each.written_off for each in self.invoices.values())

    @property
    def owed(self) -> int:
        """Return what is owed on all invoices."""
        return sum(each.owed for each in self.invoices.values())

    def cleared(self, terms: PlanCreated, spent: int, paid: int = 0, written_off: int = 0) -> int:
        """Return the credits that are owed no more if so much more is paid or written off: those that the money is the
        price of, all that are invoiced if it is enough for them. A write-off clears no more than what is spent."""

        def worth(money: int) -> int:
            credits = money * terms.credits // terms.cost
            return max(credits, self.billed) if money >= self.invoiced else min(credits, self.billed)

        paid += self.paid
        by_payments, by_all = worth(paid), worth(paid + self.written_off + written_off)
        return by_all if by_all <= by_payments else min(by_all, max(by_payments, spent))

    def meet(self) -> None:
        """Credit pays the oldest invoices, then takes the place of what was written off, the latest first; where there
        is less credit than was used, the latest invoices are owed again."""
        credit = self.paid + self.written_off + self.owed - self.invoiced
        for each in self.invoices.values():
            part = min(max(credit, 0), each.owed)
            each.credited += part
            credit -= part
        for each in reversed(self.invoices.values()):
            if credit > 0:
                part = min(credit, each.written_off)
                each.written_off -= part
            else:
                part = max(credit, -each.credited)
            each.credited += part
            credit -= part


class Receivables:
    """The sums of all postpaid accounts, and by lot the payments: account, invoice and money that is not reversed."""

    def __init__(self) -> None:
        self.accounts: dict[int, Receivable] = {}
        self.payments: dict[int, tuple[int, int]] = {}

    def subscribed(self, seq: int, event: Subscribed) -> None:
        """Add an account."""
        self.accounts[event.account] = Receivable(seq, event.credits)

    def invoiced(self, seq: int, event: Invoiced) -> None:
        """Add an invoice."""
        own = self.accounts[event.account]
        own.billed += event.credits
        own.instant = event.instant
        own.invoices[event.invoice] = OwnInvoice(event.money, event.due)
        own.meet()

    def paid(self, seq: int, event: InvoicePaid) -> None:
        """Add a payment."""
        self.payments[seq] = event.account, event.invoice
        self._pay(event.account, event.invoice, event.money)

    def reversed(self, seq: int, event: Reversed) -> None:
        """Take a payment back, or a part of it."""
        if event.lot in self.payments:
            self._pay(*self.payments[event.lot], -event.money)

    def reinstated(self, seq: int, event: Reinstated) -> None:
        """Count again what was reversed of a payment."""
        if event.lot in self.payments:
            self._pay(*self.payments[event.lot], event.money)

    def written_off(self, seq: int, event: WrittenOff) -> None:
        """Lower what is owed."""
        own = self.accounts[event.account]
        own.given_up += event.money
        own.invoices[event.invoice].written_off += event.money
        own.meet()

    def _pay(self, account: int, number: int, money: int) -> None:
        own = self.accounts[account]
        invoice = own.invoices[number]
        invoice.paid += max(-invoice.paid, min(money, invoice.owed))
        own.paid += money
        own.meet()


ADDS: dict[type[Event], Callable[[Receivables, int, Any], None]] = {
    Subscribed: Receivables.subscribed,
    Invoiced: Receivables.invoiced,
    InvoicePaid: Receivables.paid,
    Reversed: Receivables.reversed,
    Reinstated: Receivables.reinstated,
    WrittenOff: Receivables.written_off,
}
"""By event, what it adds; all other events add nothing here."""
