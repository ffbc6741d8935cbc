"""References of an event: found in the books, or a finding of the kind schema."""

from __future__ import annotations

from collections.abc import Iterable

from ledger.events import (
    Extended,
    Frozen,
    Reheld,
    Released,
    Withdrawn,
)
from ledger.identity import fact_digest

from .case import Case


def missing(case: Case, field: str, expected: object, found: object, message: str) -> bool:
    """Report that a field of the event refers to something that is missing or wrong. Return False."""
    case.find("schema", field, expected, found, message)
    return False


def is_hex(text: str) -> bool:
    """True if the text is a non-empty string of hexadecimal digits."""
    try:
        return len(bytes.fromhex(text)) > 0
    except ValueError:
        return False


def has_agent(case: Case, number: int) -> bool:
    """True if there is no agent in the event, or the agent is registered."""
    if number and number not in case.books.agents:
        return missing(case, "agent", "an agent", number, f"there is no agent {number}")
    return True


def has_account(case: Case, number: int) -> bool:
    """True if the account exists; the case then has it and its plan."""
    case.account = case.books.accounts.get(number)
    if case.account is None:
        return missing(case, "account", "an account", number, f"there is no account {number}")
    case.plan = case.books.plans[case.account.plan]
    return True


def has_tariff(case: Case, version: int) -> bool:
    """True if the plan has that version of its tariff."""
    assert case.plan is not None
    if not 1 <= version <= len(case.plan.tariffs):
        found = f"the plan has {len(case.plan.tariffs)} versions of its tariff"
        return missing(case, "tariff", f"1 to {len(case.plan.tariffs)}", version, found)
    return True


def has_lots(case: Case, field: str, names: Iterable[int], started: bool = True) -> bool:
    """True if the account has all these lots, and they have started unless `started` is False."""
    assert case.account is not None
    for name in names:
        lot = case.account.lots.get(name)
        if lot is None or (started and not lot.started):
            what = f"account {case.account.number} has no {'started ' if started else ''}lot {name}"
            return missing(case, field, "lots of the account", name, what)
    return True


def is_new(case: Case, field: str, name: bytes | None) -> bool:
    """Report a payment or chain fact that was ingested before. Return True: it counts all the same."""
    if name is not None and case.taken is not None:
        case.taken.append(name)
    known = case.books.payments.get(name) if name is not None else None
    if known is not None:
        missing(case, field, "a new one", known[1], f"this was recorded before, at {known[1]}")
    return True


def is_new_fact(case: Case, event: Withdrawn | Frozen) -> bool:
    """Report the event's chain fact if it was ingested before."""
    return is_new(case, "fact", None if event.fact is None else fact_digest(event.fact))


def open_request(case: Case, event: Extended | Reheld | Released) -> bool:
    """True if the request is open; the case then has it, its account and its plan."""
    number = case.books.open.get(event.request)
    account = case.books.accounts.get(number or 0)
    request = None if account is None else account.requests.get(event.request)
    if account is None or request is None:
        return closed(case, event.request)
    case.account, case.plan, case.request = account, case.books.plans[account.plan], request
    return True


def closed(case: Case, request: int) -> bool:
    """Report a request that is closed, or that never was one. Return False."""
    if case.sums.was_admitted(request):
        message = f"request {request} was charged or released before"
        case.find("hold", "request", "an open request", request, message)
        return False
    return missing(case, "request", "a request", request, f"there is no request {request}")
