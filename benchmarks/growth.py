"""Growth of cost: the same figures at ever longer logs, and at ever more accounts.

A log is built once and grown from point to point with `execute_many`; each point is measured and saved before the next
is built, so a run that was stopped continues from its last point.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from ledger import ContractRef, FailSettlement, Ledger, OpenSettlement
from ledger.books import Books
from ledger.events import Charged
from ledger.folding import fold
from ledger.log import decode_commit
from ledger.stores.sqlite import SQLiteStore
from replay.audit.run import audit

from . import pages, plots, tables
from .workload import ASSET, CHAIN, CONTRACT, PLAN, History, Load, create_plan, sell, standing_clock, subscriber

EVENTS, ACCOUNTS = "events", "accounts"


@dataclass(frozen=True)
class Scale:
    """The first and last size of the two series, the fixed sizes of each, and how much is measured at a point."""

    events: int = 10**6
    accounts: int = 10**5
    first_events: int = 10**4
    first_accounts: int = 10**2
    fixed_accounts: int = 10**3
    fixed_events: int = 10**5
    batch: int = 1_000
    singles: int = 100

    def points(self) -> Iterator[tuple[str, int]]:
        """Yield the axis and the size of each point."""
        for axis, size, last in (
            (EVENTS, self.first_events, self.events),
            (ACCOUNTS, self.first_accounts, self.accounts),
        ):
            while size <= last:
                yield axis, size
                size *= 10


FIGURES: dict[str, str] = {
    "single": "one durable charge",
    "batch": "a charge, 1,000 a batch",
    "balance": "reading a balance",
    "explain": "explaining a charge",
    "fold": "folding, an event",
    "audit": "auditing, an event",
    "open": "opening with a snapshot",
    "snapshot": "taking a snapshot",
    "settle": "opening a settlement",
}
"""The figures measured at each point, in seconds."""

Point = dict[str, Any]


def run(saved: Path, scale: Scale, folder: Path | None = None) -> list[Point]:
    """Measure the points that are not saved yet, and save each; return all saved points."""
    points: list[Point] = json.loads(saved.read_text()) if saved.exists() else []
    with _kept_or_temporary(folder) as place:
        for axis, size in scale.points():
            point = next((each for each in points if (each["axis"], each["size"]) == (axis, size)), None)
            if point is None:
                point = _point(place, scale, axis, size)
                points.append(point)
                saved.write_text(json.dumps(points, indent=1) + "\n")
            print(_line(point), flush=True)
    return points


def write_docs(points: list[Point]) -> None:
    """Draw the pictures of the documentation, and put them and the tables into its page."""
    parts = []
    for axis in (EVENTS, ACCOUNTS):
        plots.draw(pages.PAGE.parent / f"growth-{axis}.svg", axis, points, FIGURES)
        parts.append(f"![Each figure against the number of {axis}](growth-{axis}.svg)\n\n{markdown(points, axis)}")
    pages.fill(pages.PAGE, pages.GROWTH, "\n\n".join(parts))


@contextmanager
def _kept_or_temporary(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="tollbook-growth-") as made:
        yield Path(made)


def _point(folder: Path, scale: Scale, axis: str, size: int) -> Point:
    """Bring the log of that axis to its size, and measure."""
    accounts = size if axis == ACCOUNTS else scale.fixed_accounts
    path = folder / (f"growth-accounts-{accounts}.db" if axis == ACCOUNTS else "growth-events.db")
    with Ledger.open(path, clock=standing_clock) as ledger:
        build(ledger, scale, accounts, events=size if axis == EVENTS else 1 + 2 * accounts + scale.fixed_events)
        head = ledger.head.seq
        found = _reading(ledger, scale, accounts) | _writing(ledger, scale, accounts)
    found |= _from_the_file(path)
    return {"axis": axis, "size": size, "events": head, "accounts": accounts, "bytes": path.stat().st_size} | found


def build(ledger: Ledger, scale: Scale, accounts: int, events: int) -> None:
    """Bring a ledger that has this shop, or is empty, to at least so many events. It continues where it was stopped."""
    if not ledger.head.seq:
        create_plan(ledger)
    sell(ledger, range(min(accounts, (ledger.head.seq - 1) // 2), accounts), escrow=True)
    history = History(accounts, rounds=0, batch=scale.batch, corrected=False)
    while ledger.head.seq < events:
        history.write(ledger, [ledger.head.seq // history.events_a_round])


def _writing(ledger: Ledger, scale: Scale, accounts: int) -> dict[str, float]:
    load = Load(accounts, scale.batch)
    singles = [load.direct(number) for number in range(scale.singles)]
    batch = [load.direct(number) for number in range(scale.batch)]
    opening = OpenSettlement(chain=CHAIN, contract=CONTRACT, asset=ASSET)
    _cancel(ledger)  # a batch that a run that was stopped here has left open
    found = {
        "single": median(_timed(partial(ledger.execute, each)) for each in singles),
        "batch": median(_timed(lambda: ledger.execute_many(batch)) for _ in range(5)) / scale.batch,
        "settle": _timed(lambda: ledger.execute(opening).unwrap()),
    }
    _cancel(ledger)
    return found | {"snapshot": _timed(ledger.snapshot)}


def _cancel(ledger: Ledger) -> None:
    """Fail the open batch, so that the next point opens it again."""
    for opened in ledger.batches(ContractRef(CHAIN, CONTRACT)):
        number = opened.batch.number
        ledger.execute(FailSettlement(chain=CHAIN, contract=CONTRACT, number=number, reason="it was measured")).unwrap()


def _reading(ledger: Ledger, scale: Scale, accounts: int) -> dict[str, float]:
    middle = ledger.head.seq // 2
    seqs = [entry.seq for entry, _ in zip(_charges(ledger, middle), range(scale.singles), strict=False)]
    some = [subscriber(number * 7919 % accounts) for number in range(scale.singles)]
    return {
        "balance": median(_timed(partial(ledger.balance, name, PLAN)) for name in some),
        "explain": median(_timed(partial(ledger.explain, seq)) for seq in seqs),
    }


def _charges(ledger: Ledger, after: int) -> Iterator[Any]:
    return (entry for entry in ledger.events(after) if isinstance(entry.event, Charged))


def _from_the_file(path: Path) -> dict[str, float]:
    def opened() -> None:
        Ledger.open(path, read_only=True).close()

    def refolded() -> None:
        books = Books()
        with closing(SQLiteStore(path, read_only=True)) as store:
            for commit in store.read():
                fold(books, commit, decode_commit(commit))
        events.append(books.seq)

    events: list[int] = []
    verdicts: list[str] = []
    found = {"open": median(_timed(opened) for _ in range(3)), "fold": _timed(refolded)}
    found["audit"] = _timed(lambda: verdicts.append(audit(path).verdict))
    assert verdicts == ["clean"], verdicts
    return found | {"fold": found["fold"] / events[0], "audit": found["audit"] / events[0]}


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _line(point: Point) -> str:
    durations = ", ".join(f"{title} {tables.duration(point[name])}" for name, title in FIGURES.items())
    return f"{point['events']:,} events, {point['accounts']:,} accounts: {durations}"


def markdown(points: list[Point], axis: str) -> str:
    """Return the points of an axis as a Markdown table, a column each."""
    row = sorted((point for point in points if point["axis"] == axis), key=lambda point: point["size"])
    heads = [f"{point['events']:,} events, {point['accounts']:,} accounts" for point in row]
    lines = [f"| | {' | '.join(heads)} |", f"|{'---|' * (len(row) + 1)}"]
    for name, title in FIGURES.items():
        lines.append(f"| {title} | {' | '.join(tables.duration(point[name]) for point in row)} |")
    sizes = [f"{point['bytes'] / point['events']:.0f}" for point in row]
    return "\n".join([*lines, f"| bytes an event on disk | {' | '.join(sizes)} |"])
