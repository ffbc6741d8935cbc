"""Reducers of postpaid accounts: the credit line, invoices, and what is paid or written off."""

from __future__ import annotations

from msgspec.structs import replace

from ..accounts import Account, Lot, share_terms
from ..billing import Billing, Invoice, balance_credit
from ..catalogue import Plan
from ..events import Invoiced, InvoicePaid, Overdue, Subscribed, WrittenOff
from ..lots import INVOICE, OVERDUE, pay_debts, put, schedule, take, unschedule
from ..periods import end_of
from ..values import total

LINE_PRIORITY = 2**31
"""The priority of a credit line in the burn order: after everything that was bought or given."""


def reduce_billing(
    account: Account,
    plan: Plan,
    seq: int,
    at: int,
    event: Subscribed | Invoiced | InvoicePaid | WrittenOff | Overdue,
) -> None:
    """Apply an event of a postpaid account."""
    match event:
        case Subscribed():
            _subscribed(account, plan, seq, at, event)
        case Invoiced():
            _invoiced(account, seq, event)
        case InvoicePaid():
            _invoice_paid(account, plan, seq, at, event)
        case WrittenOff():
            _written_off(account, at, event)
        case Overdue():
            _overdue(account, event)


def _subscribed(account: Account, plan: Plan, seq: int, at: int, event: Subscribed) -> None:
    """Open the account's credit line."""
    account.billing = Billing(line=seq, limit=event.credits)
    lot = account.lots[seq] = Lot(
        id=seq,
        kind="credit_line",
        credits=event.credits,
        seconds=0,
        start=at,
        expiry=None,
        priority=LINE_PRIORITY,
        asset=plan.terms.asset,
        cost=0,
        shares=(),
        funding="none",
        payment="",
        started=True,
    )
    share_terms(lot, plan)
    put(account, lot, event.credits)
    pay_debts(account, ((seq, total(event.draws)),))


def _invoiced(account: Account, seq: int, event: Invoiced) -> None:
    """Add an invoice. Credit of the account pays it first; a credit note pays what is owed."""
    billing = _billing(account)
    billing.billed += event.credits
    billing.invoiced += event.money
    billing.put(
        Invoice(
            number=event.invoice,
            period=event.period,
            at=event.instant,
            due=event.due,
            credits=event.credits,
            money=event.money,
            seq=seq,
        )
    )
    _rebalance(account, billing, event.instant - 1)  # what is due at this instant is an event of its own


def _invoice_paid(account: Account, plan: Plan, seq: int, at: int, event: InvoicePaid) -> None:
    """Add a payment as a lot that has earned its money, and lower what is owed."""
    account.lots[seq] = lot = Lot(
        id=seq,
        kind="payment",
        credits=0,
        seconds=0,
        start=at,
        expiry=at,
        priority=0,
        asset=event.asset,
        cost=event.money,
        shares=event.shares,
        funding=event.funding,
        payment=event.payment,
        started=True,
        pays=event.invoice,
    )
    share_terms(lot, plan)
    _paid(account, event.invoice, event.money, at)
    _widen(account, event.room)
    pay_debts(account, event.repaid)


def reduce_payment(account: Account, lot: Lot, at: int, money: int, room: int) -> None:
    """Change a payment by a reversal (below 0) or a reinstatement; the credit line by `room` credits."""
    _paid(account, lot.pays, money, at)
    _widen(account, room)


def _written_off(account: Account, at: int, event: WrittenOff) -> None:
    """Lower what is owed on an invoice that will not be paid."""
    billing = _billing(account)
    invoice = billing.invoices[event.invoice]
    billing.written_off += event.money
    billing.put(replace(invoice, written_off=invoice.written_off + event.money))
    _rebalance(account, billing, at)
    _widen(account, event.room)
    pay_debts(account, event.repaid)


def _overdue(account: Account, event: Overdue) -> None:
    """Mark an invoice as overdue."""
    billing = _billing(account)
    invoice = billing.invoices[event.invoice]
    unschedule(account, invoice.due, OVERDUE, invoice.number)
    billing.put(replace(invoice, overdue=True))


def schedule_invoice(account: Account, plan: Plan, at: int) -> None:
    """Schedule the next invoice at the end of the period in which something to invoice arose; at the instant `at` the
    account changed. Nothing is scheduled while nothing is to invoice."""
    billing = _billing(account)
    unbilled = account.lots[billing.line].spent != billing.billed
    if unbilled and not billing.next_bill:
        end = end_of(plan.terms.period, at)
        if end is not None:
            billing.next_bill = end
            schedule(account, end, INVOICE, 0)
    elif not unbilled and billing.next_bill:
        unschedule(account, billing.next_bill, INVOICE, 0)
        billing.next_bill = 0


def _widen(account: Account, room: int) -> None:
    """Add credits to the credit line, or (below 0) take available ones away."""
    lot = account.lots[_billing(account).line]
    lot.credits += room
    if room >= 0:
        put(account, lot, room)
    else:
        take(account, lot, -room)


def _billing(account: Account) -> Billing:
    assert account.billing is not None
    return account.billing


def _paid(account: Account, number: int, money: int, at: int) -> None:
    """Add money to an invoice, or take it back, as far as it is owed or was paid there; the rest is credit."""
    billing = _billing(account)
    invoice = billing.invoices[number]
    billing.paid += money
    change = min(money, invoice.owed) if money > 0 else -min(-money, invoice.paid)
    billing.put(replace(invoice, paid=invoice.paid + change))
    _rebalance(account, billing, at)


def _rebalance(account: Account, billing: Billing, at: int) -> None:
    """Let credit and debts of money meet, and schedule when what is still owed is overdue; what is owed again after
    its due time is overdue at once."""
    balance_credit(billing)
    for invoice in list(billing.invoices.values()):
        if not invoice.owed:
            unschedule(account, invoice.due, OVERDUE, invoice.number)
            if invoice.overdue:
                billing.put(replace(invoice, overdue=False))
        elif invoice.due <= at and not invoice.overdue:
            unschedule(account, invoice.due, OVERDUE, invoice.number)
            billing.put(replace(invoice, overdue=True))
        elif not invoice.overdue:
            unschedule(account, invoice.due, OVERDUE, invoice.number)
            schedule(account, invoice.due, OVERDUE, invoice.number)
