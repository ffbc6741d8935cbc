"""References of requests, charges and adjustments."""

from __future__ import annotations

from ledger.events import (
    Adjusted,
    Charged,
    Reheld,
    Requested,
)

from .case import Case
from .lookups import (
    closed,
    has_account,
    has_agent,
    has_lots,
    has_tariff,
    missing,
    open_request,
)


def requested(case: Case, event: Requested) -> bool:
    """True if account, tariff, agent and lots exist."""
    return (
        has_account(case, event.account)
        and has_tariff(case, event.tariff)
        and has_agent(case, event.agent)
        and has_lots(case, "draws", (lot for lot, _ in event.draws))
    )


def reheld(case: Case, event: Reheld) -> bool:
    """True if the request is open, of that account, and the lots exist."""
    if not open_request(case, event):
        return False
    assert case.account is not None
    assert case.request is not None
    if case.account.number != event.account:
        message = f"request {event.request} is another account's"
        return missing(case, "account", case.account.number, event.account, message)
    return has_lots(case, "draws", (lot for lot, _ in event.draws if lot))


def charged(case: Case, event: Charged) -> bool:
    """True if account, tariff, agent and lots exist, and the request, if any, is open or late."""
    if not has_account(case, event.account) or not has_tariff(case, event.tariff) or not has_agent(case, event.agent):
        return False
    if not has_lots(case, "draws", (lot for lot, _ in event.draws if lot)):
        return False
    if not has_lots(case, "repaid", (lot for lot, _ in event.repaid)):
        return False
    if not event.request:
        return True
    account = case.account
    assert account is not None
    case.request = account.requests.get(event.request)
    case.late = account.late.get(event.request) if case.request is None else None
    request = case.request or case.late
    if request is None:
        owner = case.books.open.get(event.request)
        if owner is not None and owner != account.number:
            return missing(case, "account", owner, account.number, f"request {event.request} is another account's")
        return closed(case, event.request)
    if request.agent != event.agent:
        missing(case, "agent", request.agent, event.agent, "a charge has its request's agent")
    return True


def adjusted(case: Case, event: Adjusted) -> bool:
    """True if the corrected charge is the account's, and tariff and lots exist."""
    if not has_account(case, event.account):
        return False
    if event.charge:
        charge = case.sums.charges.get(event.charge)
        if charge is None:
            return missing(case, "charge", "a charge", event.charge, f"there is no charge {event.charge}")
        if charge.account != event.account:
            message = f"charge {event.charge} is another account's"
            return missing(case, "account", charge.account, event.account, message)
    return (
        (not event.tariff or has_tariff(case, event.tariff))
        and has_lots(case, "draws", (lot for lot, _ in event.draws if lot))
        and has_lots(case, "repaid", (lot for lot, _ in event.repaid))
    )
