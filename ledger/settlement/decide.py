"""Batches, from the intent to the end. Their money follows from the log; what a chain said is taken in as it is."""

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
    """All accounts as they are due, in their order, and what became due on them."""
    accounts: list[Account] = []
    events: list[Recorded] = []
    for number in range(1, context.books.opened + 1):
        account = context.books.account(number)
        ahead, happened = due(account, context.books.plans[account.plan], context.at, context.tariffs)
        accounts.append(ahead)
        events += happened
    return accounts, events


def open_settlement(context: Context, command: OpenSettlement) -> Decision:
    """A batch of what was earned since the last one; nothing where nothing was."""
    plugin = chain_plugin(command.chain)
    settling = context.books.settling(command.contract_ref)
    _check_line(settling, command.asset)
    accounts, events = all_due(context)
    now = leaves(settling, command.asset, accounts, context.books.plans, context.at)
    pays = payouts(settling, command.asset, accounts, context.at, plugin.max_receivers, plugin.max_payout)
    same = now == settling.leaves.get(command.asset, ()) and command.asset not in settling.failed
    if not pays and (same or not any(leaf.charged or leaf.credited for leaf in now)):
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
        leaves=now,
        payouts=pays,
    )
    commitment = plugin.commitment(batch)
    event = SettlementOpened(root=commitment.root, digest=commitment.digest, **_said(batch))
    return Decision(events, [event])


def _check_line(settling: Settling, asset: str) -> None:
    """A batch in line waits until those before it are submitted, and there are not too many."""
    line = [each for each in settling.open.values() if each.asset == asset]
    waiting = [each.number for each in line if not each.attempts and each.state != "committed"]
    if waiting:
        raise Refusal(Reason.batch_open, detail=f"batch {waiting[0]} is not submitted yet")
    if len(line) >= MAX_QUEUED:
        raise Refusal(Reason.batch_open, detail=f"{len(line)} batches are in line")


def submit(context: Context, command: SubmitSettlement) -> Decision:
    """Attempts are numbered without a gap, so that of two senders only one stores the next."""
    found = _open(context, command)
    if command.attempt != len(found.attempts) + 1:
        raise Refusal(Reason.malformed, detail=f"the next attempt is {len(found.attempts) + 1}")
    event = SettlementSubmitted(
        **_place(command),
        attempt=command.attempt,
        raw=command.raw,
        transaction=command.transaction,
    )
    return Decision([], [event])


def commit(context: Context, command: CommitSettlement) -> Decision:
    """The chain has it."""
    _open(context, command)
    event = SettlementCommitted(
        **_place(command),
        transaction=command.transaction,
        block=command.block,
    )
    return Decision([], [event])


def confirm(context: Context, command: ConfirmSettlement) -> Decision:
    """A chain executes in order, so an earlier batch that is still open has ended, and must be read first."""
    _open(context, command)
    first = min(context.books.settling(command.contract_ref).open)
    if first != command.number:
        raise Refusal(Reason.malformed, detail=f"batch {first} before it is still open")
    event = SettlementConfirmed(
        **_place(command),
        transaction=command.transaction,
        block=command.block,
    )
    return Decision([], [event])


def fail(context: Context, command: FailSettlement) -> Decision:
    """Where the number is given out again, so are those after it: their digests build on this batch's."""
    found = _open(context, command)
    if command.attempts is not None and command.attempts != len(found.attempts):
        raise Refusal(Reason.malformed, detail=f"batch {command.number} has {len(found.attempts)} attempts by now")
    settling = context.books.settling(command.contract_ref)
    after = [] if command.used else [number for number in sorted(settling.open) if number > command.number]
    if not command.used and (
        len(after) != settling.number - command.number
        or any(settling.open[number].state == "committed" for number in after)
    ):
        raise Refusal(Reason.malformed, detail=f"the chain has batches after {command.number}, so it has that number")
    own: list[Recorded] = [
        SettlementFailed(
            **_place(command) | {"number": number},
            reason=f"batch {command.number} before it failed",
        )
        for number in reversed(after)
    ]
    failed = SettlementFailed(
        **_place(command),
        reason=command.reason,
        used=command.used,
    )
    return Decision([], [*own, failed])


def doubt(context: Context, command: MarkSettlementUnknown) -> Decision:
    """Its last attempt is in doubt."""
    found = _open(context, command)
    event = SettlementUnknown(
        **_place(command),
        attempt=len(found.attempts),
        reason=command.reason,
    )
    return Decision([], [event])


def adopt(context: Context, command: AdoptSettlement) -> Decision:
    """The next batch, if the leaf file is what the chain committed to and builds on what the log has."""
    given = command.batch
    settling = context.books.settling(command.contract_ref)
    if (given.contract_ref, given.ledger) != (command.contract_ref, context.ledger):
        raise Refusal(Reason.malformed, detail="the leaf file is of another chain, contract or ledger")
    if given.number != settling.number + 1 or given.previous != settling.digest:
        raise Refusal(Reason.malformed, detail=f"the next batch is {settling.number + 1}, after {settling.digest!r}")
    commitment = chain_plugin(command.chain).commitment(given)
    if (commitment.root, commitment.digest) != (command.root, command.digest):
        raise Refusal(Reason.malformed, detail="the leaf file is not what the chain committed to")
    event = SettlementAdopted(
        root=commitment.root, digest=commitment.digest, at=given.at, leaves=given.leaves, **_said(given)
    )
    return Decision([], [event])


def _said(batch: Batch) -> dict[str, Any]:
    """What the event that begins a batch says of it."""
    names = ("number", "chain", "contract", "asset", "covers", "payouts", "head_seq", "head_hash")
    return {"accounts": len(batch.leaves), **{name: getattr(batch, name) for name in names}}


def _place(command: BatchCommand) -> dict[str, Any]:
    """Which batch an event is about."""
    return {"number": command.number, "chain": command.chain, "contract": command.contract}


def _open(context: Context, command: BatchCommand) -> OpenBatch:
    found = context.books.settling(command.contract_ref).open.get(command.number)
    if found is None:
        raise Refusal(Reason.malformed, detail=f"batch {command.number} is not open")
    return found
