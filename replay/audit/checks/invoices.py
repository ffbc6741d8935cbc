"""Invoices of postpaid accounts: each period's use once, at the plan's price, and no more paid than is owed.

What all invoices of an account come to is the price of all that was used and came back, rounded down once. Payments
are split among receivers as one payment of their sum would be, and none of them pays more than its invoice owes. What
is used, held and available on a credit line never exceeds its limit and what is cleared, unless nothing is available.
"""

from __future__ import annotations

from ledger.accounts import Account
from ledger.events import Invoiced, InvoicePaid, Overdue, Reinstated, Reversed, Subscribed, Withdrawn, WrittenOff
from ledger.identity import payment_digest
from ledger.legs import AVAILABLE, HELD, ISSUED, SPENT, WITHDRAWN
from ledger.periods import period

from .case import DAY, Case
from .lookups import has_account, is_new, missing
from .receivables import Receivable

KIND = "invoice"


# -- references --------------------------------------------------------------------------------------------------------


def subscription_exists(case: Case, event: Subscribed) -> bool:
    """True if the plan is a postpaid one, and the account that of the subscriber, without a credit line yet."""
    books = case.books
    plan = books.plans.get(event.plan)
    if plan is None or plan.terms.billing != "postpaid":
        return missing(case, "plan", "a postpaid plan", event.plan, f"{event.plan!r} is not a postpaid plan")
    number = books.names.get((event.subscriber, event.plan), books.opened + 1)
    if event.account != number:
        return missing(case, "account", number, event.account, f"{event.subscriber!r} has another number there")
    case.account, case.plan = books.accounts.get(number), plan
    if case.account is not None and case.account.billing is not None:
        return missing(case, "account", "a new subscriber", number, "an account has one credit line")
    return True


def account_is_billed(case: Case, event: Invoiced) -> bool:
    """True if the account is a postpaid one, and the invoice its next one."""
    if not has_account(case, event.account):
        return False
    own = case.receivables.accounts.get(event.account)
    if own is None:
        return missing(case, "account", "a postpaid account", event.account, "the account has no credit line")
    if event.invoice != len(own.invoices) + 1:
        message = "invoices of an account are numbered one by one"
        return missing(case, "invoice", len(own.invoices) + 1, event.invoice, message)
    return True


def invoice_exists(case: Case, event: InvoicePaid | WrittenOff | Overdue) -> bool:
    """True if the account has the invoice, and a payment is new."""
    own = case.receivables.accounts.get(event.account)
    if not has_account(case, event.account):
        return False
    if own is None or event.invoice not in own.invoices:
        return missing(case, "invoice", "an invoice", event.invoice, f"the account has no invoice {event.invoice}")
    if isinstance(event, InvoicePaid):
        return is_new(case, "payment", payment_digest(event.funding, event.payment))
    return True


# -- single events -----------------------------------------------------------------------------------------------------


def subscribed(case: Case) -> None:
    """Check that the credit line pays the debt. Its length was agreed with the subscriber."""
    event = case.event
    assert isinstance(event, Subscribed)
    debt = 0 if case.account is None else case.account.debt
    if (found := sum(credits for _, credits in event.draws)) != (expected := min(debt, event.credits)):
        case.find(KIND, "draws", expected, found, "a credit line pays the debt first")


def invoiced(case: Case) -> None:
    """Check an invoice: all that was spent on the line since the last one, and the rest of the price of all of it."""
    event, own, plan = case.event, _own(case), case.plan
    assert isinstance(event, Invoiced)
    assert plan is not None
    terms = plan.terms
    spent = case.journal.states(event.account, own.line)[SPENT]
    whole = spent * sum(share.amount for share in terms.price) // terms.credits
    name = period(terms.period, (), event.instant - 1)
    if event.instant <= own.instant or name == period(terms.period, (), event.instant):
        case.find(KIND, "instant", "the end of a period", event.instant, "an invoice is of the end of a period")
    for field, expected in {
        "credits": spent - own.billed,
        "money": whole - own.invoiced,
        "asset": terms.asset,
        "period": name,
        "due": event.instant + terms.due_days * DAY,
    }.items():
        if (found := getattr(event, field)) != expected:
            message = f"an invoice has what was used since the last one, at the plan's price: {field} {expected}"
            case.find(KIND, field, expected, found, message)


def paid(case: Case) -> None:
    """Check that no more is paid than is owed, who has which share, and what the line has more for it."""
    event, own, plan = case.event, _own(case), case.plan
    assert isinstance(event, InvoicePaid)
    assert plan is not None
    _no_more_than_owed(case, own, event)
    _room(case, own, event.room, paid=event.money)
    weights = [share.amount for share in plan.terms.price]
    before, after = (_nested(total, weights) for total in (own.paid, own.paid + event.money))
    expected = [
        (share.receiver, upto - less) for share, less, upto in zip(plan.terms.price, before, after, strict=True)
    ]
    found = [(share.receiver, share.amount) for share in event.shares]
    if found != expected:
        message = "payments are split by the plan's price as one payment of their sum"
        case.find(KIND, "shares", dict(expected), dict(found), message)
    if event.asset != plan.terms.asset:
        case.find(KIND, "asset", plan.terms.asset, event.asset, "an invoice is paid in the plan's asset")


def written_off(case: Case) -> None:
    """Check that no more is written off than is owed."""
    event, own = case.event, _own(case)
    assert isinstance(event, WrittenOff)
    _no_more_than_owed(case, own, event)
    _room(case, own, event.room, written_off=event.money)


def overdue(case: Case) -> None:
    """Check that an overdue invoice is one on which something is owed after its due time."""
    event, own = case.event, _own(case)
    assert isinstance(event, Overdue)
    invoice = own.invoices[event.invoice]
    if not invoice.owed or event.instant != invoice.due:
        message = f"{invoice.owed} is owed on invoice {event.invoice}"
        case.find(KIND, "instant", invoice.due if invoice.owed else None, event.instant, message)


def changed(case: Case) -> None:
    """Check what a reversal or a reinstatement of a payment takes from the credit line, or gives back to it."""
    event = case.event
    assert isinstance(event, Reversed | Reinstated)
    if event.lot in case.receivables.payments:
        _room(case, _own(case), event.room, paid=event.money if isinstance(event, Reinstated) else -event.money)
    elif event.room:
        case.find(KIND, "room", 0, event.room, "only a payment of an invoice changes the credit line")


def _own(case: Case) -> Receivable:
    assert case.account is not None
    return case.receivables.accounts[case.account.number]


def _no_more_than_owed(case: Case, own: Receivable, event: InvoicePaid | WrittenOff) -> None:
    owed = own.invoices[event.invoice].owed
    if event.money > owed:
        message = f"{owed} is owed on invoice {event.invoice}"
        case.find(KIND, "money", f"at most {owed}", event.money, message)


def narrowed(case: Case) -> None:
    """Check that what is withdrawn from a credit line is all that is available beyond its limit, and no money."""
    event = case.event
    assert isinstance(event, Withdrawn)
    assert case.account is not None
    (_, credits), beyond = event.draws[0], _beyond_limit(case, case.account, _own(case))
    if len(event.draws) != 1 or credits != beyond or event.money:
        message = "from a credit line all that is available beyond its limit is withdrawn, and nothing else"
        case.find(KIND, "draws", beyond, credits, message)


def _beyond_limit(case: Case, account: Account, own: Receivable) -> int:
    """Return the credits that are available on the credit line beyond its limit and what is cleared."""
    states = case.journal.states(account.number, own.line)
    spent, available = states[SPENT], states[AVAILABLE]
    owed = spent + states[HELD] + available - own.cleared(case.books.plans[account.plan].terms, spent)
    return max(0, min(available, owed - own.limit))


def _room(case: Case, own: Receivable, room: int, paid: int = 0, written_off: int = 0) -> None:
    """Check the change of a credit line: to its limit and the credits that are owed no more."""
    assert case.account is not None
    assert case.plan is not None
    states = case.journal.states(case.account.number, own.line)
    width = -states[ISSUED] - states[WITHDRAWN] - own.limit
    change = own.cleared(case.plan.terms, states[SPENT], paid, written_off) - width
    expected = max(0, change) if paid >= 0 else min(states[AVAILABLE], max(0, -change))
    if room != expected:
        message = f"with {paid + written_off} the credit line changes by {expected} credits"
        case.find(KIND, "room", expected, room, message)


def _nested(total: int, weights: list[int]) -> list[int]:
    """Part a total by weights, the first part by its weight in all of them, the next of the rest by those left."""
    parts: list[int] = []
    for place, weight in enumerate(weights):
        of = sum(weights[place:])
        parts.append((total - sum(parts)) * weight // of if of else 0)
    return parts


# -- after each commit -------------------------------------------------------------------------------------------------


def within_limit(case: Case, account: Account) -> None:
    """Check that nothing is available on a credit line beyond its limit."""
    if (own := case.receivables.accounts.get(account.number)) is None:
        return
    case.findings.checked[KIND] += 1
    if beyond := _beyond_limit(case, account, own):
        message = f"account {account.number} could use {beyond} more credits than its credit limit lets it owe"
        case.report(KIND, account.number, "available", 0, beyond, message)
    else:
        case.reported.discard((KIND, account.number, 0))


# -- at the end --------------------------------------------------------------------------------------------------------


def end(case: Case) -> None:
    """Compare what the books have of each invoice with the auditor's own sums, and what is owed with the movements."""
    for account in case.accounts():
        billing = account.billing
        own = case.receivables.accounts.get(account.number)
        if billing is None and own is None:
            continue
        case.findings.checked[KIND] += 1
        expected, found = _shape(own), _kept(account)
        if expected != found:
            message = f"account {account.number} has other invoices than its events say"
            case.findings.add(KIND, None, "invoices", expected, found, message)
        if own is None or billing is None:
            continue
        asset = case.books.plans[account.plan].terms.asset
        posted = case.journal.money.get((asset, "receivable", account.number, 0, ""), 0)
        owed = own.invoiced - own.paid - own.given_up
        if posted != owed:
            message = f"what account {account.number} owes differs from the sum of its movements"
            case.findings.add(KIND, None, "owed", owed, posted, message)


def _shape(own: Receivable | None) -> object:
    return own and [
        own.line,
        own.limit,
        own.billed,
        own.paid,
        [[each.money, each.due, each.paid, each.credited, each.written_off] for each in own.invoices.values()],
    ]


def _kept(account: Account) -> object:
    billing = account.billing
    return billing and [
        billing.line,
        billing.limit,
        billing.billed,
        billing.paid,
        [[each.money, each.due, each.paid, each.credited, each.written_off] for each in billing.invoices.values()],
    ]
