"""Folding the log into books: all of it, or up to a sequence or a time; and snapshots of the books."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from .books import KEY_GENERATION, VERSION, Books, KeyUse
from .errors import LedgerError, WrongType, WrongValue
from .events import Recorded
from .log import Commit, Head, Snapshot, decode_commit
from .periods import microseconds
from .plugins import LogReader
from .readings import Reading
from .reducers import reduce

SNAPSHOT_VERSION = f"{VERSION}:{KEY_GENERATION}"
"""The version of snapshots. Those of another version of the reducers are ignored."""


def fold(books: Books, commit: Commit, events: Iterable[Recorded]) -> dict[bytes, KeyUse]:
    """Fold a commit's events into the books. Return the keys that they forget, as `Books.advance` does."""
    forgotten = books.advance(commit.at)
    for seq, event in enumerate(events, commit.first_seq):
        reduce(books, seq, commit.at, event)
    return forgotten


def refold(commits: Iterable[Commit]) -> Books:
    """Return the books of a whole log, folded from its first commit."""
    books = Books()
    for commit in commits:
        fold(books, commit, decode_commit(commit))
    return books


def snapshot_of(books: Books, head: Head) -> Snapshot:
    """Return a snapshot of the books at that head."""
    return Snapshot(head.seq, head.hash, SNAPSHOT_VERSION, books.dump())


def latest_snapshot(log: LogReader, upto: int | None = None) -> tuple[Books, Snapshot] | None:
    """Return the latest snapshot, and its books; None if there is none, or if it does not match the log or its
    books."""
    snapshot = log.load_snapshot(SNAPSHOT_VERSION, upto)
    commit = next(log.read(snapshot.seq - 1), None) if snapshot is not None and snapshot.seq > 0 else None
    if snapshot is None or commit is None or (commit.last_seq, commit.hash) != snapshot[:2]:
        return None
    try:
        books = Books.load(snapshot.body)
    except (msgspec.MsgspecError, ValueError):
        return None
    return (books, snapshot) if (books.seq, books.at) == (snapshot.seq, commit.at) else None


def as_of(log: LogReader, *, seq: int | None = None, at: int | datetime | None = None) -> Reading:
    """Return a reading of the books after sequence `seq`, or at time `at` (UTC microseconds, or a datetime with a time
    zone); by default at the head.

    Raises LedgerError if both are given, WrongType for a value that is neither, and LedgerError or WrongValue for what
    lies outside the log: a sequence below 0 or beyond the head, or a time before the first event.
    """
    if isinstance(at, datetime):
        at = microseconds(at)
    books = books_at(log, seq=seq, at=at)
    return Reading(books, books.at if at is None else max(at, books.at))


def check_whole(**numbers: object) -> None:
    """Raise WrongType with the name of the first argument that is neither a whole number nor None."""
    for name, value in numbers.items():
        if value is not None and type(value) is not int:
            hint = "a sequence is a number of the log, a time is in UTC microseconds"
            raise WrongType(f"{name}: a whole number is needed, {value!r} is of type {type(value).__name__}", hint)


def check_range(since: object, upto: object) -> None:
    """Raise WrongType where an end of a range is no whole number, and WrongValue for one that ends before it begins."""
    check_whole(since=since, upto=upto)
    if isinstance(since, int) and isinstance(upto, int) and since > upto:
        raise WrongValue(f"since: {since} is after upto, {upto}", "swap them")


def books_at(log: LogReader, *, seq: int | None = None, at: int | None = None) -> Books:
    """Return the books that `as_of` reads. Raises LedgerError as it does."""
    check_whole(seq=seq, at=at)
    if seq is not None and at is not None:
        raise LedgerError(
            "the books are read at a sequence or at a time", "give either `seq`, or `at` in UTC microseconds"
        )
    if seq is not None and seq > (head := log.head().seq):
        raise LedgerError(f"the log ends at sequence {head}", "give an earlier sequence")
    if seq is not None and seq < 0:
        raise WrongValue(f"seq: {seq} is below 0, where the log begins", "give a later sequence")
    if at is not None and (first := next(log.read(0), None)) is not None and at < first.at:
        raise WrongValue(f"at: {at} is before the first event, which is of {first.at}", "give a later time")
    cached = latest_snapshot(log, seq) if at is None else None
    books = cached[0] if cached is not None else Books()
    for commit in log.read(books.seq):
        if (at is not None and commit.at > at) or (seq is not None and commit.first_seq > seq):
            break
        events = decode_commit(commit)
        fold(books, commit, events if seq is None else events[: seq - commit.first_seq + 1])
    return books
