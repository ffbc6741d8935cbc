"""Decisions on settlement batches, from opening to confirmation or failure.

A batch's payouts are computed from the log alone; what a chain reports about the batch is recorded without change.
"""

from __future__ import annotations

from typing import Any

from ..accounts import Account
from ..commands import (
    AdoptSettlement,
    BatchCommand,
    CommitSettlement,
    ConfirmSettlement,
    FailSettlement,
    MarkSettlementUnknown,
    OpenSettlement,
    SubmitSettlement,
)
from ..decisions.context import Context, Decision
from ..events import (
    Recorded,
    SettlementAdopted,
    SettlementCommitted,
    SettlementConfirmed,
    SettlementFailed,
    SettlementOpened,
    SettlementSubmitted,
    SettlementUnknown,
)
from ..expiry import due
from ..plugins import chain_plugin
from ..refusals import Reason, Refusal
from .messages import STREAM, Batch
from .netting import MAX_QUEUED, leaves, payouts
from .state import OpenBatch, Settling


def all_due(context: Context) -> tuple[list[Account], list[Recorded]]:
    """Return all accounts with their due events applied, by number, and those events."""
    accounts: list[Account] = []
    events: list[Recorded] = []
    for number in range(1, context.books.opened + 1):
        account = context.books.account(number)
        projected, due_events = due(account, context.books.plans[account.plan], context.at, context.tariffs)
        accounts.append(projected)
        events += due_events
    return accounts, events


def open_settlement(context: Context, command: OpenSettlement) -> Decision:
    """Decide to open a batch of what an asset earned since its last batch; no events if nothing is to be settled.

    Raises Refusal(batch_open) while too many batches are queued, or the last one is not submitted.
    """
    plugin = chain_plugin(command.chain)
    settling = context.books.settling(command.contract_ref)
    _check_queue(settling, command.asset)
    accounts, events = all_due(context)
    new_leaves = leaves(settling, command.asset, accounts, context.books.plans, context.at)
    new_payouts = payouts(settling, command.asset, accounts, context.at, plugin.max_receivers, plugin.max_payout)
    unchanged = new_leaves == settling.leaves.get(command.asset, ()) and command.asset not in settling.failed
    if not new_payouts and (unchanged or not any(leaf.charged or leaf.credited for leaf in new_leaves)):
        return Decision([], [])
    batch = Batch(
        ledger=context.ledger,
        chain=command.chain,
        contract=command.contract,
        number=settling.number + 1,
        asset=command.asset,
        at=context.at,
        covers={STREAM: context.books.seq + len(events)},
        head_seq=context.head.seq,
        head_hash=context.head.hash.hex(),
        previous=settling.digest,
        leaves=new_leaves,
        payouts=new_payouts,
    )
    commitment = plugin.commitment(batch)
    event = SettlementOpened(root=commitment.root, digest=commitment.digest, **_opening_fields(batch))
    return Decision(events, [event])


def _check_queue(settling: Settling, asset: str) -> None:
    """Refuse to open a batch while one before it is not submitted, or MAX_QUEUED of the asset are open."""
    queued = [batch for batch in settling.open.values() if batch.asset == asset]
    unsubmitted = [batch.number for batch in queued if not batch.attempts and batch.state != "committed"]
    if unsubmitted:
        raise Refusal(Reason.batch_open, detail=f"batch {unsubmitted[0]} is not submitted yet")
    if len(queued) >= MAX_QUEUED:
        raise Refusal(Reason.batch_open, detail=f"{len(queued)} batches are open and not confirmed yet")


def submit(context: Context, command: SubmitSettlement) -> Decision:
    """Decide to store an attempt. Attempts are numbered without gaps, so only one of two senders stores the next."""
    batch = _open_batch(context, command)
    if command.attempt != len(batch.attempts) + 1:
        raise Refusal(Reason.malformed, detail=f"the next attempt is {len(batch.attempts) + 1}")
    event = SettlementSubmitted(
        **_batch_fields(command),
        attempt=command.attempt,
        raw=command.raw,
        transaction=command.transaction,
    )
    return Decision([], [event])


def commit(context: Context, command: CommitSettlement) -> Decision:
    """Decide to record that the chain has the batch."""
    _open_batch(context, command)
    event = SettlementCommitted(
        **_batch_fields(command),
        transaction=command.transaction,
        block=command.block,
    )
    return Decision([], [event])


def confirm(context: Context, command: ConfirmSettlement) -> Decision:
    """Decide to record that the batch is executed and final.

    A chain executes batches in order, so an earlier batch that is still open here has ended there: it comes first.
    """
    _open_batch(context, command)
    first = min(context.books.settling(command.contract_ref).open)
    if first != command.number:
        raise Refusal(Reason.malformed, detail=f"batch {first} before it is still open: confirm or fail it first")
    event = SettlementConfirmed(
        **_batch_fields(command),
        transaction=command.transaction,
        block=command.block,
    )
    return Decision([], [event])


def fail(context: Context, command: FailSettlement) -> Decision:
    """Decide to record that the batch failed.

    If its number is reused, the open batches after it fail with it: their digests build on this batch's digest.
    """
    batch = _open_batch(context, command)
    if command.attempts is not None and command.attempts != len(batch.attempts):
        raise Refusal(Reason.malformed, detail=f"batch {command.number} has {len(batch.attempts)} attempts by now")
    settling = context.books.settling(command.contract_ref)
    after = [] if command.used else [number for number in sorted(settling.open) if number > command.number]
    if not command.used and (
        len(after) != settling.number - command.number
        or any(settling.open[number].state == "committed" for number in after)
    ):
        raise Refusal(Reason.malformed, detail=f"the chain has batches after {command.number}, so it has that number")
    own: list[Recorded] = [
        SettlementFailed(
            **_batch_fields(command) | {"number": number},
            reason=f"batch {command.number} before it failed",
        )
        for number in reversed(after)
    ]
    failed = SettlementFailed(
        **_batch_fields(command),
        reason=command.reason,
        used=command.used,
    )
    return Decision([], [*own, failed])


def mark_unknown(context: Context, command: MarkSettlementUnknown) -> Decision:
    """Decide to record that the outcome of the batch's last attempt is unknown."""
    batch = _open_batch(context, command)
    event = SettlementUnknown(
        **_batch_fields(command),
        attempt=len(batch.attempts),
        reason=command.reason,
    )
    return Decision([], [event])


def adopt(context: Context, command: AdoptSettlement) -> Decision:
    """Decide to adopt the contract's next batch, if its leaf file matches the chain and follows the log's last
    batch."""
    published = command.batch
    settling = context.books.settling(command.contract_ref)
    if (published.contract_ref, published.ledger) != (command.contract_ref, context.ledger):
        raise Refusal(Reason.malformed, detail="the leaf file is of another chain, contract or ledger")
    if published.number != settling.number + 1 or published.previous != settling.digest:
        raise Refusal(Reason.malformed, detail=f"the next batch is {settling.number + 1}, after {settling.digest!r}")
    commitment = chain_plugin(command.chain).commitment(published)
    if (commitment.root, commitment.digest) != (command.root, command.digest):
        raise Refusal(Reason.malformed, detail="the leaf file does not match the root and digest on the chain")
    event = SettlementAdopted(
        root=commitment.root,
        digest=commitment.digest,
        at=published.at,
        leaves=published.leaves,
        **_opening_fields(published),
    )
    return Decision([], [event])


def _opening_fields(batch: Batch) -> dict[str, Any]:
    """Return the batch's fields that the event records which opens or adopts it."""
    names = ("number", "chain", "contract", "asset", "covers", "payouts", "head_seq", "head_hash")
    return {"accounts": len(batch.leaves), **{name: getattr(batch, name) for name in names}}


def _batch_fields(command: BatchCommand) -> dict[str, Any]:
    """Return the fields by which an event names its batch."""
    return {"number": command.number, "chain": command.chain, "contract": command.contract}


def _open_batch(context: Context, command: BatchCommand) -> OpenBatch:
    """Return the open batch that a command names. Raises Refusal(malformed) if it is not open."""
    batch = context.books.settling(command.contract_ref).open.get(command.number)
    if batch is None:
        raise Refusal(Reason.malformed, detail=f"batch {command.number} is not open")
    return batch
