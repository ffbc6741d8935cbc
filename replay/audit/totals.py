"""Totals of a log, as the report has them."""

from __future__ import annotations

import msgspec


class PlanTotal(msgspec.Struct, frozen=True, kw_only=True):
    """A plan's accounts, and the credits of their lots at the log's end: credits = spent + ended + left.

    `ended` are credits that lapsed, were withdrawn or reversed; `left` has those of lots that are still to start.
    `owed` is debt beside them. `decimals` say how credits are shown; a plan of time has none.
    """

    plan: str
    decimals: int
    accounts: int
    credits: int
    spent: int
    ended: int
    left: int
    owed: int


class AssetTotal(msgspec.Struct, frozen=True, kw_only=True):
    """An asset's money in its smallest unit, at the log's end: sold less refunds, earned by use, and settled with its
    receivers, by batches or directly; receivable on invoices, and written off."""

    asset: str
    decimals: int
    sold: int
    earned: int
    settled: int
    receivable: int
    written_off: int


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of a whole log: `events` by type, the number of `accounts`, `plans` and `assets`, and the `policies` that
    its tariffs name, each with the versions."""

    events: dict[str, int]
    accounts: int
    plans: tuple[PlanTotal, ...]
    assets: tuple[AssetTotal, ...]
    policies: dict[str, tuple[int, ...]]
