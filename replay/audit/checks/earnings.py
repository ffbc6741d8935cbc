"""Money earned: a lot that is used up or over has earned exactly its cost, and what leaves is what is unearned."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate, pairwise

from ledger.accounts import Account, Lot
from ledger.amounts import split
from ledger.events import Lapsed, Withdrawn

from .case import Case
from .times import lapsing

KIND = "earned"


def lapsed(case: Case) -> None:
    """Check that nothing lapses on a plan that refunds it: there it leaves with its money."""
    assert isinstance(case.event, Lapsed)
    assert case.plan is not None
    lot = case.account.lots.get(case.event.lot) if case.account is not None else None
    if case.plan.terms.on_lapse == "refund" and not (lot is not None and lot.exited):
        case.find(KIND, "type", "withdrawn", "lapsed", "the plan refunds what lapses")


def withdrawn(case: Case) -> None:
    """The money that leaves is the unearned part that belongs to the credits that leave."""
    event, account, plan = case.event, case.account, case.plan
    assert isinstance(event, Withdrawn)
    assert account is not None
    assert plan is not None
    over = lapsing(case, event)
    if over is not None and (plan.terms.on_lapse == "earn" or over.exited):
        case.find(KIND, "type", "lapsed", "withdrawn", "what lapses on this plan is earned")
    credits: dict[int, int] = dict.fromkeys(event.money, 0)
    for name, amount in event.draws:
        credits[name] = credits.get(name, 0) + amount
    for name, amount in credits.items():
        lot = account.lots[name]
        expected, found = unearned(lot, amount, case.at), event.money.get(name, 0)
        if expected != found:
            asset = account.lots[name].asset
            message = f"{case.money(expected, asset)} of lot {name} is unearned and leaves with {case.credits(amount)}"
            case.find(KIND, "money", expected, found, message)


def unearned(lot: Lot, credits: int, at: int) -> int:
    """The money that leaves a lot with so many unused credits; of a window, with the rest of its time."""
    kept = lot.cost - lot.refunded
    if not lot.started:
        return kept
    if not lot.credits:
        return kept - earned(lot, at)
    unused = lot.credits - lot.withdrawn - lot.used
    if kept <= 0 or credits > unused:
        return 0
    return split(split(kept, [lot.used, unused])[1], [credits, unused - credits])[0]


def earned(lot: Lot, at: int) -> int:
    """Return the money that a lot has earned, of its cost less refunds: by credits used, or by time that is over.

    Once nothing is unused any more that is all of it, also what a chain did not pay to one who left unused credits.
    """
    kept = lot.cost - lot.refunded
    if not lot.started or kept <= 0:
        return 0
    if lot.credits:
        part, whole = lot.used, lot.credits - lot.withdrawn
    else:
        assert lot.expiry is not None  # a lot without credits is a window
        whole = lot.expiry - lot.start
        part = min(max(at - lot.start, 0), whole)
        if whole <= 0:
            return kept if at >= lot.start else 0
    return kept * part // whole if whole else kept


def shares(lot: Lot, at: int) -> list[int]:
    """Return the money that each receiver has earned of a lot, in the order of its shares: the floor of its part of the
    earned money, and all of its part once nothing more can be earned. The remainder stays deferred until then.

    Invariant: no receiver's part falls while the earned money grows, and no two parts exceed it.
    """
    amount, amounts = earned(lot, at), [share.amount for share in lot.shares]
    if not lot.cost:
        return [0 for _ in amounts]
    if lot.credits:
        over = lot.started and lot.credits == lot.withdrawn + lot.used
    else:
        over = lot.started and lot.expiry is not None and lot.expiry <= at
    if not over:
        return [amount * part // lot.cost for part in amounts]
    bounds = [amount * upto // lot.cost for upto in accumulate(amounts)]
    return [upto - before for before, upto in pairwise((0, *bounds))]


def end(case: Case) -> None:
    """Check every lot at the end of the log."""
    for account in case.accounts():
        for lot in account.lots.values():
            case.findings.checked[KIND] += 1
            for field, expected, found in _faults(lot, case.at):
                message = f"lot {lot.id} of account {account.number} has earned otherwise"
                case.findings.add(KIND, lot.id, field, expected, found, message)
            _over(case, account, lot)


def _faults(lot: Lot, at: int) -> Iterator[tuple[str, object, object]]:
    if lot.refunded > lot.cost or min(lot.used, lot.credits - lot.withdrawn - lot.used) < 0:
        return  # found before, as overspent or as money out of nothing
    own, read = earned(lot, at), lot.earned(at)
    if own != read:
        yield "earned", own, read
    parts = {share.receiver: part for share, part in zip(lot.shares, shares(lot, at), strict=True)}
    if (recorded := lot.shares_earned(at)) != parts:
        yield "shares", parts, recorded


def _over(case: Case, account: Account, lot: Lot) -> None:
    """Used up, or over and nothing held: then all of the cost that was not refunded is earned."""
    if not lot.started or lot.refunded > lot.cost:
        return
    over = not lot.left and not lot.held if lot.credits else lot.expiry is not None and lot.expiry <= case.at
    kept = lot.cost - lot.refunded
    if over and (found := earned(lot, case.at)) != kept:
        message = f"lot {lot.id} of account {account.number} is used up, and has not earned exactly its cost"
        case.findings.add(KIND, lot.id, "earned", kept, found, message)
