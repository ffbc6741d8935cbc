"""What the demo came to, read back from its log and its books."""

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
from replay.audit.findings import Report, ReportHead
from replay.batch_history import BatchHistory
from replay.workload.traces import Source

# The contract's keys of `tollbook demo --json`, in its order; `receivers`, `open_batches` and `onchain` are added.


class PolicyShown(msgspec.Struct, frozen=True):
    """The policy that the plans price by."""

    name: str
    parameters: dict[str, Any]
    version: int


class Requests(msgspec.Struct, frozen=True):
    """What was asked: offered = admitted + refused."""

    offered: int
    admitted: int
    refused: int
    refused_by: dict[str, int]


class Sold(msgspec.Struct, frozen=True):
    """What was sold: purchases (trials too), their credits, and money by asset in its smallest unit."""

    purchases: int
    credits: int
    money: dict[str, int]


class Charges(msgspec.Struct, frozen=True):
    """What was charged; `shortfall` is what the builder absorbed. `uncharged` counts admitted requests without any
    charge, but for those that were called off or expired, and `unpriced` the units that no rate read, by dimension."""

    charges: int
    credits: int
    shortfall: int
    uncharged: int
    unpriced: dict[str, int]


class Adjustments(msgspec.Struct, frozen=True):
    """What was corrected: credits given back, and credits taken on top."""

    count: int
    returned: int
    added: int


class Receiver(msgspec.Struct, frozen=True):
    """What a receiver was paid by confirmed batches, and what it has earned beyond that; below 0 it has too much."""

    paid: int
    outstanding: int


class Gas(msgspec.Struct, frozen=True):
    """The gas that the chain has used: for all purchases, for all batches (`accounts` says how many accounts stand in
    all of them together), and for one `transfer` of the token to somebody who has some already, which is what paying
    one charge by itself would take at least."""

    purchases: int
    purchases_gas: int
    batches: int
    batches_gas: int
    accounts: int
    transfer: int


class OnChain(msgspec.Struct, frozen=True, kw_only=True):
    """The chain that the demo made: of which kind, its contract, the token that was paid with, and who has which name
    in the shop, by address."""

    kind: str
    contract: str
    asset: str
    symbol: str
    decimals: int
    names: dict[str, str]
    gas: Gas


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the demo. earned = settled + outstanding, by asset; `audit` is the auditor's report.

    `batches` counts the confirmed ones, `open_batches` those whose end is not known yet.
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
    adjusted: Adjustments
    lapsed: int
    earned: dict[str, int]
    settled: dict[str, int]
    outstanding: dict[str, int]
    batches: int
    receivers: dict[str, dict[str, Receiver]]
    open_batches: int
    head: ReportHead
    audit: Report
    onchain: OnChain | None = None


class _Tally:
    """Sums over the events of a log. `uncharged` are the requests that nothing was charged for yet."""

    def __init__(self) -> None:
        self.uncharged: set[int] = set()
        self.sums: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.money: Counter[str] = Counter()
        self.subscribers: set[str] = set()

    def take(self, seq: int, event: Recorded) -> None:
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
    """The summary of a ledger up to now, but for what the run alone knows: how it came about, and its audit. `unread`
    are the units that no rate read."""
    tally = _Tally()
    history = BatchHistory()
    for entry in ledger.events():
        tally.take(entry.seq, entry.event)
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
        adjusted=Adjustments(sums["adjustments"], sums["returned"], sums["added"]),
        lapsed=sums["lapsed"],
        earned={asset.asset: asset.earned for asset in assets},
        settled={asset.asset: asset.settled for asset in assets},
        outstanding={asset.asset: asset.outstanding for asset in assets},
        batches=sum(batch.state == "confirmed" for batch in history.batches),
        receivers={asset.asset: _receivers(asset) for asset in assets},
        open_batches=len(history.open),
    )


def _receivers(asset: Earned) -> dict[str, Receiver]:
    return {name: Receiver(asset.receivers.get(name, 0) - due, due) for name, due in sorted(asset.due.items())}
