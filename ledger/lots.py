"""Changes of the lots, debts and holds of one account, and its agenda of scheduled expiries."""

from __future__ import annotations

from bisect import bisect_left, insort

from .accounts import (
    EMPTY,
    Account,
    Correction,
    Debt,
    Lot,
    Meter,
    OpenRequest,
)
from .events import Draws

# -- the agenda: scheduled starts and expiries, in order ---------------------------------------------------------------

START, EXPIRY_OF_REQUEST, EXPIRY_OF_LOT, INVOICE, OVERDUE = range(5)
"""The kinds of agenda entries, in their order at one instant."""


def schedule(account: Account, instant: int, kind: int, id: int) -> None:
    """Add an entry for a lot or request to the agenda; `instant` is UTC microseconds."""
    insort(account.agenda, (instant, kind, id))


def unschedule(account: Account, instant: int, kind: int, id: int) -> None:
    """Remove an entry from the agenda, if it is there."""
    agenda = account.agenda
    index = bisect_left(agenda, (instant, kind, id))
    if index < len(agenda) and agenda[index] == (instant, kind, id):
        del agenda[index]


def move_deadline(account: Account, request: OpenRequest, deadline: int) -> None:
    """Move a request's deadline (UTC microseconds)."""
    unschedule(account, request.deadline, EXPIRY_OF_REQUEST, request.id)
    request.deadline = deadline
    schedule(account, deadline, EXPIRY_OF_REQUEST, request.id)


def move_expiry(account: Account, lot: Lot, expiry: int | None) -> None:
    """Move a lot's expiry (UTC microseconds). Only a lot with credits left is on the agenda, since only they can
    lapse."""
    if lot.left and lot.expiry is not None:
        unschedule(account, lot.expiry, EXPIRY_OF_LOT, lot.id)
    lot.expiry = expiry
    if lot.left and expiry is not None:
        schedule(account, expiry, EXPIRY_OF_LOT, lot.id)


# -- lots and debts ----------------------------------------------------------------------------------------------------


def put(account: Account, lot: Lot, credits: int) -> None:
    """Add credits to what a lot has left. A lot that had none left joins the burn order."""
    if credits and not lot.left:
        insort(account.burn, lot.id, key=lambda lot_id: account.lots[lot_id].burn_order)
        if lot.expiry is not None:
            schedule(account, lot.expiry, EXPIRY_OF_LOT, lot.id)
    lot.left += credits
    account.left += credits


def take(account: Account, lot: Lot, credits: int) -> None:
    """Take credits from what a lot has left. A lot with none left leaves the burn order and the agenda."""
    lot.left -= credits
    account.left -= credits
    if not lot.left and credits:
        account.burn.remove(lot.id)
        if lot.expiry is not None:
            unschedule(account, lot.expiry, EXPIRY_OF_LOT, lot.id)


def spend(account: Account, draws: Draws, source: int, period: str) -> None:
    """Spend draws; those on lot 0 are owed for `source` and metered in `period`."""
    for lot_id, credits in draws:
        if lot_id:
            lot = account.lots[lot_id]
            lot.spent += credits
            take(account, lot, credits)
        else:
            owe(account, source, credits, period)


def owe(account: Account, source: int, credits: int, period: str) -> None:
    """Add debt for `source`: a charge, an open request or a reversed lot."""
    if credits:
        account.debts.append(Debt(source, credits, period))
        account.debt += credits


def forgive(account: Account, source: int, credits: int) -> None:
    """Lower debt, latest first: that of `source`; then of reversed lots; then any other that no open request holds."""
    account.debt -= credits
    own = [debt for debt in reversed(account.debts) if debt.source == source]
    others = [debt for debt in reversed(account.debts) if debt.source not in (source, *account.requests)]
    others.sort(key=lambda debt: debt.source not in account.lots)
    for debt in (*own, *others):
        part = min(debt.credits, credits)
        debt.credits -= part
        credits -= part
    account.debts = [debt for debt in account.debts if debt.credits]


def draw(meter: Meter, lot: int, credits: int) -> None:
    """Add a draw to a meter."""
    meter.drawn[lot] = meter.drawn.pop(lot, 0) + credits  # the latest draw comes last


def undraw(meter: Meter, lot: int, credits: int) -> None:
    """Remove a returned draw from a meter."""
    rest = meter.drawn.get(lot, 0) - credits
    if rest > 0:
        meter.drawn[lot] = rest
    else:
        meter.drawn.pop(lot, None)


def pay_debts(account: Account, draws: Draws) -> None:
    """Let lots pay the account's debt, oldest first."""
    for lot_id, credits in draws:
        lot = account.lots[lot_id]
        account.debt -= credits
        take(account, lot, credits)
        while credits:
            debt = account.debts[0]
            part = min(credits, debt.credits)
            _repay(account, lot, debt, part)
            debt.credits -= part
            credits -= part
            if not debt.credits:
                account.debts.pop(0)


def _repay(account: Account, lot: Lot, debt: Debt, credits: int) -> None:
    """Move draws on debt to the lot: held for an open request, spent for anything else."""
    if (request := account.requests.get(debt.source)) is not None:
        lot.held += credits
        request.draws = _relabel(request.draws, lot.id, credits)
        return
    lot.spent += credits
    if debt.source:
        correction = correction_of(account, debt.source)
        correction.draws = (*correction.draws, (0, -credits), (lot.id, credits))
    if (meter := account.meters.get(debt.period)) is not None:
        undraw(meter, 0, credits)
        draw(meter, lot.id, credits)


def _relabel(draws: Draws, lot: int, credits: int) -> Draws:
    """Return draws in which the first `credits` drawn on debt are drawn on `lot` instead."""
    changed: list[tuple[int, int]] = []
    for lot_id, amount in draws:
        part = min(amount, credits) if lot_id == 0 else 0
        credits -= part
        changed += [(lot, part)] if part else []
        changed += [(lot_id, amount - part)] if amount > part else []
    return tuple(changed)


def correction_of(account: Account, charge: int) -> Correction:
    """Return the correction of a charge, which the caller may change; a new one if there is none."""
    if account.corrections is EMPTY:
        account.corrections = {}
    return account.corrections.setdefault(charge, Correction())


# -- holds -------------------------------------------------------------------------------------------------------------


def hold(account: Account, draws: Draws) -> None:
    """Hold draws for an open request. Draws on lot 0 are debt already."""
    for lot_id, credits in draws:
        account.held += credits
        if lot_id:
            lot = account.lots[lot_id]
            take(account, lot, credits)
            lot.held += credits


def rehold(account: Account, request: OpenRequest, draws: Draws) -> None:
    """Replace a request's held draws. Debt that it holds stays held."""
    for lot_id, credits in request.draws:
        account.held -= credits
        if lot_id:
            account.lots[lot_id].held -= credits
            put(account, account.lots[lot_id], credits)
    hold(account, draws)
    request.draws = draws


def unhold(account: Account, request: OpenRequest) -> None:
    """Return all that a request holds."""
    for lot_id, credits in request.draws:
        account.held -= credits
        if lot_id:
            lot = account.lots[lot_id]
            lot.held -= credits
            put(account, lot, credits)
        else:
            forgive(account, request.id, credits)


def unfund(account: Account, lot: Lot, credits: int) -> None:
    """Take unpaid credits from a lot: first available ones; spent and held ones become debt."""
    rest = min(credits, lot.left)
    spent = min(credits - rest, lot.spent)
    take(account, lot, rest)
    lot.spent -= spent
    owe(account, lot.id, spent, "")
    credits -= rest + spent
    for request in account.requests.values():
        if not credits:
            break
        part = min(credits, sum(amount for lot_id, amount in request.draws if lot_id == lot.id))
        if part:
            credits -= part
            lot.held -= part
            request.draws = _unfunded(request.draws, lot.id, part)
            owe(account, request.id, part, "")


def _unfunded(draws: Draws, lot: int, credits: int) -> Draws:
    """Return draws in which the last `credits` drawn on `lot` are drawn on debt instead."""
    changed: list[tuple[int, int]] = []
    for lot_id, amount in reversed(draws):
        part = min(amount, credits) if lot_id == lot else 0
        credits -= part
        changed += [(0, part)] if part else []
        changed += [(lot_id, amount - part)] if amount > part else []
    return tuple(reversed(changed))
