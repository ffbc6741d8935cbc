"""Time, as one pure function: what has become due on an account.

Events come in the order (instant; started, released, lapsed; id), each with its own instant; what follows from one of
them (holds that move, credits that return to an expired lot) comes right behind it. Intervals are half-open: a lot
lives while start ≤ at < expiry, a hold while at < deadline.

Law, held by a test: writing due events at every instant, or only at the end, gives the same books.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .accounts import Account, Lot
from .amounts import split
from .catalogue import Plan
from .events import Lapsed, Recorded, Released, Started, Withdrawn
from .holds import covering, shares_meters
from .lots import EXPIRY_OF_REQUEST, START
from .reducers import apply
from .repayment import with_repayment
from .tariffs import Tariffs


def due(account: Account, plan: Plan, now: int, tariffs: Tariffs) -> tuple[Account, list[Recorded]]:
    """The account as it is at `now` (a copy, where anything was due) and the events that made it so."""
    if account.next_due is None or account.next_due > now:
        return account, []
    ahead, events = account.clone(), []
    for event in _happen(ahead, plan, now, tariffs):
        apply(ahead, plan, 0, now, event)
        events.append(event)
    return ahead, events


def _happen(account: Account, plan: Plan, now: int, tariffs: Tariffs) -> Iterator[Recorded]:
    """The next due event, again and again; the account must have changed by it before the next is asked for."""
    while account.agenda and account.agenda[0][0] <= now:
        instant, family, name = account.agenda[0]
        if family == START:
            lot = account.lots[name]
            paid = min(lot.credits - lot.withdrawn, account.debt)
            yield Started(account=account.number, lot=name, draws=((0, paid),) if paid else (), instant=instant)
            yield from _covered(account, plan, instant, tariffs)
        elif family == EXPIRY_OF_REQUEST:
            held = [lot for lot, _ in account.requests[name].draws]
            released = Released(request=name, reason="expired", instant=instant)
            yield with_repayment(account, plan, 0, now, instant, released)
            yield from _covered(account, plan, instant, tariffs)
            yield from lapses(account, plan, held, instant, now)
        else:
            yield lapse(account, plan, account.lots[name], instant)


def _covered(account: Account, plan: Plan, instant: int, tariffs: Tariffs) -> Iterator[Recorded]:
    if shares_meters(plan, tariffs):
        yield from covering(account, plan, instant, tariffs)


def lapses(account: Account, plan: Plan, lots: Sequence[int], instant: int, now: int) -> Iterator[Recorded]:
    """What lapses at once because it returned, at `instant`, to lots that had expired before; the time of that is the
    commit's, `now`."""
    for name in dict.fromkeys(lots):
        lot = account.lots.get(name)
        if lot is not None and lot.left and lot.expiry is not None and lot.expiry < instant:
            yield lapse(account, plan, lot, now)


def lapse(account: Account, plan: Plan, lot: Lot, instant: int) -> Recorded:
    """What is left of an expired lot lapses, or leaves with its money where the plan refunds.

    Whoever was paid by a chain and left gets nothing more: what returns to such a lot is earned.
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
    """The unearned money that leaves with `credits` of a lot's left: their part of what the lot has to earn."""
    unused = lot.credits - lot.withdrawn - lot.used
    unearned = split(lot.cost - lot.refunded, [lot.used, unused])[1]
    return split(unearned, [credits, unused - credits])[0]
