"""The state of settlement, by settlement contract: open batches, last leaves, and payouts so far; its readings."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from ..events import ContractRef, Escrow, Leaf, Payout
from .messages import Attempt, Batch

BatchState: TypeAlias = Literal["opened", "submitted", "committed", "unknown", "confirmed", "failed"]
"""The states of a batch in the log."""


class OpenBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch that is neither confirmed nor failed. `seq` and `at` are those of the event that opened it."""

    number: int
    asset: str
    seq: int
    at: int
    covers: dict[str, int]
    head_seq: int
    head_hash: str
    previous: str
    root: str
    digest: str
    leaves: tuple[Leaf, ...]
    payouts: tuple[Payout, ...]
    state: BatchState = "opened"
    attempts: tuple[Attempt, ...] = ()
    transaction: str = ""
    block: int = 0


class Settling(msgspec.Struct, frozen=True, kw_only=True):
    """The settlement of one contract on one chain: its batches, and amounts by asset.

    `number` and `digest` are those of the last batch that has not failed (or has used its number), `confirmed` those of
    the last confirmed one. `leaves` are those of the last opened batch, even if it failed: counters are never rolled
    back. `paid` is by receiver the sum of the payouts in batches that were opened and have not failed, `settled` in
    those that are confirmed; `covered` has the last confirmed batch's covered sequence and time. `failed` names the
    assets whose last batch failed, so that no chain has their latest leaves yet.
    """

    contract_ref: ContractRef
    number: int = 0
    digest: str = ""
    confirmed: tuple[int, str] = (0, "")
    open: dict[int, OpenBatch] = {}
    leaves: dict[str, tuple[Leaf, ...]] = {}
    paid: dict[str, dict[str, int]] = {}
    settled: dict[str, dict[str, int]] = {}
    covered: dict[str, tuple[int, int]] = {}
    failed: tuple[str, ...] = ()


class EscrowedLot(msgspec.Struct, frozen=True, kw_only=True):
    """A lot whose money a chain holds. `id` is the sequence of its purchase, `kept` its cost less its refunds."""

    id: int
    subscriber: str
    plan: str
    escrow: Escrow
    asset: str
    kept: int


class BatchReading(msgspec.Struct, frozen=True, kw_only=True):
    """An open batch, as it is submitted to its chain, with its state. `seq` is the sequence of its opening."""

    seq: int
    batch: Batch
    root: str
    digest: str
    state: BatchState
    attempts: tuple[Attempt, ...]
    transaction: str
    block: int


def detached_copy(settling: Settling) -> Settling:
    """Return a deep copy, so that a caller who changes its dicts cannot change the books."""
    return replace(
        settling,
        open={number: replace(batch, covers={**batch.covers}) for number, batch in settling.open.items()},
        leaves={**settling.leaves},
        paid={asset: {**amounts} for asset, amounts in settling.paid.items()},
        settled={asset: {**amounts} for asset, amounts in settling.settled.items()},
        covered={**settling.covered},
    )
