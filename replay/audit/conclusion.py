"""The report of an audit, from the case that was judged."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from importlib.metadata import version
from platform import python_version

from ledger.events import Charged

from .checks import BY_EVENT, DIFFERENCE, KINDS
from .checks.case import Case
from .checks.times import KIND
from .findings import Leaps, Report, ReportHead, in_order, time_text, verdict
from .hashes import MISSING_END, Checkpoint
from .parts import LogEnd
from .rows import Source
from .tally import Tally, totals
from .unverified import unverified

_COPY = "copy a log that is open with `tollbook backup`"
_EMPTY = f"there are 0 events: a copy of the file of a log that was open may have lost them; {_COPY}"


def kinds_of(checkpoints: Sequence[Checkpoint], against: object = None) -> tuple[str, ...]:
    """Return the kinds of findings that are looked for: those of every audit, and those of what it compares with."""
    noted = (MISSING_END,) if any(each.missing == MISSING_END for each in checkpoints) else ()
    return (*KINDS, *noted, *(() if against is None else (DIFFERENCE,)))


def report_of(log: Source, end: LogEnd, case: Case, kinds: tuple[str, ...], leaps: Leaps, sums: Tally | None) -> Report:
    """Build the report of a case whose log was read to `end`, with the checks of these kinds. `sums` are those of all
    accounts, None where not every event could be folded."""
    count(case)
    listed, gaps = in_order(case.findings.listed), unverified(case.unverified, case.unverified_batches)
    return Report(
        log=log.name,
        ledger=log.id,
        verdict=verdict(listed, gaps),
        head=ReportHead(
            seq=end.seq,
            commits=end.commits,
            at=time_text(end.at) if end.commits else None,
            hash=end.hash.hex(),
        ),
        checks=case.findings.checks(kinds),
        unverified=gaps,
        findings=listed,
        warnings=() if end.seq or listed else (_EMPTY,),
        leaps=leaps.listed,
        notes=(
            *(f"the file also has the {each}, which is no part of the log" for each in log.additions()),
            *([f"the clock leapt {leaps.more:,} more times, never farther than is listed"] if leaps.more else []),
        ),
        begin=time_text(end.begin) if end.commits else None,
        versions={"tollbook": version("tollbook"), "python": python_version(), "sqlite": sqlite3.sqlite_version},
        totals=None if sums is None else totals(sums, case.settled.assets),
    )


def count(case: Case) -> None:
    """Add the counts of the fold and of the fast path to the kinds that they were checked for."""
    checked = case.findings.checked
    checked.update(conservation=case.folded, overspend=case.touched, hold=case.touched, books=case.compared)
    for event, number in case.accepted.items():
        checked.update(dict.fromkeys(("schema", KIND, *(("meter",) if event is Charged else ())), number))
        for kind, *_ in BY_EVENT.get(event, ()):
            checked[kind] += number
