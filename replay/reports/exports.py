"""The log for other tools: its events as rows, streamed into a csv or ndjson file, or into an SQLite database.

A row has what is worth a column, and `event`, the whole event as JSON, from which everything can be read again. The
hash chain is checked on the way, so that what was exported is what was written.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext
from decimal import Decimal
from pathlib import Path
from typing import TextIO, TypeAlias

import msgspec

from ledger.errors import AlreadyExists, LogError
from ledger.log import Commit, Entry, Head, decode_commit, follow, origin
from ledger.plugins import Store, stores

from ..audit.findings import ReportHead, time_text
from .event_rows import COLUMNS, EventRow, EventRows
from .spreadsheets import inert_json, inert_text

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with the name of the stage, how much of it is done, and how much there is."""


class Export(msgspec.Struct, frozen=True):
    """The summary of an export: `events` counts the rows, `head` is the log's at the time."""

    log: str
    format: str
    file: str
    events: int
    head: ReportHead


class Verified:
    """The commits of a log in order, up to its head as it is now, each checked against the hash before it.

    Raises Damaged where the hash chain is broken. `head` and `commits` are those of the last commit that was read.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.upto = store.head().seq
        self.head: Head = origin(store.id)
        self.commits = 0

    def __iter__(self) -> Iterator[Commit]:
        for commit in follow(self.head, self._store.read(self.head.seq)):
            if commit.first_seq > self.upto:
                break
            self.head, self.commits = commit.head, self.commits + 1
            yield commit

    def entries(self) -> Iterator[Entry]:
        """Yield the events of the commits, with their sequences and times."""
        for commit in self:
            for seq, event in enumerate(decode_commit(commit), commit.first_seq):
                yield Entry(seq, commit.at, event)

    def report(self) -> ReportHead:
        """The head as far as it was read, to show."""
        return ReportHead(
            seq=self.head.seq, commits=self.commits, at=time_text(self.head.at), hash=self.head.hash.hex()
        )


def export(
    where: str | Path,
    to: str,
    out: Path | TextIO,
    *,
    after: int = 0,
    spreadsheet: bool = False,
    progress: Progress | None = None,
) -> Export:
    """Write the events after a sequence, in the format `to` (one of FORMATS), to a new file or to an open stream.

    `spreadsheet` is for csv: a form of which a spreadsheet runs nothing, with decimal numbers for credits and money.
    A file appears whole or not at all: it is written beside its path and then renamed. Raises AlreadyExists; LogError
    where the file cannot be written, or `sqlite` is to go to a stream.
    """
    store = stores.get("sqlite")(where, read_only=True)
    try:
        log, name = Verified(store), str(out) if isinstance(out, Path) else "-"
        if to == SQLITE:
            if not isinstance(out, Path):
                raise LogError("an SQLite database cannot be written to a stream", "give the path of a new file")
            _write_sqlite(log, store.id, out, after, progress)
        else:
            rows = EventRows()
            wanted = _rows(rows, _entries(log, progress), after)
            with new_text(out) if isinstance(out, Path) else nullcontext(out) as file:
                if spreadsheet:
                    _write_spreadsheet(wanted, rows.decimal, file)
                else:
                    _TEXT_FORMATS[to](wanted, file)
    finally:
        store.close()
    return Export(str(where), to, name, max(0, log.head.seq - after), log.report())


def _entries(log: Verified, progress: Progress | None) -> Iterator[Entry]:
    for entry in log.entries():
        if progress is not None and (entry.seq % 1000 == 0 or entry.seq == log.upto):
            progress("export", entry.seq, log.upto)
        yield entry


def _rows(rows: EventRows, entries: Iterable[Entry], after: int) -> Iterator[EventRow]:
    return (row for row in map(rows.row, entries) if row.seq > after)


@contextmanager
def _new_file(path: Path) -> Iterator[Path]:
    """An empty file beside a path, which is renamed to it at the end, and removed where that is not reached."""
    part = path.with_name(f"{path.name}.part")
    if os.path.lexists(path):
        raise AlreadyExists(f"{path} exists")
    if os.path.lexists(part):
        raise AlreadyExists(f"{part} exists", "another export is writing it; if none is, one was killed: remove it")
    try:
        part.open("x").close()
    except OSError as error:  # name the file that was asked for, not the one beside it
        reason = (error.strerror or str(error)).lower()
        raise LogError(f"{path} cannot be written: {reason}", "check the path, its permissions") from error
    try:
        yield part
        with part.open("r+b") as file:
            os.fsync(file.fileno())
        part.rename(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def new_text(path: Path) -> Iterator[TextIO]:
    """Yield a new text file, which appears complete at its path or not at all. Raises AlreadyExists and LogError."""
    with _new_file(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        yield file


def _write_sqlite(log: Verified, ledger: str, out: Path, after: int, progress: Progress | None) -> None:
    from .sqlite_export import SQLiteExport  # the library takes longer to load than most commands run

    with _new_file(out) as part, closing(SQLiteExport(part, out, after)) as database:
        database.write(_entries(log, progress))
        database.finish(ledger, log.report())


def _write_csv(rows: Iterable[EventRow], file: TextIO) -> None:
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    writer.writerows((*row[:-1], row.event.decode()) for row in rows)


def _write_spreadsheet(
    rows: Iterable[EventRow], decimal: Callable[[EventRow], tuple[Decimal | None, Decimal | None]], file: TextIO
) -> None:
    writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow([_DECIMAL.get(column, column) for column in COLUMNS])
    for row in rows:
        credits, amount = decimal(row)
        named = row._asdict() | {"credits": credits, "amount": amount, "event": inert_json(row.event.decode())}
        writer.writerow(
            [inert_text(cell) if isinstance(cell, str) and name != "event" else cell for name, cell in named.items()]
        )


_DECIMAL = {"credits": "credits_decimal", "amount": "amount_decimal"}
"""Names of the columns that a spreadsheet has as decimal numbers of whole credits and of the asset."""


def _write_ndjson(rows: Iterable[EventRow], file: TextIO) -> None:
    encoder = msgspec.json.Encoder()
    for row in rows:
        line = dict(zip(COLUMNS, (*row[:-1], msgspec.Raw(row.event)), strict=True))
        file.write(encoder.encode(line).decode() + "\n")


_TEXT_FORMATS: dict[str, Callable[[Iterable[EventRow], TextIO], None]] = {"csv": _write_csv, "ndjson": _write_ndjson}
SQLITE = "sqlite"
FORMATS = (*_TEXT_FORMATS, SQLITE)
"""The names of the formats."""
