"""What the lots, debts and holds of one account go through, and what time will do to them."""

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

# -- the agenda: what time will do, in its order -----------------------------------------------------------------------

START, EXPIRY_OF_REQUEST, EXPIRY_OF_LOT = range(3)
"""The families of what time does, in their order at one instant."""


def schedule(account: Account, instant: int, family: int, name: int) -> None:
    """Put on the agenda what will happen at an instant."""
    insort(account.agenda, (instant, family, name))


def unschedule(account: Account, instant: int, family: int, name: int) -> None:
    """Take off the agenda what will not happen then; nothing, where it was not there."""
    agenda = account.agenda
    place = bisect_left(agenda, (instant, family, name))
    if place < len(agenda) and agenda[place] == (instant, family, name):
        del agenda[place]


def move_deadline(account: Account, request: OpenRequest, deadline: int) -> None:
    """A request expires at another time."""
    unschedule(account, request.deadline, EXPIRY_OF_REQUEST, request.id)
    request.deadline = deadline
    schedule(account, deadline, EXPIRY_OF_REQUEST, request.id)


def move_expiry(account: Account, lot: Lot, expiry: int | None) -> None:
    """A lot's end moves. Only what is left can lapse: a lot that is used up has nothing on the agenda."""
    if lot.left and lot.expiry is not None:
        unschedule(account, lot.expiry, EXPIRY_OF_LOT, lot.id)
    lot.expiry = expiry
    if lot.left and expiry is not None:
        schedule(account, expiry, EXPIRY_OF_LOT, lot.id)


# -- what lots and debts go through ------------------------------------------------------------------------------------


def put(account: Account, lot: Lot, credits: int) -> None:
    """Credits come to a lot's left; the lot joins the burn order if it had none."""
    if credits and not lot.left:
        insort(account.burn, lot.id, key=lambda name: account.lots[name].burn_order)
        if lot.expiry is not None:
            schedule(account, lot.expiry, EXPIRY_OF_LOT, lot.id)
    lot.left += credits
    account.left += credits


def take(account: Account, lot: Lot, credits: int) -> None:
    """Credits leave a lot's left; the lot leaves the burn order and the agenda with its last."""
    lot.left -= credits
    account.left -= credits
    if not lot.left and credits:
        account.burn.remove(lot.id)
        if lot.expiry is not None:
            unschedule(account, lot.expiry, EXPIRY_OF_LOT, lot.id)


def spend(account: Account, draws: Draws, source: int, period: str) -> None:
    """Draws are spent, and those on lot 0 owed for `source` (and metered in `period`)."""
    for name, credits in draws:
        if name:
            lot = account.lots[name]
            lot.spent += credits
            take(account, lot, credits)
        else:
            owe(account, source, credits, period)


def owe(account: Account, source: int, credits: int, period: str) -> None:
    """The account owes more, for a charge, an open request or a reversed lot."""
    if credits:
        account.debts.append(Debt(source, credits, period))
        account.debt += credits


def forgive(account: Account, source: int, credits: int) -> None:
    """Debt goes down, latest first: that of `source`; then of reversed lots; then any other that is not held."""
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
    """A meter has one more draw."""
    meter.drawn[lot] = meter.drawn.pop(lot, 0) + credits  # the latest drawn stands last


def undraw(meter: Meter, lot: int, credits: int) -> None:
    """A draw of a meter was given back."""
    rest = meter.drawn.get(lot, 0) - credits
    if rest > 0:
        meter.drawn[lot] = rest
    else:
        meter.drawn.pop(lot, None)


def pay_debts(account: Account, draws: Draws) -> None:
    """Lots pay what is owed, oldest debt first."""
    for name, credits in draws:
        lot = account.lots[name]
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
    """A debt draw becomes the lot's: of an open request it is held there, of anything else it is spent."""
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
    """Draws in which the first `credits` drawn on debt are drawn on `lot` instead."""
    changed: list[tuple[int, int]] = []
    for name, amount in draws:
        part = min(amount, credits) if name == 0 else 0
        credits -= part
        changed += [(lot, part)] if part else []
        changed += [(name, amount - part)] if amount > part else []
    return tuple(changed)


def correction_of(account: Account, charge: int) -> Correction:
    """What became of a charge since, to be changed."""
    if account.corrections is EMPTY:
        account.corrections = {}
    return account.corrections.setdefault(charge, Correction())


# -- holds -------------------------------------------------------------------------------------------------------------


def hold(account: Account, draws: Draws) -> None:
    """An open request holds draws. What it holds of lot 0 is debt already."""
    for name, credits in draws:
        account.held += credits
        if name:
            lot = account.lots[name]
            take(account, lot, credits)
            lot.held += credits


def rehold(account: Account, request: OpenRequest, draws: Draws) -> None:
    """A request holds other draws than before. Debt that it holds stays debt that it holds."""
    for name, credits in request.draws:
        account.held -= credits
        if name:
            account.lots[name].held -= credits
            put(account, account.lots[name], credits)
    hold(account, draws)
    request.draws = draws


def unhold(account: Account, request: OpenRequest) -> None:
    """All that a request holds returns."""
    for name, credits in request.draws:
        account.held -= credits
        if name:
            lot = account.lots[name]
            lot.held -= credits
            put(account, lot, credits)
        else:
            forgive(account, request.id, credits)


def unfund(account: Account, lot: Lot, credits: int) -> None:
    """So many credits of a lot were never paid: what is left goes first; what was spent or is held becomes debt."""
    rest = min(credits, lot.left)
    spent = min(credits - rest, lot.spent)
    take(account, lot, rest)
    lot.spent -= spent
    owe(account, lot.id, spent, "")
    credits -= rest + spent
    for request in account.requests.values():
        if not credits:
            break
        part = min(credits, sum(amount for name, amount in request.draws if name == lot.id))
        if part:
            credits -= part
            lot.held -= part
            request.draws = _unfunded(request.draws, lot.id, part)
            owe(account, request.id, part, "")


def _unfunded(draws: Draws, lot: int, credits: int) -> Draws:
    """Draws in which the last `credits` drawn on `lot` are drawn on debt instead."""
    changed: list[tuple[int, int]] = []
    for name, amount in reversed(draws):
        part = min(amount, credits) if name == lot else 0
        credits -= part
        changed += [(0, part)] if part else []
        changed += [(name, amount - part)] if amount > part else []
    return tuple(reversed(changed))
