"""References of events about accounts and their lots."""

from __future__ import annotations

from ledger.events import (
    Frozen,
    Lapsed,
    Purchased,
    Reinstated,
    Reversed,
    Started,
    Unfrozen,
    Withdrawn,
)
from ledger.identity import payment_digest

from .case import Case
from .lookups import (
    has_account,
    has_lots,
    is_new,
    is_new_fact,
    missing,
)


def purchased(case: Case, event: Purchased) -> bool:
    """True if the plan exists, and the account is that of the subscriber on the plan, or the next one."""
    books = case.books
    if event.plan not in books.plans:
        return missing(case, "plan", "a plan", event.plan, f"there is no plan {event.plan!r}")
    number = books.names.get((event.subscriber, event.plan), books.opened + 1)
    if event.account != number:
        return missing(case, "account", number, event.account, f"{event.subscriber!r} has another number there")
    start = case.at if event.start is None else event.start
    if event.expiry is not None and event.expiry <= start:
        return missing(case, "expiry", f"after {start}", event.expiry, "the lot ends before it starts")
    case.account, case.plan = books.accounts.get(number), books.plans[event.plan]
    return is_new(case, "payment", payment_digest(event.funding, event.payment))


def started(case: Case, event: Started) -> bool:
    """True if the account has the lot, and it was not reversed."""
    if not has_account(case, event.account) or not has_lots(case, "lot", [event.lot], started=False):
        return False
    assert case.account is not None
    if case.account.lots[event.lot].reversed:
        return missing(case, "lot", "a lot that was not reversed", event.lot, "a lot of a void payment never starts")
    return True


def lapsed(case: Case, event: Lapsed) -> bool:
    """True if the account has the lot, and it has started."""
    return has_account(case, event.account) and has_lots(case, "lot", [event.lot])


def withdrawn(case: Case, event: Withdrawn) -> bool:
    """True if the account has the lots that credits and money leave."""
    return (
        has_account(case, event.account)
        and has_lots(case, "draws", (lot for lot, _ in event.draws))
        and has_lots(case, "money", event.money, started=False)
        and is_new_fact(case, event)
    )


def reversed(case: Case, event: Reversed) -> bool:
    """True if the account has the lot, and it was not wholly reversed before."""
    if not has_account(case, event.account) or not has_lots(case, "lot", [event.lot], started=False):
        return False
    assert case.account is not None
    if case.account.lots[event.lot].reversed:
        return missing(case, "lot", "a lot not reversed before", event.lot, "a lot is reversed once")
    return True


def reinstated(case: Case, event: Reinstated) -> bool:
    """True if the lot was reversed, and is not held by a chain."""
    if not has_account(case, event.account) or not has_lots(case, "lot", [event.lot], started=False):
        return False
    assert case.account is not None
    lot = case.account.lots[event.lot]
    if event.lot not in case.sums.reversals or lot.reversal is None:
        return missing(case, "lot", "a lot that was reversed", event.lot, "only what was reversed is reinstated")
    if lot.escrow is not None:
        return missing(case, "lot", "a lot that no chain holds", event.lot, "what a chain took back is bought again")
    return True


def unfrozen(case: Case, event: Unfrozen) -> bool:
    """True if the account exists."""
    return has_account(case, event.account)


def frozen(case: Case, event: Frozen) -> bool:
    """True if the account exists."""
    return has_account(case, event.account) and is_new_fact(case, event)
