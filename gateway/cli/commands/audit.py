"""`tollbook audit`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import Json, Log

if TYPE_CHECKING:
    from replay.audit.findings import Report

_Chain = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Also compare with this chain: its CAIP-2 name; mock is mock:local.",
        show_default=False,
    ),
]
_Against = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Compare with another copy of the log.", show_default=False)
]
_Since = Annotated[
    str | None,
    typer.Option(metavar="CHECKPOINT", help="Hold it to a head noted earlier, SEQ:HASH.", show_default=False),
]
_Html = Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the report here.", show_default=False)]
_Processes = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Share the work. Without it: all cores for a long log.", show_default=False),
]

MAX_SHOWN = 50


def audit(
    log: Log,
    chain: _Chain = None,
    against: _Against = None,
    since: _Since = None,
    html: _Html = None,
    processes: _Processes = None,
    json: Json = False,
) -> int:
    """Is everything in this log as it must be? Hashes, order, every balance, every price; with --chain, the chain too.

    \b
    Examples:
      tollbook audit LOG
      tollbook audit LOG --json
      tollbook audit LOG --against COPY
      tollbook audit LOG --html report.html
      tollbook audit LOG --chain mock
      tollbook audit LOG --chain eip155:8453 --json

    Without --chain it needs nothing but the log. With it, every contract that LOG has money in on that chain is read
    too, and held to LOG in both directions: batches with their digests and roots (chain_batch), purchases and exits
    (chain_purchase), what each receiver was paid and is due (chain_payout), what is in escrow (chain_escrow). Only what
    is final there is compared, and nothing is sent. What `tollbook settle` has not taken in yet is a finding.

    Exits 0 where it is clean, 1 where there are findings, 2 where it could not be done (the chain does not
    answer). What no installed policy can
    price again is counted as unverified, which is no finding. A log without events is clean, and a warning says so.
    A log whose file says that it had a write-ahead file, which is gone, is not: it may be a copy by `cp`.
    """

    from contextlib import ExitStack, closing

    from ledger import ContractRef
    from replay.audit.report import html as page
    from replay.audit.run import audit as examine
    from replay.audit.run import checkpoint

    from ...settle.connecting import connect
    from ...settle.target import chosen_to_compare
    from .. import render
    from ..errors import BAD_ANSWER, DONE, warning
    from ..progress import progress

    noted = None if since is None else checkpoint(since)
    with progress(quiet=json) as told, ExitStack() as stack:
        name, contracts = ("", []) if chain is None else chosen_to_compare(log, chain)
        connections = [
            stack.enter_context(closing(connect(log, ContractRef(name, contract), read_only=True)))
            for contract in contracts
        ]
        report = examine(
            log,
            since=noted,
            against=against,
            progress=lambda done, total: told("audit", done, total),
            processes=processes,
            chains=connections,
        )
    for text in report.warnings:
        message, _, hint = text.partition("; ")
        sys.stderr.write(warning(f"{log}: {message}", hint, json) + "\n")
    if html is not None:
        html.write_text(page(report), encoding="utf-8")
    if json:
        render.json(report)
    else:
        _show(report)
    return DONE if report.verdict == "clean" else BAD_ANSWER


def _show(report: Report) -> None:
    from ..render import line, table

    line(f"{report.log}: {report.verdict}{'' if report.head.seq else ', 0 events'}")
    line(f"head {report.head.seq} in {report.head.commits} commits, {report.head.at}, {report.head.hash}")
    line()
    table(("check", ">checked", ">findings"), [(each.name, each.checked, each.findings) for each in report.checks])
    if report.unverified.charges:
        line()
        policies = ", ".join(report.unverified.policies)
        line(f"unverified: {report.unverified.charges} charges, priced by what is not installed here: {policies}")
    if report.unverified.facts:
        line()
        line(f"unverified: {report.unverified.facts} purchases or exits on the chain, of plans that the log lacks")
    for leap in report.leaps:
        line()
        line(
            f"the clock leapt ahead by {leap.ahead_us // 1_000_000} seconds at {leap.seq}, to {leap.at}; "
            f"{leap.commits} later commits have the same time"
        )
    for finding in report.findings[:MAX_SHOWN]:
        line()
        line(f"{finding.kind} at {'-' if finding.seq is None else finding.seq}: {finding.message}")
        line(f"  {finding.field}: expected {finding.expected}, found {finding.found}")
    if len(report.findings) > MAX_SHOWN:
        line()
        line(f"and {len(report.findings) - MAX_SHOWN} more; --json has them all")
