"""`tollbook audit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import Json, Log

if TYPE_CHECKING:
    from replay.findings import Report

_Chain = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Compare with the books of this chain.", show_default=False, hidden=True),
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

MOST_SHOWN = 50


def audit(
    log: Log,
    chain: _Chain = None,
    against: _Against = None,
    since: _Since = None,
    html: _Html = None,
    processes: _Processes = None,
    json: Json = False,
) -> int:
    """Is everything in this log as it must be? From the log alone: hashes, order, every balance, every price.

    \b
    Examples:
      tollbook audit LOG
      tollbook audit LOG --json
      tollbook audit LOG --against COPY
      tollbook audit LOG --html report.html

    Exits 0 where it is clean, 1 where there are findings, 2 where it could not be done. What no installed policy can
    price again is counted as unverified, which is no finding.
    """

    from ledger.errors import MissingExtra

    from .. import render
    from ..errors import BAD_ANSWER, DONE
    from ..progress import progress

    if chain is not None:
        raise MissingExtra(f"this release compares no log with a chain, so not with {chain!r}", "leave --chain out")
    from replay.audit import audit as examine
    from replay.audit import checkpoint
    from replay.page import html as page

    noted = None if since is None else checkpoint(since)
    with progress(quiet=json) as told:
        report = examine(
            log,
            since=noted,
            against=against,
            progress=lambda done, total: told("audit", done, total),
            processes=processes,
        )
    if html is not None:
        html.write_text(page(report), encoding="utf-8")
    if json:
        render.json(report)
    else:
        _show(report)
    return DONE if report.verdict == "clean" else BAD_ANSWER


def _show(report: Report) -> None:
    from ..render import line, table

    line(f"{report.log}: {report.verdict}")
    line(f"head {report.head.seq} in {report.head.commits} commits, {report.head.at}, {report.head.hash}")
    line()
    table(("check", ">checked", ">findings"), [(each.name, each.checked, each.findings) for each in report.checks])
    if report.unverified.charges:
        line()
        policies = ", ".join(report.unverified.policies)
        line(f"unverified: {report.unverified.charges} charges, priced by what is not installed here: {policies}")
    for finding in report.findings[:MOST_SHOWN]:
        line()
        line(f"{finding.kind} at {'-' if finding.seq is None else finding.seq}: {finding.message}")
        line(f"  {finding.field}: expected {finding.expected}, found {finding.found}")
    if len(report.findings) > MOST_SHOWN:
        line()
        line(f"and {len(report.findings) - MOST_SHOWN} more; --json has them all")
