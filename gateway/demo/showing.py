"""The summary as text, with the next steps."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from ledger.amounts import money_text
from replay.audit.unverified import not_verified

from ..cli import render
from .steps import next_steps
from .summary import OnChain, Summary


def show(summary: Summary) -> None:
    """Write the figures, the verdict of the audit, and the next steps."""
    source = summary.source
    where = source.file or "generated usage"
    skipped = f", {source.skipped:,} bad rows skipped" if source.skipped else ""
    render.line()
    drawn = f", {source.drawn:,} with a drawn customer" if source.drawn else ""
    render.line(
        f"Tollbook: {source.rows:,} requests from {where}{skipped}{drawn}, priced by {summary.policy.name}", "bold"
    )
    render.line()
    render.table(("~what", ">number", ">credits", ">money"), _lines(summary))
    render.line()
    if summary.onchain is not None:
        _gas(summary, summary.onchain)
    _verdict(summary)
    _next(summary)


def _lines(summary: Summary) -> Iterator[tuple[str, str, str, str | list[str]]]:
    asked, sold, charged, adjusted = summary.requests, summary.sold, summary.charged, summary.adjusted
    parties = f"{summary.plans:,} plans, {summary.subscribers:,} subscribers"
    yield f"sold ({parties})", f"{sold.purchases:,}", f"{sold.credits:,}", _money(summary, sold.money)
    yield "requests offered", f"{asked.offered:,}", "", ""
    yield "  admitted", f"{asked.admitted:,}", "", ""
    yield "  refused", f"{asked.refused:,}", "", ""
    for reason, number in asked.refused_by.items():
        yield f"    {reason}", f"{number:,}", "", ""
    yield "charged", f"{charged.charges:,}", f"{charged.credits:,}", ""
    if summary.rounding.added_percent is not None:
        added = int(summary.rounding.priced - Fraction(summary.rounding.exact))
        yield f"  rounding added {summary.rounding.added_percent} % to the exact prices", "", f"{added:,}", ""
    if summary.rounding.unknown:
        yield "  rounding not known, since the policy fails", f"{summary.rounding.unknown:,}", "", ""
    if charged.shortfall:
        yield "  beyond the balance, not charged", "", f"{charged.shortfall:,}", ""
    if charged.uncharged:
        yield "  admitted and never charged", f"{charged.uncharged:,}", "", ""
    for dimension, units in charged.unpriced.items():
        yield f"  units that no rate reads: {dimension}", f"{units:,}", "", ""
    yield "corrected", f"{adjusted.count:,}", f"{adjusted.added - adjusted.returned:+,}", ""
    yield "lapsed unused", "", f"{summary.lapsed:,}", ""
    yield "earned", "", "", _money(summary, summary.earned)
    yield f"  settled on {summary.chain}, in batches", f"{summary.batches:,}", "", _money(summary, summary.settled)
    for asset, receivers in summary.receivers.items():
        for name, receiver in receivers.items():
            yield f"    paid to {_name(summary, name)}", "", "", _money(summary, {asset: receiver.paid})
    yield "  outstanding", "", "", _money(summary, summary.outstanding)
    for asset, receivers in summary.receivers.items():
        for name, receiver in receivers.items():
            yield f"    outstanding to {_name(summary, name)}", "", "", _money(summary, {asset: receiver.outstanding})
        left = summary.outstanding.get(asset, 0) - sum(receiver.outstanding for receiver in receivers.values())
        if left:
            yield "    left by rounding down, paid once a purchase is used up", "", "", _money(summary, {asset: left})


def _name(summary: Summary, receiver: str) -> str:
    """Return a receiver's name in the shop, where the chain has its address."""
    return receiver if summary.onchain is None else summary.onchain.names.get(receiver, receiver)


def _money(summary: Summary, amounts: dict[str, int]) -> list[str]:
    return [_amount(summary, asset, amount) for asset, amount in amounts.items()]


def _amount(summary: Summary, asset: str, amount: int) -> str:
    onchain = summary.onchain
    symbol = onchain.symbol if onchain is not None and asset == onchain.asset else asset
    return money_text(amount, symbol, summary.asset_decimals.get(asset, 0))


def _gas(summary: Summary, onchain: OnChain) -> None:
    """Write the gas that the chain used, next to that of a transfer for each charge."""
    gas, charges = onchain.gas, summary.charged.charges
    rows = [
        ("purchases on the chain", gas.purchases, gas.purchases_gas, gas.purchases),
        ("batches", gas.batches, gas.batches_gas, gas.batches),
        ("  by account in each of them", gas.accounts, gas.batches_gas, gas.accounts),
        ("  by charge", charges, gas.batches_gas, charges),
        ("in place of one transfer a charge", charges, charges * gas.transfer, charges),
    ]
    shown = [(name, f"{number:,}", f"{total:,}", _each(total, parts)) for name, number, total, parts in rows]
    render.table((f"~gas on {onchain.kind}", ">number", ">gas in all", ">gas each"), shown)
    render.line()


def _each(total: int, parts: int) -> str:
    """Return a mean, with one decimal below 1,000; empty for a mean of nothing."""
    if not parts:
        return ""
    tenths = (20 * total + parts) // (2 * parts)
    return f"{tenths // 10:,}" if tenths >= 10_000 else f"{tenths // 10:,}.{tenths % 10}"


def _verdict(summary: Summary) -> None:
    audit = summary.audit
    checked = f"{sum(check.checked for check in audit.checks):,} checks of {summary.head.seq:,} events"
    if any(check.name.startswith("chain_") for check in audit.checks):
        checked += ", held to the chain"
    if not audit.findings:
        render.line(f"audit: {audit.verdict}, {checked}", "good" if audit.clean else "bold")
    else:
        number = sum(check.findings for check in audit.checks)
        render.line(f"audit: {render.counted(number, 'finding')}, {checked}", "bad")
        for finding in audit.findings[:10]:
            render.line(f"  {finding.kind} at {finding.seq}: {finding.message}")
    for text in not_verified(audit.unverified):
        render.line(f"  not verified: {text}")
    head = summary.head
    render.line(f"head: {render.counted(head.seq, 'event')} in {render.counted(head.commits, 'commit')}, {head.hash}")
    if summary.open_batches:
        text = f"settlement: {summary.open_batches:,} batches are not confirmed; `tollbook settle` goes on with them"
        render.line(text, "bad")


def _next(summary: Summary) -> None:
    steps = next_steps(summary)
    if not steps:
        return
    render.line()
    render.line("What to look at next", "bold")
    for command, why in steps:
        render.command(f"  {command}", "command")
        render.line(f"      {why}", "dim")
