"""Exits: what leaves an account that a chain has paid out is what the chain paid, not what was unearned.

All that is left of the lots that the contract funded leaves. The chain's money is first what had left those lots before
and was still in escrow; then the money of lots that have not started, then what the others have not earned, then the
rest of them: of each by the lots' own parts, and never more than all of it. A window that lives ends with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

from ledger.accounts import Lot
from ledger.events import EscrowAsset, Withdrawn

from . import draws, earnings
from .case import Case


def drawn(case: Case) -> None:
    """Check that an exit takes all unused credits in the contract and asset, lot by lot."""
    event = case.event
    assert isinstance(event, Withdrawn)
    if event.fact is None:
        draws.withdrawn(case)
        return
    expected = [(lot.id, lot.left) for lot in _lots(case, event) if lot.left]
    if list(event.draws) != expected:
        message = "an exit takes all that is left of the lots that the contract funded, and of no other"
        case.find("draws", "draws", expected, event.draws, message)


def paid(case: Case) -> None:
    """Of an exit, the money by lot follows from what the chain paid."""
    event, account = case.event, case.account
    assert isinstance(event, Withdrawn)
    assert account is not None
    if event.fact is None:
        if event.paid or event.asset:
            case.find("earned", "paid", 0, event.paid, "only an exit says what a chain paid, and names its fact")
        earnings.withdrawn(case)
        return
    escrow = EscrowAsset(event.fact.contract_ref, event.asset)
    money = max(event.paid - case.settled.unpaid[account.number, escrow], 0)
    lots = list(_lots(case, event))
    kept = {lot.id: max(lot.cost - lot.refunded, 0) for lot in lots}
    if money > sum(kept.values()):
        message = f"the chain paid more than was ever paid for account {account.number} there"
        case.find("earned", "paid", f"at most {event.paid - money + sum(kept.values())}", event.paid, message)
        return
    unearned = {lot.id: kept[lot.id] - earnings.earned(lot, case.at) for lot in lots}
    steps = (
        {lot.id: kept[lot.id] for lot in lots if not lot.started},
        {lot.id: unearned[lot.id] for lot in lots if lot.started},
        {lot.id: kept[lot.id] - unearned[lot.id] for lot in lots if lot.started},
    )
    expected = dict.fromkeys(kept, 0)
    for step in steps:
        part = min(money, sum(step.values()))
        money -= part
        for lot, amount in zip(step, parts(part, list(step.values())), strict=True):
            expected[lot] += amount
    ending = {lot.id for lot in lots if not lot.credits and lot.lives(case.at)}  # named, even where they give nothing
    expected = {lot: amount for lot, amount in expected.items() if amount or lot in ending}
    if event.money != expected:
        message = f"of the {case.money(event.paid, event.asset)} that the chain paid, so much is each lot's"
        case.find("earned", "money", expected, event.money, message)


def parts(total: int, weights: Sequence[int]) -> list[int]:
    """Part a total by weights: each part is the difference of two prefix sums' floors. No weights part nothing."""
    whole = sum(weights)
    bounds = [total * upto // whole if whole else 0 for upto in accumulate(weights)]
    return [upto - before for before, upto in pairwise((0, *bounds))]


def _lots(case: Case, event: Withdrawn) -> Iterator[Lot]:
    """The account's lots that the contract funded in the asset, oldest first."""
    assert event.fact is not None
    assert case.account is not None
    escrow = EscrowAsset(event.fact.contract_ref, event.asset)
    for name in case.settled.lots.get(escrow, {}).get(case.account.number, ()):
        if (lot := case.account.lots.get(name)) is not None:
            yield lot
