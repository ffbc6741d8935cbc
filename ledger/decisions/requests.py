"""Requests: admission, which holds credits before the work starts; extension and release."""

from __future__ import annotations

from ..accounts import Account, OpenRequest
from ..amounts import SECOND
from ..catalogue import Plan
from ..commands import MAX_TIME, Extend, Release, Request
from ..events import Extended, Recorded, Released, Requested, tag
from ..expiry import due
from ..holds import exposure, shares_meters
from ..periods import kept
from ..rating import PolicyFailed, PriceTooLarge, quote
from ..refusals import Reason, Refusal
from .consequences import with_consequences
from .context import (
    Context,
    Decision,
    account_of,
    agent_of,
    check_access,
    check_priced,
    plan_of,
    refusal_of,
    shown_with,
    take,
)
from .refusal_facts import Assessment


def request(context: Context, command: Request) -> Decision:
    """Admit a request. Checked in this order: plan, agent and endpoint; access; priced units; debt; limits; credits."""
    plan = plan_of(context, command.plan)
    agent = agent_of(context, plan, command.agent, command.method, command.url)
    admission = _Admission(context, command, plan)
    account, events = account_of(context, command.subscriber, plan, admission)
    hold = admission.accepted(account)
    # After this point, the command must succeed.
    requested = Requested(
        account=account.number,
        agent=agent,
        method=command.method,
        url=command.url,
        hold=hold,
        draws=take(account, hold),
        deadline=context.at + plan.terms.hold_seconds * SECOND,
        tariff=plan.tariff.version,
        estimate=command.estimate,
        labels=command.labels,
    )
    return Decision(events, [requested])


class _Admission(Assessment[int]):
    """Assessment of a request: the credits that it holds if it is admitted."""

    def __init__(self, context: Context, command: Request, plan: Plan) -> None:
        super().__init__(context, plan)
        self._command = command

    def assess(self, account: Account, at: int) -> int:
        """Return the hold of the request. Raises Refusal."""
        command, context, plan = self._command, self.context, self.plan
        check_access(account, plan, at)
        hold, failed = 0, None
        try:
            check_priced(context, plan, command.estimate, command.labels)
            hold = self.needed(account, at)
        except (Refusal, PolicyFailed, PriceTooLarge) as error:  # checks that need no price come first
            failed = refusal_of(error)
            if failed.refused.reason is Reason.unpriced:
                raise failed from error
        if account.debt:
            raise Refusal(Reason.in_debt, available=account.available, **shown_with(plan))
        if plan.terms.overdue == "stop" and account.billing is not None and account.billing.overdue:
            late = ", ".join(str(each.number) for each in account.billing.invoices.values() if each.overdue)
            raise Refusal(Reason.overdue, detail=f"the plan serves no requests while an invoice is overdue: {late}")
        _check_rate(account, plan, at)
        if failed is None:
            _check_window(account, plan, at, hold)
        max_open = plan.terms.limits.open
        if max_open is not None and len(account.requests) >= max_open:
            raise Refusal(Reason.too_many_open, needed=1, available=0)
        if failed is not None:
            raise failed
        if account.available < hold:
            raise Refusal(Reason.insufficient_credits, needed=hold, available=account.available, **shown_with(plan))
        return hold

    def needed(self, account: Account, at: int) -> int:
        """Return what the request must hold, so that all holds together cover what the open requests may cost.

        At least 1 without an estimate; 0 on a plan without credits.
        """
        command, plan, tariffs = self._command, self.plan, self.context.tariffs
        if not plan.terms.grants_credits:
            return 0
        if shares_meters(plan, tariffs):
            period = kept(plan.terms.period, account.purchases, at)[0]
            version = plan.tariff.version
            candidate = OpenRequest(0, at, at, 0, version, command.estimate, command.labels, (), period)
            hold = max(0, exposure(account, plan, tariffs, [candidate]) - account.held)
        else:
            hold = quote(tariffs.policy(plan, plan.tariff.version), None, command.estimate, command.labels)
        return hold if any(command.estimate.values()) else max(1, hold)

    def later(self, account: Account, at: int) -> list[int]:
        """Return instants after `at` at which a limit, or the price, may let the request pass."""
        terms = self.plan.terms
        instants = super().later(account, at)
        if (excess := _excess(account, self.plan, at)) > 0 and terms.limits.rate is not None:
            instants.append(at - (-excess // terms.limits.rate.requests))
        if (limit := terms.limits.credits) is not None:
            length = limit.seconds * SECOND
            instants.append((at // length + 1) * length)
        return instants


def _excess(account: Account, plan: Plan, at: int) -> int:
    """Return by how much a request at `at` is too early for the rate limit, in microseconds times the limit's requests.

    By GCRA, a request may come `requests − 1` intervals before its theoretical arrival time.
    """
    if (rate := plan.terms.limits.rate) is None:
        return 0
    return account.arrival - at * rate.requests - (rate.requests - 1) * rate.seconds * SECOND


def _check_rate(account: Account, plan: Plan, at: int) -> None:
    if _excess(account, plan, at) > 0:
        raise Refusal(Reason.rate_limited)


def _check_window(account: Account, plan: Plan, at: int, hold: int) -> None:
    if (limit := plan.terms.limits.credits) is None:
        return
    charged = account.window_credits if account.window == at // (limit.seconds * SECOND) else 0
    room = limit.credits - charged - account.held
    if hold > room:
        raise Refusal(Reason.window_exhausted, needed=hold, available=max(0, room), **shown_with(plan))


def find_open(context: Context, number: int) -> tuple[Account, Plan, OpenRequest | None, list[Recorded]]:
    """Return the account of a request as it is due, its plan, the request if it is still open, and the events due.

    Raises Refusal: a request that is not open is closed; the number of another event is none of a request.
    """
    owner = context.books.open.get(number)
    if owner is None:
        entry = context.evidence.get(number)
        if entry is not None and isinstance(entry.event, Requested):
            raise Refusal(Reason.request_closed, detail=closed_request(number))
        other = "" if entry is None else f": event {number} is of the type {tag(entry.event)}"
        raise Refusal(Reason.request_unknown, detail=f"there is no request {number}{other}")
    account = context.books.account(owner)
    plan = context.books.plans[account.plan]
    account, events = due(account, plan, context.at, context.tariffs)
    return account, plan, account.requests.get(number), events


def closed_request(number: int) -> str:
    """Return the detail of a refusal for a closed request."""
    return f"request {number} is closed: it was charged or released, or its deadline has passed"


def extend(context: Context, command: Extend) -> Decision:
    """Extend a request's deadline, which never moves back, nor beyond the plan's longest request."""
    _, plan, open_request, events = find_open(context, command.request)
    if open_request is None:
        raise Refusal(Reason.request_closed, detail=closed_request(command.request))
    deadline = later_deadline(plan, open_request, context.at, command.seconds)
    return Decision(events, [Extended(request=open_request.id, deadline=deadline)])


def later_deadline(plan: Plan, open_request: OpenRequest, at: int, seconds: int) -> int:
    """Return the deadline `seconds` after `at`, as far as the plan allows, and not before the present one."""
    longest = open_request.at + plan.terms.longest_seconds * SECOND
    return max(open_request.deadline, min(at + seconds * SECOND, longest, MAX_TIME))


def release(context: Context, command: Release) -> Decision:
    """Release a request's hold. What returns to an expired lot lapses in the same commit."""
    account, plan, open_request, events = find_open(context, command.request)
    if open_request is None:
        raise Refusal(Reason.request_closed, detail=closed_request(command.request))
    released = Released(request=open_request.id, reason=command.reason)
    lots = [lot for lot, _ in open_request.draws]
    return Decision(events, with_consequences(context, account, plan, released, lots))
