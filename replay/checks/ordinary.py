"""Ordinary events: those that are seen at a glance to be right in everything.

Nearly all events of a log are requests, charges and releases with nothing special about them. For these, all that the
checks of their type look at is compared here in one pass. True means that no check would find anything; False decides
nothing: the event then goes through the checks, which say what is wrong with it, if anything is. So what stands here
may be blind, and must never be lenient: a test audits every planted fault with and without it.
"""

from __future__ import annotations

from collections.abc import Callable

from ledger.amounts import SECOND, add_usage
from ledger.books import Account, OpenRequest, Plan
from ledger.events import Charged, Draws, Event, Released, Requested, Usage
from ledger.periods import period
from ledger.rating import marginal, total

from .case import Case


def recognised(case: Case) -> bool:
    """Whether the event is surely right. If so, the case has what it is about."""
    recognise = ORDINARY.get(type(case.event))
    if recognise is None:
        return False
    try:
        if not recognise(case):
            return False
    except Exception:  # noqa: BLE001 - whatever is so wrong that it cannot be judged is for the checks to say
        return False
    case.recognised[type(case.event)] += 1
    return True


def _quiet(case: Case, account: Account | None) -> bool:
    """Whether it is an account on which nothing is due; then it acts. A key, if there is one, has its fingerprint."""
    if account is None:
        return False
    due = account.next_due
    if due is not None and due <= case.at:
        return False
    fingerprint = case.event.fingerprint
    if fingerprint is not None and not bytes.fromhex(fingerprint):
        return False
    case.account, case.plan = account, case.books.plans[account.plan]
    case.acted.add(account.number)
    return True


def requested(case: Case) -> bool:
    """Under the latest tariff, held for the plan's time, at the price of the estimate, from the first lot."""
    event, books = case.event, case.books
    assert isinstance(event, Requested)
    account = books.accounts.get(event.account)
    if not _quiet(case, account):
        return False
    plan = case.plan
    assert account is not None
    assert plan is not None
    terms = plan.terms
    if (
        account.frozen
        or account.debt
        or event.tariff != plan.tariffs[-1].version
        or event.deadline != case.at + terms.hold_seconds * SECOND
        or (event.agent and event.agent not in books.agents)
        or not terms.credits
    ):
        return False
    policy = case.policy(event.tariff)
    if policy is None or policy.scope != "request":
        return False
    estimate = _whole(event.estimate)
    hold = total(policy, estimate, event.labels).credits or (0 if estimate else 1)
    return event.hold == hold and _first(account, event.draws, case.at)


def charged(case: Case) -> bool:
    """At the price that its tariff, meter and usage give, from its own hold, and beyond that from the first lot."""
    event = case.event
    assert isinstance(event, Charged)
    account = case.books.accounts.get(event.account)
    if event.shortfall or event.late or not _quiet(case, account):
        return False
    plan = case.plan
    assert account is not None
    assert plan is not None
    request = None
    if event.request:
        request = account.requests.get(event.request)
        if request is None or not _of_request(event, request, plan):
            return False
        version = request.tariff
    else:
        version = plan.tariffs[-1].version
        if event.deadline is not None or (event.agent and event.agent not in case.books.agents):
            return False
    case.request, case.late = request, None
    return (
        event.tariff == version
        and event.period == period(plan.terms.period, account.purchases, case.at, event.occurred_at)
        and _priced(case, event)
        and _drawn(case, account, event, () if request is None else request.draws)
    )


def _of_request(event: Charged, request: OpenRequest, plan: Plan) -> bool:
    if event.agent != request.agent or event.labels != request.labels:
        return False
    if (deadline := event.deadline) is None:
        return True
    longest = max(request.at + plan.terms.longest_seconds * SECOND, request.deadline)
    return request.deadline <= deadline <= longest


def _priced(case: Case, event: Charged) -> bool:
    policy = case.policy(event.tariff)
    if policy is None:
        return False
    if policy.scope == "period":
        meter = case.sums.period(event.account, event.period)
    else:
        meter = case.sums.requests.get(event.request)
    if meter is None:
        if event.before or event.continues:
            return False
        price, lines = marginal(policy, None, event.usage, event.labels)
    else:
        if event.before != meter.usage or event.continues == bool(meter.usage):
            return False
        price, lines = marginal(policy, event.before, event.usage, event.labels)
    return price == event.credits and (event.lines == lines or not event.lines)


def _drawn(case: Case, account: Account, event: Charged, hold: Draws) -> bool:
    draws = event.draws
    if not hold:
        return not draws or _first(account, draws, case.at)
    if len(hold) > 1 or not draws:
        return not draws
    (lot, held), (name, credits) = hold[0], draws[0]
    if not lot or name != lot or credits > held or not account.lots[lot].started:
        return False
    return len(draws) == 1 or (credits == held and _first(account, draws[1:], case.at))


def released(case: Case) -> bool:
    """An open request that ends before its time."""
    event = case.event
    assert isinstance(event, Released)
    account = case.books.accounts.get(case.books.open.get(event.request, 0))
    if event.instant is not None or not _quiet(case, account):
        return False
    assert account is not None
    case.request = account.requests.get(event.request)
    return case.request is not None


def _first(account: Account, draws: Draws, at: int) -> bool:
    """Whether there is a living lot that burns first, and all is drawn from it, out of what is available."""
    if not account.burn or len(draws) > 1:
        return False
    first = account.burn[0]
    lot = account.lots[first]
    if not lot.lives(at):
        return False
    if not draws:
        return True
    name, credits = draws[0]
    return name == first and credits <= lot.left and credits <= account.left - account.debt


def _whole(usage: Usage) -> Usage:
    """Usage without the dimensions that come to 0."""
    return usage if all(usage.values()) else add_usage({}, usage)


ORDINARY: dict[type[Event], Callable[[Case], bool]] = {Requested: requested, Charged: charged, Released: released}
"""By event, what recognises the ordinary ones; all others go through the checks."""
