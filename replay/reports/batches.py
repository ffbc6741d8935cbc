"""The history of a log's batches, read from its events."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ledger.events import (
    ContractRef,
    OnContract,
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
from ledger.log import Entry, entries
from ledger.log.bodies import mentions
from ledger.plugins import Store
from ledger.readings import BatchReading
from ledger.settlement.state import BatchState

from .exports import Verified


class BatchTold(OnContract, msgspec.Struct, kw_only=True):
    """A batch from its opening (at sequence `seq`, time `opened`) on, as far as it has come. `accounts` counts its
    leaves; `ended` is the time of the event that confirmed or failed it."""

    seq: int
    number: int
    chain: str
    contract: str
    asset: str
    covers: dict[str, int]
    root: str
    digest: str
    accounts: int
    payouts: tuple[Payout, ...]
    opened: int
    state: BatchState = "opened"
    attempts: int = 0
    transaction: str = ""
    block: int = 0
    reason: str = ""
    ended: int | None = None


class Batches:
    """The batches of a log in the order of their openings. A number may be opened again where a chain never had it."""

    def __init__(self, open: Iterable[BatchReading] = ()) -> None:
        self.told: list[BatchTold] = []
        self._open: dict[tuple[ContractRef, int], BatchTold] = {}
        for each in open:
            self._begin(_as_told(each))

    def take(self, entry: Entry) -> None:
        """A settlement's event."""
        event = entry.event
        assert isinstance(event, Settlement)
        if isinstance(event, SettlementOpened | SettlementAdopted):
            self._begin(_opening(entry.seq, entry.at, event))
        elif (batch := self._open.get((event.contract_ref, event.number))) is not None:
            _move(batch, event)
            if batch.state in ("confirmed", "failed"):
                batch.ended = entry.at

    def _begin(self, batch: BatchTold) -> None:
        self._open[batch.contract_ref, batch.number] = batch
        self.told.append(batch)


def _as_told(reading: BatchReading) -> BatchTold:
    batch = reading.batch
    return BatchTold(
        seq=reading.seq,
        number=batch.number,
        chain=batch.chain,
        contract=batch.contract,
        asset=batch.asset,
        covers=batch.covers,
        root=reading.root,
        digest=reading.digest,
        accounts=len(batch.leaves),
        payouts=batch.payouts,
        opened=batch.at,
        state=reading.state,
        attempts=len(reading.attempts),
        transaction=reading.transaction or (reading.attempts[-1].transaction if reading.attempts else ""),
        block=reading.block,
    )


def _opening(seq: int, at: int, event: SettlementOpened | SettlementAdopted) -> BatchTold:
    return BatchTold(
        seq=seq,
        number=event.number,
        chain=event.chain,
        contract=event.contract,
        asset=event.asset,
        covers=event.covers,
        root=event.root,
        digest=event.digest,
        accounts=event.accounts,
        payouts=event.payouts,
        opened=at,
    )


def _move(batch: BatchTold, event: Settlement) -> None:
    match event:
        case SettlementSubmitted():
            batch.state, batch.transaction = "submitted", event.transaction
            batch.attempts += 1
        case SettlementCommitted():
            batch.state, batch.transaction, batch.block = "committed", event.transaction, event.block
        case SettlementConfirmed():
            batch.state, batch.transaction, batch.block = "confirmed", event.transaction, event.block
        case SettlementFailed():
            batch.state = "failed"
        case SettlementUnknown():
            batch.state = "unknown"
    batch.reason = getattr(event, "reason", "")


class History:
    """All batches of a log; read once, its hashes checked on the way. `upto` is the last sequence that was read."""

    def __init__(self, store: Store) -> None:
        self.batches = Batches()
        commits = Verified(store)
        for entry in entries(commit for commit in commits if mentions(commit.kind, commit.body, Settlement)):
            if isinstance(entry.event, Settlement):
                self.batches.take(entry)
        self.upto = commits.upto
