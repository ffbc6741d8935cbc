"""The summary for a seller's eyes, and what to look at next."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .shop import ASSET
from .steps import next_steps
from .summary import Summary

_CENTS = 2


def show(summary: Summary, console: Console) -> None:
    """Print what was sold, asked, charged, corrected, earned and settled, what the audit says, and where to go on."""
    source = summary.source
    where = source.file or "generated usage"
    skipped = f", {source.skipped:,} bad rows skipped" if source.skipped else ""
    console.print()
    console.print(
        Text.assemble(
            ("Tollbook", "bold"), f": {source.rows:,} requests from {where}{skipped}, priced by {summary.policy.name}"
        )
    )
    console.print()
    console.print(_figures(summary))
    console.print()
    _verdict(summary, console)
    _next(summary, console)


def _figures(summary: Summary) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("")
    table.add_column("", justify="right")
    table.add_column("credits", justify="right")
    table.add_column("money", justify="right")
    for line in _lines(summary):
        table.add_row(*line)
    return table


def _lines(summary: Summary) -> Iterator[tuple[str, str, str, str]]:
    asked, sold, charged, adjusted = summary.requests, summary.sold, summary.charged, summary.adjusted
    parties = f"{summary.plans:,} plans, {summary.subscribers:,} subscribers"
    yield f"sold ({parties})", f"{sold.purchases:,}", f"{sold.credits:,}", _money(sold.money)
    yield "requests offered", f"{asked.offered:,}", "", ""
    yield "  admitted", f"{asked.admitted:,}", "", ""
    yield "  refused", f"{asked.refused:,}", "", ""
    for reason, number in asked.refused_by.items():
        yield f"    {reason}", f"{number:,}", "", ""
    yield "charged", f"{charged.charges:,}", f"{charged.credits:,}", ""
    if charged.shortfall:
        yield "  beyond the balance, not charged", "", f"{charged.shortfall:,}", ""
    yield "corrected", f"{adjusted.count:,}", f"{adjusted.added - adjusted.returned:+,}", ""
    yield "lapsed unused", "", f"{summary.lapsed:,}", ""
    yield "earned", "", "", _money(summary.earned)
    yield f"  settled on {summary.chain}, in batches", f"{summary.batches:,}", "", _money(summary.settled)
    for asset, receivers in summary.receivers.items():
        for name, receiver in receivers.items():
            yield f"    paid to {name}", "", "", _money({asset: receiver.paid})
    yield "  outstanding", "", "", _money(summary.outstanding)
    for asset, receivers in summary.receivers.items():
        for name, receiver in receivers.items():
            yield f"    outstanding to {name}", "", "", _money({asset: receiver.outstanding})


def _money(amounts: dict[str, int]) -> str:
    return "\n".join(_amount(asset, amount) for asset, amount in amounts.items())


def _amount(asset: str, amount: int) -> str:
    if asset != ASSET:
        return f"{amount:,} {asset}"
    whole, cents = divmod(abs(amount), 10**_CENTS)
    return f"{'-' if amount < 0 else ''}{whole:,}.{cents:02} {asset}"


def _verdict(summary: Summary, console: Console) -> None:
    audit = summary.audit
    checked = f"{sum(check.checked for check in audit.checks):,} checks of {summary.head.seq:,} events"
    if audit.clean:
        console.print(Text.assemble(("audit: clean", "bold green"), f", {checked}"))
    else:
        number = sum(check.findings for check in audit.checks)
        console.print(Text.assemble((f"audit: {number:,} findings", "bold red"), f", {checked}"))
        for finding in audit.findings[:10]:
            console.print(Text(f"  {finding.kind} at {finding.seq}: {finding.message}"))
    if audit.unverified.charges:
        needed = ", ".join(audit.unverified.policies)
        console.print(Text(f"  {audit.unverified.charges:,} charges not repriced: {needed} is not installed"))
    head = summary.head
    console.print(Text(f"head: {head.seq:,} events in {head.commits:,} commits, {head.hash}"), soft_wrap=True)
    if summary.open_batches:
        text = f"settlement: {summary.open_batches:,} batches are not confirmed; `tollbook settle` goes on with them"
        console.print(Text(text, style="bold red"))


def _next(summary: Summary, console: Console) -> None:
    console.print()
    console.print(Text("What to look at next", style="bold"))
    for command, why in next_steps(summary):
        console.print(Text.assemble("  ", (command, "cyan")), soft_wrap=True)
        console.print(Text(f"      {why}", style="dim"))
