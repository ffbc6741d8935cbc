"""The log for other tools: its events as rows, streamed into a csv or ndjson file.

A row has what is worth a column, and `event`, the whole event as JSON, from which everything can be read again. The
chain of hashes is checked on the way, so that what was exported is what was written.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TextIO, TypeAlias

import msgspec

from ledger.errors import AlreadyExists, LogError
from ledger.events import Charged, Purchased, Recorded, Requested, Withdrawn, encode, tag
from ledger.log import Commit, Entry, Head, decode_commit, follow, origin
from ledger.plugins import Store, stores

from ..audit.findings import ReportHead, time_text
from .spreadsheets import inert_json, inert_text

Progress: TypeAlias = Callable[[str, int, int], None]
"""Is told what is being done, how much of it is done, and how much there is."""


class Export(msgspec.Struct, frozen=True):
    """What was exported: `events` counts the rows, `head` is the log's at the time."""

    log: str
    format: str
    file: str
    events: int
    head: ReportHead


class Verified:
    """The commits of a log in order, up to its head as it is now, each checked against the hash before it.

    Raises Damaged where one does not follow. `head` and `commits` tell how far it was read.
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
        """The events of the commits, each in its place."""
        for commit in self:
            for seq, event in enumerate(decode_commit(commit), commit.first_seq):
                yield Entry(seq, commit.at, event)

    def report(self) -> ReportHead:
        """The head as far as it was read, to show."""
        return ReportHead(
            seq=self.head.seq, commits=self.commits, at=time_text(self.head.at), hash=self.head.hash.hex()
        )


class EventRow(NamedTuple):
    """An event with what is worth a column. `amount` is money as text, since it may pass 64 bits; `event` is JSON."""

    seq: int
    at: str
    type: str
    account: int | None
    subscriber: str | None
    plan: str | None
    agent: int | None
    request: int | None
    charge: int | None
    credits: int | None
    asset: str | None
    amount: str | None
    event: bytes


COLUMNS = EventRow._fields


class EventRows:
    """Makes rows of entries, in the order of the log: it remembers what accounts and open requests belong to."""

    def __init__(self) -> None:
        self._accounts: dict[int, tuple[str, str]] = {}
        self._assets: dict[int, str] = {}
        self._requests: dict[int, int] = {}

    def account(self, entry: Entry) -> int | None:
        """The account that an event is about, if any. Must be asked of every entry in turn, once."""
        event = entry.event
        match event:
            case Purchased():
                self._accounts[event.account] = (event.subscriber, event.plan)
                self._assets[entry.seq] = event.asset
            case Requested():
                self._requests[entry.seq] = event.account
        request = getattr(event, "request", 0)
        account: int | None = getattr(event, "account", None) or self._requests.get(request)
        if tag(event) == "released" or (isinstance(event, Charged) and event.final):
            self._requests.pop(request, None)
        return account

    def row(self, entry: Entry) -> EventRow:
        """The row of an entry."""
        event, account = entry.event, self.account(entry)
        subscriber, plan = self._accounts.get(account or 0, (None, None))
        asset, amount = self._money(event)
        return EventRow(
            seq=entry.seq,
            at=time_text(entry.at),
            type=tag(event),
            account=account,
            subscriber=subscriber,
            plan=plan or getattr(event, "plan", None),
            agent=getattr(event, "agent", None) or None,
            request=entry.seq if isinstance(event, Requested) else getattr(event, "request", None) or None,
            charge=entry.seq if isinstance(event, Charged) else getattr(event, "charge", None) or None,
            credits=getattr(event, "credits", None),
            asset=asset,
            amount=None if amount is None else str(amount),
            event=encode(event),
        )

    def _money(self, event: Recorded) -> tuple[str | None, int | None]:
        """The asset that an event names, and how much of it comes in (or, negative, leaves)."""
        if isinstance(event, Purchased):
            return event.asset or None, event.cost if event.asset else None
        if isinstance(event, Withdrawn) and event.money:
            return self._assets.get(min(event.money)), -sum(event.money.values())
        payouts = getattr(event, "payouts", ())
        return getattr(event, "asset", None), sum(payout.amount for payout in payouts) if payouts else None


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

    `spreadsheet` is for csv: a form of which a spreadsheet runs nothing; numbers and the events' JSON say the same.
    A file appears whole or not at all: it is written beside its place and then renamed. Raises AlreadyExists.
    """
    store = stores.get("sqlite")(where, read_only=True)
    try:
        log, counted = Verified(store), Counter[str]()
        write = _write_spreadsheet if spreadsheet else FORMATS[to]
        rows = _rows(log, after, counted, progress)
        if isinstance(out, Path):
            with _new_file(out) as file:
                write(rows, file)
        else:
            write(rows, out)
    finally:
        store.close()
    return Export(str(where), to, str(out) if isinstance(out, Path) else "-", counted["rows"], log.report())


def _rows(log: Verified, after: int, counted: Counter[str], progress: Progress | None) -> Iterator[EventRow]:
    making = EventRows()
    for entry in log.entries():
        row = making.row(entry)
        if progress is not None and (entry.seq % 1000 == 0 or entry.seq == log.upto):
            progress("export", entry.seq, log.upto)
        if entry.seq > after:
            counted["rows"] += 1
            yield row


@contextmanager
def _new_file(path: Path) -> Iterator[TextIO]:
    part = path.with_name(f"{path.name}.part")
    if os.path.lexists(path):
        raise AlreadyExists(f"{path} exists")
    if os.path.lexists(part):
        raise AlreadyExists(f"{part} exists", "another export is writing it; if none is, one was killed: remove it")
    try:
        file = part.open("x", encoding="utf-8", newline="")
    except OSError as error:  # the file that was asked for is told, not the one beside it
        reason = (error.strerror or str(error)).lower()
        raise LogError(f"{path} cannot be written: {reason}", "check the path, its permissions") from error
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _write_csv(rows: Iterable[EventRow], file: TextIO) -> None:
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    writer.writerows((*row[:-1], row.event.decode()) for row in rows)


def _write_spreadsheet(rows: Iterable[EventRow], file: TextIO) -> None:
    writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(COLUMNS)
    for row in rows:
        amount = None if row.amount is None else int(row.amount)
        cells = row._replace(amount=None, event=b"")[:-2]
        texts = (inert_text(cell) if isinstance(cell, str) else cell for cell in cells)
        writer.writerow((*texts, amount, inert_json(row.event.decode())))


def _write_ndjson(rows: Iterable[EventRow], file: TextIO) -> None:
    encoder = msgspec.json.Encoder()
    for row in rows:
        line = dict(zip(COLUMNS, (*row[:-1], msgspec.Raw(row.event)), strict=True))
        file.write(encoder.encode(line).decode() + "\n")


FORMATS: dict[str, Callable[[Iterable[EventRow], TextIO], None]] = {"csv": _write_csv, "ndjson": _write_ndjson}
"""The formats, and what writes them."""
