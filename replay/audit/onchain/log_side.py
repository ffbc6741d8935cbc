"""What a log says of contracts on chains: the batches, purchases and exits that it has from them, as its events say.

Nothing here asks the ledger's own books. An event that cannot be (a batch confirmed that was never opened) is passed
over: the audit of the log alone finds it.
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
    Payout,
    PlanCreated,
    Purchased,
    Recorded,
    Reversed,
    Settlement,
    SettlementAdopted,
    SettlementConfirmed,
    SettlementFailed,
    SettlementOpened,
    Withdrawn,
)
from ledger.log.bodies import UNREADABLE, decode, mentions
from ledger.plugins import Store

from ..rows import Row, Unreadable, source


@dataclass(slots=True)
class LoggedBatch:
    """A batch as it was opened or adopted, and where the log has it: open, confirmed, cancelled (the chain has its
    number for ever), or given back (its number is free again)."""

    seq: int
    asset: str
    root: str
    digest: str
    payouts: tuple[Payout, ...]
    state: str = "open"


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
    """What the log has from one contract, by the ids and numbers that facts and batches have there. Under a number
    there may be several batches: all but the last one gave it back."""

    batches: dict[int, list[LoggedBatch]] = field(default_factory=dict)
    purchases: dict[str, LoggedPurchase] = field(default_factory=dict)
    requests: dict[str, LoggedExit] = field(default_factory=dict)
    exits: dict[str, LoggedExit] = field(default_factory=dict)

    def standing(self, number: int) -> LoggedBatch | None:
        """The batch that has the number now; None where there is none, or it was given back."""
        batch = self.batches[number][-1] if number in self.batches else None
        return None if batch is None or batch.state == "given back" else batch

    def sealed(self, number: int, digest: str) -> LoggedBatch | None:
        """The batch of that digest that ever had the number."""
        return next((batch for batch in self.batches.get(number, ()) if batch.digest == digest), None)


class LogSide:
    """What a log says, up to the commit `last`. `whole` is False where it cannot be read to its end."""

    def __init__(self, last: int = 0) -> None:
        self.last, self.whole = last, True
        self.contracts: dict[ContractRef, LoggedContract] = {}
        self._plans: dict[str, str] = {}
        self._onchain: dict[str, str] = {}
        self._accounts: dict[int, tuple[str, str]] = {}
        self._lots: dict[int, tuple[ContractRef, str]] = {}

    def contract(self, contract_ref: ContractRef) -> LoggedContract:
        """Return what the log has from a contract."""
        return self.contracts.get(contract_ref) or LoggedContract()

    def places(self) -> dict[str, list[str]]:
        """The chains from which the log has purchases, exits or batches, and their contracts; both sorted."""
        found: dict[str, list[str]] = {}
        for contract_ref in sorted(self.contracts):
            found.setdefault(contract_ref.chain, []).append(contract_ref.contract)
        return found

    def plan_of(self, name: str) -> str | None:
        """The plan that a chain calls so: by its id there, else by its name."""
        return self._onchain.get(name) or (name if name in self._plans else None)

    def chain_name(self, plan: str) -> str:
        """How a chain calls a plan."""
        return self._plans.get(plan) or plan

    # -- reading -------------------------------------------------------------------------------------------------------

    def follow(self, row: Row) -> bool:
        """Take in a commit. False where it cannot be read."""
        if row.body is None:
            return False
        if not mentions(row.kind, row.body, *_RELEVANT):
            return True
        try:
            events = decode(row.kind, row.body)
        except UNREADABLE:
            return False
        for seq, event in enumerate(events, row.first_seq):
            self._take(seq, event)
        return True

    def _take(self, seq: int, event: Recorded) -> None:
        if (take := _TAKES.get(type(event))) is not None:
            take(self, seq, event)

    def _at(self, contract_ref: ContractRef) -> LoggedContract:
        return self.contracts.setdefault(contract_ref, LoggedContract())

    def _planned(self, seq: int, event: PlanCreated) -> None:
        self._plans[event.plan] = event.onchain_id
        if event.onchain_id:
            self._onchain.setdefault(event.onchain_id, event.plan)

    def _purchased(self, seq: int, event: Purchased) -> None:
        self._accounts[event.account] = event.subscriber, event.plan
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

    def _opened(self, seq: int, event: SettlementOpened | SettlementAdopted) -> None:
        batch = LoggedBatch(seq, event.asset, event.root, event.digest, event.payouts)
        self._at(event.contract_ref).batches.setdefault(event.number, []).append(batch)

    def _ended(self, seq: int, event: Settlement) -> None:
        batch = self.contract(event.contract_ref).standing(event.number)
        if batch is None:
            return
        if isinstance(event, SettlementFailed):
            batch.state = "cancelled" if event.used else "given back"
        else:
            batch.state = "confirmed"


_TAKES: dict[type[Event], Callable[[LogSide, int, Any], None]] = {
    PlanCreated: LogSide._planned,
    Purchased: LogSide._purchased,
    Reversed: LogSide._reversed,
    Frozen: LogSide._frozen,
    Withdrawn: LogSide._withdrawn,
    SettlementOpened: LogSide._opened,
    SettlementAdopted: LogSide._opened,
    SettlementConfirmed: LogSide._ended,
    SettlementFailed: LogSide._ended,
}
"""By event, what it says of a contract; all others say nothing."""

_RELEVANT = (PlanCreated, Purchased, Reversed, Frozen, Withdrawn, Settlement)
"""The events of `_TAKES`, by base class where there is one."""


def read(where: str | Path | Store, before: LogSide | None = None) -> LogSide:
    """What the log says now: `before`, where nothing was written since that was read."""
    log = source(where)
    try:
        if before is not None and before.last == log.last():
            return before
        side = LogSide(log.last())
        try:
            for row in log.rows():
                if not side.follow(row):
                    side.whole = False
                    break
        except Unreadable:
            side.whole = False
        return side
    finally:
        log.close()
