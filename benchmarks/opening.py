"""Opening a log: from a snapshot at its end, and from the first event."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ledger import Ledger
from ledger.log.bodies import TEXT, decode

from .figures import Comparison, Limit
from .folding import bodies_of
from .rounds import Contender, Trial
from .workload import History, came_to, digest
from .workshop import Workshop

SUBJECT = "tollbook"


def comparisons(workshop: Workshop) -> list[Comparison]:
    """Return the figures of opening: with and without a snapshot."""
    size = workshop.size
    limit = Limit(0.5, "under half a second")
    long = f"opening a log of {size.long.events_in_all:,} events and {size.long.accounts:,} accounts with a snapshot"
    return [
        Comparison(
            "open.snapshot",
            long,
            "opening",
            1,
            _open(workshop, size.long),
            (_read_snapshot(workshop, size.long),),
            limit=limit,
        ),
        Comparison(
            "open.fold",
            "opening a log without a snapshot, an event",
            "event",
            size.history.events_in_all,
            _open(workshop, size.history, snapshot=False),
            (_read_log(workshop, size.history),),
        ),
    ]


def _open(workshop: Workshop, history: History, snapshot: bool = True) -> Contender:
    @contextmanager
    def prepare(folder: Path) -> Iterator[Trial]:
        path = workshop.log(history).path if snapshot else _without_snapshot(workshop, history, folder)
        opened: list[Ledger] = []

        def answer() -> tuple[str, int]:
            with opened[0] as ledger:
                return came_to(ledger), ledger.head.seq

        yield Trial(lambda: opened.append(Ledger.open(path, read_only=True)), answer)

    return Contender(SUBJECT, prepare, lambda: (digest(history.spent()), history.events_in_all))


def _without_snapshot(workshop: Workshop, history: History, folder: Path) -> Path:
    shutil.copyfile(workshop.log(history).path, folder / "log.db")
    with closing(sqlite3.connect(folder / "log.db", isolation_level=None)) as log:
        log.execute("DELETE FROM snapshots")
    return folder / "log.db"


def _read_snapshot(workshop: Workshop, history: History) -> Contender:
    @contextmanager
    def prepare(folder: Path) -> Iterator[Trial]:
        path = workshop.log(history).path
        seen: list[str] = []

        def work() -> None:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as log:
                ((body,),) = log.execute("SELECT body FROM snapshots ORDER BY seq DESC LIMIT 1")
                seen.append(hashlib.sha256(body).hexdigest())

        yield Trial(work, lambda: len(seen))

    return Contender("read and SHA-256 of the same snapshot", prepare, lambda: 1)


def _read_log(workshop: Workshop, history: History) -> Contender:
    @contextmanager
    def prepare(folder: Path) -> Iterator[Trial]:
        path = workshop.log(history).path
        counts: list[int] = []
        yield Trial(lambda: counts.extend(len(decode(TEXT, body)) for body in bodies_of(path)), lambda: sum(counts))

    return Contender("read and decode of the same bytes", prepare, lambda: history.events_in_all)
