"""The rows of a log as stored, before anything in them is believed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import msgspec

from ledger.errors import LedgerError
from ledger.folding import SNAPSHOT_VERSION
from ledger.log import IndexPart, KeysEnd, Snapshot, origin
from ledger.plugins import IndexKeeper, KeyKeeper, Store

BROKEN = (sqlite3.Error, UnicodeError)
"""What reading a damaged file raises: SQLite quotes a damaged schema in its message."""


class Row(msgspec.Struct, frozen=True):
    """One commit as stored. Only `first_seq` is sure to be of its type; `body` and `hash` are None where they are not
    bytes, and `kind` is 0 where the body is neither text nor a blob."""

    first_seq: int
    count: object
    at: object
    kind: int
    body: bytes | None
    hash: bytes | None


class Flaw(NamedTuple):
    """A fault of a log's storage, outside the commits: what is faulty, what it should be, and what it is."""

    field: str
    expected: str | None
    found: str | None
    message: str


class Unreadable(Exception):
    """The rest of the log cannot be read."""


class Source(Protocol):
    """A log to read rows from, more than once. `id` is the ledger's, `origin` the hash before the first commit."""

    name: str
    id: str
    origin: bytes

    def rows(self) -> Iterator[Row]:
        """Yield all commits in order. Raises Unreadable where they cannot be read further."""
        ...

    def last(self) -> int:
        """Return the first sequence of the last commit, as far as it is known; 0 for an empty log."""
        ...

    def snapshots(self) -> dict[int, Snapshot]:
        """Return, by sequence, the snapshots that claim to be of our version and whose own digest is right."""
        ...

    def index(self) -> list[IndexPart]:
        """Return the parts of the index of accounts whose own digest is right, in the order of their ends."""
        ...

    def keys_end(self) -> KeysEnd | None:
        """Return the end of the stored older keys; None if none are stored, or if it cannot be read."""
        ...

    def find_key(self, digest: bytes) -> int:
        """Return the sequence stored with a key; 0 if there is none. Raises Damaged if keys were lost."""
        ...

    def living_keys(self) -> int | None:
        """Return the number of stored keys whose time was not over at their end; None where they cannot be counted."""
        ...

    def flaws(self) -> list[Flaw]:
        """Return the damage that the storage itself reports, and where its schema is not that of a log."""
        ...

    def additions(self) -> list[str]:
        """Name what the storage has beside the log, and which is no part of it."""
        ...

    def incomplete(self) -> str:
        """Describe commits that the storage had and that are missing; empty if none are known to be."""
        ...

    def close(self) -> None:
        """Close the log."""
        ...


class StoreRows:
    """The rows of an open store."""

    def __init__(self, store: Store) -> None:
        self.name = str(getattr(store, "path", store.id))
        self._store, self.id = store, store.id
        self.origin = origin(store.id).hash
        self._upto = store.head().seq

    def rows(self) -> Iterator[Row]:
        """Yield all commits up to the head that there was when this was made."""
        try:
            for commit in self._store.read(0):
                if commit.first_seq > self._upto:
                    return
                yield Row(commit.first_seq, commit.count, commit.at, commit.kind, commit.body, commit.hash)
        except (LedgerError, *BROKEN) as error:
            raise Unreadable(str(error)) from error

    def last(self) -> int:
        """Return the last sequence."""
        return self._upto

    def snapshots(self) -> dict[int, Snapshot]:
        """Return the snapshots that the store would load."""
        found: dict[int, Snapshot] = {}
        upto = self._upto
        while upto > 0 and (snapshot := self._store.load_snapshot(SNAPSHOT_VERSION, upto)) is not None:
            found[snapshot.seq] = snapshot
            upto = min(upto, snapshot.seq) - 1
        return found

    def index(self) -> list[IndexPart]:
        """Return the parts of the index that the store would load."""
        parts = self._store.load_index() if isinstance(self._store, IndexKeeper) else []
        return [part for part in parts if part.upto <= self._upto]

    def keys_end(self) -> KeysEnd | None:
        """Return the end of the keys that the store has, unless another process has moved it beyond what is read."""
        end = self._store.keys_end() if isinstance(self._store, KeyKeeper) else None
        return end if end is not None and end.upto <= self._upto else None

    def find_key(self, digest: bytes) -> int:
        """Return the sequence that the store has for a key."""
        return self._store.find_key(digest, 0) if isinstance(self._store, KeyKeeper) else 0

    def living_keys(self) -> int | None:
        """Return None: a store finds keys, and counts none."""
        return None

    def flaws(self) -> list[Flaw]:
        """Return nothing: a store reports damage by failing to read."""
        return []

    def additions(self) -> list[str]:
        """Return nothing: it is unknown."""
        return []

    def incomplete(self) -> str:
        """Return nothing: a store reports this when it is opened."""
        return ""

    def close(self) -> None:
        """Leave the store open: it belongs to the caller."""
