"""Prices and meters: each is computed again from usage, meter and tariff version.

A charge that no installed policy can reprice is counted as unverified, which is no finding; the verdict says so.
"""

from __future__ import annotations

from collections.abc import Mapping

from ledger.accounts import OpenRequest
from ledger.catalogue import Plan
from ledger.events import Charged, Line, Usage
from ledger.periods import period_of_work
from ledger.plugins import Policy
from ledger.rating import PolicyFailed, PriceTooLarge, derivable, difference, fault_of_lines, marginal

from .case import Case
from .sums import Meter


def before_of(meter: Meter | None) -> Usage | None:
    """The usage before a charge; None where nothing was charged in the scope yet."""
    return meter.usage if meter is not None and meter.charged else None


def charged(case: Case) -> None:
    """The price is total(before + usage) − total(before), at the tariff of the request's admission."""
    event, plan = case.event, case.plan
    assert isinstance(event, Charged)
    assert plan is not None
    request = case.request or case.late
    version = plan.tariff.version if request is None else request.tariff
    if event.tariff != version:
        case.find("price", "tariff", version, event.tariff, f"this is charged under version {version} of the tariff")
    if request is not None:
        _labels(case, event, request)
    policy = case.policy(event.tariff)
    expected = _meters(case, event, policy)
    if policy is None:
        _recorded(case, event)
        case.cannot_reprice(event.tariff, "charges")
        return
    before = event.before if event.before or event.continues else {} if expected == {} else None
    try:
        price, lines = priced(case, policy, before, event)
    except PolicyFailed as error:
        _recorded(case, event)
        case.cannot_reprice(event.tariff, "charges", error)
        return
    except PriceTooLarge as error:
        case.find("price", "credits", "less than 2^63", event.credits, str(error))
        return
    found = event.credits + event.shortfall
    if found != max(0, price):
        message = f"by its usage, meter and tariff the price is {case.credits(price)}"
        case.find("price", "credits", max(0, price), found, message)
    elif event.lines != lines and (fault := fault_of_lines(event.lines, price)):
        case.find("price", "lines", price, None, fault)
    if price < 0:
        case.falls[event.account] = (case.seq, event.period, -price)


def priced(case: Case, policy: Policy, before: Usage | None, event: Charged) -> tuple[int, tuple[Line, ...]]:
    """Return a charge's price and the lines that it must have. Raises PolicyFailed or PriceTooLarge."""
    recorded = bool(event.lines) or lines_recorded(case.plan, policy)
    if recorded or case.compares(event):
        price, lines = marginal(policy, before, event.usage, event.labels)
        return price, lines if recorded else ()
    return difference(policy, before, event.usage, event.labels), ()


def lines_recorded(plan: Plan | None, policy: Policy) -> bool:
    """True if a charge must have its lines: where the plan asks for them, or they cannot be derived."""
    return (plan is not None and plan.terms.record_lines) or not derivable(policy)


def _labels(case: Case, event: Charged, request: OpenRequest) -> None:
    """A charge may add to its request's labels until the first part is charged: one total has one price."""
    if request.charged and event.labels != request.labels:
        message = "the labels of a request are fixed by its first charge"
        case.find("price", "labels", request.labels, event.labels, message)
    elif not event.labels.keys() >= request.labels.keys():
        case.find("price", "labels", request.labels, event.labels, "a charge has its request's labels")


def _recorded(case: Case, event: Charged) -> None:
    """Lines in the log sum to the charge's price, also where its policy cannot say it again."""
    price = event.credits + event.shortfall
    if event.lines and (fault := fault_of_lines(event.lines, price, falls=True)):
        case.find("price", "lines", price, None, fault)


def _meters(case: Case, event: Charged, policy: Policy | None) -> Usage | None:
    """The meter before the charge, and the period that it is metered in, as folded."""
    assert case.plan is not None
    assert case.account is not None
    case.findings.checked["meter"] += 1
    request = case.request or case.late
    if request is None:
        name, _ = period_of_work(case.plan.terms.period, case.account.purchases, case.at, event.occurred_at)
    else:
        name = case.sums.account(case.account.number).periods.get(request.id, "")
    if event.period != name:
        case.find("meter", "period", name, event.period, f"the charge belongs to the period {name}")
    of_request = before_of(case.sums.requests.get(event.request)) if event.request else None
    of_period = before_of(case.sums.period(event.account, event.period))
    expected = of_period if policy is not None and policy.scope == "period" else of_request
    before = without_zeros(event.before)
    if policy is None and before == (of_period or {}):
        return of_period  # its scope is not known, so either will do
    if before != (expected or {}):
        message = "the meter before the charge is not what was folded"
        case.find("meter", "before", expected or {}, event.before, message)
    elif event.continues and expected != {}:
        found = "nothing was charged before" if expected is None else "the meter is not empty"
        case.find("meter", "continues", False, True, found)
    return expected


def without_zeros(usage: Mapping[str, int]) -> dict[str, int]:
    """Return the usage without the dimensions whose total is 0."""
    return {name: units for name, units in usage.items() if units}
