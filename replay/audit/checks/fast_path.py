"""Fast path: ordinary requests, charges and releases, compared in one pass with everything that their checks compare.

Nearly all events of a log are of this kind. True means that no check would find anything; False decides nothing: the
event then goes through the checks, which say what is wrong with it, if anything is. So the fast path may accept too
little, and must never accept too much: a test audits every planted fault with and without it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ledger.accounts import Account, OpenRequest
from ledger.amounts import SECOND, add_usage
from ledger.catalogue import Plan
from ledger.events import Charged, Draws, Event, Limits, Released, Requested, Usage
from ledger.periods import period_of_work
from ledger.rating import credits

from .case import Case
from .prices import priced
from .times import occurs, overdue


def accepts(case: Case) -> bool:
    """Return True if no check would find anything wrong with the event. The case then has its account and plan."""
    event = case.event
    judge = FAST_PATH.get(type(event))
    if judge is None:
        return False
    try:
        if not judge(case, event):
            return False
    except Exception:  # noqa: BLE001 - the checks report an event that cannot be judged
        return False
    assert case.account is not None
    case.acted.add(case.account.number)
    case.accepted[type(event)] += 1
    return True


def _quiet(case: Case, account: Account, event: Event) -> Plan:
    """Return the plan. Raises ValueError if something is due on the account, or a key has no fingerprint."""
    due = account.next_due
    if due is not None and due <= case.at and account.number not in case.acted and overdue(account, case.at):
        raise ValueError("something is due")
    if event.fingerprint is not None and not bytes.fromhex(event.fingerprint):
        raise ValueError("a key without a fingerprint")
    case.account = account
    plan = case.plan = case.books.plans[account.plan]
    return plan


def requested(case: Case, event: Requested) -> bool:
    """True for a request under the latest tariff, for the plan's time, holding its price from the first lot."""
    account = case.books.accounts[event.account]
    plan = _quiet(case, account, event)
    terms = plan.terms
    if (
        account.frozen
        or account.debt
        or (terms.overdue == "stop" and account.billing is not None and account.billing.overdue)
        or terms.limits != NO_LIMITS
        or event.tariff != plan.tariffs[-1].version
        or event.deadline != case.at + terms.hold_seconds * SECOND
        or (event.agent and event.agent not in case.books.agents)
    ):
        return False
    policy = case.rating(event.tariff)
    if policy is None or not case.reads(event.tariff, event.estimate, event.labels):
        return False
    if not terms.credits:
        return not event.hold and any(lot.lives(case.at) for lot in reversed(account.lots.values()))
    if policy.scope != "request" or case.tariffs.any_period(plan):
        return False
    estimate = _whole(event.estimate)
    hold = credits(policy, estimate, event.labels) or (0 if estimate else 1)
    return event.hold == hold and _first(account, event.draws, case.at)


def charged(case: Case, event: Charged) -> bool:
    """True for a charge at the price by its tariff, meter and usage, from its own hold, then from the first lot."""
    account = case.books.accounts[event.account]
    if event.shortfall or event.late or event.unpriced or event.repaid or account.debt:
        return False
    plan = _quiet(case, account, event)
    request = case.request = account.requests[event.request] if event.request else None
    if request is None:
        version, hold = plan.tariffs[-1].version, EMPTY
        if event.deadline is not None or (event.agent and event.agent not in case.books.agents):
            return False
        if account.frozen or not account.burn or not account.lots[account.burn[0]].lives(case.at):
            return False
    else:
        version, hold = request.tariff, request.draws
        if event.agent != request.agent or event.labels != request.labels:
            return False
        if event.deadline is not None and not _lasts(event.deadline, request, plan):
            return False
    if event.tariff != version:
        return False
    if request is not None:
        name = case.sums.accounts[event.account].periods[request.id]
    elif event.occurred_at is None and plan.terms.period in case.calendar:
        name = case.calendar[plan.terms.period]
    else:
        name, late = period_of_work(plan.terms.period, account.purchases, case.at, event.occurred_at)
        if late:
            return False
    if not occurs(case, event):
        return False
    return event.period == name and _priced(case, event) and _drawn(account, event.draws, hold, case.at)


def _lasts(deadline: int, request: OpenRequest, plan: Plan) -> bool:
    longest = max(request.at + plan.terms.longest_seconds * SECOND, request.deadline)
    return request.deadline <= deadline <= longest


def _priced(case: Case, event: Charged) -> bool:
    policy = case.policy(event.tariff)
    if policy is None or not case.reads(event.tariff, event.usage, event.labels):
        return False
    if policy.scope == "period":
        meter = case.sums.period(event.account, event.period)
    else:
        meter = case.sums.requests.get(event.request)
    if meter is not None:
        if event.before != meter.usage or event.continues == bool(meter.usage):
            return False
        before: Usage | None = event.before
    elif event.before or event.continues:
        return False
    else:
        before = None
    return priced(case, policy, before, event) == (event.credits, event.lines)


def _drawn(account: Account, draws: Draws, hold: Draws, at: int) -> bool:
    if not draws:
        return True
    if not hold:
        return _first(account, draws, at)
    (lot, held), (name, credits) = hold[0], draws[0]
    if len(hold) > 1 or not lot or name != lot or credits > held or not account.lots[lot].started:
        return False
    return len(draws) == 1 or (credits == held and _first(account, draws[1:], at))


def released(case: Case, event: Released) -> bool:
    """True for the release of an open request before its deadline."""
    if event.instant is not None:
        return False
    account = case.books.accounts[case.books.open[event.request]]
    if account.debt or event.repaid:
        return False
    case.request = account.requests[event.request]
    _quiet(case, account, event)
    return True


def _first(account: Account, draws: Draws, at: int) -> bool:
    """True if a living lot burns first, and all is drawn from it, out of the available credits."""
    first = account.burn[0]
    lot = account.lots[first]
    if len(draws) > 1 or not lot.lives(at):
        return False
    if not draws:
        return True
    name, credits = draws[0]
    return name == first and credits <= lot.left and credits <= account.left - account.debt


def _whole(usage: Usage) -> Usage:
    """Return the usage without the dimensions whose total is 0."""
    return usage if all(usage.values()) else add_usage({}, usage)


FAST_PATH: dict[type[Event], Callable[[Case, Any], bool]] = {Requested: requested, Charged: charged, Released: released}
"""By event type, the function that accepts ordinary events; all others, and those for which it raises, are checked."""

EMPTY: Draws = ()
NO_LIMITS = Limits()
