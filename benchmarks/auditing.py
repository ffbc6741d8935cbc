"""The audit of a log, beside decoding the same bytes; and on two processes beside one."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from ledger.log.bodies import TEXT, decode
from replay.audit.run import audit

from .figures import Aim, Comparison
from .folding import DECODE, decoding
from .rounds import Contender, Trial, never_missing
from .workload import chain_of
from .workshop import Workshop

ONE, TWO = "tollbook, one process", "tollbook, two processes"


def comparisons(workshop: Workshop) -> list[Comparison]:
    """Return the figures of the audit: in one process, and in two."""
    events = workshop.size.history.events_in_all
    bare = decoding(workshop, DECODE, partial(decode, TEXT))
    fifth = Aim(DECODE, 1 / 5, "a fifth of the speed of bare decode, a core")
    nearly = Aim(ONE, 1.7, "nearly double on two cores")
    one, two = _audit(workshop, ONE, 1), _audit(workshop, TWO, 2)
    return [
        Comparison("audit", "auditing a log, an event", "event", events, one, (bare,), (fifth,)),
        Comparison("audit.two", "auditing a log on two processes, an event", "event", events, two, (one,), (nearly,)),
    ]


def processes(number: int) -> dict[str, Any]:
    """Return the argument with which this audit runs in so many processes; none where it has no such argument."""
    named = [name for name in ("processes", "workers", "jobs") if name in inspect.signature(audit).parameters]
    return {named[0]: number} if named else {}


def _cannot_share() -> str | None:
    return None if processes(2) else "this audit runs in one process"


def _audit(workshop: Workshop, name: str, number: int) -> Contender:
    history = workshop.size.history

    @contextmanager
    def prepare(folder: Path) -> Iterator[Trial]:
        path = workshop.log(history).path
        reports: list[Any] = []

        def answer() -> tuple[str, int, str, int]:
            report = reports[0]
            checked = {check.name: check.checked for check in report.checks}
            return report.verdict, report.head.seq, report.head.hash, checked["price"]

        yield Trial(lambda: reports.append(audit(path, **processes(number))), answer)

    def expected() -> tuple[str, int, str, int]:
        priced = 2 * history.rounds * history.batch
        return "clean", history.events_in_all, chain_of(workshop.log(history).path), priced

    return Contender(name, prepare, expected, _cannot_share if number > 1 else never_missing)
