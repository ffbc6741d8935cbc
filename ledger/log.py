"""The log: commits, their chain of hashes, and the head.

A commit is what became durable together: events, one after another, under one time. Its hash covers the hash before it
and exactly the bytes on disk.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from .errors import Damaged
from .events import Event, Recorded, decode, encode

FORMAT = 2
"""The format of the log, in its hashes and in `user_version`: it goes up where folding changes."""
TEXT, COLUMNS = 1, 2
"""Kinds of body: a JSON array of events as text, or an Arrow stream of columns for bulk work."""

_FRAME = struct.Struct(">QIqBQ")


class Head(NamedTuple):
    """The end of a log: the last sequence (0 when empty), the hash there, the time and the number of commits."""

    seq: int
    hash: bytes
    at: int = 0


class Commit(msgspec.Struct, frozen=True):
    """One row of the log. `body` is the bytes as stored; `at` is UTC microseconds."""

    first_seq: int
    count: int
    at: int
    kind: int
    body: bytes
    hash: bytes

    @property
    def last_seq(self) -> int:
        """The sequence of the commit's last event."""
        return self.first_seq + self.count - 1

    @property
    def head(self) -> Head:
        """The head of a log that ends with this commit."""
        return Head(self.last_seq, self.hash, self.at)


class Snapshot(NamedTuple):
    """Books as they were at a sequence: a cache, bound to the hash there and to the version of the reducers."""

    seq: int
    hash: bytes
    version: str
    body: bytes


class IndexPart(NamedTuple):
    """The events of each account after one sequence, up to another and the hash there: a cache, as a snapshot is."""

    after: int
    upto: int
    hash: bytes
    body: bytes


class Entry(NamedTuple):
    """One event in its place."""

    seq: int
    at: int
    event: Recorded


def origin(ledger_id: str) -> Head:
    """The head of an empty ledger: its hash chain begins at SHA-256(id ‖ format)."""
    return Head(0, hashlib.sha256(ledger_id.encode() + struct.pack(">I", FORMAT)).digest())


def commit_hash(previous: bytes, first_seq: int, count: int, at: int, kind: int, body: bytes) -> bytes:
    """SHA-256(previous[32] ‖ first_seq u64 ‖ count u32 ‖ at i64 ‖ kind u8 ‖ len(body) u64 ‖ body), big-endian."""
    digest = hashlib.sha256(previous + _FRAME.pack(first_seq, count, at, kind, len(body)))
    digest.update(body)
    return digest.digest()


def encode_commit(head: Head, at: int, events: Sequence[Event]) -> Commit:
    """The commit that puts `events` after `head`."""
    body = encode(events)
    first = head.seq + 1
    return Commit(first, len(events), at, TEXT, body, commit_hash(head.hash, first, len(events), at, TEXT, body))


def decode_commit(commit: Commit) -> list[Recorded]:
    """The events of a commit. Raises Damaged where the body does not hold them."""
    try:
        if commit.kind != TEXT:
            raise ValueError(f"this release does not read a body of kind {commit.kind}")
        events = decode(commit.body)
        if len(events) != commit.count:
            raise ValueError(f"it says {commit.count} events and holds {len(events)}")
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Damaged(f"commit {commit.first_seq} cannot be read: {error}") from error
    return events


def entries(commits: Iterable[Commit]) -> Iterator[Entry]:
    """The events of the commits, each in its place."""
    for commit in commits:
        for seq, event in enumerate(decode_commit(commit), commit.first_seq):
            yield Entry(seq, commit.at, event)
