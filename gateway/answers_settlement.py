"""Batches and money as the JSON answers of `settle` and `batches`; keys are stable."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from replay.audit.findings import time_text
from replay.batch_history import BatchRecord
from replay.reports.money import Money

from . import answers


def settled(batch: BatchRecord) -> dict[str, Any]:
    """Return a batch in the answer of `settle`."""
    return {
        "number": batch.number,
        "asset": batch.asset,
        "covers": batch.covers,
        "root": batch.root,
        "digest": batch.digest,
        "accounts": batch.accounts,
        "payouts": batch.payouts,
        "state": batch.state,
        "attempts": batch.attempts,
        "transaction": batch.transaction or None,
    }


def listed(batch: BatchRecord) -> dict[str, Any]:
    """Return a batch in the answer of `batches`."""
    return settled(batch) | {
        "chain": batch.chain,
        "contract": batch.contract,
        "block": batch.block or None,
        "opened": time_text(batch.opened),
        "ended": None if batch.ended is None else time_text(batch.ended),
        "reason": batch.reason or None,
    }


def settle_answer(log: Path, chain: str, batches: Iterable[BatchRecord], money: Iterable[Money]) -> dict[str, Any]:
    """Return the answer of `settle`."""
    return {
        "log": answers.path_text(log),
        "chain": chain,
        "batches": [settled(batch) for batch in batches],
        "money": [money_answer(asset) for asset in money],
    }


def batches_answer(log: Path, batches: Iterable[BatchRecord], money: Iterable[Money]) -> dict[str, Any]:
    """Return the answer of `batches`."""
    return {
        "log": answers.path_text(log),
        "batches": [listed(batch) for batch in batches],
        "money": [money_answer(asset) for asset in money],
    }


def money_answer(money: Money) -> dict[str, Any]:
    """Return an asset's money in both answers."""
    oldest = money.oldest_unsettled
    return msgspec.structs.asdict(money) | {"oldest_unsettled": None if oldest is None else time_text(oldest)}
