"""Roots: the root and digest of each batch, computed again by its chain's plugin, which is pure.

Where no plugin is installed, the batch is unverified.
"""

from __future__ import annotations

from typing import Any

from ledger.errors import LedgerError
from ledger.events import (
    SettlementAdopted,
    SettlementOpened,
)
from ledger.plugins import chain_plugin
from ledger.settlement.messages import STREAM, Batch, Commitment

from .case import Case

ROOT = "root"


def root_of_leaves(case: Case) -> None:
    """Check the head before the batch's commit, and the root and digest of the batch as it must be."""
    event, expected = case.event, case.settled.expected
    assert isinstance(event, SettlementOpened)
    seq, hash_ = case.head
    if (event.head_seq, event.head_hash) != (seq, hash_.hex()):
        field, due, found = (
            ("head_seq", seq, event.head_seq) if event.head_seq != seq else ("head_hash", hash_.hex(), event.head_hash)
        )
        case.find(ROOT, field, due, found, "a batch names the head that the log had before the batch's own commit")
    contract = case.settled.contract(event)
    stated, computed = contract.digest
    must_be = batch_of(
        case,
        event,
        number=contract.number + 1,
        covers={STREAM: case.seq - 1},
        head_seq=seq,
        head_hash=hash_.hex(),
        previous=computed,
        payouts=expected.payouts,
    )
    if (commitment := commitment_of(case, must_be)) is None:
        return
    expected.digest = commitment.digest
    if event.accounts != len(expected.leaves):
        case.find(ROOT, "accounts", len(expected.leaves), event.accounts, "the batch has another number of leaves")
    if event.root != commitment.root:
        case.find(ROOT, "root", commitment.root, event.root, "the root is not that of the leaves computed from the log")
    elif event.digest != commitment.digest and event.digest != _stated(case, batch_of(case, event, previous=stated)):
        # The digest may be that of a batch with a wrong field: the check of that field reports it.
        case.find(ROOT, "digest", commitment.digest, event.digest, "the digest is not that of the batch")


def batch_of(case: Case, event: SettlementOpened | SettlementAdopted, previous: str, **fields: Any) -> Batch:  # noqa: ANN401
    """Return the batch of an event; the given fields replace those of the event."""
    stated = {name: getattr(event, name) for name in ("number", "covers", "head_seq", "head_hash", "payouts")}
    return Batch(
        ledger=case.ledger,
        chain=event.chain,
        contract=event.contract,
        asset=event.asset,
        leaves=case.settled.expected.leaves,
        **{"at": case.at, "previous": previous, **stated, **fields},
    )


def commitment_of(case: Case, batch: Batch) -> Commitment | None:
    """Return the batch's commitment by its chain's plugin. None where no plugin is installed, which is counted, or
    where the plugin refuses the batch, which is a finding."""
    try:
        plugin = chain_plugin(batch.chain)
    except LedgerError:
        case.cannot_recompute_root(batch.chain)
        return None
    try:
        return plugin.commitment(batch)
    except ValueError as error:
        case.find(ROOT, "root", "leaves that can be committed to", None, f"the batch cannot be committed to: {error}")
    except Exception:  # noqa: BLE001 - a plugin is foreign code; one that fails counts as missing
        case.cannot_recompute_root(batch.chain)
    return None


def _stated(case: Case, batch: Batch) -> str:
    """Return the digest of a batch as stated; empty where the plugin refuses it."""
    try:
        return chain_plugin(batch.chain).commitment(batch).digest
    except Exception:  # noqa: BLE001 - the stated fields may be anything
        return ""
