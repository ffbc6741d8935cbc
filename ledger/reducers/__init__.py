"""Reducers: the effect of each event on the books. They are total and deterministic, and never refuse.

`reduce` calls no policy, no chain, no clock and no random generator: their results are recorded in the event. A hold
takes its credits from lots immediately; a charge consumes its own hold's draws first, in their order, then the other
draws that it carries. Only `decide` chooses draws; reducers apply them.
"""

from __future__ import annotations

from typing import assert_never

from ..accounts import (
    EMPTY,
    Account,
)
from ..books import Books
from ..catalogue import Plan
from ..events import (
    Adjusted,
    AgentRegistered,
    AgentRetired,
    AgentUpdated,
    Charged,
    EscrowFunding,
    Extended,
    Frozen,
    Invoiced,
    InvoicePaid,
    Lapsed,
    Overdue,
    PlanCreated,
    PlanRepriced,
    PlanRetired,
    Purchased,
    Recorded,
    RefusedRequests,
    Reheld,
    Reinstated,
    Released,
    Requested,
    Reversed,
    Settlement,
    Started,
    Subscribed,
    Unfrozen,
    Withdrawn,
    WrittenOff,
)
from ..identity import fact_digest, payment_digest, remember_key
from ..lots import (
    move_deadline,
    pay_debts,
    rehold,
    take,
    unhold,
)
from ..settlement.netting import reduce_settlement
from .adjustments import reduce_adjusted
from .catalogue import reduce_catalogue
from .charges import close_request, reduce_charged, reduce_requested
from .charges import kept_periods as kept_periods
from .charges import late_until as late_until
from .invoices import reduce_billing, schedule_invoice
from .purchases import reduce_purchased, reduce_reinstated, reduce_reversed, reduce_started, reduce_withdrawn
from .purchases import unpaid_name as unpaid_name


def reduce(books: Books, seq: int, at: int, event: Recorded) -> None:
    """Apply one event to the books, in the order of the log."""
    if event.key is not None:
        remember_key(books, seq, event)  # first: reducing may close the request, and with it its account would be lost
    match event:
        case Charged():  # by far the most frequent event
            account = books.accounts[event.account]
            plan = books.plans[account.plan]
            if account.late:
                _forget_late(books, account, plan, at)
            reduce_charged(account, plan, seq, at, event)
            if event.request:
                _forget_closed(books, account, event.request)
        case Requested():
            _reduce_account(books, seq, at, event)
        case PlanCreated() | PlanRepriced() | PlanRetired() | AgentRegistered() | AgentUpdated() | AgentRetired():
            reduce_catalogue(books, event)
        case RefusedRequests():
            pass
        case Settlement():
            reduce_settlement(books, seq, at, event)  # no balance of credits depends on it
        case _:
            _reduce_account(books, seq, at, event)
    books.seq = seq


def _reduce_account(books: Books, seq: int, at: int, event: Recorded) -> None:
    match event:
        case Requested():
            pass
        case Purchased():
            _open_account(books, event)
            _remember_payment(books, seq, event)
            if event.asset_decimals is not None:
                books.assets[event.asset] = event.asset_decimals
        case Subscribed():
            _open_account(books, event)
        case InvoicePaid():
            _remember_payment(books, seq, event)
        case Withdrawn() | Frozen() if event.fact is not None:
            books.payments[fact_digest(event.fact)] = (bytes.fromhex(event.fingerprint or ""), seq)
        case Reversed():
            funding = books.accounts[event.account].lots[event.lot].funding
            if isinstance(funding, EscrowFunding):
                # A purchase that a reorganisation removed may be mined again: then it is a new purchase.
                books.payments.pop(payment_digest(funding, "") or b"", None)
    account = books.accounts[books.account_of(event)]
    plan = books.plans[account.plan]
    if account.late:
        _forget_late(books, account, plan, at)
    apply(account, plan, seq, at, event)
    match event:
        case Requested():
            books.open[seq] = account.number
        case Released():
            _forget_closed(books, account, event.request)


def _forget_late(books: Books, account: Account, plan: Plan, at: int) -> None:
    """Close expired requests that may no longer be charged."""
    for closed in [request_id for request_id, late in account.late.items() if late_until(plan, late) <= at]:
        del account.late[closed]
        books.open.pop(closed, None)


def _forget_closed(books: Books, account: Account, request: int) -> None:
    if request not in account.requests and request not in account.late:
        books.open.pop(request, None)


def _open_account(books: Books, event: Purchased | Subscribed) -> None:
    """Open an account by its first purchase or subscription."""
    if event.account > books.opened:
        books.opened = event.account
        plan = books.plans[event.plan].terms.plan  # the plan's own string, as in `share_terms`
        books.accounts[event.account] = Account(event.account, event.subscriber, plan)
        books.names[event.subscriber, plan] = event.account


def _remember_payment(books: Books, seq: int, event: Purchased | InvoicePaid) -> None:
    """Record a payment permanently, so that it counts once."""
    if (payment := payment_digest(event.funding, event.payment)) is not None:
        books.payments[payment] = (bytes.fromhex(event.fingerprint or ""), seq)


def apply(account: Account, plan: Plan, seq: int, at: int, event: Recorded) -> None:
    """Apply an account's event to the account alone."""
    match event:
        case Charged():
            reduce_charged(account, plan, seq, at, event)
        case Requested():
            reduce_requested(account, plan, seq, at, event)
        case Extended():
            move_deadline(account, account.requests[event.request], event.deadline)
        case Reheld():
            rehold(account, account.requests[event.request], event.draws)
        case Released():
            request = account.requests[event.request]
            unhold(account, request)
            close_request(account, request)
            if event.reason == "expired":
                request.draws = ()
                if account.late is EMPTY:
                    account.late = {}
                account.late[request.id] = request
            pay_debts(account, event.repaid)
        case Purchased():
            reduce_purchased(account, plan, seq, at, event)
        case Started():
            reduce_started(account, account.lots[event.lot], event)
        case Adjusted():
            reduce_adjusted(account, plan, seq, at, event)
        case Lapsed():
            lot = account.lots[event.lot]
            take(account, lot, event.credits)
            lot.lapsed += event.credits
        case Withdrawn():
            reduce_withdrawn(account, at, event)
        case Reversed():
            reduce_reversed(account, account.lots[event.lot], at, event)
            pay_debts(account, event.repaid)
        case Reinstated():
            reduce_reinstated(account, account.lots[event.lot], at, event)
            pay_debts(account, event.repaid)
        case Subscribed() | Invoiced() | InvoicePaid() | WrittenOff() | Overdue():
            reduce_billing(account, plan, seq, at, event)
        case Frozen():
            account.frozen, account.leaving = True, account.leaving or event.fact is not None
        case Unfrozen():
            account.frozen = False
        case (
            PlanCreated()
            | PlanRepriced()
            | PlanRetired()
            | AgentRegistered()
            | AgentRetired()
            | RefusedRequests()
            | Settlement()
        ):
            raise TypeError(f"{type(event).__name__} is not about an account")
        case _:
            assert_never(event)
    if account.billing is not None:
        schedule_invoice(account, plan, getattr(event, "instant", None) or at)
