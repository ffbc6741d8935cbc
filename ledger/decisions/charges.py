"""Charges: usage is rated, drawn from the request's hold first, and recorded with what the price was computed from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..accounts import Account, OpenRequest
from ..amounts import SECOND, add_usage
from ..catalogue import Plan
from ..commands import Charge
from ..events import Adjusted, Charged, Draws, Line, Recorded, Usage
from ..holds import exposure, lend
from ..periods import may_have_occurred, period_of_work, time_text
from ..plugins import Policy
from ..rating import PolicyFailed, PriceTooLarge, derivable, difference, marginal, unpriced
from ..reducers import apply, late_until
from ..refusals import Reason, Refusal
from ..values import consume, total
from .adjustments import give_back
from .consequences import Projection, with_consequences
from .context import Context, Decision, account_of, agent_of, check_access, overrun, plan_of, take
from .fast_path import fast_charge
from .refusal_facts import Assessment
from .requests import closed_request, find_open, later_deadline


@dataclass(slots=True)
class _Target:
    """The account that is charged, as it is due, and the request that is charged, if any.

    `due` are the events due on the account, `deadline` the request's new one (UTC microseconds) where it moves,
    `returning` the ids of the lots to which the rest of a hold returns.
    """

    context: Context
    command: Charge
    account: Account
    plan: Plan
    due: list[Recorded]
    request: OpenRequest | None = None
    agent: int = 0
    late: bool = False
    deadline: int | None = None
    returning: Sequence[int] = ()


def charge(context: Context, command: Charge) -> Decision:
    """Charge an open request, one that expired a short while ago, or an account directly."""
    if not command.request:
        fast = fast_charge(context, command)
        return charge_directly(context, command) if fast is None else Decision([], [fast])
    account, plan, open_request, events = find_open(context, command.request)
    if open_request is not None:
        return _charge_open(_Target(context, command, account, plan, events, open_request), open_request)
    late = account.late.get(command.request)
    if late is None or not command.final or context.at >= late_until(plan, late):
        raise Refusal(Reason.request_closed, detail=closed_request(command.request))
    rated = _rate(context, command, account, plan, late)
    target = _Target(context, command, account, plan, events, late, late=True)
    return _charged(target, rated, take(account, rated.price))


def _charge_open(target: _Target, request: OpenRequest) -> Decision:
    """Draw on the request's own hold first, in its order, then on available lots. A partial charge only consumes."""
    context, command, account, plan = target.context, target.command, target.account, target.plan
    rated = _rate(context, command, account, plan, request)
    lent = _borrow(target, request, rated)
    if lent:
        account = account.clone()
        for event in lent:
            apply(account, plan, 0, context.at, event)
        request = account.requests[request.id]
        target.account, target.request = account, request
    held, rest = consume(request.draws, rated.price)
    draws = (*held, *take(account, rated.price - total(held)))
    if command.final:
        target.returning = [lot for lot, _ in rest]
    else:
        moved = later_deadline(plan, request, context.at, plan.terms.hold_seconds)
        target.deadline = moved if moved != request.deadline else None
    decision = _charged(target, rated, draws)
    # The charge must be the first of the command's own events, since its sequence is the charge's id.
    return Decision([*decision.due, *lent], decision.own)


def _borrow(target: _Target, request: OpenRequest, rated: _Rated) -> list[Recorded]:
    """Return the events by which other open requests lend credits of their holds, where the request's own hold and the
    available credits do not suffice."""
    context, command, account, plan = target.context, target.command, target.account, target.plan
    missing = rated.price - request.hold - max(0, account.available)
    if missing <= 0 or len(account.requests) == 1:
        return []
    projected = account.clone()
    apply(projected, plan, 0, context.at, _event(_Target(context, command, account, plan, [], request), rated, (), 0))
    projected.meters[rated.period].net += rated.price  # as if it were paid, which is what lending shall achieve
    used = add_usage(request.usage, command.usage)
    within = all(units <= request.estimate.get(dimension, 0) for dimension, units in used.items())
    try:
        # Reserves for requests without an estimate are lent only to a request that stays within its own estimate.
        needed = exposure(projected, plan, context.tariffs, reserves=not within)
    except (PolicyFailed, PriceTooLarge):
        return []
    return list(lend(account, request.id, missing, needed))


def charge_directly(context: Context, command: Charge) -> Decision:
    """Charge an account without a request. Limits on requests do not apply, since nothing is admitted.

    The work is done, so it is never refused for credits alone: what is available is taken, and the rest follows the
    plan's overrun rule, as a request's does. The charge may come after the end of access, for as long as a request may
    be charged late. Refused, and so left to an importer to keep: an unknown plan or agent, a subscriber who never had
    access (`not_subscribed`), a frozen account, work after the end of access or reported too late (`expired`), a price
    that cannot be computed (`overflow`, `policy_failed`).
    """
    plan = plan_of(context, command.plan)
    agent = agent_of(context, plan, command.agent)
    assessment = _DirectCharge(context, command, plan)
    account, events = account_of(context, command.subscriber, plan, assessment)
    rated = assessment.accepted(account)
    late = rated.late or assessment.is_late(account, context.at)
    target = _Target(context, command, account, plan, events, None, agent, late)
    return _charged(target, rated, take(account, rated.price))


def check_occurred(at: int, command: Charge) -> None:
    """Refuse a time at which no work was done, as seen from the present (`at`, UTC microseconds)."""
    occurred = command.occurred_at
    if occurred is not None and not may_have_occurred(occurred, at):
        where = "after the present" if occurred > at else "more than ten years ago"
        detail = f"occurred_at: {occurred} is {time_text(occurred)} in microseconds, which lies {where}"
        raise Refusal(Reason.malformed, detail=detail)


class _DirectCharge(Assessment["_Rated"]):
    """Assessment of a direct charge."""

    def __init__(self, context: Context, command: Charge, plan: Plan) -> None:
        super().__init__(context, plan)
        self._command = command

    def is_late(self, account: Account, at: int) -> bool:
        """True if access has ended and the work may still be charged: it was done before the end, as far as is known,
        and the end is no longer ago than a request may be charged late."""
        lots = [lot for lot in account.lots.values() if lot.started]
        ends = [lot.expiry for lot in lots if lot.expiry is not None]
        if account.frozen or not ends or any(lot.lives(at) for lot in lots):
            return False
        occurred = self._command.occurred_at
        return at < max(ends) + self.plan.terms.late_seconds * SECOND and (occurred is None or occurred < max(ends))

    def assess(self, account: Account, at: int) -> _Rated:
        """Return what the usage costs. Raises Refusal."""
        if not self.is_late(account, at):
            check_access(account, self.plan, at)
        context = self.context if at == self.context.at else replace(self.context, at=at)
        return _rate(context, self._command, account, self.plan, None)

    def needed(self, account: Account, at: int) -> int:
        """Return 0: access is all that a direct charge needs."""
        return 0


@dataclass(slots=True)
class _Rated:
    """The price of usage in credits, or a `refund` where the total falls; what it was computed from; the lines that are
    recorded; the units that no rate reads; and whether it is metered in a later period than that of the work."""

    price: int
    refund: int
    lines: tuple[Line, ...]
    tariff: int
    labels: dict[str, str]
    period: str
    before: Usage | None
    unpriced: Usage
    late: bool


def _rate(context: Context, command: Charge, account: Account, plan: Plan, request: OpenRequest | None) -> _Rated:
    """Return the marginal price of the usage, under the tariff with which the request was admitted."""
    version = request.tariff if request is not None else plan.tariff.version
    labels = command.labels if request is None else _labels(request, command)
    policy = context.tariffs.policy(plan, version)
    if request is not None:
        metered_in, late = request.period, False
    else:
        metered_in, late = period_of_work(plan.terms.period, account.purchases, context.at, command.occurred_at)
    before = _before(policy, account, request, metered_in)
    lines: tuple[Line, ...] = ()
    if plan.terms.record_lines or not derivable(policy):
        price, lines = marginal(policy, before, command.usage, labels)
    else:
        price = difference(policy, before, command.usage, labels)
    free = plan.terms.unpriced == "free"
    unread = {} if free else unpriced(policy, command.usage, labels)
    return _Rated(max(0, price), max(0, -price), lines, version, labels, metered_in, before, unread, late)


def _before(policy: Policy, account: Account, request: OpenRequest | None, metered_in: str) -> Usage | None:
    """Return the meter of the policy's scope; None if nothing was charged in it yet."""
    if policy.scope == "request":
        return request.usage if request is not None and request.charged else None
    meter = account.meters.get(metered_in)
    return meter.before if meter is not None else None


def _labels(request: OpenRequest, command: Charge) -> dict[str, str]:
    """Return a request's labels with those of the charge, which may change them until the first part is charged: all
    parts share one total, and so one price."""
    labels = {**request.labels, **command.labels}
    if request.charged and labels != request.labels:
        raise Refusal(Reason.malformed, detail="the labels of a request cannot change after its first charge")
    return labels


def _charged(target: _Target, rated: _Rated, draws: Draws) -> Decision:
    """Return the charge with what follows from it in the same commit.

    What the draws do not cover is debt as far as the plan allows, then shortfall.
    """
    context, account, plan = target.context, target.account, target.plan
    shortfall, beyond = 0, rated.price - total(draws)
    if beyond:
        debt, shortfall = overrun(account, plan, beyond)
        draws = (*draws, *debt)
    charged = _event(target, rated, draws, shortfall)
    # After this point, the charge must succeed.
    if not rated.refund:
        return Decision(target.due, with_consequences(context, account, plan, charged, target.returning))
    projection = Projection(context, account, plan)
    projection.add(charged)
    return Decision(target.due, projection.complete([*target.returning, *_refund_tier(projection, rated)]))


def _event(target: _Target, rated: _Rated, draws: Draws, shortfall: int) -> Charged:
    command, request = target.command, target.request
    rare: dict[str, Any] = {}  # fields that most charges leave at their defaults
    if request is not None:
        rare.update(
            request=request.id,
            agent=request.agent,
            final=command.final,
            deadline=target.deadline,
            late=target.late,
        )
    elif target.agent or target.late:
        rare.update(agent=target.agent, late=target.late)
    if rated.before is not None:
        rare.update(before=rated.before, continues=not rated.before)
    if shortfall or rated.lines or command.occurred_at is not None or rated.unpriced:
        rare.update(shortfall=shortfall, lines=rated.lines, occurred_at=command.occurred_at, unpriced=rated.unpriced)
    return Charged(
        account=target.account.number,
        credits=total(draws),
        draws=draws,
        usage=command.usage,
        labels=rated.labels,
        tariff=rated.tariff,
        period=rated.period,
        **rare,
    )


def _refund_tier(projection: Projection, rated: _Rated) -> Iterable[int]:
    """Add the adjustment by which a volume tier that was reached makes earlier usage cheaper: unpaid credits are no
    longer owed, and what was paid beyond that returns. Return the ids of the lots to which it returns."""
    account = projection.account
    meter = account.meters[rated.period]
    unpaid = min(meter.shortfall, rated.refund)
    draws = give_back(account, list(meter.drawn.items()), min(rated.refund - unpaid, meter.net))
    if draws or unpaid:
        projection.add(
            Adjusted(
                account=account.number,
                period=rated.period,
                credits=-total(draws),
                draws=draws,
                shortfall=-unpaid,
                reason="tier",
            )
        )
    return [lot for lot, _ in draws]
