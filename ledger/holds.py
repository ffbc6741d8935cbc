"""What an account's open requests may still cost, and the holds that cover it together.

Law, held by a property test: if every open request uses no more than its estimate, then in whatever order they end,
charged in parts or at once, released, over a period's end or a repricing, none has a shortfall. It holds because the
holds of an account come to its exposure at least, and a request may hold what its neighbours do not need any more.

Under a tariff whose total is about one request, each request's own hold covers it. Where the total is about a period,
the requests of the period share one meter: what one of them costs depends on which were charged before it, but what
all of them cost together does not. So there the holds count together, and move from one request to another.
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
    """Whether open requests of a plan may be metered together: one of its tariffs is about a period."""
    return plan.terms.grants_credits and tariffs.any_period(plan)


def exposure(
    account: Account, plan: Plan, tariffs: Tariffs, more: Sequence[OpenRequest] = (), reserves: bool = True
) -> int:
    """The most credits that the account's open requests, and `more` of them, may still cost within their estimates.

    With `reserves`, at least 1 for a request that estimates nothing, and of which nothing was charged yet.

    Raises PolicyFailed or PriceTooLarge as prices do.
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
    return alone + sum(_together(account.meters.get(period), each) for period, each in shared.items())


class _Shared:
    """Open requests that move one meter: what they may still use in all (`among`); the part of those under each tariff
    that is priced by that meter, and how many of them estimate nothing."""

    def __init__(self) -> None:
        self.among: Usage = {}
        self.parts: dict[tuple[int, tuple[tuple[str, str], ...]], tuple[Policy, dict[str, str], Usage]] = {}
        self.unknown = 0

    def add(self, policy: Policy, request: OpenRequest, rest: Usage) -> None:
        """Count a request under its tariff, and under its labels where they may change the price."""
        labels = tuple(sorted(request.labels.items())) if reads_labels(policy) else ()
        known = self.parts.get((request.tariff, labels))
        sum_ = rest if known is None else add_usage(known[2], rest)
        self.parts[request.tariff, labels] = (policy, request.labels, sum_)


def _rest(request: OpenRequest) -> Usage:
    """What is left of a request's estimate."""
    used = request.usage
    return {name: units - used.get(name, 0) for name, units in request.estimate.items() if units > used.get(name, 0)}


def _alone(policy: Policy, request: OpenRequest, rest: Usage) -> int:
    paid = credits(policy, request.usage, request.labels) if request.charged else 0
    return max(0, credits(policy, add_usage(request.usage, rest), request.labels) - paid)


def _together(meter: Meter | None, shared: _Shared) -> int:
    """What requests that share a period's meter may cost: exactly under one tariff, at most under several."""
    before = meter.usage if meter is not None else {}
    begun = meter is not None and meter.charged
    most = first = 0
    for policy, labels, rest in shared.parts.values():
        begins = 0 if begun else credits(policy, {}, labels)
        read = reads(policy, labels)
        if _reads_the_same(read, rest, shared.among):
            most += _by_one_tariff(policy, labels, meter, rest)
        else:
            most += dearest(policy, before, rest, shared.among, labels) + begins
        first += begins
    return most + max(0, shared.unknown - first)


def _reads_the_same(read: frozenset[str] | None, one: Usage, other: Usage) -> bool:
    """Whether two usages are the same to a tariff that reads these dimensions (None: all)."""
    names = {*one, *other} if read is None else read
    return all(one.get(name, 0) == other.get(name, 0) for name in names)


def _by_one_tariff(policy: Policy, labels: dict[str, str], meter: Meter | None, rest: Usage) -> int:
    """What `rest` may cost where nobody else moves the meter."""
    before = meter.usage if meter is not None else {}
    paid = credits(policy, before, labels) if meter is not None and meter.charged else 0
    most = max(0, peak(policy, before, rest, labels) - paid)
    if policy.monotone or meter is None or (not meter.shortfall and meter.net >= paid):
        return most
    # A total that falls pays for its next rise only as far as it was paid, so here each rise counts. Where it falls on
    # the way, one unit at least rises by nothing, and the others are all rises.
    fewer = {name: units - 1 for name, units in rest.items() if units > 1}
    begins = 0 if meter.charged else credits(policy, {}, labels)
    return max(most, dearest(policy, before, fewer, rest, labels) + begins)


def covering_own(account: Account, plan: Plan, at: int, tariffs: Tariffs, number: int) -> Iterator[Reheld]:
    """The event by which free credits cover what a correction left more to be charged of a request, where each request
    holds its own."""
    request = account.requests.get(number)
    if request is None or account.left <= 0 or not plan.terms.grants_credits:
        return
    try:
        missing = _alone(tariffs.policy(plan, request.tariff), request, _rest(request)) - request.hold
    except (PolicyFailed, PriceTooLarge):
        return
    if missing > 0:
        yield _taking_on(account, request, at, missing)


def covering(account: Account, plan: Plan, at: int, tariffs: Tariffs) -> Iterator[Reheld]:
    """The event by which free credits cover what the holds do not any more: the oldest request takes them on.

    A policy that cannot say what its requests cost keeps nobody's credits.
    """
    if account.left <= 0 or not account.requests or not plan.terms.grants_credits:
        return
    try:
        missing = exposure(account, plan, tariffs) - account.held
    except (PolicyFailed, PriceTooLarge):
        return
    if missing > 0:
        yield _taking_on(account, account.requests[min(account.requests)], at, missing)


def _taking_on(account: Account, request: OpenRequest, at: int, credits: int) -> Reheld:
    draws = joined(request.draws, free_draws(account, at, min(credits, account.left)))
    return Reheld(account=account.number, request=request.id, draws=draws)


def lending(account: Account, request: int, missing: int, needed: int) -> Iterator[Reheld]:
    """The events by which other requests give up to `missing` credits of their holds to `request`, as far as those
    come to more than `needed`, what the account's open requests may cost once this one is charged.

    The youngest gives first, of what it drew last; debt that a request holds stays with it.
    """
    own = account.requests[request]
    spare = min(missing, account.held - own.hold - needed)
    lent: Draws = ()
    for other in sorted(account.requests.values(), key=lambda each: each.id, reverse=True):
        if spare <= 0:
            break
        if other is own:
            continue
        kept, given = _parted(other.draws, spare)
        if given:
            spare -= total(given)
            lent = joined(lent, given)
            yield Reheld(account=account.number, request=other.id, draws=kept)
    if lent:
        yield Reheld(account=account.number, request=own.id, draws=joined(own.draws, lent))


def _parted(draws: Draws, credits: int) -> tuple[Draws, Draws]:
    """Draws without up to `credits` that were drawn last on real lots, and those."""
    kept: list[tuple[int, int]] = []
    given: list[tuple[int, int]] = []
    for lot, amount in reversed(draws):
        part = min(amount, credits) if lot else 0
        credits -= part
        given += [(lot, part)] if part else []
        kept += [(lot, amount - part)] if amount > part else []
    return tuple(reversed(kept)), tuple(given)


def joined(draws: Draws, more: Draws) -> Draws:
    """Draws behind draws; what follows on the same lot is one draw."""
    if draws and more and draws[-1][0] == more[0][0]:
        lot, credits = draws[-1]
        return (*draws[:-1], (lot, credits + more[0][1]), *more[1:])
    return (*draws, *more)
