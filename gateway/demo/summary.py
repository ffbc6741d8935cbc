"""The demo's summary, read back from its log and its books."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from ledger import Ledger
from ledger.events import (
    Adjusted,
    Charged,
    Lapsed,
    PlanCreated,
    Purchased,
    Recorded,
    RefusedRequests,
    Released,
    Requested,
)
from ledger.readings import Earned
from ledger.rounding import Rounding, RoundingSum
from replay.audit.findings import Report, ReportHead
from replay.batch_history import BatchHistory
from replay.workload.traces import Source

# The contract's keys of `tollbook demo --json`, in its order; `receivers`, `rounding`, `asset_decimals`,
# `open_batches` and `onchain` are added.


class PolicyShown(msgspec.Struct, frozen=True):
    """The policy of the plans."""

    name: str
    parameters: dict[str, Any]
    version: int


class Requests(msgspec.Struct, frozen=True):
    """Requests: offered = admitted + refused."""

    offered: int
    admitted: int
    refused: int
    refused_by: dict[str, int]


class Sold(msgspec.Struct, frozen=True):
    """Purchases (trials too), their credits, and money by asset in its smallest unit."""

    purchases: int
    credits: int
    money: dict[str, int]


class Charges(msgspec.Struct, frozen=True):
    """Charges; `shortfall` is the credits that the builder absorbed. `uncharged` counts admitted requests without a
    charge that were neither cancelled nor expired, and `unpriced` the units that no rate read, by dimension."""

    charges: int
    credits: int
    shortfall: int
    uncharged: int
    unpriced: dict[str, int]


class Adjustments(msgspec.Struct, frozen=True):
    """Corrections: credits returned, and credits charged in addition."""

    count: int
    returned: int
    added: int


class Receiver(msgspec.Struct, frozen=True):
    """A receiver's money: paid by confirmed batches, and earned beyond that (below 0 where it was paid too much)."""

    paid: int
    outstanding: int


class Gas(msgspec.Struct, frozen=True):
    """The gas that the chain used: for all purchases, for all batches (`accounts` is the sum of their leaves), and for
    one `transfer` of the token between holders, the least that paying one charge by itself would take."""

    purchases: int
    purchases_gas: int
    batches: int
    batches_gas: int
    accounts: int
    transfer: int


class OnChain(msgspec.Struct, frozen=True, kw_only=True):
    """The demo's EVM chain: its kind, contract and token, and the customers' and receivers' names by address."""

    kind: str
    contract: str
    asset: str
    symbol: str
    decimals: int
    names: dict[str, str]
    gas: Gas


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the demo. earned = settled + outstanding, by asset; `audit` is the auditor's report.

    `batches` counts the confirmed ones, `open_batches` those that are neither confirmed nor failed.
    """

    log: str
    chain: str
    source: Source
    policy: PolicyShown
    plans: int
    subscribers: int
    requests: Requests
    sold: Sold
    charged: Charges
    rounding: Rounding
    adjusted: Adjustments
    lapsed: int
    earned: dict[str, int]
    settled: dict[str, int]
    outstanding: dict[str, int]
    asset_decimals: dict[str, int]
    batches: int
    receivers: dict[str, dict[str, Receiver]]
    open_batches: int
    head: ReportHead
    audit: Report
    onchain: OnChain | None = None


class _Tally:
    """Sums over the events of a log. `uncharged` are the requests without a charge so far."""

    def __init__(self) -> None:
        self.uncharged: set[int] = set()
        self.rounding = RoundingSum()
        self.sums: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.money: Counter[str] = Counter()
        self.subscribers: set[str] = set()

    def add(self, seq: int, event: Recorded) -> None:
        self.rounding.add(event)
        match event:
            case Requested():
                self.sums["admitted"] += 1
                self.uncharged.add(seq)
            case Released() if event.reason != "failed":
                self.uncharged.discard(event.request)
            case Charged():
                self.uncharged.discard(event.request)
                self._add(charges=1, charged=event.credits, shortfall=event.shortfall)
            case RefusedRequests():
                self.refused[event.reason] += event.count
            case Purchased():
                self._add(purchases=1, sold=event.credits)
                self.money[event.asset] += event.cost
                self.subscribers.add(event.subscriber)
            case Adjusted():
                self._add(adjustments=1, returned=max(0, -event.credits), added=max(0, event.credits))
            case Lapsed():
                self.sums["lapsed"] += event.credits
            case PlanCreated():
                self.sums["plans"] += 1

    def _add(self, **amounts: int) -> None:
        self.sums.update(amounts)


def figures(ledger: Ledger, unread: Mapping[str, int]) -> partial[Summary]:
    """Return the summary of a ledger without the fields that only the run knows: its source, policy and audit.
    `unread` are the units that no rate read, by dimension."""
    tally = _Tally()
    history = BatchHistory()
    for entry in ledger.events():
        tally.add(entry.seq, entry.event)
        history.add(entry)
    sums, refused = tally.sums, tally.refused.total()
    assets = ledger.earned()
    return partial(
        Summary,
        plans=sums["plans"],
        subscribers=len(tally.subscribers),
        requests=Requests(sums["admitted"] + refused, sums["admitted"], refused, dict(tally.refused.most_common())),
        sold=Sold(sums["purchases"], sums["sold"], dict(sorted(tally.money.items()))),
        charged=Charges(
            charges=sums["charges"],
            credits=sums["charged"],
            shortfall=sums["shortfall"],
            uncharged=len(tally.uncharged),
            unpriced={name: units for name, units in sorted(unread.items()) if units},
        ),
        rounding=tally.rounding.sum(),
        adjusted=Adjustments(sums["adjustments"], sums["returned"], sums["added"]),
        lapsed=sums["lapsed"],
        earned={asset.asset: asset.earned for asset in assets},
        settled={asset.asset: asset.settled for asset in assets},
        outstanding={asset.asset: asset.outstanding for asset in assets},
        asset_decimals={asset.asset: asset.asset_decimals for asset in assets},
        batches=sum(batch.state == "confirmed" for batch in history.batches),
        receivers={asset.asset: _receivers(asset) for asset in assets},
        open_batches=len(history.open),
    )


def _receivers(asset: Earned) -> dict[str, Receiver]:
    return {name: Receiver(asset.receivers.get(name, 0) - due, due) for name, due in sorted(asset.due.items())}
