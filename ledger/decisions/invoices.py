"""Decisions on postpaid accounts: subscriptions, payments of invoices, and what is written off."""

from __future__ import annotations

from ..accounts import Account
from ..amounts import MAX_CREDITS, amount_text, split_steadily
from ..billing import Billing, Invoice, cleared, width
from ..catalogue import Plan
from ..commands import PayInvoice, Subscribe, WriteOff, whole
from ..events import InvoicePaid, Recorded, Share, Subscribed, WrittenOff
from ..refusals import Reason, Refusal
from .consequences import Projection
from .context import Context, Decision, account_of, check_policy, money_in, no_longer_sold, plan_of
from .windows import OPEN_CREDITS_LIMIT, open_credits


def subscribe(context: Context, command: Subscribe) -> Decision:
    """Open a subscriber's credit line on a postpaid plan. It is opened once."""
    plan = plan_of(context, command.plan)
    terms = plan.terms
    if terms.billing != "postpaid":
        raise Refusal(Reason.malformed, detail=f"the plan {command.plan!r} is prepaid: `Purchase` it")
    if plan.retired:
        raise Refusal(Reason.plan_retired, detail=no_longer_sold(command.plan))
    events: list[Recorded] = []
    account = Account(context.books.opened + 1, command.subscriber, command.plan)
    if context.books.find(command.subscriber, command.plan) is not None:
        account, events = account_of(context, command.subscriber, plan)
    if account.frozen:
        raise Refusal(Reason.frozen)
    check_policy(context, plan)
    limit = terms.credit_limit if command.credit_limit is None else whole(command.credit_limit)
    if open_credits(account) + limit > MAX_CREDITS:
        raise Refusal(Reason.overflow, detail=OPEN_CREDITS_LIMIT)
    paid = min(limit, account.debt)
    subscribed = Subscribed(
        account=account.number,
        subscriber=command.subscriber,
        plan=command.plan,
        credits=limit,
        draws=((0, paid),) if paid else (),
    )
    projection = Projection(context, account, plan)
    # The lot's id is the sequence of this event, which follows the events that are due.
    projection.add(subscribed, context.books.seq + len(events) + 1)
    return Decision(events, projection.complete())


def earlier_subscription(context: Context, command: Subscribe) -> int | None:
    """Return the sequence of the subscription that a command asks for again, with a key or without; None if it is new.

    Raises Refusal if the subscriber is subscribed with another limit. A service may so subscribe its customers at each
    start, also those of a plan that is no longer sold.
    """
    account = context.books.find(command.subscriber, command.plan)
    if account is None or account.billing is None:
        return None
    terms, billing = context.books.plans[command.plan].terms, account.billing
    limit = terms.credit_limit if command.credit_limit is None else whole(command.credit_limit)
    if limit == billing.limit:
        return billing.line
    shown = amount_text(billing.limit, terms.decimals)
    detail = f"{command.subscriber!r} is subscribed to {command.plan!r} already, with a credit limit of {shown}"
    raise Refusal(Reason.key_reused, detail=detail)


def pay(context: Context, command: PayInvoice) -> Decision:
    """Record a payment. A part of an invoice may be paid, but no more than is owed on it."""
    plan = plan_of(context, command.plan)
    account, events = account_of(context, command.subscriber, plan)
    billing, invoice = _invoice(account, command.invoice)
    amount = _amount(context, plan, invoice, command.amount)
    projection = Projection(context, account, plan)
    projection.add(
        InvoicePaid(
            account=account.number,
            invoice=invoice.number,
            asset=plan.terms.asset,
            money=amount,
            shares=shares(plan, billing.paid, amount),
            funding=command.funding,
            payment=command.payment,
            room=room(account, plan, paid=amount),
        ),
        context.books.seq + len(events) + 1,
    )
    return Decision(events, projection.complete())


def write_off(context: Context, command: WriteOff) -> Decision:
    """Write off what is owed on an invoice, or a part of it."""
    plan = plan_of(context, command.plan)
    account, events = account_of(context, command.subscriber, plan)
    _, invoice = _invoice(account, command.invoice)
    amount = _amount(context, plan, invoice, command.amount)
    projection = Projection(context, account, plan)
    projection.add(
        WrittenOff(
            account=account.number,
            invoice=invoice.number,
            money=amount,
            reason=command.reason,
            room=room(account, plan, written_off=amount),
        )
    )
    return Decision(events, projection.complete())


def shares(plan: Plan, paid: int, amount: int) -> tuple[Share, ...]:
    """Return the receivers' shares of an `amount` of money after `paid` was paid on the account: by the plan's price,
    so that no share is below 0 and all payments together are split as one would be."""
    weights = [share.amount for share in plan.terms.price]
    before, after = split_steadily(paid, weights), split_steadily(paid + amount, weights)
    return tuple(
        Share(share.receiver, upto - less) for share, less, upto in zip(plan.terms.price, before, after, strict=True)
    )


def room(account: Account, plan: Plan, paid: int = 0, written_off: int = 0) -> int:
    """Return the credits by which the credit line changes when more money is paid or written off; below 0 when less is
    paid, by what is available at most."""
    billing = account.billing
    assert billing is not None
    line = account.lots[billing.line]
    change = cleared(plan.terms, billing, line, paid, written_off) - width(billing, line)
    return max(0, change) if paid >= 0 else max(-line.left, min(0, change))


def _invoice(account: Account, number: int) -> tuple[Billing, Invoice]:
    """Return an invoice of an account. Raises Refusal."""
    billing = account.billing
    invoice = None if billing is None else billing.invoices.get(number)
    if billing is None or invoice is None:
        raise Refusal(Reason.invoice_unknown, detail=f"the account has no invoice {number}")
    return billing, invoice


def _amount(context: Context, plan: Plan, invoice: Invoice, amount: object) -> int:
    """Return the amount that is paid or written off. Raises Refusal if so much is not owed."""
    wanted = invoice.owed if amount is None else whole(amount)
    if not 0 < wanted <= invoice.owed:
        owed = money_in(context, plan.terms.asset, invoice.owed)
        raise Refusal(Reason.malformed, detail=f"amount: {owed} is owed on invoice {invoice.number}")
    return wanted
