"""Admission: a request holds its credits before the work starts."""

from __future__ import annotations

from collections.abc import Sequence

from ..amounts import SECOND, add_usage
from ..books import Account, OpenRequest, Plan
from ..commands import LATEST, Extend, Release, Request
from ..due import due, lapses
from ..events import Extended, Recorded, Released, Requested, Usage
from ..periods import kept
from ..plugins import Policy
from ..rating import PolicyFailed, PriceTooLarge, quote
from ..reducers import apply
from ..refusals import Reason, Refusal
from .case import Case, Decision, account_of, agent_of, check_standing, check_usage, plan_of, refusal_of, take


def request(case: Case, command: Request) -> Decision:
    """Plan, agent and endpoint; the account's standing; limits; then available ≥ hold."""
    plan = plan_of(case, command.plan)
    agent = agent_of(case, plan, command.agent, command.method, command.url) if command.agent else 0
    account, events = account_of(case, command.subscriber, plan)
    check_standing(account, case.at)
    hold, failed = 0, None
    try:
        hold = hold_for(case, account, plan, command.estimate, command.labels)
    except (Refusal, PolicyFailed, PriceTooLarge) as error:  # what refuses without a price goes before it
        failed = refusal_of(error)
    if account.debt:
        raise Refusal(Reason.in_debt, available=account.available, top_up=_top_up(account, hold))
    _check_rate(case, account, plan)
    if failed is None:
        _check_window(case, account, plan, hold)
    most = plan.terms.limits.open
    if most is not None and len(account.requests) >= most:
        deadline = min(request.deadline for request in account.requests.values())
        raise Refusal(Reason.too_many_open, needed=1, available=0, retry_after_us=deadline - case.at)
    if failed is not None:
        raise failed
    if account.available < hold:
        top_up = _top_up(account, hold)
        raise Refusal(Reason.insufficient_credits, needed=hold, available=account.available, top_up=top_up)
    requested = Requested(
        account=account.number,
        agent=agent,
        method=command.method,
        url=command.url,
        hold=hold,
        draws=take(account, hold),
        deadline=case.at + plan.terms.hold_seconds * SECOND,
        tariff=plan.tariff.version,
        estimate=command.estimate,
        labels=command.labels,
    )
    return Decision(events, [requested])


def hold_for(case: Case, account: Account, plan: Plan, estimate: Usage, labels: dict[str, str]) -> int:
    """The larger of quote(estimate, meter) and quote(estimate, meter + pending): any order in which the open requests
    are charged is covered. On a plan of credits at least 1, unless the tariff prices what is estimated at 0."""
    if not plan.terms.grants_credits:
        return 0
    policy = case.tariffs.policy(plan, plan.tariff.version)
    if policy.scope == "request":
        hold = quote(policy, None, estimate, labels)
    else:
        hold = _quote_in_period(policy, account, plan, case.at, estimate, labels)
    return hold if any(estimate.values()) else max(1, hold)


def _quote_in_period(
    policy: Policy, account: Account, plan: Plan, at: int, estimate: Usage, labels: dict[str, str]
) -> int:
    period = kept(plan.terms.period, account.purchases, at)[0]
    meter = account.meters.get(period)
    before = meter.before if meter is not None else None
    pending: Usage = {}
    for open_request in account.requests.values():
        pending = add_usage(pending, open_request.estimate)
    check_usage(add_usage(before or {}, pending), estimate)
    hold = quote(policy, before, estimate, labels)
    return max(hold, quote(policy, add_usage(before or {}, pending), estimate, labels)) if account.requests else hold


def _top_up(account: Account, hold: int) -> int:
    """The fewest credits whose purchase would let the request pass: they pay the debt first."""
    return max(account.debt, hold - account.available)


def _check_rate(case: Case, account: Account, plan: Plan) -> None:
    """GCRA: a request may come as early as `requests − 1` intervals before its theoretical arrival."""
    if (rate := plan.terms.limits.rate) is None:
        return
    early = account.arrival - case.at * rate.requests - (rate.requests - 1) * rate.seconds * SECOND
    if early > 0:
        raise Refusal(Reason.rate_limited, retry_after_us=-(-early // rate.requests))


def _check_window(case: Case, account: Account, plan: Plan, hold: int) -> None:
    if (limit := plan.terms.limits.credits) is None:
        return
    length = limit.seconds * SECOND
    window = case.at // length
    charged = account.window_credits if account.window == window else 0
    room = limit.credits - charged - account.held
    if hold > room:
        retry = (window + 1) * length - case.at
        raise Refusal(Reason.window_exhausted, needed=hold, available=max(0, room), retry_after_us=retry)


def find_open(case: Case, number: int) -> tuple[Account, Plan, OpenRequest | None, list[Recorded]]:
    """The account of a request as it is due, and the request if it is open still.

    A sequence at or below the head that is not open is closed; one beyond it never was.
    """
    owner = case.books.open.get(number)
    if owner is None:
        known = 0 < number <= case.books.seq
        raise Refusal(Reason.request_closed if known else Reason.request_unknown, detail=f"request {number}")
    account = case.books.account(owner)
    plan = case.books.plans[account.plan]
    account, events = due(account, plan, case.at)
    return account, plan, account.requests.get(number), events


def extend(case: Case, command: Extend) -> Decision:
    """A deadline never moves back, nor beyond the plan's longest request."""
    _, plan, open_request, events = find_open(case, command.request)
    if open_request is None:
        raise Refusal(Reason.request_closed, detail=f"request {command.request}")
    deadline = later_deadline(plan, open_request, case.at, command.seconds)
    return Decision(events, [Extended(request=open_request.id, deadline=deadline)])


def later_deadline(plan: Plan, open_request: OpenRequest, at: int, seconds: int) -> int:
    """The deadline `seconds` from now, as far as the plan allows, and not before the present one."""
    longest = open_request.at + plan.terms.longest_seconds * SECOND
    return max(open_request.deadline, min(at + seconds * SECOND, longest, LATEST))


def release(case: Case, command: Release) -> Decision:
    """What the request held returns; what returns to an expired lot lapses at once."""
    account, plan, open_request, events = find_open(case, command.request)
    if open_request is None:
        raise Refusal(Reason.request_closed, detail=f"request {command.request}")
    released = Released(request=open_request.id, reason=command.reason)
    lots = [lot for lot, _ in open_request.draws]
    return Decision(events, [released, *returned(case, account, plan, released, lots)])


def returned(case: Case, account: Account, plan: Plan, event: Recorded, lots: Sequence[int]) -> list[Recorded]:
    """What lapses in the same commit because `event` gives credits back to lots that have expired."""
    if not lots:
        return []
    known = [account.lots[name] for name in lots if name]
    if not any(lot.expiry is not None and lot.expiry <= case.at for lot in known):
        return []
    ahead = account.clone()
    apply(ahead, plan, 0, case.at, event)
    return list(lapses(ahead, plan, lots, case.at + 1, case.at))
