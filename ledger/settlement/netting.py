"""Netting: the leaves and payouts of a batch, computed from the books, and the effects of settlement events.

A batch belongs to one chain, contract and asset. Its leaves are the accounts with escrow-funded lots there. At each
opening, E is what an account's lots there have earned, and d is E less E at the opening before: d > 0 raises `charged`,
d < 0 raises `credited`.

Invariant: charged − credited = E at the last opening, both only grow, and neither is ever rolled back.

What a receiver is due is the sum of its shares of what all those lots have earned now, less its payouts in the batches
that were opened before and have not failed. So a failed batch's payouts are in the next one, a refund nets by itself,
and batch boundaries change nothing. Nothing is read from the chain for any of it.

A batch pays that within its chain's bounds: a maximum number of receivers, and a maximum payout. The remainder is still
due at the next opening, so that no amount blocks an asset.

Invariant (solvency): the payouts of the batches up to any one, without failed ones, never sum to more than its leaves'
charged − credited, because no receiver's share of a growing total falls (`Lot.shares_earned`), and because no positive
payout is made until every overpayment is taken back in full. So a chain's escrow covers what subscribers have not
spent by its last final leaves, except for refunded money that receivers have already claimed and still owe. If one
batch cannot take back all refunds, escrow is short until the batch that takes back the last of them; that batch can be
opened immediately afterwards.
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
"""Maximum number of open batches of one chain, contract and asset; all but the last must be submitted."""


def lots_in(account: Account, escrow: EscrowAsset) -> Iterator[Lot]:
    """Yield the account's lots whose money that contract holds in that asset."""
    for lot in account.lots.values():
        if lot.escrow is not None and lot.asset == escrow.asset and lot.escrow.contract_ref == escrow.contract_ref:
            yield lot


def leaf_plan(plan: Plan) -> str:
    """Return the name of a plan in leaves: its id on the chain if it has one, else its name."""
    return plan.terms.onchain_id or plan.terms.plan


def leaves(
    settling: Settling, asset: str, accounts: Iterable[Account], plans: Mapping[str, Plan], at: int
) -> tuple[Leaf, ...]:
    """Return the leaves of a batch that is opened at a time (UTC microseconds), sorted by subscriber and plan.

    `accounts` have the events applied that are due by then. Raises ValueError if two accounts have the same leaf.
    """
    by_key = {(leaf.subscriber, leaf.plan): leaf for leaf in settling.leaves.get(asset, ())}
    earned = dict.fromkeys(by_key, 0)
    funded: set[tuple[str, str]] = set()
    for account in accounts:
        lots = list(lots_in(account, EscrowAsset(settling.contract_ref, asset)))
        if lots:
            key = account.subscriber, leaf_plan(plans[account.plan])
            if key in funded:
                raise ValueError(
                    f"two accounts of {key[0]} have the same leaf: two plans have the on-chain id {key[1]}"
                )
            funded.add(key)
            earned[key] = sum(lot.earned(at) for lot in lots)
    for key, amount in earned.items():
        before = by_key.setdefault(key, Leaf(*key, 0, 0))
        if change := amount - (before.charged - before.credited):
            by_key[key] = Leaf(*key, before.charged + max(change, 0), before.credited + max(-change, 0))
    return tuple(by_key[key] for key in sorted(by_key))


def payouts(
    settling: Settling,
    asset: str,
    accounts: Iterable[Account],
    at: int,
    max_receivers: int | None = None,
    max_payout: int | None = None,
) -> tuple[Payout, ...]:
    """Return the payouts of a batch that is opened at a time (UTC microseconds), sorted by receiver.

    They are what is due, within the bounds of one batch: at most `max_receivers` payouts, each of at most `max_payout`
    either way, in the asset's smallest unit. None is no bound.
    """
    due: Counter[str] = Counter()
    for account in accounts:
        for lot in lots_in(account, EscrowAsset(settling.contract_ref, asset)):
            due.update(lot.shares_earned(at))
    due.subtract(settling.paid.get(asset, {}))
    return _within_bounds(due, max_receivers, max_payout)


def _within_bounds(due: Mapping[str, int], max_receivers: int | None, max_payout: int | None) -> tuple[Payout, ...]:
    """Return as much of the amounts due as one batch can pay, sorted by receiver.

    Negative amounts come first: the money must be back in escrow before a receiver is paid from there. An amount beyond
    `max_payout` is reduced to it.
    """

    def bounded(amount: int) -> int:
        return amount if max_payout is None else max(-max_payout, min(amount, max_payout))

    negative = [Payout(receiver, bounded(amount)) for receiver, amount in sorted(due.items()) if amount < 0]
    chosen = negative[:max_receivers]
    if len(chosen) == len(negative) and all(payout.amount == due[payout.receiver] for payout in chosen):
        chosen += [Payout(receiver, bounded(amount)) for receiver, amount in sorted(due.items()) if amount > 0]
    return tuple(sorted(chosen[:max_receivers], key=lambda payout: payout.receiver))


def batch(settling: Settling, opened: OpenBatch, ledger: str) -> Batch:
    """Return an open batch as the message that is submitted to its chain."""
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


# -- effects of events -------------------------------------------------------------------------------------------------


def reduce_settlement(books: Books, seq: int, at: int, event: Settlement) -> None:
    """Apply a settlement event. The previous `Settling` is replaced, not changed: drafts may share it."""
    settling = books.settling(event.contract_ref)
    match event:
        case SettlementOpened():
            accounts = [books.account(number) for number in range(1, books.opened + 1)]
            new_leaves = leaves(settling, event.asset, accounts, books.plans, at)
            changed = _opened(settling, seq, at, event, new_leaves)
        case SettlementAdopted():
            changed = _opened(settling, seq, at, event, event.leaves)
        case SettlementConfirmed():
            changed = _confirmed(settling, settling.open[event.number])
        case SettlementFailed():
            changed = _failed(settling, settling.open[event.number], event.used)
        case _:
            progressed = _progressed(settling.open[event.number], event)
            changed = replace(settling, open={**settling.open, progressed.number: progressed})
    books.settlings[event.contract_ref] = changed


def _progressed(batch: OpenBatch, event: Settlement) -> OpenBatch:
    match event:
        case SettlementSubmitted():
            attempt = Attempt(event.number, event.attempt, event.raw, event.transaction)
            return replace(batch, state="submitted", attempts=(*batch.attempts, attempt))
        case SettlementCommitted():
            return replace(batch, state="committed", transaction=event.transaction, block=event.block)
        case SettlementUnknown():
            return replace(batch, state="unknown")
        case _:
            raise TypeError(f"{type(event).__name__} does not change the state of an open batch")


def _opened(
    settling: Settling, seq: int, at: int, event: SettlementOpened | SettlementAdopted, new_leaves: tuple[Leaf, ...]
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
        leaves=new_leaves,
        payouts=event.payouts,
    )
    return replace(
        settling,
        number=event.number,
        digest=event.digest,
        open={**settling.open, event.number: opened},
        leaves={**settling.leaves, event.asset: new_leaves},
        paid=_add(settling.paid, event.asset, event.payouts),
        failed=tuple(asset for asset in settling.failed if asset != event.asset),
    )


def _confirmed(settling: Settling, batch: OpenBatch) -> Settling:
    return replace(
        settling,
        confirmed=(batch.number, batch.digest),
        open=_without(settling.open, batch.number),
        settled=_add(settling.settled, batch.asset, batch.payouts),
        covered={**settling.covered, batch.asset: (batch.covers.get(STREAM, 0), batch.at)},
    )


def _failed(settling: Settling, batch: OpenBatch, used: bool) -> Settling:
    """Make its payouts due again; unless the chain has `used` its number, the next batch gets the same number."""
    return replace(
        settling,
        number=settling.number if used else batch.number - 1,
        digest=settling.digest if used else batch.previous,
        open=_without(settling.open, batch.number),
        paid=_add(settling.paid, batch.asset, batch.payouts, -1),
        failed=tuple(dict.fromkeys((*settling.failed, batch.asset))),
    )


def _without(opened: dict[int, OpenBatch], number: int) -> dict[int, OpenBatch]:
    return {other: batch for other, batch in opened.items() if other != number}


def _add(
    sums: dict[str, dict[str, int]], asset: str, payments: Iterable[Payout], sign: int = 1
) -> dict[str, dict[str, int]]:
    amounts = dict(sums.get(asset, {}))
    for payout in payments:
        amounts[payout.receiver] = amounts.get(payout.receiver, 0) + sign * payout.amount
    return {**sums, asset: amounts}
