"""Reversals: what a payment that was void, or a part of it, takes from its lot; and what a dispute that was won gives
back, which is exactly that."""

from __future__ import annotations

from ledger.accounts import Lot
from ledger.events import Reinstated, Reversed

from . import draws
from .case import Case


def taken(case: Case) -> None:
    """Check that a reversal of a part of the money takes as large a part of the credits, rounded down."""
    event, account = case.event, case.account
    assert isinstance(event, Reversed)
    assert account is not None
    lot = account.lots[event.lot]
    money = lot.cost - lot.refunded
    there = lot.left + lot.spent + lot.held if lot.started else lot.credits - lot.withdrawn
    if event.money < money:
        there = min(there, (lot.credits - lot.withdrawn) * event.money // money)
    if event.credits != there:
        part, whole = case.money(event.money, lot.asset), case.money(money, lot.asset)
        message = f"{part} of the {whole} that lot {lot.id} still has take {case.credits(there)} of its credits"
        case.find("draws", "credits", there, event.credits, message)
    draws.repaid(case)


def refunded(case: Case) -> None:
    """No more money leaves than is there, of what a chain holds all; and a window is as much shorter."""
    event, account = case.event, case.account
    assert isinstance(event, Reversed)
    assert account is not None
    lot = account.lots[event.lot]
    money = lot.cost - lot.refunded
    if event.money > money or (not event.money and money) or (lot.escrow is not None and event.money < money):
        of = "all that a chain holds" if lot.escrow is not None else f"some of the {case.money(money, lot.asset)} there"
        case.find("earned", "money", money, event.money, f"of lot {lot.id} is reversed {of}")
        return
    expected = _shortened(lot, money, event.money, case.at) if event.money < money else None
    if event.expiry != expected:
        part, whole = case.money(event.money, lot.asset), case.money(money, lot.asset)
        message = f"{part} of {whole} are reversed, and the window of lot {lot.id} is as much shorter"
        case.find("earned", "expiry", expected, event.expiry, message)


def _shortened(lot: Lot, money: int, amount: int, at: int) -> int | None:
    if lot.credits or lot.expiry is None:
        return None
    end = lot.start + (lot.expiry - lot.start) * (money - amount) // money
    return min(lot.expiry, max(at, end) if lot.started else end)


def given(case: Case) -> None:
    """A lot that is reinstated has again what its reversals took."""
    event, own = case.event, case.sums.reversals
    assert isinstance(event, Reinstated)
    for field, expected, found in zip(
        ("credits", "money"), own.get(event.lot, (0, 0)), (event.credits, event.money), strict=True
    ):
        if expected != found:
            message = f"the reversals of lot {event.lot} took {expected}"
            case.find("draws" if field == "credits" else "earned", field, expected, found, message)
    draws.repaid(case)
