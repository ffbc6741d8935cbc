"""The floors as contenders: the load that the ledger writes, written by `floors`, and checked byte for byte."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from . import floors
from .rounds import Contender, Trial
from .workload import CREDITS, Load, digest, subscriber
from .workshop import Workshop

SYNC, SQLITE = "fdatasync of the same bytes", "SQLite commit of the same bytes"
ENCODE, STRUCTS, GROUPS = "encode of the same events", "structs, dict, frame, fdatasync", "asyncio group commit"


def _bodies(workshop: Workshop, load: Load) -> list[bytes]:
    return [commit.body for commit in workshop.commits(load)]


def syncing(workshop: Workshop, load: Load) -> Contender:
    """The bytes of the load's commits, appended and synced one after the other."""

    @contextmanager
    def prepare(folder: Path) -> Iterator[Trial]:
        bodies = _bodies(workshop, load)
        with closing(floors.Frames(folder / "frames")) as frames:
            yield Trial(lambda: frames.append_all(bodies), frames.bodies)

    return Contender(SYNC, prepare, lambda: _bodies(workshop, load))


def committing(workshop: Workshop, load: Load) -> Contender:
    """The bytes of the load's commits, each in an SQLite transaction of its own."""

    @contextmanager
    def prepare(folder: Path) -> Iterator[Trial]:
        commits = workshop.commits(load)
        with closing(floors.BareSQLite(folder / "bare.db")) as bare:
            yield Trial(lambda: bare.append_all(commits), bare.bodies)

    return Contender(SQLITE, prepare, lambda: _bodies(workshop, load))


def encoding(workshop: Workshop, load: Load) -> Contender:
    """The events of the load's commits, encoded and dropped."""

    @contextmanager
    def prepare(folder: Path) -> Iterator[Trial]:
        batches = floors.events_of(workshop.commits(load))
        encoded: list[bytes] = []
        yield Trial(lambda: encoded.extend(floors.encode(events) for events in batches), lambda: encoded)

    return Contender(ENCODE, prepare, lambda: _bodies(workshop, load))


def batching(workshop: Workshop, load: Load) -> Contender:
    """The load's charges by dict and structs, a frame and a sync a commit."""

    @contextmanager
    def prepare(folder: Path) -> Iterator[Trial]:
        asked = floors.asks(workshop.commits(load))
        with closing(floors.BareLedger(folder / "frames", _full(load))) as bare:

            def answer() -> tuple[str, list[bytes]]:
                return _left(bare), bare.frames.bodies()

            yield Trial(lambda: bare.execute_all(asked), answer)

    return Contender(STRUCTS, prepare, lambda: (digest(load.spent()), _bodies(workshop, load)))


def grouping(workshop: Workshop, load: Load, callers: int) -> Contender:
    """The load's charges by as many tasks as there are callers, which share frames."""

    @contextmanager
    def prepare(folder: Path) -> Iterator[Trial]:
        asked = [ask for batch in floors.asks(workshop.commits(load)) for ask in batch]
        each = [[asked[number] for number in numbers] for numbers in shares(load, callers)]
        with closing(floors.BareLedger(folder / "frames", _full(load))) as bare:

            def answer() -> tuple[str, int]:
                written = [len(floors.plain_decoder().decode(body)) for body in bare.frames.bodies()]
                return _left(bare), sum(written)

            yield Trial(lambda: asyncio.run(floors.crowd(bare, each)), answer)

    return Contender(GROUPS, prepare, lambda: (digest(load.spent()), load.charges))


def _full(load: Load) -> dict[int, int]:
    """Every account's balance by its number, which counts from 1."""
    return {number + 1: CREDITS for number in range(load.accounts)}


def _left(bare: floors.BareLedger) -> str:
    return digest({subscriber(number - 1): CREDITS - left for number, left in bare.balances.items()})


def shares(load: Load, callers: int) -> list[list[int]]:
    """Return the numbers of the charges that each caller makes, one after the other."""
    return [list(range(caller, load.charges, callers)) for caller in range(callers)]
