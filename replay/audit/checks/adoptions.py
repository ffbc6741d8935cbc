"""Adopted batches: their log is lost, so they are held to what still can be told of them.

Their leaves stand in the event. They must be sorted, each account's once, and not below those of a batch that stands;
they have the root and, with all that the event says, the digest; and, where all earlier payouts are known, payouts come
to no more than what the leaves say was earned (what rounding down leaves of it is paid later). What they cover, their
head and each receiver's part cannot be judged.
"""

from __future__ import annotations

from ledger.events import EscrowAsset, Leaf, SettlementAdopted

from .case import Case
from .settled import Expected
from .settlements import PAYOUTS, ROOT, as_rows, commitment_of, made, misordered, numbered


def expect(case: Case, event: SettlementAdopted) -> bool:
    """What it says is what is folded."""
    earned = sum(leaf.charged - leaf.credited for leaf in event.leaves)
    case.settled.expected = Expected(event.leaves, event.payouts, earned)
    return True


def adopted(case: Case) -> None:
    """Its number is the next."""
    assert isinstance(case.event, SettlementAdopted)
    numbered(case, case.event)


def paid(case: Case) -> None:
    """Payouts are in order, and sum to no more than what the leaves say, less what was paid before."""
    event = case.event
    assert isinstance(event, SettlementAdopted)
    if message := misordered(event.payouts):
        case.find(PAYOUTS, "payouts", None, as_rows(event.payouts), message)
        return
    own = case.settled.asset(EscrowAsset(event.contract_ref, event.asset))
    if own.cancelled or own.paid != own.settled:
        return  # whether the lost log counted the others as paid cannot be told
    earned = sum(leaf.charged - leaf.credited for leaf in event.leaves)
    due, found = earned - sum(own.paid.values()), sum(payout.amount for payout in event.payouts)
    if found > due:
        message = "the payouts come to more than what the leaves say was earned since"
        case.find(PAYOUTS, "payouts", f"at most {due}", found, message)


def sealed(case: Case) -> None:
    """Counters of a batch that stands are not undercut, and the root is that of the leaves."""
    event = case.event
    assert isinstance(event, SettlementAdopted)
    names = [(leaf.subscriber, leaf.plan) for leaf in event.leaves]
    if names != sorted(set(names)):
        case.find(ROOT, "leaves", "sorted, each once", names, "leaves stand sorted by subscriber and plan, each once")
        return
    now = dict(zip(names, event.leaves, strict=True))
    for before in _standing(case, event):
        name = before.subscriber, before.plan
        leaf = now.get(name)
        if leaf is None or leaf.charged < before.charged or leaf.credited < before.credited:
            expected, found = (None if each is None else (each.charged, each.credited) for each in (before, leaf))
            message = f"the counters of {name[0]} on {name[1]} go back, and counters only grow"
            case.find(ROOT, "leaves", expected, found, message)
    if event.accounts != len(event.leaves):
        case.find(ROOT, "accounts", len(event.leaves), event.accounts, "the batch has another number of leaves")
    commitment = commitment_of(case, made(case, event, previous=case.settled.contract(event).digest[0], at=event.at))
    if commitment is not None and commitment.root != event.root:
        case.find(ROOT, "root", commitment.root, event.root, "the root is not that of the leaves")
    elif commitment is not None and commitment.digest != event.digest:
        case.find(ROOT, "digest", commitment.digest, event.digest, "the digest is not that of the batch")


def _standing(case: Case, event: SettlementAdopted) -> tuple[Leaf, ...]:
    """The leaves of the last batch that has not failed: those of one that failed, no chain has."""
    line = case.settled.contract(event).line(event.asset)
    return line[-1][1].leaves if line else case.settled.asset(EscrowAsset(event.contract_ref, event.asset)).final
