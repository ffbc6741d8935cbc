"""Settlement sums of the auditor, beside the books', moved by the events alone.

By contract: the batches that are open, and the last valid number. By contract and asset: counters, and what was paid
out. By account: money that left its lots and is still in escrow. Nothing here reads the ledger's own settlement books.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ledger.events import (
    ContractRef,
    EscrowAsset,
    EscrowFunding,
    Event,
    InvoicePaid,
    Leaf,
    Payout,
    Purchased,
    Reversed,
    Settlement,
    SettlementAdopted,
    SettlementCommitted,
    SettlementConfirmed,
    SettlementFailed,
    SettlementOpened,
    SettlementSubmitted,
    SettlementUnknown,
    Withdrawn,
)
from ledger.settlement.messages import STREAM


@dataclass(slots=True)
class OwnBatch:
    """A batch that is open. `before` is the digest before it: as stated, and as computed. `seq` is that of its opening,
    and 0 where it was adopted."""

    seq: int
    asset: str
    payouts: tuple[Payout, ...]
    leaves: tuple[Leaf, ...]
    covered: tuple[int, int]
    before: tuple[str, str]
    state: str = "opened"
    attempts: int = 0


@dataclass(slots=True)
class OwnContract:
    """A contract's open batches and the last valid number, with its digest: as stated, and as computed."""

    number: int = 0
    digest: tuple[str, str] = ("", "")
    open: dict[int, OwnBatch] = field(default_factory=dict)

    def queue(self, asset: str) -> list[tuple[int, OwnBatch]]:
        """Return the open batches of an asset, in their order."""
        return [(number, batch) for number, batch in sorted(self.open.items()) if batch.asset == asset]


@dataclass(slots=True)
class OwnAsset:
    """One asset in a contract. `leaves` are the last opening's, `final` those of the last batch that is confirmed.

    `paid` are the payouts of batches that were opened and have not failed. `failed`: the last batch did. `cancelled` is
    the sequence at which the chain cancelled one, until a batch that was opened after that is confirmed. `fell` are
    receivers of whose earned part something was refunded, and who were paid more than the rest of it.
    """

    leaves: tuple[Leaf, ...] = ()
    final: tuple[Leaf, ...] = ()
    paid: Counter[str] = field(default_factory=Counter)
    settled: Counter[str] = field(default_factory=Counter)
    covered: tuple[int, int] | None = None
    failed: bool = False
    cancelled: int = 0
    fell: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Expected:
    """The computed contents of the batch that is being opened; `digest` where its chain's plugin is installed.

    `earned` is what all lots have earned there, `due` each receiver's part of it, and `fell` the receivers of lots that
    had earned more at the batch before.
    """

    leaves: tuple[Leaf, ...]
    payouts: tuple[Payout, ...]
    earned: int = 0
    due: Counter[str] = field(default_factory=Counter)
    fell: frozenset[str] = frozenset()
    digest: str = ""


class Settled:
    """All settlement sums. `lots` are the escrow-funded lots, by escrow asset and account, `funded` their escrow
    assets, `gone` the money that left them, `known` what they had earned when the last batch was opened. `unpaid` is by
    account and escrow asset; `earned`, by contract and digest, what all lots of a batch's asset had earned when it was
    opened."""

    def __init__(self) -> None:
        self.lots: dict[EscrowAsset, dict[int, list[int]]] = {}
        self.contracts: dict[ContractRef, OwnContract] = {}
        self.assets: dict[EscrowAsset, OwnAsset] = {}
        self.unpaid: Counter[tuple[int, EscrowAsset]] = Counter()
        self.expected = Expected((), ())
        self.funded: dict[int, EscrowAsset] = {}
        self.gone: Counter[int] = Counter()
        self.known: dict[int, int] = {}
        self.earned: dict[ContractRef, dict[str, int]] = {}

    def contract(self, event: Settlement) -> OwnContract:
        """The contract that an event is about."""
        return self.contracts.get(event.contract_ref) or OwnContract()

    def asset(self, escrow: EscrowAsset) -> OwnAsset:
        """Return what is settled of an asset in a contract."""
        return self.assets.get(escrow) or OwnAsset()


# -- what each event does ----------------------------------------------------------------------------------------------


def _purchased(settled: Settled, seq: int, at: int, event: Purchased | InvoicePaid) -> None:
    if isinstance(event.funding, EscrowFunding):
        escrow = settled.funded[seq] = EscrowAsset(event.funding.escrow.contract_ref, event.asset)
        settled.lots.setdefault(escrow, {}).setdefault(event.account, []).append(seq)


def _withdrawn(settled: Settled, seq: int, at: int, event: Withdrawn) -> None:
    """Keep the money that leaves a lot in escrow until the chain pays it."""
    for lot, money in event.money.items():
        if money and (escrow := settled.funded.get(lot)) is not None:
            settled.gone[lot] += money
            settled.unpaid[event.account, escrow] += money
    if event.fact is not None:
        _lower(settled, event.account, EscrowAsset(event.fact.contract_ref, event.asset), event.paid)


def _reversed(settled: Settled, seq: int, at: int, event: Reversed) -> None:
    """Forget the lot's money: the chain never had it, so it does not hold what left the lot either."""
    if (escrow := settled.funded.get(event.lot)) is not None:
        _lower(settled, event.account, escrow, settled.gone.pop(event.lot, 0))


def _lower(settled: Settled, account: int, escrow: EscrowAsset, money: int) -> None:
    rest = settled.unpaid[account, escrow] - money
    if rest > 0:
        settled.unpaid[account, escrow] = rest
    else:
        del settled.unpaid[account, escrow]


def _opened(settled: Settled, seq: int, at: int, event: SettlementOpened | SettlementAdopted) -> None:
    """Open the next batch, with the payouts of the event and the computed leaves."""
    contract = settled.contracts.setdefault(event.contract_ref, OwnContract())
    asset = settled.assets.setdefault(EscrowAsset(event.contract_ref, event.asset), OwnAsset())
    expected = settled.expected
    contract.open[event.number] = OwnBatch(
        seq=seq if isinstance(event, SettlementOpened) else 0,
        asset=event.asset,
        payouts=event.payouts,
        leaves=expected.leaves,
        covered=(event.covers.get(STREAM, 0), event.at if isinstance(event, SettlementAdopted) else at),
        before=contract.digest,
    )
    contract.number, contract.digest = event.number, (event.digest, expected.digest or event.digest)
    settled.earned.setdefault(event.contract_ref, {})[event.digest] = expected.earned
    asset.leaves, asset.failed = expected.leaves, False
    _add(asset.paid, event.payouts)
    asset.fell |= expected.fell
    asset.fell -= {receiver for receiver in asset.fell if asset.paid[receiver] <= expected.due[receiver]}
    if isinstance(event, SettlementAdopted):  # what it paid may be for usage that was lost with the log
        asset.fell |= {payout.receiver for payout in event.payouts}


def _moved(settled: Settled, seq: int, at: int, event: Settlement) -> None:
    batch = settled.contracts[event.contract_ref].open[event.number]
    batch.attempts += isinstance(event, SettlementSubmitted)
    batch.state = _STATES[type(event)]


def _confirmed(settled: Settled, seq: int, at: int, event: SettlementConfirmed) -> None:
    batch = settled.contracts[event.contract_ref].open.pop(event.number)
    asset = settled.assets[EscrowAsset(event.contract_ref, batch.asset)]
    _add(asset.settled, batch.payouts)
    asset.final, asset.covered = batch.leaves, batch.covered
    if batch.seq > asset.cancelled:
        asset.cancelled = 0


def _failed(settled: Settled, seq: int, at: int, event: SettlementFailed) -> None:
    """Cancel the batch's payouts; counters are kept. A number that the chain never used is free again."""
    contract = settled.contracts[event.contract_ref]
    batch = contract.open.pop(event.number)
    asset = settled.assets[EscrowAsset(event.contract_ref, batch.asset)]
    _add(asset.paid, batch.payouts, -1)
    asset.fell |= {payout.receiver for payout in batch.payouts if payout.amount < 0}
    asset.failed = True
    if event.used:
        asset.cancelled = seq
    else:
        contract.number, contract.digest = event.number - 1, batch.before


def _add(sums: Counter[str], payouts: Iterable[Payout], sign: int = 1) -> None:
    for payout in payouts:
        sums[payout.receiver] += sign * payout.amount
        if not sums[payout.receiver]:
            del sums[payout.receiver]


_STATES: dict[type[Event], str] = {
    SettlementSubmitted: "submitted",
    SettlementCommitted: "committed",
    SettlementUnknown: "unknown",
}

MOVES: dict[type[Event], Callable[[Settled, int, int, Any], None]] = {
    Purchased: _purchased,
    InvoicePaid: _purchased,
    Withdrawn: _withdrawn,
    Reversed: _reversed,
    SettlementOpened: _opened,
    SettlementAdopted: _opened,
    SettlementSubmitted: _moved,
    SettlementCommitted: _moved,
    SettlementUnknown: _moved,
    SettlementConfirmed: _confirmed,
    SettlementFailed: _failed,
}
"""By event, what it moves; all other events move nothing here."""
