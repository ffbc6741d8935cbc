"""What a request really cost: rated, drawn from its hold first, and recorded with what it was computed from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..accounts import Account, OpenRequest
from ..amounts import SECOND, add_usage
from ..catalogue import Plan
from ..commands import Charge
from ..events import Adjusted, Charged, Draws, Line, Recorded, Usage
from ..holds import exposure, lending
from ..periods import period
from ..plugins import Policy
from ..rating import PolicyFailed, PriceTooLarge, derivable, difference, marginal, unpriced
from ..reducers import apply, late_until
from ..refusals import Reason, Refusal
from ..values import consume, total
from .adjustments import give_back
from .consequences import Ahead, closed
from .context import Context, Decision, account_of, agent_of, check_access, overrun, plan_of, take
from .fast_path import fast_charge
from .refusal_facts import Passing
from .requests import find_open, later_deadline


def charge(context: Context, command: Charge) -> Decision:
    """Of an open request, of one that expired a short while ago, or directly of an account."""
    if not command.request:
        ordinary = fast_charge(context, command)
        return charge_directly(context, command) if ordinary is None else Decision([], [ordinary])
    account, plan, open_request, events = find_open(context, command.request)
    if open_request is not None:
        return _charge_open(context, command, account, plan, open_request, events)
    late = account.late.get(command.request)
    if late is None or not command.final or context.at >= late_until(plan, late):
        raise Refusal(Reason.request_closed, detail=f"request {command.request}")
    rated = _rate(context, command, account, plan, late)
    return _settle(context, command, account, plan, events, rated, take(account, rated.price), request=late, late=True)


def _charge_open(
    context: Context, command: Charge, account: Account, plan: Plan, request: OpenRequest, events: list[Recorded]
) -> Decision:
    """The request's own hold is drawn first, in its order, then available lots; a partial charge only consumes."""
    rated = _rate(context, command, account, plan, request)
    lent = _borrow(context, command, account, plan, request, rated)
    if lent:
        account = account.clone()
        for event in lent:
            apply(account, plan, 0, context.at, event)
        request = account.requests[request.id]
    held, rest = consume(request.draws, rated.price)
    draws = (*held, *take(account, rated.price - total(held)))
    deadline = None
    if not command.final:
        moved = later_deadline(plan, request, context.at, plan.terms.hold_seconds)
        deadline = moved if moved != request.deadline else None
    lots = [lot for lot, _ in rest] if command.final else []
    decision = _settle(
        context, command, account, plan, events, rated, draws, request=request, deadline=deadline, returning=lots
    )
    return Decision([*decision.due, *lent], decision.own)  # the charge is the command's own first event, and its name


def _borrow(
    context: Context, command: Charge, account: Account, plan: Plan, request: OpenRequest, rated: _Rated
) -> list[Recorded]:
    """What other open requests give up of their holds where the request's own and the available do not suffice."""
    missing = rated.price - request.hold - max(0, account.available)
    if missing <= 0 or len(account.requests) == 1:
        return []
    ahead = account.clone()
    charged = _event(context, command, account, rated, (), 0, request=request)
    apply(ahead, plan, 0, context.at, charged)
    ahead.meters[rated.period].net += rated.price  # as if it were paid, which is what is to be seen to
    used = add_usage(request.usage, command.usage)
    within = all(units <= request.estimate.get(name, 0) for name, units in used.items())
    try:
        # What is reserved for those who have estimated nothing is lent only to who stays within an estimate.
        needed = exposure(ahead, plan, context.tariffs, reserves=not within)
    except (PolicyFailed, PriceTooLarge):
        return []
    return list(lending(account, request.id, missing, needed))


def charge_directly(context: Context, command: Charge) -> Decision:
    """A request and its final charge in one: `cap` does not apply, since nothing was admitted.

    It may come after the end of access, for as long as a request may be charged late.
    """
    plan = plan_of(context, command.plan)
    agent = agent_of(context, plan, command.agent) if command.agent else 0
    direct = _Direct(context, command, plan)
    account, events = account_of(context, command.subscriber, plan, direct)
    rated = direct.decided(account)
    late = direct.is_late(account, context.at)
    return _settle(context, command, account, plan, events, rated, take(account, rated.price), agent=agent, late=late)


class _Direct(Passing["_Rated"]):
    """Whether an account may be charged directly at a time."""

    def __init__(self, context: Context, command: Charge, plan: Plan) -> None:
        super().__init__(context, plan)
        self._command = command

    def is_late(self, account: Account, at: int) -> bool:
        """Whether access has ended, and the work may still be charged: it was done before the end, as far as is known,
        and that is no longer ago than a request may be charged late."""
        lots = [lot for lot in account.lots.values() if lot.started]
        ends = [lot.expiry for lot in lots if lot.expiry is not None]
        if account.frozen or not ends or any(lot.lives(at) for lot in lots):
            return False
        occurred = self._command.occurred_at
        return at < max(ends) + self.plan.terms.late_seconds * SECOND and (occurred is None or occurred < max(ends))

    def judge(self, account: Account, at: int) -> _Rated:
        """What the usage costs. Raises Refusal."""
        if not self.is_late(account, at):
            check_access(account, self.plan, at)
        rated = self._rate(account, at)
        beyond = rated.price - max(0, account.available)
        if beyond > 0 and overrun(account, self.plan, beyond)[1]:
            raise Refusal(Reason.insufficient_credits, needed=rated.price, available=account.available)
        return rated

    def needed(self, account: Account, at: int) -> int:
        """The price, less the debt that the plan's rule leaves room for."""
        terms = self.plan.terms
        return self._rate(account, at).price - (terms.debt_limit if terms.overrun == "debt" else 0)

    def _rate(self, account: Account, at: int) -> _Rated:
        context = self.context if at == self.context.at else replace(self.context, at=at)
        return _rate(context, self._command, account, self.plan, None)


@dataclass(slots=True)
class _Rated:
    """What usage costs: `price` credits, or a `refund` where the total falls, what that was computed from, the lines of
    it that are recorded, and the units that no rate reads."""

    price: int
    refund: int
    lines: tuple[Line, ...]
    tariff: int
    labels: dict[str, str]
    period: str
    before: Usage | None
    unpriced: Usage


def _rate(context: Context, command: Charge, account: Account, plan: Plan, request: OpenRequest | None) -> _Rated:
    """The marginal price of the usage, in the scope of the tariff under which the request was admitted."""
    version = request.tariff if request is not None else plan.tariff.version
    labels = command.labels if request is None else _labels(request, command)
    policy = context.tariffs.policy(plan, version)
    if request is not None:
        name = request.period
    else:
        name = period(plan.terms.period, account.purchases, context.at, command.occurred_at)
    before = _before(policy, account, request, name)
    lines: tuple[Line, ...] = ()
    if plan.terms.record_lines or not derivable(policy):
        price, lines = marginal(policy, before, command.usage, labels)
    else:
        price = difference(policy, before, command.usage, labels)
    free = plan.terms.unpriced == "free"
    unread = {} if free else unpriced(policy, command.usage, labels)
    return _Rated(max(0, price), max(0, -price), lines, version, labels, name, before, unread)


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
    context: Context,
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
    """The event, and what follows from it in the same commit."""
    shortfall, beyond = 0, rated.price - total(draws)
    if beyond:
        debt, shortfall = overrun(account, plan, beyond)
        draws = (*draws, *debt)
    charged = _event(
        context, command, account, rated, draws, shortfall, request=request, agent=agent, late=late, deadline=deadline
    )
    if not rated.refund:
        return Decision(events, closed(context, account, plan, charged, returning))
    ahead = Ahead(context, account, plan)
    ahead.add(charged)
    return Decision(events, ahead.close([*returning, *_fall(ahead, rated)]))


def _event(
    context: Context,
    command: Charge,
    account: Account,
    rated: _Rated,
    draws: Draws,
    shortfall: int,
    *,
    request: OpenRequest | None = None,
    agent: int = 0,
    late: bool = False,
    deadline: int | None = None,
) -> Charged:
    rare: dict[str, Any] = {}  # what most charges leave at its default
    if request is not None:
        rare.update(request=request.id, agent=request.agent, final=command.final, deadline=deadline, late=late)
    elif agent or late:
        rare.update(agent=agent, late=late)
    if rated.before is not None:
        rare.update(before=rated.before, continues=not rated.before)
    if shortfall or rated.lines or command.occurred_at is not None or rated.unpriced:
        rare.update(shortfall=shortfall, lines=rated.lines, occurred_at=command.occurred_at, unpriced=rated.unpriced)
    return Charged(
        account=account.number,
        credits=total(draws),
        draws=draws,
        usage=command.usage,
        labels=rated.labels,
        tariff=rated.tariff,
        period=rated.period,
        **rare,
    )


def _fall(ahead: Ahead, rated: _Rated) -> Iterable[int]:
    """The adjustment by which a volume tier that was reached makes what came before cheaper: what was never paid is
    owed no more, and what was paid beyond that returns. Gives the lots to which it returns."""
    account = ahead.account
    meter = account.meters[rated.period]
    unpaid = min(meter.shortfall, rated.refund)
    draws = give_back(account, list(meter.drawn.items()), min(rated.refund - unpaid, meter.net))
    if draws or unpaid:
        ahead.add(
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
