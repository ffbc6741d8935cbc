"""Repayment: credits that return pay the account's debt first.

Invariant, property-tested: after any commit, no account has both debt and available credits.
"""

from __future__ import annotations

from typing import TypeVar

from msgspec.structs import replace

from .accounts import Account
from .catalogue import Plan
from .events import Adjusted, Charged, Draws, InvoicePaid, Reinstated, Released, Reversed, WrittenOff
from .reducers import apply

R = TypeVar("R", bound=Adjusted | Charged | InvoicePaid | Reinstated | Released | Reversed | WrittenOff)


def with_repayment(account: Account, plan: Plan, seq: int, at: int, instant: int, event: R) -> R:
    """Return the event with the draws (`repaid`) by which the credits that it returns pay the account's debt.

    `at` is the commit's time, `instant` the event's (UTC microseconds).
    """
    if not account.debt and not isinstance(event, Reversed):
        return event
    projected = account.clone()
    apply(projected, plan, seq, at, event)
    payable = min(projected.debt, projected.left)
    paid = free_draws(projected, instant, payable) if payable else ()
    return replace(event, repaid=paid) if paid else event


def free_draws(account: Account, at: int, credits: int) -> Draws:
    """Return draws of `credits` available credits, in burn order, but expired lots first, which would lapse otherwise.

    The account must have so many.
    """
    lots = account.lots
    expired = [lot_id for lot_id in account.burn if (expiry := lots[lot_id].expiry) is not None and expiry <= at]
    draws: list[tuple[int, int]] = []
    for lot_id in dict.fromkeys((*expired, *account.burn)):
        if not credits:
            break
        part = min(credits, lots[lot_id].left)
        draws.append((lot_id, part))
        credits -= part
    return tuple(draws)
