"""A log in memory, for tests and examples: gone when the process ends."""

from __future__ import annotations

import uuid
from bisect import bisect_right
from collections.abc import Iterator

from ..errors import Closed, Conflict, NotFound
from ..log import Commit, Head, Snapshot, origin


class MemoryStore:
    """Store that keeps commits in a list. `where`, `read_only` and `lock_seconds` are accepted and ignored; without
    `create` there is none (NotFound)."""

    def __init__(
        self,
        where: object = None,
        id: str | None = None,
        read_only: bool = False,
        lock_seconds: float = 0,
        create: bool = True,
    ) -> None:
        if not create:
            raise NotFound("a log in memory is always a new one", "give the path of a file, or leave out `create`")
        self.id = id or str(uuid.uuid4())
        self._commits: list[Commit] = []
        self._snapshots: list[Snapshot] = []
        self._closed = False

    def head(self) -> Head:
        """Return the head of the log."""
        self._check_open()
        return self._commits[-1].head if self._commits else origin(self.id)

    def append(self, expected: Head, commit: Commit) -> None:
        """Append the commit. Raises Conflict unless the head is still `expected`."""
        if self.head()[:2] != expected[:2]:
            raise Conflict("the head moved: another writer appended a commit")
        self._commits.append(commit)

    def read(self, after: int = 0) -> Iterator[Commit]:
        """Yield all commits with an event after that sequence."""
        self._check_open()
        yield from self._commits[bisect_right(self._commits, after, key=lambda commit: commit.last_seq) :]

    def load_snapshot(self, version: str, upto: int | None = None) -> Snapshot | None:
        """Return the latest snapshot of that version, at or before `upto`."""
        self._check_open()
        fitting = [kept for kept in self._snapshots if kept.version == version and (upto is None or kept.seq <= upto)]
        return max(fitting, default=None)

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot; it replaces one of the same sequence."""
        self._check_open()
        self._snapshots = [kept for kept in self._snapshots if kept.seq != snapshot.seq] + [snapshot]

    def reader(self) -> MemoryReader:
        """Return a reader of the same list."""
        return MemoryReader(self)

    def close(self) -> None:
        """Close the store. A second call does nothing."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise Closed("the store is closed")


class MemoryReader:
    """Reads a log in memory beside its writer: commits are only ever added to its list."""

    def __init__(self, store: MemoryStore) -> None:
        self.id = store.id
        self._store = store
        self._closed = False

    def head(self) -> Head:
        """Return the head of the log."""
        return self._open_store().head()

    def read(self, after: int = 0) -> Iterator[Commit]:
        """Yield the commits with an event after that sequence, up to the head at the first of them."""
        for commit in self._open_store().read(after):
            yield commit
            self._open_store()

    def load_snapshot(self, version: str, upto: int | None = None) -> Snapshot | None:
        """Return the latest snapshot of that version, at or before `upto`."""
        return self._open_store().load_snapshot(version, upto)

    def close(self) -> None:
        """Stop reading. A second call does nothing."""
        self._closed = True

    def _open_store(self) -> MemoryStore:
        if self._closed:
            raise Closed("the reader is closed")
        return self._store
