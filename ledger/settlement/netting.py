"""Money to payouts: what a batch says of every account, what it pays every receiver, and what becomes of it.

A batch belongs to one chain, contract and asset. Its leaves are the accounts with escrow-funded lots there. At each
opening, E is what an account's lots there have earned, and d is E less E at the opening before: d > 0 raises `charged`,
d < 0 raises `credited`.

Invariant: charged − credited = E at the last opening, both only grow, and neither is ever rolled back.

What a receiver is due is the sum of its shares of what all those lots have earned now, less its payouts in the batches
that were opened before and have not failed. So a failed batch's payouts are in the next one, a refund nets by itself,
and batch boundaries change nothing. Nothing is read from the chain for any of it.

A batch pays that as far as its chain can take it: so many receivers, and payouts no larger than its number holds.
What does not fit is still due at the next opening, so that nothing blocks an asset.

Invariant (solvency): the payouts of all standing batches up to one never sum to more than its leaves' charged −
credited, since nobody's share of a growing total falls (`Lot.shares_earned`) and nothing is paid while something that
was paid too much is not yet taken back whole. So a chain's escrow has what subscribers have not spent, as its last
final leaves say, but for what receivers owe who claimed it before it was refunded. Only refunds that one batch cannot
take back whole leave escrow short until the batch that takes back the last of them, which can follow at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from msgspec.structs import replace

from ..accounts import Account, Lot
from ..books import Books
from ..catalogue import Plan
from ..events import (
    EscrowAsset,
    Leaf,
    Payout,
    Settlement,
    SettlementAdopted,
    SettlementCommitted,
    SettlementConfirmed,
    SettlementFailed,
    SettlementOpened,
    SettlementSubmitted,
    SettlementUnknown,
)
from .messages import STREAM, Attempt, Batch
from .state import OpenBatch, Settling

MAX_QUEUED = 10
"""Batches of one chain, contract and asset that may be open at once, each but the last one submitted."""


def lots_in(account: Account, escrow: EscrowAsset) -> Iterator[Lot]:
    """Yield the account's lots whose money that contract holds in that asset."""
    for lot in account.lots.values():
        if lot.escrow is not None and lot.asset == escrow.asset and lot.escrow.contract_ref == escrow.contract_ref:
            yield lot


def leaf_plan(plan: Plan) -> str:
    """How leaves name a plan: by its id on the chain where it has one."""
    return plan.terms.onchain_id or plan.terms.plan


def leaves(
    settling: Settling, asset: str, accounts: Iterable[Account], plans: Mapping[str, Plan], at: int
) -> tuple[Leaf, ...]:
    """The leaves of a batch that is opened at that time, sorted by subscriber and plan. `accounts` are as due then.

    Raises ValueError where two accounts come to one leaf.
    """
    found = {(leaf.subscriber, leaf.plan): leaf for leaf in settling.leaves.get(asset, ())}
    earned = dict.fromkeys(found, 0)
    named: set[tuple[str, str]] = set()
    for account in accounts:
        lots = list(lots_in(account, EscrowAsset(settling.contract_ref, asset)))
        if lots:
            name = account.subscriber, leaf_plan(plans[account.plan])
            if name in named:
                raise ValueError(f"two accounts of {name[0]} come to one leaf: two plans have the id {name[1]}")
            named.add(name)
            earned[name] = sum(lot.earned(at) for lot in lots)
    for name, amount in earned.items():
        before = found.setdefault(name, Leaf(*name, 0, 0))
        if change := amount - (before.charged - before.credited):
            found[name] = Leaf(*name, before.charged + max(change, 0), before.credited + max(-change, 0))
    return tuple(found[name] for name in sorted(found))


def payouts(
    settling: Settling,
    asset: str,
    accounts: Iterable[Account],
    at: int,
    max_receivers: int | None = None,
    max_payout: int | None = None,
) -> tuple[Payout, ...]:
    """What a batch that is opened at that time pays, sorted by receiver: what is due, as far as one batch can take it.

    `max_receivers` is how many it can pay, `max_payout` how much it can pay to one or take back; None for no bound.
    """
    due: Counter[str] = Counter()
    for account in accounts:
        for lot in lots_in(account, EscrowAsset(settling.contract_ref, asset)):
            due.update(lot.shares_earned(at))
    due.subtract(settling.paid.get(asset, {}))
    return _fitting(due, max_receivers, max_payout)


def _fitting(due: Mapping[str, int], max_receivers: int | None, max_payout: int | None) -> tuple[Payout, ...]:
    """As much of what is due as one batch can take, by receiver: what is taken back first, so that it is in escrow
    before anybody is paid from there. An amount beyond the chain's number is cut to it."""

    def cut(amount: int) -> int:
        return amount if max_payout is None else max(-max_payout, min(amount, max_payout))

    back = [Payout(receiver, cut(amount)) for receiver, amount in sorted(due.items()) if amount < 0]
    taken = back[:max_receivers]
    if len(taken) == len(back) and all(payout.amount == due[payout.receiver] for payout in taken):
        taken += [Payout(receiver, cut(amount)) for receiver, amount in sorted(due.items()) if amount > 0]
    return tuple(sorted(taken[:max_receivers], key=lambda payout: payout.receiver))


def batch(settling: Settling, opened: OpenBatch, ledger: str) -> Batch:
    """An open batch as its chain is asked to commit to it."""
    return Batch(
        ledger=ledger,
        chain=settling.contract_ref.chain,
        contract=settling.contract_ref.contract,
        number=opened.number,
        asset=opened.asset,
        at=opened.at,
        covers=opened.covers,
        head_seq=opened.head_seq,
        head_hash=opened.head_hash,
        previous=opened.previous,
        leaves=opened.leaves,
        payouts=opened.payouts,
    )


# -- what each event does ----------------------------------------------------------------------------------------------


def reduce_settlement(books: Books, seq: int, at: int, event: Settlement) -> None:
    """Apply a settlement's event. What stood before is not touched, so that drafts may share it."""
    settling = books.settling(event.contract_ref)
    match event:
        case SettlementOpened():
            accounts = [books.account(number) for number in range(1, books.opened + 1)]
            fold = leaves(settling, event.asset, accounts, books.plans, at)
            changed = _opened(settling, seq, at, event, fold)
        case SettlementAdopted():
            changed = _opened(settling, seq, at, event, event.leaves)
        case SettlementConfirmed():
            changed = _confirmed(settling, settling.open[event.number])
        case SettlementFailed():
            changed = _failed(settling, settling.open[event.number], event.used)
        case _:
            moved = _moved(settling.open[event.number], event)
            changed = replace(settling, open={**settling.open, moved.number: moved})
    books.settlings[event.contract_ref] = changed


def _moved(was: OpenBatch, event: Settlement) -> OpenBatch:
    match event:
        case SettlementSubmitted():
            attempt = Attempt(event.number, event.attempt, event.raw, event.transaction)
            return replace(was, state="submitted", attempts=(*was.attempts, attempt))
        case SettlementCommitted():
            return replace(was, state="committed", transaction=event.transaction, block=event.block)
        case SettlementUnknown():
            return replace(was, state="unknown")
        case _:
            raise TypeError(f"{type(event).__name__} does not move an open batch")


def _opened(
    settling: Settling, seq: int, at: int, event: SettlementOpened | SettlementAdopted, fold: tuple[Leaf, ...]
) -> Settling:
    opened = OpenBatch(
        number=event.number,
        asset=event.asset,
        seq=seq,
        at=event.at if isinstance(event, SettlementAdopted) else at,
        covers=event.covers,
        head_seq=event.head_seq,
        head_hash=event.head_hash,
        previous=settling.digest,
        root=event.root,
        digest=event.digest,
        leaves=fold,
        payouts=event.payouts,
    )
    return replace(
        settling,
        number=event.number,
        digest=event.digest,
        open={**settling.open, event.number: opened},
        leaves={**settling.leaves, event.asset: fold},
        paid=_add(settling.paid, event.asset, event.payouts),
        failed=tuple(asset for asset in settling.failed if asset != event.asset),
    )


def _confirmed(settling: Settling, was: OpenBatch) -> Settling:
    return replace(
        settling,
        confirmed=(was.number, was.digest),
        open=_without(settling.open, was.number),
        settled=_add(settling.settled, was.asset, was.payouts),
        covered={**settling.covered, was.asset: (was.covers.get(STREAM, 0), was.at)},
    )


def _failed(settling: Settling, was: OpenBatch, used: bool) -> Settling:
    """Its payouts are nobody's yet. A number that never got to the chain is the next batch's."""
    return replace(
        settling,
        number=settling.number if used else was.number - 1,
        digest=settling.digest if used else was.previous,
        open=_without(settling.open, was.number),
        paid=_add(settling.paid, was.asset, was.payouts, -1),
        failed=tuple(dict.fromkeys((*settling.failed, was.asset))),
    )


def _without(opened: dict[int, OpenBatch], number: int) -> dict[int, OpenBatch]:
    return {name: each for name, each in opened.items() if name != number}


def _add(
    sums: dict[str, dict[str, int]], asset: str, payments: Iterable[Payout], sign: int = 1
) -> dict[str, dict[str, int]]:
    amounts = dict(sums.get(asset, {}))
    for payout in payments:
        amounts[payout.receiver] = amounts.get(payout.receiver, 0) + sign * payout.amount
    return {**sums, asset: amounts}
