"""Reducers of adjustments."""

from __future__ import annotations

from ..accounts import (
    EMPTY,
    Account,
)
from ..amounts import add_usage
from ..catalogue import Plan
from ..events import (
    Adjusted,
)
from ..lots import (
    correction_of,
    draw,
    forgive,
    move_expiry,
    pay_debts,
    put,
    spend,
    undraw,
)
from .charges import meter_of, recount


def reduce_adjusted(account: Account, plan: Plan, seq: int, at: int, event: Adjusted) -> None:
    """Apply a correction: draws or returns, the charge's correction, meters and limits."""
    period = event.period or event.metered
    if event.credits > 0:
        spend(account, event.draws, event.charge, period)
    else:
        _give_back(account, at, event)
    account.shortfall += event.shortfall
    if event.charge:
        correction = correction_of(account, event.charge)
        sign = 1 if event.credits > 0 else -1
        correction.credits += event.credits
        correction.shortfall += event.shortfall
        correction.usage = add_usage(correction.usage, event.usage)
        correction.draws = (*correction.draws, *((lot_id, sign * credits) for lot_id, credits in event.draws))
    if (request := account.requests.get(event.request)) is not None:
        request.usage = add_usage(request.usage, event.usage)
    if period and (period in account.meters or event.usage):
        meter = meter_of(account, plan, at, period)
        meter.usage = add_usage(meter.usage, event.usage)
        meter.charged = meter.charged or bool(event.usage)
        meter.net += event.credits
        meter.shortfall = max(0, meter.shortfall + event.shortfall)
        for lot_id, credits in event.draws:
            (draw if event.credits > 0 else undraw)(meter, lot_id, credits)
    if (limit := plan.terms.limits.credits) is not None:
        recount(account, limit, seq, at, event)
    if event.unpriced:
        account.unpriced = add_usage(account.unpriced, event.unpriced) or EMPTY
    pay_debts(account, event.repaid)


def _give_back(account: Account, at: int, event: Adjusted) -> None:
    for lot_id, credits in event.draws:
        if lot_id == 0:
            forgive(account, event.charge, credits)
            continue
        lot = account.lots[lot_id]
        if event.expiry is not None and lot.expiry is not None and lot.expiry <= at and not lot.exited:
            move_expiry(account, lot, event.expiry)
            lot.extended = True
        lot.spent -= credits
        put(account, lot, credits)
