"""Open windows and open credits of an account, as a purchase needs them.

Invariant, property-tested: a window queues behind the last one that still gives access, and behind no other.
"""

from __future__ import annotations

from ..accounts import Account, Lot

OPEN_CREDITS_LIMIT = (
    "an account may have at most 2^63-1 open credits: available, held, owed, and of lots that have not started"
)


def last_end(account: Account, at: int) -> int:
    """Return the end of the last window that still gives access after `at`; else `at` (UTC microseconds)."""
    return max(
        [at, *(lot.expiry for lot in account.lots.values() if _gives_access(lot, at) and lot.expiry is not None)]
    )


def _gives_access(lot: Lot, at: int) -> bool:
    """True if a lot is a window that gives access after `at`: bought or given with seconds, or given with an expiry.

    Not if it was reversed, was ended by an exit, got its expiry from a refund, or has no credits left or held.
    """
    is_window = lot.seconds > 0 or lot.kind == "gift"
    ended = lot.expiry is None or lot.expiry <= at
    if not is_window or ended or lot.reversed or lot.exited or lot.extended:
        return False
    return not (lot.credits and lot.started) or lot.left > 0 or lot.held > 0


def open_credits(account: Account) -> int:
    """Return the credits that an account has left, holds, owes, and will have when its lots start. Expired or spent
    credits do not count."""
    waiting = sum(lot.credits - lot.withdrawn for lot in account.lots.values() if lot.waits)
    return account.left + account.held + account.debt + waiting
