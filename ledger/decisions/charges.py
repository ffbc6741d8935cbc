"""What a request really cost: rated, drawn from its hold first, and recorded with what it was computed from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..books import Account, OpenRequest, Plan, consume, total
from ..commands import Charge
from ..events import Adjusted, Charged, Draws, Line, Recorded, Usage
from ..periods import period
from ..plugins import Policy
from ..rating import derivable, difference, marginal
from ..reducers import apply, late_until
from ..refusals import Reason, Refusal
from .adjustments import give_back
from .case import (
    Case,
    Decision,
    account_of,
    agent_of,
    check_standing,
    check_usage,
    overrun,
    plan_of,
    take,
)
from .ordinary import ordinary_charge
from .requests import find_open, later_deadline, returned


def charge(case: Case, command: Charge) -> Decision:
    """Of an open request, of one that expired a short while ago, or directly of an account."""
    if not command.request:
        ordinary = ordinary_charge(case, command)
        return charge_directly(case, command) if ordinary is None else Decision([], [ordinary])
    account, plan, open_request, events = find_open(case, command.request)
    if open_request is not None:
        return _charge_open(case, command, account, plan, open_request, events)
    late = account.late.get(command.request)
    if late is None or not command.final or case.at >= late_until(plan, late):
        raise Refusal(Reason.request_closed, detail=f"request {command.request}")
    rated = _rate(case, command, account, plan, late)
    return _settle(case, command, account, plan, events, rated, take(account, rated.price), request=late, late=True)


def _charge_open(
    case: Case, command: Charge, account: Account, plan: Plan, request: OpenRequest, events: list[Recorded]
) -> Decision:
    """The request's own hold is drawn first, in its order, then available lots; a partial charge only consumes."""
    rated = _rate(case, command, account, plan, request)
    held, rest = consume(request.draws, rated.price)
    draws = (*held, *take(account, rated.price - total(held)))
    deadline = None
    if not command.final:
        moved = later_deadline(plan, request, case.at, plan.terms.hold_seconds)
        deadline = moved if moved != request.deadline else None
    lots = [lot for lot, _ in rest] if command.final else []
    return _settle(
        case, command, account, plan, events, rated, draws, request=request, deadline=deadline, returning=lots
    )


def charge_directly(case: Case, command: Charge) -> Decision:
    """A request and its final charge in one: `cap` does not apply, since nothing was admitted."""
    plan = plan_of(case, command.plan)
    agent = agent_of(case, plan, command.agent) if command.agent else 0
    account, events = account_of(case, command.subscriber, plan)
    check_standing(account, case.at)
    rated = _rate(case, command, account, plan, None)
    draws = take(account, rated.price)
    beyond = rated.price - total(draws)
    if beyond and overrun(account, plan, beyond)[1]:
        needed, available = rated.price, account.available
        room = plan.terms.debt_limit if plan.terms.overrun == "debt" else 0
        top_up = needed - available - room
        raise Refusal(Reason.insufficient_credits, needed=needed, available=available, top_up=top_up)
    return _settle(case, command, account, plan, events, rated, draws, agent=agent)


@dataclass(slots=True)
class _Rated:
    """What usage costs: `price` credits, or a `refund` where the total falls, what that was computed from, and the
    lines of it that are recorded."""

    price: int
    refund: int
    lines: tuple[Line, ...]
    tariff: int
    labels: dict[str, str]
    period: str
    before: Usage | None


def _rate(case: Case, command: Charge, account: Account, plan: Plan, request: OpenRequest | None) -> _Rated:
    """The marginal price of the usage, in the scope of the tariff under which the request was admitted."""
    version = request.tariff if request is not None else plan.tariff.version
    labels = command.labels if request is None else _labels(request, command)
    policy = case.tariffs.policy(plan, version)
    name = period(plan.terms.period, account.purchases, case.at, command.occurred_at)
    before = _before(policy, account, request, name)
    meter = account.meters.get(name)
    if meter is not None:
        check_usage(meter.usage, command.usage)
    if before:
        check_usage(before, command.usage)
    lines: tuple[Line, ...] = ()
    if plan.terms.record_lines or not derivable(policy):
        price, lines = marginal(policy, before, command.usage, labels)
    else:
        price = difference(policy, before, command.usage, labels)
    return _Rated(max(0, price), max(0, -price), lines, version, labels, name, before)


def _before(policy: Policy, account: Account, request: OpenRequest | None, name: str) -> Usage | None:
    """The meter of the policy's scope; None where nothing was charged in it yet."""
    if policy.scope == "request":
        return request.usage if request is not None and request.charged else None
    meter = account.meters.get(name)
    return meter.before if meter is not None else None


def _labels(request: OpenRequest, command: Charge) -> dict[str, str]:
    """A request's labels; a charge may add to them until the first part is charged, since one total has one price."""
    labels = {**request.labels, **command.labels}
    if request.charged and labels != request.labels:
        raise Refusal(Reason.malformed, detail="the labels of a request are fixed by its first charge")
    return labels


def _settle(
    case: Case,
    command: Charge,
    account: Account,
    plan: Plan,
    events: list[Recorded],
    rated: _Rated,
    draws: Draws,
    *,
    request: OpenRequest | None = None,
    agent: int = 0,
    late: bool = False,
    deadline: int | None = None,
    returning: Sequence[int] = (),
) -> Decision:
    """The event, and what follows from it in the same commit: credits that return to expired lots lapse, and what a
    falling total gives back is an adjustment of the period."""
    shortfall, beyond = 0, rated.price - total(draws)
    if beyond:
        debt, shortfall = overrun(account, plan, beyond)
        draws = (*draws, *debt)
    rare: dict[str, Any] = {}  # what most charges leave at its default
    if request is not None:
        rare.update(request=request.id, agent=request.agent, final=command.final, deadline=deadline, late=late)
    elif agent:
        rare["agent"] = agent
    if rated.before is not None:
        rare.update(before=rated.before, continues=not rated.before)
    if shortfall or rated.lines or command.occurred_at is not None:
        rare.update(shortfall=shortfall, lines=rated.lines, occurred_at=command.occurred_at)
    charged = Charged(
        account=account.number,
        credits=rated.price - shortfall,
        draws=draws,
        usage=command.usage,
        labels=rated.labels,
        tariff=rated.tariff,
        period=rated.period,
        **rare,
    )
    own: list[Recorded] = [charged, *returned(case, account, plan, charged, returning)]
    if rated.refund:
        own += _fall(case, account, plan, own, rated)
    return Decision(events, own)


def _fall(case: Case, account: Account, plan: Plan, own: list[Recorded], rated: _Rated) -> list[Recorded]:
    """The adjustment by which a volume tier that was reached makes what came before cheaper; no more than was taken."""
    ahead = account.clone()
    for event in own:
        apply(ahead, plan, 0, case.at, event)
    meter = ahead.meters[rated.period]
    draws = give_back(ahead, list(meter.drawn.items()), min(rated.refund, meter.net))
    if not draws:
        return []
    adjusted = Adjusted(account=account.number, period=rated.period, credits=-total(draws), draws=draws, reason="tier")
    return [adjusted, *returned(case, ahead, plan, adjusted, [lot for lot, _ in draws])]
