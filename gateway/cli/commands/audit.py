"""`tollbook audit`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from os.path import realpath
from pathlib import Path
from typing import Annotated

import typer

from ledger import ContractRef
from ledger.clock import system_clock
from ledger.plugins import Chain
from replay.audit.findings import Report
from replay.audit.note import Note, read_note, write_note
from replay.audit.parallel import PART, at_most
from replay.audit.report import html as report_page
from replay.audit.run import audit as run_audit
from replay.audit.run import checkpoint
from replay.audit.sources import source
from replay.audit.unverified import not_verified
from replay.reports.exports import new_text

from ...errors import UsageError
from ...settle.target import chosen_to_compare, connect
from .. import render
from ..errors import BAD_ANSWER, DONE, write_warning
from ..options import Json, Log, a_file, a_new_file
from ..progress import progress
from ..render import line, table


def _a_note(path: Path | None) -> Path | None:
    """Return the path of a note: a new file, or an earlier note. Raises UsageError for a path that belongs to a log."""
    return path if path is not None and path.exists() else a_new_file(path)


_Chain = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Also compare with this chain: its CAIP-2 name; mock is mock:local.",
        show_default=False,
    ),
]
_Against = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Compare with another copy of the log.", show_default=False, callback=a_file),
]
_Since = Annotated[
    str | None,
    typer.Option(
        metavar="CHECKPOINT", help="Check that the log still has an earlier head, SEQ:HASH.", show_default=False
    ),
]
_Note = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Check that LOG continues from the head in FILE, and then note its present head there.",
        show_default=False,
        callback=_a_note,
    ),
]
_Html = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Also write the report to this new file.", show_default=False, callback=a_new_file
    ),
]
_Processes = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Processes to use: at most one per core and per 10,000 events. Without it: all cores for a long log.",
        show_default=False,
    ),
]

MAX_SHOWN = 50


def audit(
    log: Log,
    chain: _Chain = None,
    against: _Against = None,
    since: _Since = None,
    note: _Note = None,
    html: _Html = None,
    processes: _Processes = None,
    json: Json = False,
) -> int:
    """Verify a log: hash chain, order, balances, prices, settlement.

    \b
    Examples:
      tollbook audit LOG
      tollbook audit LOG --json
      tollbook audit LOG --against COPY
      tollbook audit LOG --note head.json
      tollbook audit LOG --html report.html
      tollbook audit LOG --chain mock
      tollbook audit LOG --chain eip155:8453 --json

    Every balance and every price is computed again from the events. Without --chain nothing but the log is needed.
    With --chain, every contract in which LOG has money on that chain is read and compared with LOG in both directions:
    batches with their digests and roots (chain_batch), purchases and exits (chain_purchase), what each receiver was
    paid and is due (chain_payout), and the escrow (chain_escrow). Only final blocks are compared, and nothing is sent.
    A fact that `tollbook settle` has not imported yet is a finding.

    Commits that were cut off at the end of a log leave no trace in it. --note FILE notes the head, if there are no
    findings, and next time LOG must still have it: a missing end is a finding (missing_end). Keep FILE where those who
    can write to LOG cannot.

    Exit codes: 0 clean; 1 findings, or a policy or chain that comes with Tollbook could not be loaded; 2 the audit
    could not run, for example because the chain does not answer.

    Prices of a policy that is not installed, or in another version, or that fails, cannot be verified, which is no
    finding: the verdict says so, as in "clean, 2,098 prices not verified". A log without events is clean, with a
    warning. A log whose write-ahead file is missing is a finding: it may be a copy made by `cp`.
    """
    noted = _noted(note, html)
    earlier = [*([] if since is None else [checkpoint(since)]), *([] if noted is None else [noted.checkpoint])]
    with progress(quiet=json) as report_progress, _connected(log, chain) as connections:
        report = run_audit(
            log,
            since=earlier,
            against=against,
            progress=lambda done, total: report_progress("audit", done, total),
            processes=processes and _at_most(log, processes, json),
            chains=connections,
        )
    _warn(report, json)
    if note is not None:
        _note(note, report, json)
    if html is not None:
        _write_page(html, report)
    if json:
        render.json(report)
    else:
        _show(report)
    return DONE if report.passed else BAD_ANSWER


def _noted(note: Path | None, html: Path | None) -> Note | None:
    """Return the note of an earlier audit; None if there is none. Raises UsageError where the page goes to its file."""
    if note is not None and html is not None and realpath(note) == realpath(html):
        raise UsageError(f"--note and --html both write {html}", "give each its own file")
    return None if note is None else read_note(note)


def _write_page(html: Path, report: Report) -> None:
    with new_text(html) as file:
        file.write(report_page(report, system_clock()))


@contextmanager
def _connected(log: Path, chain: str | None) -> Iterator[list[Chain]]:
    """Connect to the contracts in which the log has money on a chain, to read them."""
    name, contracts = ("", []) if chain is None else chosen_to_compare(log, chain)
    with ExitStack() as stack:
        yield [
            stack.enter_context(closing(connect(log, ContractRef(name, contract), read_only=True)))
            for contract in contracts
        ]


def _warn(report: Report, json: bool) -> None:
    for text in report.warnings:
        message, _, hint = text.partition("; ")
        write_warning(f"{report.log}: {message}", hint, json)


def _note(note: Path, report: Report, json: bool) -> None:
    """Note the head of a log that passed."""
    if report.passed:
        write_note(note, report, system_clock())
    else:
        hint = f"{note} is as it was, since the audit did not pass"
        write_warning(f"the head of {report.log} is not noted", hint, json)


def _at_most(log: Path, processes: int, json: bool) -> int:
    """Return the processes that are of use, and say so if they are fewer than asked for."""
    with closing(source(log)) as rows:
        events = rows.last()
    if (useful := at_most(processes, events)) < processes:
        message = f"{useful} of {processes} processes audit {log}, which has {events:,} events"
        write_warning(message, f"more are of no use: one per core, and per {PART:,} events", json)
    return useful


def _value(value: object) -> str:
    """Return a value of a finding as text: names and values of a map, and `nothing` for what is not there."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {part}" for name, part in value.items()) or "nothing"
    return "nothing" if value is None else str(value)


def _show(report: Report) -> None:
    line(f"{report.log}: {report.verdict}{'' if report.head.seq else ', 0 events'}")
    head = report.head
    line(f"head {head.seq} in {render.counted(head.commits, 'commit')}{f', {head.at}' if head.at else ''}, {head.hash}")
    if report.proven_to is not None:
        line(f"it continues from the earlier head at {report.proven_to}, by {head.seq - report.proven_to} events")
    for text in report.unseen:
        line(f"not seen: {text}")
    line()
    table(("check", ">checked", ">findings"), [(check.name, check.checked, check.findings) for check in report.checks])
    for text in not_verified(report.unverified):
        line()
        line(f"not verified: {text}")
    for text in report.notes:
        line()
        line(text)
    if report.leaps:
        line()
    for leap in report.leaps:
        line(
            f"the clock leapt ahead by {leap.ahead_us // 1_000_000} seconds at {leap.seq}, to {leap.at}; "
            f"{leap.commits} later commits have the same time"
        )
    for finding in report.findings[:MAX_SHOWN]:
        line()
        line(f"{finding.kind}{'' if finding.seq is None else f' at {finding.seq}'}: {finding.message}")
        line(f"  {finding.field}: expected {_value(finding.expected)}, found {_value(finding.found)}")
    if len(report.findings) > MAX_SHOWN:
        line()
        line(f"and {len(report.findings) - MAX_SHOWN} more; --json has them all")
