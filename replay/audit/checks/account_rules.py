"""Rules of accounts: freezing, limits, windows, usage that has a price, and debt.

- frozen: a frozen account makes no requests, is charged nothing directly, and buys nothing, except what a chain has
  sold. What a chain has asked for is not undone.
- limit: requests keep the plan's rate, credits in a window, and open requests.
- window: a window starts when the last one ends that still gives access, and behind no other.
- unpriced: no request is admitted with units that no rate reads, unless the plan says so; what is charged counts them.
- debt: no account has debt and free credits at the same time.
"""

from __future__ import annotations

from ledger.accounts import Account, Lot
from ledger.amounts import SECOND
from ledger.events import Adjusted, Charged, EscrowFunding, Purchased, Requested, Unfrozen, Usage
from ledger.rating import PolicyFailed, unpriced

from .case import Case

FROZEN, LIMIT, WINDOW, UNPRICED, DEBT = "frozen", "limit", "window", "unpriced", "debt"


# -- frozen ------------------------------------------------------------------------------------------------------------


def acts_unfrozen(case: Case) -> None:
    """Check that a frozen account makes no request and is charged nothing directly."""
    event, account = case.event, case.account
    assert isinstance(event, Requested | Charged)
    assert account is not None
    if account.frozen and (isinstance(event, Requested) or not event.request):
        what = "takes no new requests" if isinstance(event, Requested) else "is charged nothing directly"
        case.find(FROZEN, "account", "an account that is not frozen", account.number, f"a frozen account {what}")


def sold_unfrozen(case: Case) -> None:
    """Check that a frozen account buys nothing, unless a chain has the money already. Gifts may be given."""
    event, account = case.event, case.account
    assert isinstance(event, Purchased)
    if account is not None and account.frozen and event.kind != "gift" and not isinstance(event.funding, EscrowFunding):
        case.find(FROZEN, "account", "an account that is not frozen", account.number, "a frozen account buys nothing")


def unfrozen(case: Case) -> None:
    """Only what is frozen, and by no chain, is unfrozen."""
    event, account = case.event, case.account
    assert isinstance(event, Unfrozen)
    assert account is not None
    if not account.frozen:
        case.find(FROZEN, "account", "a frozen account", account.number, "the account was not frozen")
    elif case.sums.account(account.number).leaving:
        case.find(FROZEN, "account", "frozen for good", account.number, "a chain has asked for the freeze")


# -- limits ------------------------------------------------------------------------------------------------------------


def within_limits(case: Case) -> None:
    """A request keeps the plan's limits, by what was admitted and charged before it."""
    event, account, plan = case.event, case.account, case.plan
    assert isinstance(event, Requested)
    assert account is not None
    assert plan is not None
    if plan.terms.overdue == "stop" and account.billing is not None and account.billing.overdue:
        case.find(LIMIT, "account", "no overdue invoice", account.number, "the plan serves none that owes for too long")
    own, limits = case.sums.account(account.number), plan.terms.limits
    if (rate := limits.rate) is not None:
        early = own.arrival - case.at * rate.requests - (rate.requests - 1) * rate.seconds * SECOND
        if early > 0:
            wait = -(-early // rate.requests)
            allowed = f"{rate.requests} requests in {rate.seconds} seconds"
            case.find(LIMIT, "rate", f"{wait} microseconds later", case.at, f"the plan admits {allowed}")
    if (limit := limits.credits) is not None:
        number, charged, _ = own.window
        room = limit.credits - own.held - (charged if number == case.at // (limit.seconds * SECOND) else 0)
        if event.hold > room:
            allowed = case.credits(limit.credits)
            message = f"the plan lets {allowed} credits be charged or held in {limit.seconds} seconds"
            case.find(LIMIT, "credits", f"at most {max(0, room)}", event.hold, message)
    if limits.open is not None and len(account.requests) >= limits.open:
        message = f"the plan lets {limits.open} requests be open at once"
        case.find(LIMIT, "open", f"at most {limits.open}", len(account.requests) + 1, message)


# -- windows -----------------------------------------------------------------------------------------------------------


def queued(case: Case) -> None:
    """A window bought or given starts where the last one ends that still gives access, or later where that was asked
    for, and is as long as what was bought."""
    event, account = case.event, case.account
    assert isinstance(event, Purchased)
    if not event.seconds:
        return
    start = case.at if event.start is None else event.start
    if event.kind != "gift" and event.expiry != start + event.seconds * SECOND:
        message = f"{event.seconds} seconds are bought"
        case.find(WINDOW, "expiry", start + event.seconds * SECOND, event.expiry, message)
    lots = [lot for lot in account.lots.values() if _is_window(lot)] if account is not None else []
    ends = [lot.expiry for lot in lots if lot.expiry is not None and _gives_access(lot, case.at)]
    expected = max([case.at, event.earliest or 0, *ends])
    if start < expected:
        case.find(WINDOW, "start", expected, start, "the window starts before the one before it ends")
    elif start > expected:
        case.find(WINDOW, "start", expected, start, "the window queues behind one that gives no access")


def _is_window(lot: Lot) -> bool:
    return lot.seconds > 0 or (lot.kind == "gift" and lot.expiry is not None)


def _gives_access(lot: Lot, at: int) -> bool:
    if lot.expiry is None or lot.expiry <= at or lot.reversed or lot.exited or lot.extended:
        return False
    return not (lot.credits and lot.started) or lot.left + lot.held > 0


# -- usage without a price ---------------------------------------------------------------------------------------------


def priced(case: Case) -> None:
    """A request's estimate has no units that no rate reads; a charge or a correction counts those that it has."""
    event, plan = case.event, case.plan
    assert plan is not None
    if isinstance(event, Requested):
        if plan.terms.unpriced == "refuse" and (unread := _unread(case, event.tariff, event.estimate, event.labels)):
            message = "a request is admitted with units that no rate of its tariff reads"
            case.find(UNPRICED, "estimate", {}, unread, message)
        return
    assert isinstance(event, Charged | Adjusted)
    tariff, labels = event.tariff, event.labels
    if isinstance(event, Adjusted):
        charge = case.sums.charges.get(event.charge) if event.charge else None
        tariff = tariff or (plan.tariff.version if charge is None else charge.tariff)
        labels = labels or (charge.labels if charge is not None else {})
    expected = {} if plan.terms.unpriced == "free" else _unread(case, tariff, event.usage, labels)
    if expected is not None and event.unpriced != expected:
        message = "the units that no rate of the tariff reads are otherwise"
        case.find(UNPRICED, "unpriced", expected, event.unpriced, message)


def _unread(case: Case, tariff: int, usage: Usage, labels: dict[str, str]) -> Usage | None:
    """None where the policy is not installed, or does not say."""
    policy = case.rating(tariff)
    if policy is None:
        return None
    try:
        return unpriced(policy, usage, labels)
    except PolicyFailed:
        return None


# -- after a commit ----------------------------------------------------------------------------------------------------


def end(case: Case, account: Account) -> None:
    """Check that no account has debt and free credits at the same time."""
    case.findings.checked[DEBT] += 1
    if account.debt > 0 and account.left > 0:
        message = f"account {account.number} owes {account.debt}, and has {account.left} free credits"
        case.report(DEBT, account.number, "account", 0, min(account.debt, account.left), message)
    else:
        case.reported.discard((DEBT, account.number, 0))
