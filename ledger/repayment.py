"""Credits that return pay what is owed first.

Invariant, held by a property test: no account has debt and free credits at once, after any commit.
"""

from __future__ import annotations

from typing import TypeVar

from msgspec.structs import replace

from .accounts import Account
from .catalogue import Plan
from .events import Adjusted, Charged, Draws, Reinstated, Released, Reversed
from .reducers import apply

R = TypeVar("R", bound=Adjusted | Charged | Reinstated | Released | Reversed)


def with_repayment(account: Account, plan: Plan, seq: int, at: int, instant: int, event: R) -> R:
    """The event with what the credits that it returns pay of the account's debt.

    `at` is the commit's time, `instant` that of the event. Where nothing is owed, nothing is tried.
    """
    if not account.debt and not isinstance(event, Reversed):
        return event
    ahead = account.clone()
    apply(ahead, plan, seq, at, event)
    paid = free_draws(ahead, instant, min(ahead.debt, ahead.left)) if ahead.debt and ahead.left else ()
    return replace(event, repaid=paid) if paid else event


def free_draws(account: Account, at: int, credits: int) -> Draws:
    """Draws of so many free credits: those past their expiry first, which would lapse, then the others, each in burn
    order. There must be so many."""
    lots = account.lots
    past = [name for name in account.burn if (expiry := lots[name].expiry) is not None and expiry <= at]
    draws: list[tuple[int, int]] = []
    for name in dict.fromkeys((*past, *account.burn)):
        if not credits:
            break
        part = min(credits, lots[name].left)
        draws.append((name, part))
        credits -= part
    return tuple(draws)
