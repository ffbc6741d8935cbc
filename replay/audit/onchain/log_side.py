"""The log's side of the comparison: by contract, the batches, purchases and exits that its events have.

Nothing here reads the ledger's own books. An event that contradicts earlier ones (a batch confirmed that was never
opened) is ignored: the audit of the log alone reports it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ledger.events import (
    ContractRef,
    EscrowFunding,
    Event,
    Frozen,
    PlanCreated,
    Purchased,
    Reversed,
    Settlement,
    SettlementAdopted,
    SettlementOpened,
    Withdrawn,
)
from ledger.log import Entry
from ledger.log.bodies import UNREADABLE, decode, mentions
from ledger.plugins import Store

from ...batch_history import BatchHistory, BatchRecord
from ..rows import Row, Unreadable
from ..sources import source


@dataclass(slots=True)
class LoggedPurchase:
    """A lot that a contract funds. `shares` are by receiver; `block` is where it was when it was granted before it was
    final, else 0."""

    seq: int
    subscriber: str
    plan: str
    asset: str
    shares: dict[str, int]
    credits: int
    seconds: int
    block: int


@dataclass(slots=True)
class LoggedExit:
    """A request to leave (without an asset), or an exit that was paid."""

    seq: int
    subscriber: str
    plan: str
    asset: str = ""
    amount: int = 0


@dataclass(slots=True)
class LoggedContract:
    """The log's records of one contract, by the ids and numbers that facts and batches have there. Under a number there
    may be several batches: all but the last one gave it back."""

    batches: dict[int, list[BatchRecord]] = field(default_factory=dict)
    purchases: dict[str, LoggedPurchase] = field(default_factory=dict)
    requests: dict[str, LoggedExit] = field(default_factory=dict)
    exits: dict[str, LoggedExit] = field(default_factory=dict)

    def standing(self, number: int) -> BatchRecord | None:
        """Return the batch that has the number now; None where there is none, or it was given back."""
        batch = self.batches[number][-1] if number in self.batches else None
        return None if batch is None or batch.gave_number_back else batch

    def with_digest(self, number: int, digest: str) -> BatchRecord | None:
        """Return the batch of that digest that ever had the number, if any."""
        return next((batch for batch in self.batches.get(number, ()) if batch.digest == digest), None)


def receivers(contract: LoggedContract) -> dict[str, set[str]]:
    """All receivers that a log has in a contract, by asset."""
    named: dict[str, set[str]] = {}
    for lot in contract.purchases.values():
        named.setdefault(lot.asset, set()).update(lot.shares)
    for batches in contract.batches.values():
        for batch in batches:
            named.setdefault(batch.asset, set()).update(payout.receiver for payout in batch.payouts)
    return named


class LogSide:
    """The log's records of all contracts, up to the commit `last`. `readable`: it can be read to its end."""

    def __init__(self, last: int = 0) -> None:
        self.last, self.readable = last, True
        self.contracts: dict[ContractRef, LoggedContract] = {}
        self._batches = BatchHistory()
        self.assets: dict[str, int] = {}  # decimals, where they are known
        self._plans: dict[str, str] = {}
        self._onchain: dict[str, str] = {}
        self._accounts: dict[int, tuple[str, str]] = {}
        self._lots: dict[int, tuple[ContractRef, str]] = {}

    def contract(self, contract_ref: ContractRef) -> LoggedContract:
        """Return what the log has from a contract."""
        return self.contracts.get(contract_ref) or LoggedContract()

    def contracts_by_chain(self) -> dict[str, list[str]]:
        """Return the chains from which the log has purchases, exits or batches, and their contracts; both sorted."""
        found: dict[str, list[str]] = {}
        for contract_ref in sorted(self.contracts):
            found.setdefault(contract_ref.chain, []).append(contract_ref.contract)
        return found

    def plan_of(self, name: str) -> str | None:
        """Return the plan that a chain calls so: by its id there, else by its name."""
        return self._onchain.get(name) or (name if name in self._plans else None)

    def chain_name(self, plan: str) -> str:
        """Return the name that a chain has for a plan."""
        return self._plans.get(plan) or plan

    # -- reading -------------------------------------------------------------------------------------------------------

    def follow(self, row: Row) -> bool:
        """Fold the next commit. Return False where it cannot be read."""
        if row.body is None:
            return False
        if not mentions(row.kind, row.body, *_ADDS, Settlement):
            return True
        try:
            events = decode(row.kind, row.body)
        except UNREADABLE:
            return False
        for seq, event in enumerate(events, row.first_seq):
            if isinstance(event, Settlement):
                self._settled(Entry(seq, row.at if isinstance(row.at, int) else 0, event))
            elif (add := _ADDS.get(type(event))) is not None:
                add(self, seq, event)
        return True

    def _at(self, contract_ref: ContractRef) -> LoggedContract:
        return self.contracts.setdefault(contract_ref, LoggedContract())

    def _planned(self, seq: int, event: PlanCreated) -> None:
        self._plans[event.plan] = event.onchain_id
        self._note_decimals(event)
        if event.onchain_id:
            self._onchain.setdefault(event.onchain_id, event.plan)

    def _note_decimals(self, event: PlanCreated | Purchased) -> None:
        if event.asset_decimals is not None:
            self.assets[event.asset] = event.asset_decimals

    def _purchased(self, seq: int, event: Purchased) -> None:
        self._accounts[event.account] = event.subscriber, event.plan
        self._note_decimals(event)
        if isinstance(event.funding, EscrowFunding):
            escrow = event.funding.escrow
            self._lots[seq] = escrow.contract_ref, escrow.purchase
            self._at(escrow.contract_ref).purchases[escrow.purchase] = LoggedPurchase(
                seq=seq,
                subscriber=event.subscriber,
                plan=event.plan,
                asset=event.asset,
                shares={share.receiver: share.amount for share in event.shares if share.amount},
                credits=event.credits,
                seconds=event.seconds,
                block=escrow.block,
            )

    def _reversed(self, seq: int, event: Reversed) -> None:
        """The chain never had the money; should it have it after all, that is a purchase again."""
        contract_ref, purchase = self._lots.get(event.lot, (ContractRef("", ""), ""))
        purchases = self.contract(contract_ref).purchases
        if purchase in purchases and purchases[purchase].seq == event.lot:
            del purchases[purchase]

    def _frozen(self, seq: int, event: Frozen) -> None:
        if event.fact is not None:
            subscriber, plan = self._accounts.get(event.account, ("", ""))
            self._at(event.fact.contract_ref).requests[event.fact.id] = LoggedExit(seq, subscriber, plan)

    def _withdrawn(self, seq: int, event: Withdrawn) -> None:
        if event.fact is not None:
            subscriber, plan = self._accounts.get(event.account, ("", ""))
            left = LoggedExit(seq, subscriber, plan, event.asset, event.paid)
            self._at(event.fact.contract_ref).exits[event.fact.id] = left

    def _settled(self, entry: Entry) -> None:
        event = entry.event
        self._batches.add(entry)
        if isinstance(event, SettlementOpened | SettlementAdopted):
            self._at(event.contract_ref).batches.setdefault(event.number, []).append(self._batches.batches[-1])


_ADDS: dict[type[Event], Callable[[LogSide, int, Any], None]] = {
    PlanCreated: LogSide._planned,
    Purchased: LogSide._purchased,
    Reversed: LogSide._reversed,
    Frozen: LogSide._frozen,
    Withdrawn: LogSide._withdrawn,
}
"""By event type, the method that adds it; events of settlements go to the batch history, others add nothing."""


def read(where: str | Path | Store, before: LogSide | None = None) -> LogSide:
    """Read the log as it is now. Return `before` itself if nothing was written since that was read."""
    log = source(where)
    try:
        if before is not None and before.last == log.last():
            return before
        side = LogSide(log.last())
        try:
            for row in log.rows():
                if not side.follow(row):
                    side.readable = False
                    break
        except Unreadable:
            side.readable = False
        return side
    finally:
        log.close()
