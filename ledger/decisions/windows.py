"""What an account has open when something is bought: its windows, where the next one begins, and its credits.

Law, held by a property test: a window queues behind the last one that still gives access, and behind no other.
"""

from __future__ import annotations

from ..accounts import Account, Lot

BEYOND = "an account has at most 2^63-1 open credits: what it has left, holds, owes, and will have when lots start"


def last_end(account: Account, at: int) -> int:
    """When the last window of an account ends that still gives access after `at`; else `at`."""
    return max(
        [at, *(lot.expiry for lot in account.lots.values() if _gives_access(lot, at) and lot.expiry is not None)]
    )


def _gives_access(lot: Lot, at: int) -> bool:
    """Whether a lot is a window that gives access after `at`: one that was bought or given with seconds, or given with
    an expiry.

    Not one that was reversed, that a chain's exit ended, whose expiry a refund brought, or whose credits are all gone.
    """
    is_window = lot.seconds > 0 or lot.kind == "gift"
    over = lot.expiry is None or lot.expiry <= at
    if not is_window or over or lot.reversed or lot.exited or lot.extended:
        return False
    return not (lot.credits and lot.started) or lot.left > 0 or lot.held > 0


def open_credits(account: Account) -> int:
    """What an account has, holds, owes, or will have when its lots start. What is over weighs nothing."""
    waiting = sum(lot.credits - lot.withdrawn for lot in account.lots.values() if lot.waits)
    return account.left + account.held + account.debt + waiting
