"""Commits, their hash chain, and the head.

A commit is what became durable together: events, one after another, under one time. Its hash covers the hash of its
predecessor and exactly the bytes on disk.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from ..errors import Damaged
from ..events import Event, Recorded
from .bodies import TEXT, UNREADABLE, decode, encode

FORMAT = 2
"""The format of the log, in its hashes and in `user_version`: it goes up where folding changes."""

_FRAME = struct.Struct(">QIqBQ")


class Head(NamedTuple):
    """The end of a log: its last sequence (0 when empty), the hash there, and the time (UTC microseconds)."""

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
        """Return the head of a log that ends with this commit."""
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


class StoredKey(NamedTuple):
    """An idempotency key that the books no longer hold: its digest, the first event of the command that used it last,
    and the time until which it is remembered (UTC microseconds)."""

    digest: bytes
    seq: int
    until: int


class KeysEnd(NamedTuple):
    """The end of the stored keys: the log's last sequence that they cover, the hash of the commit which has that, and
    the log's time when they were stored (UTC microseconds). Keys whose time was over by then may be missing."""

    upto: int
    hash: bytes
    at: int


class Entry(NamedTuple):
    """One event with its sequence and time (UTC microseconds)."""

    seq: int
    at: int
    event: Recorded


def origin(ledger_id: str) -> Head:
    """Return the head of an empty ledger: its hash chain begins at SHA-256(id ‖ format)."""
    return Head(0, hashlib.sha256(ledger_id.encode() + struct.pack(">I", FORMAT)).digest())


def commit_hash(previous: bytes, first_seq: int, count: int, at: int, kind: int, body: bytes) -> bytes:
    """Return SHA-256(previous[32] ‖ first_seq u64 ‖ count u32 ‖ at i64 ‖ kind u8 ‖ len(body) u64 ‖ body).

    Numbers are big-endian.
    """
    digest = hashlib.sha256(previous + _FRAME.pack(first_seq, count, at, kind, len(body)))
    digest.update(body)
    return digest.digest()


def encode_commit(head: Head, at: int, events: Sequence[Event]) -> Commit:
    """Return the commit that appends `events` after `head`, at a time in UTC microseconds."""
    body = encode(events)
    first = head.seq + 1
    return Commit(first, len(events), at, TEXT, body, commit_hash(head.hash, first, len(events), at, TEXT, body))


def decode_commit(commit: Commit) -> list[Recorded]:
    """Return the events of a commit. Raise Damaged if its body does not hold them."""
    try:
        events = decode(commit.kind, commit.body)
        if len(events) != commit.count:
            raise ValueError(f"it says {commit.count} events and holds {len(events)}")
    except UNREADABLE as error:
        raise Damaged(f"commit {commit.first_seq} cannot be read: {error}") from error
    return events


def entries(commits: Iterable[Commit]) -> Iterator[Entry]:
    """Yield the events of the commits, each with its sequence and time. Raise Damaged as `decode_commit` does."""
    for commit in commits:
        for seq, event in enumerate(decode_commit(commit), commit.first_seq):
            yield Entry(seq, commit.at, event)
