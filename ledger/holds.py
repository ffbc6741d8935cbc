"""Exposure of an account (the most that its open requests may still cost) and the holds that cover it together.

Invariant, property-tested: if every open request uses no more than its estimate, then none has a shortfall, in any
order in which they end: charged in parts or whole, released, across the end of a period or a repricing. It holds
because the holds of an account sum to at least its exposure, and a request may take over what other requests no longer
need.

Under a tariff of scope `request`, each request's own hold covers it. Under scope `period`, the requests of a period
share one meter: the cost of one depends on which were charged before it, but the cost of all together does not. So
their holds count together, and move from one request to another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .accounts import Account, Meter, OpenRequest
from .amounts import add_usage
from .catalogue import Plan
from .events import Draws, Reheld, Usage
from .plugins import Policy
from .rating import PolicyFailed, PriceTooLarge, credits, dearest, peak, reads, reads_labels
from .repayment import free_draws
from .tariffs import Tariffs
from .values import total


def shares_meters(plan: Plan, tariffs: Tariffs) -> bool:
    """True if open requests of a plan may share a meter: one of its tariffs has the scope `period`."""
    return plan.terms.grants_credits and tariffs.any_period(plan)


def exposure(
    account: Account, plan: Plan, tariffs: Tariffs, more: Sequence[OpenRequest] = (), reserves: bool = True
) -> int:
    """Return the most credits that the account's open requests, and `more` of them, may still cost within estimates.

    With `reserves`, at least 1 for a request without an estimate of which nothing was charged yet.

    Raises PolicyFailed or PriceTooLarge.
    """
    alone = 0
    shared: dict[str, _Shared] = {}
    for request in (*account.requests.values(), *more):
        policy, rest = tariffs.policy(plan, request.tariff), _rest(request)
        unknown = reserves and not request.charged and not any(request.estimate.values())
        together = shared.setdefault(request.period, _Shared())
        together.among = add_usage(together.among, rest)
        if policy.scope == "request":
            alone += max(_alone(policy, request, rest), unknown)
        else:
            together.add(policy, request, rest)
            together.unknown += unknown
    return alone + sum(_together(account.meters.get(period), requests) for period, requests in shared.items())


class _Shared:
    """Open requests that share one meter: the usage that all may still add (`among`), the part of it under each tariff
    that is priced on the meter, and the number of requests without an estimate."""

    def __init__(self) -> None:
        self.among: Usage = {}
        self.parts: dict[tuple[int, tuple[tuple[str, str], ...]], tuple[Policy, dict[str, str], Usage]] = {}
        self.unknown = 0

    def add(self, policy: Policy, request: OpenRequest, rest: Usage) -> None:
        """Count a request under its tariff, and under its labels where they may change the price."""
        labels = tuple(sorted(request.labels.items())) if reads_labels(policy) else ()
        part = self.parts.get((request.tariff, labels))
        usage = rest if part is None else add_usage(part[2], rest)
        self.parts[request.tariff, labels] = (policy, request.labels, usage)


def _rest(request: OpenRequest) -> Usage:
    """Return the remainder of a request's estimate."""
    used = request.usage
    return {name: units - used.get(name, 0) for name, units in request.estimate.items() if units > used.get(name, 0)}


def _alone(policy: Policy, request: OpenRequest, rest: Usage) -> int:
    paid = credits(policy, request.usage, request.labels) if request.charged else 0
    return max(0, credits(policy, add_usage(request.usage, rest), request.labels) - paid)


def _together(meter: Meter | None, shared: _Shared) -> int:
    """Return what requests that share a period's meter may cost: exact under one tariff, a bound under several."""
    before = meter.usage if meter is not None else {}
    started = meter is not None and meter.charged
    bound = first = 0
    for policy, labels, rest in shared.parts.values():
        base = 0 if started else credits(policy, {}, labels)
        read = reads(policy, labels)
        if _reads_the_same(read, rest, shared.among):
            bound += _by_one_tariff(policy, labels, meter, rest)
        else:
            bound += dearest(policy, before, rest, shared.among, labels) + base
        first += base
    return bound + max(0, shared.unknown - first)


def _reads_the_same(read: frozenset[str] | None, one: Usage, other: Usage) -> bool:
    """True if two usages are equal in the dimensions that a tariff reads (None: all)."""
    names = {*one, *other} if read is None else read
    return all(one.get(name, 0) == other.get(name, 0) for name in names)


def _by_one_tariff(policy: Policy, labels: dict[str, str], meter: Meter | None, rest: Usage) -> int:
    """Return what `rest` may cost if no other usage moves the meter."""
    before = meter.usage if meter is not None else {}
    paid = credits(policy, before, labels) if meter is not None and meter.charged else 0
    rise = max(0, peak(policy, before, rest, labels) - paid)
    if policy.monotone or meter is None or (not meter.shortfall and meter.net >= paid):
        return rise
    # After a total falls, its next rise is free only as far as it was paid before, so here each rise counts. If the
    # total falls at all, at least one unit does not rise, so the rises are among one unit less.
    fewer = {name: units - 1 for name, units in rest.items() if units > 1}
    base = 0 if meter.charged else credits(policy, {}, labels)
    return max(rise, dearest(policy, before, fewer, rest, labels) + base)


def cover_own_exposure(account: Account, plan: Plan, at: int, tariffs: Tariffs, request_id: int) -> Iterator[Reheld]:
    """Yield the event by which available credits cover what a correction added to the cost of one request, where each
    request holds its own."""
    request = account.requests.get(request_id)
    if request is None or account.left <= 0 or not plan.terms.grants_credits:
        return
    try:
        missing = _alone(tariffs.policy(plan, request.tariff), request, _rest(request)) - request.hold
    except (PolicyFailed, PriceTooLarge):
        return
    if missing > 0:
        yield _hold_more(account, request, at, missing)


def cover_exposure(account: Account, plan: Plan, at: int, tariffs: Tariffs) -> Iterator[Reheld]:
    """Yield the event by which available credits cover what the holds no longer cover: the oldest request holds them.

    Nothing more is held if a policy fails to price the requests.
    """
    if account.left <= 0 or not account.requests or not plan.terms.grants_credits:
        return
    try:
        missing = exposure(account, plan, tariffs) - account.held
    except (PolicyFailed, PriceTooLarge):
        return
    if missing > 0:
        yield _hold_more(account, account.requests[min(account.requests)], at, missing)


def _hold_more(account: Account, request: OpenRequest, at: int, credits: int) -> Reheld:
    draws = join_draws(request.draws, free_draws(account, at, min(credits, account.left)))
    return Reheld(account=account.number, request=request.id, draws=draws)


def lend(account: Account, request: int, missing: int, needed: int) -> Iterator[Reheld]:
    """Yield the events by which other requests give up to `missing` credits of their holds to `request`, as far as all
    holds exceed `needed`, the account's exposure once this request is charged.

    The youngest request gives first, from its last draws; debt that a request holds stays with it.
    """
    own = account.requests[request]
    spare = min(missing, account.held - own.hold - needed)
    lent: Draws = ()
    for other in sorted(account.requests.values(), key=lambda request: request.id, reverse=True):
        if spare <= 0:
            break
        if other is own:
            continue
        kept, given = _split_draws(other.draws, spare)
        if given:
            spare -= total(given)
            lent = join_draws(lent, given)
            yield Reheld(account=account.number, request=other.id, draws=kept)
    if lent:
        yield Reheld(account=account.number, request=own.id, draws=join_draws(own.draws, lent))


def _split_draws(draws: Draws, credits: int) -> tuple[Draws, Draws]:
    """Split off up to `credits` of the last draws on lots: return the draws that stay and those split off."""
    kept: list[tuple[int, int]] = []
    given: list[tuple[int, int]] = []
    for lot, amount in reversed(draws):
        part = min(amount, credits) if lot else 0
        credits -= part
        given += [(lot, part)] if part else []
        kept += [(lot, amount - part)] if amount > part else []
    return tuple(reversed(kept)), tuple(given)


def join_draws(draws: Draws, more: Draws) -> Draws:
    """Append draws to draws. Adjacent draws on the same lot become one."""
    if draws and more and draws[-1][0] == more[0][0]:
        lot, credits = draws[-1]
        return (*draws[:-1], (lot, credits + more[0][1]), *more[1:])
    return (*draws, *more)
