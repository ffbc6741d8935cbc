"""Adopted batches: their log is lost, so only their event and the batches before them can be checked.

Their leaves are in the event. They must be sorted, each account's once, and not below those of a valid earlier batch;
they have the root and, with the event's other fields, the digest; and, where all earlier payouts are known, payouts sum
to no more than what the leaves say was earned (the remainder of rounding down is paid later). What they cover, their
head and each receiver's part cannot be judged.
"""

from __future__ import annotations

from ledger.events import EscrowAsset, Leaf, SettlementAdopted

from .batch_order import numbered
from .case import Case
from .payouts import PAYOUTS, as_rows, misordered
from .roots import ROOT, batch_of, commitment_of
from .settled import Expected


def expect(case: Case, event: SettlementAdopted) -> bool:
    """Fold the event as it is: nothing else is known of the batch."""
    earned = sum(leaf.charged - leaf.credited for leaf in event.leaves)
    case.settled.expected = Expected(event.leaves, event.payouts, earned)
    return True


def adopted(case: Case) -> None:
    """Check that its number is the next."""
    assert isinstance(case.event, SettlementAdopted)
    numbered(case, case.event)


def paid(case: Case) -> None:
    """Check that payouts are in order, and sum to no more than the leaves say, less what was paid before."""
    event = case.event
    assert isinstance(event, SettlementAdopted)
    if message := misordered(event.payouts):
        case.find(PAYOUTS, "payouts", None, as_rows(event.payouts), message)
        return
    own = case.settled.asset(EscrowAsset(event.contract_ref, event.asset))
    if own.cancelled or own.paid != own.settled:
        return  # whether the lost log counted the others as paid is unknown
    earned = sum(leaf.charged - leaf.credited for leaf in event.leaves)
    due, found = earned - sum(own.paid.values()), sum(payout.amount for payout in event.payouts)
    if found > due:
        message = "the payouts sum to more than the leaves say was earned since"
        case.find(PAYOUTS, "payouts", f"at most {due}", found, message)


def root_of_leaves(case: Case) -> None:
    """Check that no counter is below that of a valid batch, and that the root is that of the leaves."""
    event = case.event
    assert isinstance(event, SettlementAdopted)
    names = [(leaf.subscriber, leaf.plan) for leaf in event.leaves]
    if names != sorted(set(names)):
        case.find(ROOT, "leaves", "sorted, each once", names, "leaves are sorted by subscriber and plan, each once")
        return
    now = dict(zip(names, event.leaves, strict=True))
    for before in _standing(case, event):
        name = before.subscriber, before.plan
        leaf = now.get(name)
        if leaf is None or leaf.charged < before.charged or leaf.credited < before.credited:
            expected, found = (None if each is None else (each.charged, each.credited) for each in (before, leaf))
            message = f"the counters of {name[0]} on {name[1]} are lower than before; counters only grow"
            case.find(ROOT, "leaves", expected, found, message)
    if event.accounts != len(event.leaves):
        case.find(ROOT, "accounts", len(event.leaves), event.accounts, "the batch has another number of leaves")
    commitment = commitment_of(
        case, batch_of(case, event, previous=case.settled.contract(event).digest[0], at=event.at)
    )
    if commitment is not None and commitment.root != event.root:
        case.find(ROOT, "root", commitment.root, event.root, "the root is not that of the leaves")
    elif commitment is not None and commitment.digest != event.digest:
        case.find(ROOT, "digest", commitment.digest, event.digest, "the digest is not that of the batch")


def _standing(case: Case, event: SettlementAdopted) -> tuple[Leaf, ...]:
    """Return the leaves of the last batch that has not failed: no chain has those of a failed one."""
    queue = case.settled.contract(event).queue(event.asset)
    return queue[-1][1].leaves if queue else case.settled.asset(EscrowAsset(event.contract_ref, event.asset)).final
