"""The batches of a log, folded from its settlement events alone: reports, the demo and the audit of a chain read them.

The ledger's own books keep only open batches; the audit of a log folds them independently (`audit/checks/settled.py`),
so that an error here or in the books cannot hide itself.
"""

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
from ledger.log import Entry
from ledger.readings import BatchReading
from ledger.settlement.state import BatchState


class BatchRecord(OnContract, msgspec.Struct, kw_only=True):
    """A batch, from its opening (at sequence `seq`, time `opened` in UTC microseconds) to its latest event.

    `accounts` counts its leaves. `ended` is the time of the event that confirmed or failed it; of a failed one, `used`
    is True if the chain keeps its number.
    """

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
    used: bool = False

    @property
    def gave_number_back(self) -> bool:
        """True if the batch failed before the chain used its number: a later batch may have the same."""
        return self.state == "failed" and not self.used


class BatchHistory:
    """The batches of a log in the order of their openings. A number may be opened again where a chain never had it.

    An event about a batch that is not open is ignored: the audit of the log reports it.
    """

    def __init__(self, open: Iterable[BatchReading] = ()) -> None:
        self.batches: list[BatchRecord] = []
        self._open: dict[tuple[ContractRef, int], BatchRecord] = {}
        for reading in open:
            self._begin(_read(reading))

    def add(self, entry: Entry) -> None:
        """Fold the next event; one that is not about a batch changes nothing."""
        event = entry.event
        if not isinstance(event, Settlement):
            return
        if isinstance(event, SettlementOpened | SettlementAdopted):
            self._begin(_opened(entry.seq, entry.at, event))
            return
        name = event.contract_ref, event.number
        if (batch := self._open.get(name)) is not None:
            _advance(batch, event)
            if batch.state in ("confirmed", "failed"):
                batch.ended = entry.at
                del self._open[name]

    @property
    def open(self) -> list[BatchRecord]:
        """The batches that are neither confirmed nor failed."""
        return list(self._open.values())

    def _begin(self, batch: BatchRecord) -> None:
        self._open[batch.contract_ref, batch.number] = batch
        self.batches.append(batch)


def _read(reading: BatchReading) -> BatchRecord:
    batch = reading.batch
    return BatchRecord(
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


def _opened(seq: int, at: int, event: SettlementOpened | SettlementAdopted) -> BatchRecord:
    return BatchRecord(
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


def _advance(batch: BatchRecord, event: Settlement) -> None:
    match event:
        case SettlementSubmitted():
            batch.state, batch.transaction = "submitted", event.transaction
            batch.attempts += 1
        case SettlementCommitted():
            batch.state, batch.transaction, batch.block = "committed", event.transaction, event.block
        case SettlementConfirmed():
            batch.state, batch.transaction, batch.block = "confirmed", event.transaction, event.block
        case SettlementFailed():
            batch.state, batch.used = "failed", event.used
        case SettlementUnknown():
            batch.state = "unknown"
    batch.reason = getattr(event, "reason", "")
