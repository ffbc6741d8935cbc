"""Adjustments: no net falls below 0, and what is given back goes to the lots drawn on, last drawn first.

What is corrected owes its price and has paid its credits; the rest is its shortfall. A correction of usage moves what
is owed: downwards the shortfall shrinks first, and only what was paid beyond goes back. One in credits alone leaves it.

What was drawn on a lot that was reversed since, or a part of it, is debt, or with the lots that paid that debt.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ledger.accounts import Account, Correction
from ledger.amounts import add_usage
from ledger.events import Adjusted, Charged, Draws, Usage
from ledger.rating import PolicyFailed, PriceTooLarge, marginal
from ledger.values import total

from .case import Case
from .draws import merged
from .prices import before_of, without_zeros

KIND = "adjustment"


def adjusted(case: Case) -> None:
    """Its nets, its draws, and, where it moves a meter, its price."""
    event, account = case.event, case.account
    assert isinstance(event, Adjusted)
    assert account is not None
    charge = case.sums.charges.get(event.charge) if event.charge else None
    fall = case.falls.get(event.account)
    falls = fall is not None and event.reason == "tier" and event.period == fall[1]
    if falls:
        _fell(case, account, event)
    _nets(case, account, event, charge)
    _owed(case, account, event, charge)
    if not falls:  # the charge that it follows may be the last one of its period
        _metered(case, account, event, charge)
    if event.credits < 0:
        expected = give_back(account, _drawn(account, event, charge), -event.credits)
        if merged(event.draws) != expected:
            message = "what is given back goes to the lots drawn on, last drawn first, never more than was drawn"
            case.find(KIND, "draws", expected, event.draws, message)
    if event.usage:
        _priced(case, account, event, charge)


def pending_falls(case: Case) -> None:
    """A charge that made its period cheaper gives the difference back in its own commit."""
    for number, (seq, period, refund) in case.falls.items():
        unpaid, paid = _returned(case, case.books.accounts[number], period, refund)
        if expected := unpaid + paid:
            message = f"charge {seq} makes its period cheaper, and nothing is given back in its commit"
            case.findings.add("price", seq, "credits", -expected, 0, message)
    case.falls.clear()


def _fell(case: Case, account: Account, event: Adjusted) -> None:
    seq, period, refund = case.falls.pop(account.number)
    unpaid, paid = _returned(case, account, period, refund)
    for field, expected, found in (("credits", -paid, event.credits), ("shortfall", -unpaid, event.shortfall)):
        if expected != found:
            less, never = case.credits(refund), case.credits(unpaid)
            message = f"charge {seq} makes its period cheaper by {less}, of which {never} were never paid"
            case.find("price" if field == "credits" else KIND, field, expected, found, message)


def _returned(case: Case, account: Account, period: str, refund: int) -> tuple[int, int]:
    """Split a refund of a period into the part that was never paid and the part to give back."""
    meter, own = account.meters.get(period), case.sums.period(account.number, period)
    if meter is None or own is None:
        return 0, 0
    unpaid = min(own.shortfall, refund)
    back = give_back(account, list(meter.drawn.items()), min(refund - unpaid, own.net))
    return unpaid, sum(credits for _, credits in back)


def _nets(case: Case, account: Account, event: Adjusted, charge: Charged | None) -> None:
    if event.credits >= 0:
        return
    if charge is not None:
        net = charge.credits + account.corrections.get(event.charge, Correction()).credits + event.credits
        if net < 0:
            case.find(KIND, "credits", "a net of 0 or more", net, f"charge {event.charge} falls below 0")
    period = event.period or event.metered
    meter = case.sums.period(event.account, period)
    if meter is not None and meter.net + event.credits < 0:
        net = meter.net + event.credits
        case.find(KIND, "credits", "a net of 0 or more", net, f"the period {period} falls below 0")


def _owed(case: Case, account: Account, event: Adjusted, charge: Charged | None) -> None:
    """Return the change of the shortfall: a correction downwards by usage lowers it first; one in credits does not."""
    if event.reason == "tier":
        return  # held to the fall that it belongs to
    due = event.credits + event.shortfall
    if not event.usage:
        if event.shortfall < 0 or (event.shortfall and event.credits < 0):
            message = "credits that are given back leave the shortfall as it is"
            case.find(KIND, "shortfall", 0, event.shortfall, message)
        return
    unpaid = 0
    if due < 0:
        if charge is not None:
            unpaid = charge.shortfall + account.corrections.get(event.charge, Correction()).shortfall
        elif (meter := case.sums.period(event.account, event.period)) is not None:
            unpaid = meter.shortfall
        if event.shortfall != (expected := -min(unpaid, -due)):
            never, less = case.credits(unpaid), case.credits(-due)
            message = f"{never} were never paid, and {less} less are owed: only what was paid beyond that goes back"
            case.find(KIND, "shortfall", expected, event.shortfall, message)
    elif event.shortfall < 0 or event.credits < 0:
        case.find(KIND, "shortfall", "0 or more", event.shortfall, "more is owed, and something goes back")


def _metered(case: Case, account: Account, event: Adjusted, charge: Charged | None) -> None:
    """A correction moves the meter of what it corrects, while that is kept, and never another one."""
    assert case.plan is not None
    case.findings.checked["meter"] += 1
    periods = case.sums.kept(case, account.number)
    if charge is None:
        if event.period not in periods:
            case.find("meter", "period", list(periods), event.period, "only a period that is kept is corrected")
        return
    expected = charge.period if charge.period in periods else ""
    if event.metered not in ("", expected):
        message = "a correction moves the meter of its charge's period, while that is kept, and no other"
        case.find("meter", "metered", expected, event.metered, message)


def _priced(case: Case, account: Account, event: Adjusted, charge: Charged | None) -> None:
    """total(meter + delta) − total(meter), at the tariff of the charge, or the current one for a period."""
    assert case.plan is not None
    case.findings.checked["price"] += 1
    version = case.plan.tariff.version if charge is None else charge.tariff
    if event.tariff not in (0, version):
        case.find("price", "tariff", version, event.tariff, f"this is priced under version {version} of the tariff")
    policy = case.policy(version)
    if policy is None:
        case.cannot_reprice(version, "corrections")
        return
    if charge is not None and policy.scope == "period" and charge.period not in case.sums.kept(case, account.number):
        message = "the meter by which its charge was priced is no longer kept: only credits could be corrected"
        case.find("meter", "usage", {}, event.usage, message)
        return
    expected = _before(case, account, event, charge, policy.scope == "period")
    if event.before and without_zeros(event.before) != (expected or {}):
        message = "the meter before the correction is not what was folded"
        case.find("meter", "before", expected or {}, event.before, message)
    before = event.before or expected
    if any(units < 0 for units in add_usage(before or {}, event.usage).values()):
        case.find("meter", "usage", "0 or more", event.usage, "the usage would fall below 0")
        return
    try:
        price, _ = marginal(policy, before, event.usage, event.labels or (charge.labels if charge is not None else {}))
    except PolicyFailed as error:
        case.cannot_reprice(version, "corrections", error)
        return
    except PriceTooLarge as error:
        case.find("price", "credits", "less than 2^63", event.credits, str(error))
        return
    if event.credits + event.shortfall != price:
        found = event.credits + event.shortfall
        message = f"by its usage, meter and tariff the correction is {case.credits(price)}"
        case.find("price", "credits", price, found, message)


def _before(case: Case, account: Account, event: Adjusted, charge: Charged | None, in_period: bool) -> Usage | None:
    """The meter that the delta moves: the period's, the open request's, or that of the closed charge alone."""
    if charge is None or in_period:
        period = event.period if charge is None else charge.period
        return before_of(case.sums.period(event.account, period))
    if charge.request and charge.request in account.requests:
        return before_of(case.sums.requests.get(charge.request))
    corrected = account.corrections.get(event.charge, Correction()).usage
    return add_usage(add_usage(charge.before, charge.usage), corrected)


# -- the order of giving back ------------------------------------------------------------------------------------------


def give_back(account: Account, drawn: Iterable[tuple[int, int]], credits: int) -> list[tuple[int, int]]:
    """Return the draws that so many credits return to, of those drawn: never more than is spent on a lot, or owed."""
    back: dict[int, int] = {}
    for lot, amount in _resolved(account, list(drawn)):
        spent = account.lots[lot].spent if lot else account.debt_spent
        part = min(amount, spent - back.get(lot, 0), credits)
        if part > 0:
            back[lot] = back.get(lot, 0) + part
            credits -= part
    return list(back.items())


def _resolved(account: Account, drawn: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Return the draws, last first, by the lot that is owed now."""
    for lot, amount in reversed(drawn):
        if lot and _unfunded(account, lot):
            yield 0, amount
            paid = account.corrections.get(lot, Correction()).draws
            yield from ((payer, min(part, amount)) for payer, part in reversed(paid) if payer)
        yield lot, amount


def _drawn(account: Account, event: Adjusted, charge: Charged | None) -> Draws:
    """Return the draws of the corrected charge or period after earlier corrections, in the order drawn."""
    if charge is None:
        meter = account.meters.get(event.period)
        return () if meter is None else tuple(meter.drawn.items())
    stack = list(charge.draws)
    for lot, amount in account.corrections.get(event.charge, Correction()).draws:
        if amount > 0:
            stack.append((lot, amount))
        else:
            _unstack(account, stack, lot, -amount)
    assert total(tuple(stack)) >= 0
    return tuple((lot, amount) for lot, amount in stack if amount)


def _unstack(account: Account, stack: list[tuple[int, int]], lot: int, back: int) -> None:
    for place in reversed(range(len(stack))):
        name, credits = stack[place]
        if name == lot or (name and _unfunded(account, name)):
            part = min(credits, back)
            stack[place] = (name, credits - part)
            back -= part


def _unfunded(account: Account, lot: int) -> bool:
    """True if a lot was reversed, in whole or in part, so that credits spent of it became debt."""
    return account.lots[lot].reversal is not None or lot in account.corrections
