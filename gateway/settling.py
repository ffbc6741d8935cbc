"""Batches and money, as `settle` and `batches` answer them: one shape, read from a log's events and from its books."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from ledger.books import BatchState, Books
from ledger.errors import MissingExtra, UnknownPlugin
from ledger.events import (
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
from ledger.plugins import ChainPlugin, Store, chain_plugin
from ledger.readings import BatchReading, Reading
from replay.exports import Verified
from replay.findings import time_text
from replay.unsettled import oldest_unsettled

from . import render, shapes

MOCK = "mock:local"
"""The chain that `mock` alone stands for."""

_MOST_SHOWN = 4
_EXTRAS = {"eip155": "evm"}
_SETTLEMENT = b'"settlement_'
"""What the body of a commit with an event about a batch has in it: the others need not be decoded."""


def chain_name(text: str) -> str:
    """A chain's name as the log has it: `mock` alone is mock:local."""
    return MOCK if text == "mock" else text


def plugin_of(chain: str) -> ChainPlugin:
    """The plugin of a chain. Raises MissingExtra where an extra of ours would bring it, else UnknownPlugin."""
    try:
        return chain_plugin(chain)
    except UnknownPlugin:
        if (extra := _EXTRAS.get(chain.partition(":")[0])) is None:
            raise
        hint = f"install the extra: pip install 'tollbook[{extra}]' (a release that has none settles on mock chains)"
        raise MissingExtra(f"nothing that is installed settles on {chain}", hint) from None


# -- batches, from the events ------------------------------------------------------------------------------------------


class BatchTold(msgspec.Struct, kw_only=True):
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
        self._open: dict[tuple[str, str, int], BatchTold] = {}
        for each in open:
            self._begin(_as_told(each))

    def take(self, entry: Entry) -> None:
        """A settlement's event."""
        event = entry.event
        assert isinstance(event, Settlement)
        if isinstance(event, SettlementOpened | SettlementAdopted):
            self._begin(_opening(entry.seq, entry.at, event))
        elif (batch := self._open.get((event.chain, event.contract, event.number))) is not None:
            _move(batch, event)
            if batch.state in ("confirmed", "failed"):
                batch.ended = entry.at

    def _begin(self, batch: BatchTold) -> None:
        self._open[batch.chain, batch.contract, batch.number] = batch
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
        for entry in entries(commit for commit in commits if _SETTLEMENT in commit.body):
            if isinstance(entry.event, Settlement):
                self.batches.take(entry)
        self.upto = commits.upto


# -- the shapes --------------------------------------------------------------------------------------------------------


def settled(batch: BatchTold) -> dict[str, Any]:
    """A batch in the answer of `settle`."""
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


def listed(batch: BatchTold) -> dict[str, Any]:
    """A batch in the answer of `batches`."""
    return settled(batch) | {
        "chain": batch.chain,
        "contract": batch.contract,
        "block": batch.block or None,
        "opened": time_text(batch.opened),
        "ended": _text(batch.ended),
        "reason": batch.reason or None,
    }


def settle_answer(log: Path, chain: str, batches: Iterable[BatchTold]) -> dict[str, Any]:
    """The answer of `settle`."""
    return {"log": shapes.path_text(log), "chain": chain, "batches": [settled(each) for each in batches]}


def batches_answer(log: Path, batches: Iterable[BatchTold], money: list[Money]) -> dict[str, Any]:
    """The answer of `batches`."""
    return {
        "log": shapes.path_text(log),
        "batches": [listed(each) for each in batches],
        "money": [msgspec.structs.asdict(each) | {"oldest_unsettled": _text(each.oldest_unsettled)} for each in money],
    }


def _text(at: int | None) -> str | None:
    return None if at is None else time_text(at)


class Receiver(msgspec.Struct, frozen=True, kw_only=True):
    """What a receiver has earned, has, and is due, in the asset's smallest unit: earned = settled + due."""

    receiver: str
    earned: int
    settled: int
    due: int


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """An asset's money in its smallest unit: earned = settled + outstanding."""

    asset: str
    earned: int
    settled: int
    outstanding: int
    oldest_unsettled: int | None
    receivers: list[Receiver]


def money_of(store: Store, books: Books) -> list[Money]:
    """What was earned, what receivers have of it and what they are due, by asset, at the books' moment."""
    oldest = oldest_unsettled(store, books)
    return [
        Money(
            asset=each.asset,
            earned=each.earned,
            settled=each.settled,
            outstanding=each.outstanding,
            oldest_unsettled=oldest.get(each.asset),
            receivers=[
                Receiver(receiver=name, earned=(earned := each.receivers.get(name, 0)), settled=earned - due, due=due)
                for name, due in sorted(each.due.items())
            ],
        )
        for each in Reading(books, books.at).earned()
    ]


# -- for eyes ----------------------------------------------------------------------------------------------------------


def show_batches(told: list[BatchTold], title: str) -> None:
    """A line a batch, why those that failed or are in doubt did, and what stands on the chain."""
    columns = ("batch", "chain", "contract", "asset", "state", ">accounts", "payouts", ">attempts", "opened", "ended")
    render.table(columns, [_row(batch) for batch in told], title)
    for batch in told:
        if batch.reason:
            render.line(f"batch {batch.number} of {batch.contract} {batch.state}: {batch.reason}")
    render.line()
    render.table(
        ("batch", ">block", "transaction", "root", "digest"),
        [(each.number, each.block or "-", each.transaction or "-", each.root, each.digest) for each in told],
    )


def _row(batch: BatchTold) -> tuple[object, ...]:
    where = batch.number, batch.chain, batch.contract, batch.asset, batch.state
    payouts = [f"{each.receiver} {render.amount(each.amount, signed=True)}" for each in batch.payouts]
    more = [f"{len(payouts) - _MOST_SHOWN} more"] * (len(payouts) > _MOST_SHOWN)
    times = time_text(batch.opened), _text(batch.ended) or "-"
    return (*where, batch.accounts, ", ".join(payouts[:_MOST_SHOWN] + more) or "-", batch.attempts, *times)


def show_money(money: list[Money], end: int) -> None:
    """What a seller asks: what is earned, what of it came, what waits and since when; and the same by receiver."""
    if not money:
        render.line("nothing was earned yet")
        return
    render.line()
    columns = ("asset", ">earned", ">settled", ">outstanding", "oldest unsettled")
    rows = ((each.asset, *_amounts(each.earned, each.settled, each.outstanding), _wait(each, end)) for each in money)
    render.table(columns, rows, "money, in each asset's smallest unit")
    render.line()
    receivers = ((each.asset, receiver) for each in money for receiver in each.receivers)
    render.table(
        ("receiver", "asset", ">earned", ">settled", ">due"),
        ((one.receiver, asset, *_amounts(one.earned, one.settled, one.due)) for asset, one in receivers),
    )


def _amounts(*amounts: int) -> Iterator[str]:
    return (render.amount(each) for each in amounts)


def _wait(money: Money, end: int) -> str:
    if money.oldest_unsettled is None:
        return "-"
    return f"{time_text(money.oldest_unsettled)}, {span(end - money.oldest_unsettled)} before the log's end"


def span(microseconds: int) -> str:
    """A length of time in its two largest units: `3 d 4 h`, `5 min 6 s`, `0 s`."""
    seconds = max(microseconds, 0) // 1_000_000
    parts = []
    for name, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2]) or "0 s"
