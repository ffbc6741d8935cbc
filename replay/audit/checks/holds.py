"""Holds: the most that open requests may still cost within their estimates, computed again, and that it is covered.

Under a tariff about single requests, a request holds what its own estimate costs. Where a tariff of the plan is about a
period, the requests of a period are metered together: there a request holds what is missing beside what others hold.
The holds of an account sum to the most that its open requests may cost, or to all its credits; and they move from one
request to another (`reheld`), of others only what these do not need, so that no charge has a shortfall while another
request holds more than it may cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ledger.accounts import Account
from ledger.amounts import add_usage
from ledger.events import Charged, Draws, Reheld, Requested, Usage
from ledger.plugins import Policy
from ledger.rating import PolicyFailed, PriceTooLarge, credits, dearest, peak, reads, reads_labels
from ledger.values import total

from .case import Case
from .draws import merged, returning
from .sums import Meter

KIND, COVERAGE = "hold", "coverage"


def requested(case: Case) -> None:
    """Check the hold of a new request beside those held: on a plan of credits at least 1 where nothing is estimated."""
    event, plan, account = case.event, case.plan, case.account
    assert isinstance(event, Requested)
    assert plan is not None
    assert account is not None
    if event.tariff != plan.tariff.version:
        message = "a request is admitted under the plan's latest tariff"
        case.find(KIND, "tariff", plan.tariff.version, event.tariff, message)
    if not plan.terms.grants_credits:
        if event.hold:
            case.find(KIND, "hold", 0, event.hold, "a plan of time holds nothing")
        return
    try:
        needed = _needed(case, account, event)
    except PolicyFailed as error:
        case.cannot_reprice(event.tariff, "holds", error)
        return
    except PriceTooLarge as error:
        case.find(KIND, "hold", "less than 2^63", event.hold, str(error))
        return
    if not any(event.estimate.values()):
        needed = max(1, needed)
    if event.hold != needed:
        message = f"with what is held, {case.credits(needed)} cover what open requests may cost within estimates"
        case.find(KIND, "hold", needed, event.hold, message)


def _needed(case: Case, account: Account, event: Requested) -> int:
    if not shared(case):
        return credits(_policy(case, event.tariff), add_usage({}, event.estimate), event.labels)
    held = case.sums.account(account.number).held
    return max(0, exposure(case, account, event) - held)


def shared(case: Case) -> bool:
    """True if requests of the plan may be metered together, so that their holds count together."""
    assert case.plan is not None
    return case.plan.terms.grants_credits and case.tariffs.any_period(case.plan)


def exposure(case: Case, account: Account, asked: Requested | None = None, reserves: bool = True, only: int = 0) -> int:
    """The most that the account's open requests (or `only` one of them), and one that is asked for, may still cost
    within their estimates; with `reserves`, at least 1 for one that estimates nothing, as long as nothing was charged
    of it.

    Raises PolicyFailed, also where a policy is not installed, or PriceTooLarge.
    """
    own, requests = case.sums.account(account.number), case.sums.requests
    rows = [
        (each.tariff, each.labels, each.estimate, requests.get(name), own.periods.get(name, ""))
        for name, each in account.requests.items()
        if only in (0, name)
    ]
    if asked is not None:
        current = case.sums.kept(case, account.number)[0]
        rows.append((asked.tariff, asked.labels, asked.estimate, None, current))
    alone, together = 0, dict[str, list[_Rest]]()
    for tariff, labels, estimate, meter, period in rows:
        policy = _policy(case, tariff)
        used: Mapping[str, int] = meter.usage if meter is not None else {}
        rest = {name: units - used.get(name, 0) for name, units in estimate.items() if units > used.get(name, 0)}
        begun = meter is not None and meter.charged
        least = 1 if reserves and not begun and not any(estimate.values()) else 0
        together.setdefault(period, []).append(_Rest(tariff, policy, labels, rest, least))
        if policy.scope == "request":
            paid = credits(policy, used, labels) if begun else 0
            alone += max(least, credits(policy, add_usage(used, rest), labels) - paid)
    return alone + sum(_together(case, account.number, period, parts) for period, parts in together.items())


class _Rest(NamedTuple):
    """The uncharged remainder of an open request's estimate, what it is priced by, and what it costs at least."""

    tariff: int
    policy: Policy
    labels: Mapping[str, str]
    usage: Usage
    least: int


def _together(case: Case, account: int, period: str, rests: list[_Rest]) -> int:
    """Return the most that requests priced by a period's meter may cost: by kind, which is a tariff and the labels that
    it reads. A kind that reads nothing of what the others may use costs what it would alone, else its dearest units."""
    kinds: dict[tuple[object, ...], _Rest] = {}
    among: Usage = {}
    least = 0
    for each in rests:
        among = add_usage(among, each.usage)
        if each.policy.scope == "period":
            name = (each.tariff, *sorted(each.labels.items())) if reads_labels(each.policy) else (each.tariff,)
            known = kinds[name].usage if name in kinds else {}
            kinds[name] = each._replace(usage=add_usage(known, each.usage))
            least += each.least
    meter = case.sums.period(account, period)
    metered: Usage = meter.usage if meter is not None else {}
    begun = meter is not None and meter.charged
    cost = first = 0
    for each in kinds.values():
        begins = 0 if begun else credits(each.policy, {}, each.labels)
        first += begins
        read = reads(each.policy, each.labels)
        names = {*each.usage, *among} if read is None else read
        if all(each.usage.get(name, 0) == among.get(name, 0) for name in names):
            cost += _alone(each, meter, metered, begins)
        else:
            cost += begins + dearest(each.policy, metered, each.usage, among, each.labels)
    return cost + max(0, least - first)


def _alone(rest: _Rest, meter: Meter | None, metered: Usage, begins: int) -> int:
    """Return the most that the remainders of requests of one kind may cost if no other request moves their meter."""
    policy, labels, usage = rest.policy, rest.labels, rest.usage
    paid = credits(policy, metered, labels) if meter is not None and meter.charged else 0
    most = max(0, peak(policy, metered, usage, labels) - paid)
    if not policy.monotone and meter is not None and (meter.shortfall or meter.net < paid):
        # A fall pays for the next rise only as far as it was paid, so each rise counts; where it falls, one unit is
        # none of a rise.
        rising = {name: units - 1 for name, units in usage.items() if units > 1}
        most = max(most, begins + dearest(policy, metered, rising, usage, labels))
    return most


def _policy(case: Case, version: int) -> Policy:
    policy = case.rating(version)
    if policy is None:
        raise PolicyFailed(case.gap(version))
    return policy


# -- holds that move ---------------------------------------------------------------------------------------------------


def reheld(case: Case) -> None:
    """A request gives up what it drew last; or it takes what others gave up, or what is free, up to what is needed."""
    event, account, request = case.event, case.account, case.request
    assert isinstance(event, Reheld)
    assert account is not None
    assert request is not None
    change = total(event.draws) - total(request.draws)
    lent = case.lent.get(account.number, [])
    if change <= 0:
        kept, given = _without_last(request.draws, -change)
        case.lent.setdefault(account.number, []).append((event.request, given))
        _compare(case, kept, "a request gives up what it drew last, and never what it owes")
        return
    if lent:
        _takes(case, account, lent)
        return
    together = shared(case)
    if together and event.request != min(account.requests):
        message = "the oldest request takes what is missing"
        case.find(COVERAGE, "request", min(account.requests), event.request, message)
    try:
        if together:
            missing = exposure(case, account) - case.sums.account(account.number).held
        else:  # each request holds its own, of which a correction left more to be charged
            missing = exposure(case, account, reserves=False, only=event.request) - request.hold
    except (PolicyFailed, PriceTooLarge):
        return
    at = case.at if account.number in case.acted else case.instants.get(account.number, case.at)
    free = returning(account, at, max(0, min(missing, account.left)))
    _compare(case, [*request.draws, *free], f"{missing} are missing of what the open requests may cost")


def _takes(case: Case, account: Account, lent: list[tuple[int, Draws]]) -> None:
    """Check that the youngest requests gave first, and that everything they gave is held now."""
    event, request = case.event, case.request
    assert isinstance(event, Reheld)
    assert request is not None
    del case.lent[account.number]
    givers = [name for name, _ in lent]
    _compare(case, [*request.draws, *(draw for _, given in lent for draw in given)], "all that others gave up is held")
    spared = [
        name
        for name, each in account.requests.items()
        if name > min(givers) and name not in (*givers, request.id) and any(lot for lot, _ in each.draws)
    ]
    if spared or givers != sorted(givers, reverse=True):
        case.find(COVERAGE, "request", "the youngest first", givers, "the youngest request gives first")
    case.borrowed[account.number] = case.seq


def _compare(case: Case, expected: list[tuple[int, int]] | Draws, message: str) -> None:
    event = case.event
    assert isinstance(event, Reheld)
    if merged(event.draws) != merged(tuple(expected)):
        case.find(COVERAGE, "draws", merged(tuple(expected)), event.draws, message)


def _without_last(draws: Draws, credits: int) -> tuple[Draws, Draws]:
    """Draws without so many credits that were drawn last on lots, and those, the last first."""
    kept: list[tuple[int, int]] = []
    given: list[tuple[int, int]] = []
    for lot, amount in reversed(draws):
        part = min(amount, credits) if lot else 0
        credits -= part
        given += [(lot, part)] if part else []
        kept += [(lot, amount - part)] if amount > part else []
    return tuple(reversed(kept)), tuple(given)


# -- after an event, and after a commit --------------------------------------------------------------------------------


def after(case: Case) -> None:
    """A charge that took what others had held leaves them covered; one that is short, or owes, leaves nothing there
    that others do not need."""
    event, account = case.event, case.account
    if not isinstance(event, Charged) or account is None:
        return
    borrowed = case.borrowed.pop(account.number, None)
    # Where a lot was reversed, a request may hold debt, which its charge then owes.
    doubtful = any(lot.reversal is not None for lot in account.lots.values())
    owes = event.request and (event.shortfall or (any(lot == 0 for lot, _ in event.draws) and not doubtful))
    if (borrowed is None and not owes) or not account.requests:
        return
    meter = case.sums.period(account.number, event.period)
    assert meter is not None
    request = case.request or case.late
    used = request.usage if request is not None else {}
    # What is reserved for those who have estimated nothing is lent only to who stays within an estimate.
    within = request is not None and all(units <= request.estimate.get(name, 0) for name, units in used.items())
    try:
        # As if it were paid in full: that is what others give up their holds for.
        meter.net, meter.shortfall = meter.net + event.shortfall, meter.shortfall - event.shortfall
        needed, held = exposure(case, account, reserves=not within), _movable(account)
    except (PolicyFailed, PriceTooLarge):
        return
    finally:
        meter.net, meter.shortfall = meter.net - event.shortfall, meter.shortfall + event.shortfall
    if borrowed is not None and account.held < needed:
        message = "others gave up more of their holds than they did not need"
        case.findings.add(COVERAGE, borrowed, "draws", f"{needed} still held", account.held, message)
    elif owes and not event.late and account.held > needed and held:
        message = "a charge is not paid while others hold more than they may cost"
        case.find(COVERAGE, "draws", f"at most {needed} held by others", account.held, message)


def _movable(account: Account) -> int:
    return sum(credits for each in account.requests.values() for lot, credits in each.draws if lot)


def end(case: Case, account: Account) -> None:
    """After a commit holds cover what open requests may cost, as far as there are credits."""
    if account.number in case.lent:
        del case.lent[account.number]
        message = "no request holds the credits that a request gave up"
        case.report(COVERAGE, account.number, "draws", "held by another request", None, message)
    if account.left <= 0 or not account.requests:
        return
    case.plan = case.books.plans[account.plan]
    if not shared(case):
        return  # each request holds its own
    case.findings.checked[COVERAGE] += 1
    try:
        needed = exposure(case, account)
    except (PolicyFailed, PriceTooLarge):
        return
    if account.held < needed:
        free = case.credits(account.left)
        message = f"account {account.number} has {free} free, and its holds do not cover its open requests"
        case.report(COVERAGE, account.number, "holds", needed, account.held, message)
    else:
        case.reported.discard((COVERAGE, account.number, 0))
