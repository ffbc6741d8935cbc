"""Readers of a ledger's log, each used by one reading at a time.

A store that offers readers (`plugins.ReadableStore`) is read while it is written. Any other store is read itself, in
parts, under the lock of its writer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice

from .errors import Closed
from .log import Commit, Head, IndexPart, Snapshot
from .plugins import IndexKeeper, LogReader, ReadableStore, Store

MAX_IDLE = 4
"""Maximum number of idle readers that are kept open."""
COMMITS_AT_ONCE = 53
"""Number of commits that are read under the writer's lock in one go; a commit may have thousands of events. (SQLite
fetches 1, 4, 16 and 32 commits at a time: 53 in all.)"""


class Readers:
    """The readers of one ledger's log. `lock` is the lock of the store's writer."""

    def __init__(self, store: Store, lock: threading.RLock) -> None:
        self._store, self._writing = store, lock
        self._lock = threading.Lock()
        self._idle: list[LogReader] = []
        self._lent: list[LogReader] = []
        self._closed = False

    @contextmanager
    def lend(self) -> Iterator[LogReader]:
        """Lend a reader within the block. Raises Closed."""
        with self._lock:
            if self._closed:
                raise Closed("the ledger is closed")
            reader = self._idle.pop() if self._idle else self._opened()
            self._lent.append(reader)
        try:
            yield reader
        finally:
            with self._lock:
                self._lent.remove(reader)
                kept = not self._closed and len(self._idle) < MAX_IDLE
                if kept:
                    self._idle.append(reader)
            if not kept:
                reader.close()

    def close(self) -> None:
        """Close all readers; a reading in progress raises Closed."""
        with self._lock:
            self._closed = True
            readers = [*self._idle, *self._lent]
            self._idle.clear()
        for reader in readers:
            reader.close()

    def _opened(self) -> LogReader:
        return self._store.reader() if isinstance(self._store, ReadableStore) else _SharedReader(self)


class _SharedReader:
    """A reader of a store that offers none: it reads the store in parts, under the lock of its writer."""

    def __init__(self, readers: Readers) -> None:
        self.id = readers._store.id
        self._store, self._lock = readers._store, readers._writing

    def head(self) -> Head:
        with self._lock:
            return self._store.head()

    def read(self, after: int = 0) -> Iterator[Commit]:
        limit = 1  # most callers need one commit only
        while True:
            with self._lock:
                part = list(islice(self._store.read(after), limit))
            yield from part
            if len(part) < limit:
                return
            after, limit = part[-1].last_seq, COMMITS_AT_ONCE

    def load_snapshot(self, version: str, upto: int | None = None) -> Snapshot | None:
        with self._lock:
            return self._store.load_snapshot(version, upto)

    def close(self) -> None:
        """Release nothing: the store is the ledger's."""


class LogView:
    """A log up to one head: commits appended later are not read. `pause` is called before each commit, so that a long
    reading lets writers go first."""

    def __init__(self, log: LogReader, head: Head, pause: Callable[[], None]) -> None:
        self.id = log.id
        self._log, self._head, self._pause = log, head, pause

    def head(self) -> Head:
        """Return the head of this view."""
        return self._head

    def read(self, after: int = 0) -> Iterator[Commit]:
        """Yield the commits with an event after that sequence, up to the view's head."""
        for commit in self._log.read(after) if after < self._head.seq else ():
            if commit.last_seq > self._head.seq:
                return
            self._pause()
            yield commit

    def load_snapshot(self, version: str, upto: int | None = None) -> Snapshot | None:
        """Return the latest snapshot of that version, at or before `upto` and the view's head."""
        return self._log.load_snapshot(version, self._head.seq if upto is None else min(upto, self._head.seq))

    def load_index(self) -> list[IndexPart]:
        """Return the parts of the index that end at or before the view's head; none if the log stores no index."""
        parts = self._log.load_index() if isinstance(self._log, IndexKeeper) else []
        return [part for part in parts if part.upto <= self._head.seq]

    def close(self) -> None:
        """Release nothing: the reader is lent."""
