"""Reducers of requests and charges: holds, meters and limits of an account."""

from __future__ import annotations

from ..accounts import (
    EMPTY,
    Account,
    Meter,
    OpenRequest,
)
from ..amounts import SECOND, add_usage
from ..catalogue import Plan
from ..events import (
    Adjusted,
    Charged,
    CreditsLimit,
    Draws,
    Requested,
)
from ..lots import (
    EXPIRY_OF_REQUEST,
    forgive,
    hold,
    move_deadline,
    owe,
    pay_debts,
    schedule,
    spend,
    unhold,
    unschedule,
)
from ..periods import kept
from ..values import consume, total
from .invoices import schedule_invoice


def late_until(plan: Plan, request: OpenRequest) -> int:
    """Return the end (UTC microseconds, exclusive) of the time in which an expired request may still be charged."""
    return request.deadline + plan.terms.late_seconds * SECOND


def reduce_requested(account: Account, plan: Plan, seq: int, at: int, event: Requested) -> None:
    """Open a request and hold its draws."""
    if account.requests is EMPTY:
        account.requests = {}
    period = kept(plan.terms.period, account.purchases, at)[0]
    account.requests[seq] = OpenRequest(
        seq,
        at,
        event.deadline,
        event.agent,
        event.tariff,
        {**event.estimate},
        {**event.labels},
        event.draws,
        period,
    )
    hold(account, event.draws)
    _arrive(account, plan, at)
    schedule(account, event.deadline, EXPIRY_OF_REQUEST, seq)


def _arrive(account: Account, plan: Plan, at: int) -> None:
    """Move the theoretical arrival time of the next request (GCRA: ITU-T I.371, virtual scheduling).

    It is in microseconds times the limit's requests, so that it is a whole number.
    """
    if (rate := plan.terms.limits.rate) is not None:
        account.arrival = max(account.arrival, at * rate.requests) + rate.seconds * SECOND


def reduce_charged(account: Account, plan: Plan, seq: int, at: int, event: Charged) -> None:
    """Spend a charge's draws and count it in its meter and limits."""
    draws = event.draws
    spend(account, _charge_request(account, seq, event) if event.request else draws, seq, event.period)
    if (limit := plan.terms.limits.credits) is not None:
        _count(account, limit, seq, at, event.credits)
    meters = account.meters
    meter = (
        meters[event.period]
        if len(meters) == 1 and event.period in meters
        else meter_of(account, plan, at, event.period)
    )
    meter.charged, meter.net, usage = True, meter.net + event.credits, meter.usage
    meter.shortfall += event.shortfall
    account.shortfall += event.shortfall
    for dimension, units in event.usage.items():
        if units:
            usage[dimension] = usage.get(dimension, 0) + units
    drawn = meter.drawn
    for lot_id, credits in draws:
        drawn[lot_id] = drawn.pop(lot_id, 0) + credits  # as `draw`, without its call
    if event.unpriced:
        account.unpriced = add_usage(account.unpriced, event.unpriced)
    if event.repaid:
        pay_debts(account, event.repaid)
    if account.billing is not None:
        schedule_invoice(account, plan, at)


def _charge_request(account: Account, seq: int, event: Charged) -> Draws:
    """Consume the hold of the charge's request; return the remainder of the charge's draws."""
    request = account.requests.get(event.request)
    if request is None:
        if event.request in account.late:
            del account.late[event.request]
        return event.draws
    taken, rest = consume(request.draws, event.credits)
    for lot_id, credits in taken:
        account.held -= credits
        if lot_id:
            lot = account.lots[lot_id]
            lot.held -= credits
            lot.spent += credits
        else:
            forgive(account, request.id, credits)
            owe(account, seq, credits, event.period)
    request.draws, request.charged = rest, True
    request.usage = add_usage(request.usage, event.usage)
    request.labels = {**event.labels}
    if event.deadline is not None:
        move_deadline(account, request, event.deadline)
    if event.final:
        unhold(account, request)
        close_request(account, request)
    return consume(event.draws, total(taken))[1]


def close_request(account: Account, request: OpenRequest) -> None:
    """Remove a closed request from its account."""
    unschedule(account, request.deadline, EXPIRY_OF_REQUEST, request.id)
    del account.requests[request.id]
    if not account.requests:
        account.requests = EMPTY


def _count(account: Account, limit: CreditsLimit, seq: int, at: int, credits: int) -> None:
    """Count credits charged in the plan's current window; `seq` is the charge's sequence."""
    window = at // (limit.seconds * SECOND)
    if window != account.window:
        account.window, account.window_credits, account.window_from = window, 0, seq
    account.window_credits += credits


def recount(account: Account, limit: CreditsLimit, seq: int, at: int, event: Adjusted) -> None:
    """Count a correction in the window of its charge, or one of a period in the current window.

    Invariant: a window's count is the net of its charges after their own corrections, and never negative.
    """
    current = account.window == at // (limit.seconds * SECOND)
    if event.charge:
        if current and event.charge >= account.window_from:
            account.window_credits = max(0, account.window_credits + event.credits)
    elif current or event.credits > 0:
        _count(account, limit, seq, at, event.credits)
        account.window_credits = max(0, account.window_credits)


def kept_periods(account: Account, plan: Plan, at: int) -> tuple[str, ...]:
    """Return the periods whose meters are kept: the current one, the one before, and those in which requests were
    admitted that may still be charged."""
    admitted = [request.period for request in account.requests.values()]
    late = [request.period for request in account.late.values() if at < late_until(plan, request)]
    return (*kept(plan.terms.period, account.purchases, at), *admitted, *late)


def meter_of(account: Account, plan: Plan, at: int, period: str) -> Meter:
    """Return the meter of a period; drop those of periods that are no longer kept."""
    meters = account.meters
    periods = (period, *kept_periods(account, plan, at))
    for dropped in [kept_period for kept_period in meters if kept_period not in periods]:
        del meters[dropped]
    return meters.setdefault(period, Meter())
