"""The summary for a seller's eyes, and what to look at next."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ledger.events import Adjusted, Charged, Purchased
from ledger.log import entries
from ledger.plugins import stores

from .run import sweep
from .shop import ASSET
from .summary import Summary

_CENTS = 2


def show(summary: Summary, console: Console) -> None:
    """Print what was sold, asked, charged, corrected and earned, what the audit says, and where to go from here."""
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
    yield "  settled", "", "", _money(summary.settled)
    yield "  outstanding", "", "", _money(summary.outstanding)


def _money(amounts: dict[str, int]) -> str:
    return "\n".join(
        f"{amount // 10**_CENTS:,}.{amount % 10**_CENTS:02} {asset}" if asset == ASSET else f"{amount:,} {asset}"
        for asset, amount in amounts.items()
    )


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
    console.print(Text("Nothing is settled on a chain yet: that comes with a later release."))


def _next(summary: Summary, console: Console) -> None:
    console.print()
    console.print(Text("What to look at next", style="bold"))
    for command, why in next_steps(summary):
        console.print(Text.assemble("  ", (command, "cyan")), soft_wrap=True)
        console.print(Text(f"      {why}", style="dim"))


def next_steps(summary: Summary) -> list[tuple[str, str]]:
    """Commands that work on this log, each with what it shows."""
    log = shlex.quote(summary.log)
    sql = "select seq, at, account, request, credits from events where type = 'charged' limit 5"
    steps = []
    if (found := _corrected(Path(summary.log))) is not None:
        charge, subscriber, plan, what = found
        who = f"--subscriber {shlex.quote(subscriber)} --plan {shlex.quote(plan)}"
        steps += [
            (f"tollbook explain {log} {charge}", f"how this charge came about, and its {what}"),
            (f"tollbook statement {log} {who}", "every movement of the account that paid it"),
        ]
    return [
        *steps,
        (f"tollbook balance {log}", "what every subscriber has left"),
        (f"tollbook audit {log}", "the same audit again, from the file alone"),
        (f'sqlite3 {log} "{sql}"', "charges in the log itself, with nothing of ours installed"),
    ]


def _corrected(path: Path) -> tuple[int, str, str, str] | None:
    """A charge that was corrected, of the account with the shortest story; else any charge. And who paid it, and what
    its correction says."""
    accounts: dict[int, tuple[str, str]] = {}
    charges: dict[int, int] = {}
    corrections: dict[int, str] = {}
    store = stores.get("sqlite")(path, read_only=True)
    try:
        for entry in entries(store.read()):
            match entry.event:
                case Purchased() as bought:
                    accounts.setdefault(bought.account, (bought.subscriber, bought.plan))
                case Charged() as charged:
                    charges[entry.seq] = charged.account
                case Adjusted() as adjusted if adjusted.charge:
                    words = adjusted.reason.replace("_", "-")
                    corrections.setdefault(adjusted.charge, f"{words} ({adjusted.note})" if adjusted.note else words)
    finally:
        store.close()
        sweep(path)
    if not charges:
        return None
    length = Counter(charges.values())
    charge = min(corrections or charges, key=lambda seq: (length[charges[seq]], seq))
    return charge, *accounts[charges[charge]], corrections.get(charge, "corrections")
