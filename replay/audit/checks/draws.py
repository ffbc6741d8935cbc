"""Draws: which lots credits are taken from, and given back to; and overspending, which is taking what is not there.

A charge takes its own hold's draws first, in their order, then available lots in burn order (priority, expiry with none
last, start, id), none skipped, then what the plan's debt rule allows. What is missing then is the shortfall.

Credits that return to lots pay what is owed first: those of lots past their expiry, which would lapse, then the others,
each in burn order.
"""

from __future__ import annotations

from msgspec.structs import replace

from ledger.accounts import Account
from ledger.events import (
    Adjusted,
    Charged,
    Draws,
    InvoicePaid,
    Lapsed,
    Reinstated,
    Released,
    Requested,
    Reversed,
    Started,
    Withdrawn,
    WrittenOff,
)
from ledger.reducers import apply
from ledger.values import consume, total

from . import invoices
from .case import Case
from .times import lapsing, on_credit_line


def requested(case: Case) -> None:
    """A request holds from what is available, on a living lot, and never while the account owes."""
    event, account = case.event, case.account
    assert isinstance(event, Requested)
    assert account is not None
    if account.debt:
        case.find("overspend", "account", 0, account.debt, "a request is admitted while the account is in debt")
    if not _lives(case, account):
        case.find("draws", "account", "a living lot", None, "a request is admitted where no lot lives")
    _new(case, account, event.draws, shortfall=0)


def charged(case: Case) -> None:
    """Its own hold first, in the order drawn, then what is available, then debt."""
    event, account = case.event, case.account
    assert isinstance(event, Charged)
    assert account is not None
    hold = () if case.request is None else case.request.draws
    expected = consume(hold, event.credits)[0]
    held, new = consume(event.draws, total(expected))
    if held != expected and merged(held) != merged(expected):
        case.find("draws", "draws", expected, held, "a charge takes its own hold first, in the order drawn")
    if event.shortfall and total(hold) > event.credits:
        case.find("draws", "shortfall", 0, event.shortfall, "there is a shortfall while credits are held")
    if new or event.shortfall:
        _new(case, account, new, event.shortfall)
    repaid(case)


def adjusted(case: Case) -> None:
    """An upward correction takes as a charge does. What a downward one gives back is judged in `adjustments`."""
    event, account = case.event, case.account
    assert isinstance(event, Adjusted)
    assert account is not None
    if event.credits > 0 or event.shortfall > 0:
        _new(case, account, event.draws, event.shortfall)
    repaid(case)


def started(case: Case) -> None:
    """A lot that starts pays the debt, as far as it goes."""
    event, account = case.event, case.account
    assert isinstance(event, Started)
    assert account is not None
    lot = account.lots[event.lot]
    expected = min(lot.credits - lot.withdrawn, account.debt)
    if (found := total(event.draws)) != expected:
        message = f"lot {event.lot} pays {case.credits(expected)} of the account's debt"
        case.find("draws", "draws", expected, found, message)


def repaid(case: Case) -> None:
    """Check that credits that return pay the debt first, as far as they suffice."""
    event, account, plan = case.event, case.account, case.plan
    assert isinstance(event, Adjusted | Charged | InvoicePaid | Reinstated | Released | Reversed | WrittenOff)
    assert account is not None
    assert plan is not None
    if not event.repaid and not account.debt and not isinstance(event, Reversed):
        return
    ahead = account.clone()
    apply(ahead, plan, case.seq, case.at, replace(event, repaid=()))
    instant = event.instant if isinstance(event, Released) and event.instant is not None else case.at
    expected = returning(ahead, instant, max(0, min(ahead.debt, ahead.left)))
    if list(event.repaid) != expected:
        message = "credits that return pay what is owed first, those that would lapse before others"
        case.find("draws", "repaid", expected, event.repaid, message)


def returning(account: Account, at: int, credits: int) -> list[tuple[int, int]]:
    """Return the draws of so many free credits: lots past their expiry first, then the others, each in burn order."""
    order = [account.lots[name] for name in account.burn]
    order.sort(key=lambda lot: lot.expiry is None or lot.expiry > at)
    draws: list[tuple[int, int]] = []
    for lot in order:
        part = min(credits, lot.left)
        if part > 0:
            draws.append((lot.id, part))
            credits -= part
    return draws


def lapsed(case: Case) -> None:
    """Check that all unused credits of an expired lot lapse."""
    event, account = case.event, case.account
    assert isinstance(event, Lapsed)
    assert account is not None
    _whole(case, account, event.lot, event.credits)


def withdrawn(case: Case) -> None:
    """In burn order, or from the one lot that was named; held and owed credits stay."""
    event, account = case.event, case.account
    assert isinstance(event, Withdrawn)
    assert account is not None
    if on_credit_line(case, event):
        invoices.narrowed(case)
    elif (over := lapsing(case, event)) is not None:
        _whole(case, account, over.id, total(event.draws))
    elif len(event.draws) == 1:
        (lot, credits), most = event.draws[0], max(0, account.available)
        if credits > min(most, account.lots[lot].left):
            case.find("overspend", "draws", f"at most {most}", credits, "more is withdrawn than is available")
    elif event.draws:
        _new(case, account, event.draws, shortfall=0, owes=False)


def merged(draws: Draws) -> list[tuple[int, int]]:
    """Draws in which what was taken from one lot in a row is one draw."""
    rows: list[tuple[int, int]] = []
    for lot, credits in draws:
        if rows and rows[-1][0] == lot:
            rows[-1] = (lot, rows[-1][1] + credits)
        else:
            rows.append((lot, credits))
    return rows


def _whole(case: Case, account: Account, lot: int, credits: int) -> None:
    left = account.lots[lot].left
    if credits != left:
        case.find("draws", "credits", left, credits, f"all unused credits of lot {lot} lapse together")


def _lives(case: Case, account: Account) -> bool:
    """True if any lot lives; the newest are the likeliest."""
    if account.burn and account.lots[account.burn[0]].lives(case.at):
        return True
    return any(lot.lives(case.at) for lot in reversed(account.lots.values()))


def _new(case: Case, account: Account, draws: Draws, shortfall: int, owes: bool = True) -> None:
    """Draws beyond a hold: available lots in burn order, then debt, then the shortfall."""
    owed = sum(credits for lot, credits in draws if lot == 0)
    taken = total(draws) - owed
    available = max(0, account.available)
    if taken > available:
        message = f"{case.credits(taken)} are taken of {case.credits(available)} available"
        case.find("overspend", "draws", f"at most {available}", taken, message)
    elif draws:
        expected = _take(case, account, taken)
        if owed:
            expected.append((0, owed))
        if merged(draws) != expected:
            case.find("draws", "draws", expected, draws, "credits are drawn in burn order, no lot is skipped")
    if owed or shortfall:
        if taken < available:
            message = f"{case.credits(available - taken)} credits were still available"
            case.find("draws", "shortfall" if shortfall else "draws", available, taken, message)
        _owed(case, account, owed, shortfall, owes)


def _owed(case: Case, account: Account, owed: int, shortfall: int, owes: bool) -> None:
    """Check that debt is made by the plan's rule, up to its limit; beyond it there is only a shortfall."""
    assert case.plan is not None
    terms = case.plan.terms
    room = max(0, terms.debt_limit - account.debt) if owes and terms.overrun == "debt" else 0
    if owed > room:
        message = f"the plan lets the account owe {case.credits(room)} more"
        case.find("overspend", "draws", f"at most {room}", owed, message)
    elif shortfall and owed < room:
        case.find("draws", "shortfall", 0, shortfall, f"the plan lets the account owe {case.credits(room - owed)} more")


def _take(case: Case, account: Account, credits: int) -> list[tuple[int, int]]:
    """Return the draws of so many credits from the living lots, in burn order."""
    draws: list[tuple[int, int]] = []
    for name in account.burn:
        if not credits:
            break
        lot = account.lots[name]
        if lot.lives(case.at):
            part = min(credits, lot.left)
            draws.append((name, part))
            credits -= part
    return draws
