"""Events that time has made due on an account, as a pure function: starts, expired requests, lapses,
invoices, and invoices that are overdue.

They come in the order (instant; started, released, lapsed, invoiced, overdue; id), each with its own instant, and each
directly followed by its consequences (holds that move, credits that return to an expired lot). Intervals are half-open:
a lot is active while start ≤ at < expiry, a hold while at < deadline.

Invariant, property-tested: writing due events at every instant, or only at the end, gives equal books.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .accounts import Account, Lot
from .amounts import SECOND, split
from .billing import excess, price
from .catalogue import Plan
from .events import Invoiced, Lapsed, Overdue, Recorded, Released, Started, Withdrawn
from .holds import cover_exposure, shares_meters
from .lots import EXPIRY_OF_LOT, EXPIRY_OF_REQUEST, INVOICE, START
from .periods import period
from .reducers import apply
from .repayment import with_repayment
from .tariffs import Tariffs
from .values import DAY_SECONDS


def due(account: Account, plan: Plan, now: int, tariffs: Tariffs) -> tuple[Account, list[Recorded]]:
    """Return the account as it is at `now` (a copy if anything was due), and the events that were due."""
    if account.next_due is None or account.next_due > now:
        return account, []
    updated, events = account.clone(), []
    for event in _due_events(updated, plan, now, tariffs):
        apply(updated, plan, 0, now, event)
        events.append(event)
    return updated, events


def _due_events(account: Account, plan: Plan, now: int, tariffs: Tariffs) -> Iterator[Recorded]:
    """Yield the due events in order. The caller must apply each one to the account before it asks for the next."""
    while account.agenda and account.agenda[0][0] <= now:
        instant, kind, id = account.agenda[0]
        if kind == START:
            lot = account.lots[id]
            paid = min(lot.credits - lot.withdrawn, account.debt)
            yield Started(account=account.number, lot=id, draws=((0, paid),) if paid else (), instant=instant)
            yield from _covered(account, plan, instant, tariffs)
        elif kind == EXPIRY_OF_REQUEST:
            held = [lot for lot, _ in account.requests[id].draws]
            released = Released(request=id, reason="expired", instant=instant)
            yield with_repayment(account, plan, 0, now, instant, released)
            yield from _covered(account, plan, instant, tariffs)
            yield from lapse_returned(account, plan, held, instant, now)
        elif kind == EXPIRY_OF_LOT:
            yield lapse(account, plan, account.lots[id], instant)
        elif kind == INVOICE:
            yield invoice(account, plan, instant)
        else:
            yield Overdue(account=account.number, invoice=id, instant=instant)
        yield from narrowed(account, plan, instant)


def narrowed(account: Account, plan: Plan, instant: int | None) -> Iterator[Recorded]:
    """Yield the withdrawal of what is available on a credit line beyond its limit and what is cleared, if anything is.
    `instant` is that of the due event it follows from, in UTC microseconds; None: it follows from a command."""
    if (wide := excess(plan.terms, account)) and account.billing is not None:
        line = account.lots[account.billing.line]
        if credits := min(wide, line.left):
            draws = ((line.id, credits),)
            yield Withdrawn(account=account.number, draws=draws, reason="limit", instant=instant)


def _covered(account: Account, plan: Plan, instant: int, tariffs: Tariffs) -> Iterator[Recorded]:
    if shares_meters(plan, tariffs):
        yield from cover_exposure(account, plan, instant, tariffs)


def invoice(account: Account, plan: Plan, instant: int) -> Invoiced:
    """Return the invoice, or the credit note, of what was used on the credit line since the last one."""
    billing, terms = account.billing, plan.terms
    assert billing is not None
    credits = account.lots[billing.line].spent - billing.billed
    return Invoiced(
        account=account.number,
        invoice=len(billing.invoices) + 1,
        period=period(terms.period, (), instant - 1),
        credits=credits,
        asset=terms.asset,
        money=price(terms, billing.billed + credits) - billing.invoiced,
        due=instant + terms.due_days * DAY_SECONDS * SECOND,
        instant=instant,
    )


def lapse_returned(account: Account, plan: Plan, lots: Sequence[int], instant: int, now: int) -> Iterator[Recorded]:
    """Yield the lapses of credits that returned, at `instant`, to lots that had expired before. They lapse at the
    commit's time, `now`."""
    for lot_id in dict.fromkeys(lots):
        lot = account.lots.get(lot_id)
        if lot is not None and lot.left and lot.expiry is not None and lot.expiry < instant:
            yield lapse(account, plan, lot, now)


def lapse(account: Account, plan: Plan, lot: Lot, instant: int) -> Recorded:
    """Return the event by which the credits left on an expired lot lapse, or are withdrawn if the plan refunds them.

    Credits that return to a lot after its subscriber's exit always lapse: the chain has paid out already.
    """
    if plan.terms.on_lapse == "earn" or lot.exited:
        return Lapsed(account=account.number, lot=lot.id, credits=lot.left, instant=instant)
    return Withdrawn(
        account=account.number,
        draws=((lot.id, lot.left),),
        money={lot.id: money} if (money := refund(lot, lot.left)) else {},
        reason="lapsed",
        instant=instant,
    )


def refund(lot: Lot, credits: int) -> int:
    """Return the unearned money (the asset's smallest unit) that is refunded with `credits` of what a lot has left."""
    unused = lot.credits - lot.withdrawn - lot.used
    unearned = split(lot.cost - lot.refunded, [lot.used, unused])[1]
    return split(unearned, [credits, unused - credits])[0]
