"""Tables of money and settlement batches, with hashes shortened or in full."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from ledger.amounts import money_text
from replay.audit.findings import time_text
from replay.batch_history import BatchRecord
from replay.reports.money import Left, Money, Receiver

from . import render

_MAX_SHOWN = 2

_ONE_LINE = 32
"""Payouts of a batch that are longer than this have a line each."""

_OURS = ("it was cancelled on the chain", "it was called off on the chain", "the chain has another batch", "batch ")
"""Beginnings of the reasons that the outbox and the ledger give for a failed batch; others are the chain's text."""


# -- money -------------------------------------------------------------------------------------------------------------


def show_money(money: Sequence[Money], end: int) -> None:
    """Show earned, settled and outstanding money by asset, with the oldest unsettled unit, then by receiver.

    `end` is the time of the log's last event.
    """
    if not money:
        render.line("nothing was earned yet")
        return
    columns = ("asset", ">earned", ">settled", ">outstanding", "~oldest unsettled")
    rows = ((each.asset, *_amounts(each, each), _wait(each, end)) for each in money)
    render.table(columns, rows, "money")
    render.line()
    table = [(one.receiver, each.asset, *_amounts(each, one)) for each in money for one in each.receivers]
    lefts = [(each, each.left_by_rounding) for each in money if each.left_by_rounding.earned]
    table += [("(left by rounding)", each.asset, *_amounts(each, left)) for each, left in lefts]
    render.table(("receiver", "asset", ">earned", ">settled", ">outstanding"), table)
    if lefts:
        render.line("what rounding down leaves is paid when a purchase is used up")
    for each in money:
        if each.receivable:
            render.line(f"{_money(each, each.receivable)} is owed on invoices, and earned when it is paid")


def show_elsewhere(money: Sequence[Money], chain: str | None) -> None:
    """Show outstanding money that no batch on this chain will pay; without a chain, that no batch on any will."""
    lines = [
        f"{_money(each, each.unfunded)} is outstanding from payments that no chain holds: it is not settled here"
        for each in money
        if each.unfunded and each.is_due
    ]
    lines += [
        f"{_money(each, amount)} is outstanding on {other}: settle it with --chain {other}"
        for each in money
        for other, amount in each.outstanding_on.items()
        if chain not in (None, other) and each.is_due
    ]
    if lines:
        render.line()
        for line in lines:
            render.line(line)


def _money(money: Money, amount: int) -> str:
    return money_text(amount, money.asset, money.asset_decimals)


def _amounts(money: Money, of: Money | Receiver | Left) -> tuple[str, str, str]:
    """Return what was earned, settled and is outstanding, with the decimals of the money's asset."""
    earned, settled, outstanding = (
        render.amount(amount, money.asset_decimals) for amount in (of.earned, of.settled, of.outstanding)
    )
    return earned, settled, outstanding


def _wait(money: Money, end: int) -> str:
    if money.oldest_unsettled is None:
        return "-"
    return f"{seconds_text(money.oldest_unsettled)}, {span(end - money.oldest_unsettled)} before the log's end"


# -- batches -----------------------------------------------------------------------------------------------------------


def show_batches(batches: Sequence[BatchRecord], title: str, decimals: Mapping[str, int], hashes: bool = False) -> None:
    """Show a row for each batch, and the reasons of failed and unknown ones; with `hashes`, the full hashes too.

    `decimals` are those of the assets, where they are known.
    """
    contracts = {batch.contract_ref for batch in batches}
    several = len(contracts) > 1
    where = f"{title}, all of contract {batches[0].contract} on {batches[0].chain}" if not several else title
    names = ("chain", "contract") * several
    columns = ("batch", *names, "asset", "state", ">accounts", "payouts", "opened", "took", "root", "transaction")
    rows = [_row(batch, several, decimals.get(batch.asset, 0)) for batch in batches]
    render.table(columns, rows, where, goes=("took", "accounts", "transaction", "root", "opened"))
    for line in _reasons(batches):
        render.line(line)
    if hashes:
        render.line()
        render.table(("batch", ">block", ">attempts", "what", "hash"), _hashes(batches), "hashes")


def _row(batch: BatchRecord, several: bool, decimals: int) -> tuple[object, ...]:
    """Return a batch's row, with a line for each of its first payouts."""
    payouts = [f"{each.receiver} {render.amount(each.amount, decimals, signed=True)}" for each in batch.payouts]
    more = [f"{len(payouts) - _MAX_SHOWN} more"] * (len(payouts) > _MAX_SHOWN)
    shown = payouts[:_MAX_SHOWN] + more or ["-"]
    lines = [joined] if len(joined := ", ".join(shown)) <= _ONE_LINE else shown
    where = (batch.chain, short(batch.contract)) * several
    asset = batch.asset.removeprefix(f"{batch.chain}/").removeprefix("erc20:")
    took = "-" if batch.ended is None else span(batch.ended - batch.opened)
    rest = seconds_text(batch.opened), took, short(batch.root), short(batch.transaction) or "-"
    return batch.number, *where, asset, batch.state, batch.accounts, lines, *rest


def _hashes(batches: Sequence[BatchRecord]) -> Iterator[tuple[object, ...]]:
    for batch in batches:
        yield batch.number, batch.block or "-", batch.attempts, "root", batch.root
        yield "", "", "", "digest", batch.digest
        yield "", "", "", "transaction", batch.transaction or "-"


def _reasons(batches: Sequence[BatchRecord]) -> Iterator[str]:
    """Yield the reasons of failed and unknown batches, and what to do if the last batch of an asset failed."""
    last = {(batch.contract_ref, batch.asset): batch for batch in batches}
    for batch in batches:
        if batch.reason:
            chain_said = batch.state == "failed" and not batch.reason.startswith(_OURS)
            why = f"the chain refused it: {batch.reason}" if chain_said else batch.reason
            yield f"batch {batch.number} of {batch.contract} {batch.state}: {why}"
        if batch.state == "failed" and batch is last[batch.contract_ref, batch.asset]:
            yield (
                "  its payouts are in the next batch, so settle again; if that fails too, "
                "fix on the chain what the reason names first"
            )


# -- words -------------------------------------------------------------------------------------------------------------


def short(text: str) -> str:
    """Shorten the hashes in a text: 0x1234…abcd."""
    return re.sub(r"0x([0-9A-Fa-f]{4})[0-9A-Fa-f]{4,}([0-9A-Fa-f]{4})(?![0-9A-Fa-f])", r"0x\1…\2", text)


def seconds_text(at: int) -> str:
    """Format a time (UTC microseconds) without its fraction: `2023-11-16T18:15:46Z`."""
    return re.sub(r"\.\d+Z$", "Z", time_text(at))


def span(microseconds: int) -> str:
    """Format a duration in its two largest units: `3 d 4 h`, `5 min 6 s`, `0 s`."""
    seconds = max(microseconds, 0) // 1_000_000
    parts = []
    for name, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2]) or "0 s"
