"""Opens logs to be read, and reads balances and statements at a moment.

Without a moment a reading is of the log's end, and does not include what time has changed since. The hash chain is
checked while reading, so that a log that was changed gives an error, not a balance.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import msgspec

from ledger.errors import AlreadyExists, BadData, NotFound
from ledger.events import Charged
from ledger.folding import as_of
from ledger.log import Entry
from ledger.plugins import LogReader, Store, stores
from ledger.readings import Reading
from ledger.rounding import Rounding
from ledger.statements import Begin, Statement, StatementLine, Subject, entries_of, statement
from ledger.stores import checked_lock_seconds
from replay.audit.findings import time_text
from replay.reports.exports import Verified
from replay.workload.moments import calendar_time

from .errors import UsageError
from .spelling import as_known

SIDE_FILES = ("-wal", "-shm", "-journal", ".mock", ".mock-wal", ".mock-shm", ".mock-journal", ".leaves")
"""Endings of the files beside a log: SQLite's, the mock chain with SQLite's own for it, and published leaf files."""


class PointInTime(NamedTuple):
    """After a sequence, or at a time (UTC microseconds)."""

    seq: int | None
    at: int | None


def moment(text: str) -> PointInTime:
    """Parse a moment: a sequence number, a time, or `now`. Raises UsageError for anything else."""
    if re.fullmatch("[0-9]{1,19}", text):
        return PointInTime(int(text), None)
    if text == "now":
        return PointInTime(None, time.time_ns() // 1000)
    try:
        return PointInTime(None, calendar_time(text))
    except BadData as error:
        hint = "give a sequence number, a time such as 2023-11-16T18:15:46.680590Z (UTC if it names no zone), or now"
        raise UsageError(str(error), hint) from error


@contextmanager
def opened(path: Path, warn: bool = True) -> Iterator[Store]:
    """Open the log at `path` to be read. With `warn`, a missing write-ahead file is a warning."""
    with closing(stores.get("sqlite")(path, read_only=True, warn=warn)) as store:
        yield store


def check_free(path: Path) -> None:
    """Raise AlreadyExists if there is anything at the path of a new file, and UsageError if the path is that of a file
    beside one that exists: SQLite or a chain would take the new file for its own."""
    if os.path.lexists(path):
        raise AlreadyExists(f"there is a file {path} already", "name a new file, or move that one away")
    for side in SIDE_FILES:
        owner = path.with_name(path.name.removesuffix(side)) if path.name != side else path
        if path.name.endswith(side) and owner.is_file():
            raise UsageError(f"{path} would be a part of {owner}, which keeps its own files there", "give another name")


def lock_seconds() -> float | None:
    """Return how long a command that writes waits for a lock of another process (TOLLBOOK_LOCK_SECONDS); None: as
    long as the store does by itself. Raises UsageError."""
    text = os.environ.get("TOLLBOOK_LOCK_SECONDS")
    if not text:
        return None
    try:
        return checked_lock_seconds(float(text))
    except ValueError as error:
        raise UsageError(f"TOLLBOOK_LOCK_SECONDS: {text!r} is no wait", "give seconds, from 0 to 86400") from error


def within(store: Store, seq: int) -> None:
    """Raise UsageError if the log ends before that sequence."""
    if seq > (head := store.head().seq):
        raise UsageError(f"the log ends at sequence {head}, before {seq}", "give an earlier sequence")


def reading(store: Store, text: str | None) -> Reading:
    """Return the reading at the moment `text`, or at the head. Raises UsageError and Damaged."""
    chosen = PointInTime(store.head().seq, None) if text is None else moment(text)
    if chosen.seq is not None:
        within(store, chosen.seq)
    for _ in Verified(store):
        pass
    if text == "now":  # a log may be ahead of this machine's clock: what is in it has happened
        chosen = PointInTime(None, max(chosen.at or 0, store.head().at))
    first = next(iter(store.read(0)), None)
    if first is not None and chosen.at is not None and chosen.at < first.at:
        message = f"{text} is before the first event, which is of {time_text(first.at)}"
        raise BadData(message, "give a later moment")
    return as_of(store, seq=chosen.seq, at=chosen.at)


def subscriber_in(now: Reading, subscriber: str) -> str:
    """Return the subscriber as the log spells it, if it is an EVM address. Raises UsageError as `as_known` does."""
    return as_known(
        subscriber, lambda name: bool(now.balances(name)), lambda: (account.subscriber for account in now.balances())
    )


def statement_of(
    store: Store, subscriber: str, plan: str, upto: str | None, begin: str | None
) -> tuple[Reading, Statement]:
    """Return an account's statement up to the moment `upto`, and the reading there. With the moment `begin` it opens
    with the closing balance of a statement up to `begin`. An EVM address is found in any spelling.

    Raises UsageError for a moment that the log does not have, and NotFound for an account that it does not have.
    """
    start = None if begin is None else moment(begin)
    if start is not None and start.seq is not None:
        within(store, start.seq)
    now = reading(store, upto)
    if start is not None and ((start.seq or 0) > now.seq or (upto is not None and (start.at or 0) > now.at)):
        raise UsageError(f"--from {begin} is later than the end of the statement", "swap --from and --as-of")
    subscriber = subscriber_in(now, subscriber)
    if (account := now.number(subscriber, plan)) is None:
        raise NotFound(f"{subscriber} has no account on {plan}", "`tollbook balance LOG` lists the accounts")
    known = entries_of(store, account, now.seq)
    instants: dict[int, int] = {}
    pending = now.pending(subscriber, plan)
    subject = Subject(account, subscriber, plan, now.seq, now.at, now.units(subscriber, plan))
    whole = statement(subject, _noting(known, instants), pending, Begin())
    return now, whole if start is None else _later(store, whole, start, instants)


def rounding_of(store: LogReader, now: Reading, account: Statement) -> Rounding:
    """Return what rounding added to the prices of the charges on a statement."""
    sums, shown = now.rounding(), {line.seq for line in account.lines}
    for entry in entries_of(store, account.account, account.seq):
        if not isinstance(entry.event, Charged) or entry.seq in shown:
            sums.add(entry.event)
    return sums.sum()


def _noting(known: Iterable[Entry], instants: dict[int, int]) -> Iterator[Entry]:
    """Yield the entries, and note the instants of those that took effect before they were written."""
    for entry in known:
        if (instant := getattr(entry.event, "instant", None)) is not None:
            instants[entry.seq] = instant
        yield entry


def _later(store: Store, whole: Statement, start: PointInTime, instants: dict[int, int]) -> Statement:
    def before(line: StatementLine) -> bool:
        if start.at is not None:
            return instants.get(line.seq or 0, line.at) <= start.at
        return line.seq is not None and line.seq <= (start.seq or 0)

    earlier = sum(1 for _ in takewhile(before, whole.lines))
    if start.seq is not None:  # and what was due there and was written later
        earlier += len(as_of(store, seq=start.seq).pending(whole.subscriber, whole.plan))
    opening = whole.lines[earlier - 1].balance if earlier else whole.opening
    return msgspec.structs.replace(whole, opening=opening, lines=whole.lines[earlier:])
