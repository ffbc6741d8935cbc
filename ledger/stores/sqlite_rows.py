"""The rows of a log in an SQLite file, and a reader of them on a connection of its own.

A reader holds no transaction between two statements: rows are never changed, so what it reads up to a head stays true,
and a long reading keeps neither a checkpoint nor the emptying of the write-ahead file waiting.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..errors import Closed, Damaged, Locked, LogError, NotALog
from ..forking import register
from ..log import BINARY, TEXT, Commit, Head, IndexPart, Snapshot, origin
from .lock_wait import LOCK_SECONDS, locked_or
from .paths import check_in_place
from .schema import INDEX
from .wal_mark import write_ahead_file

MAX_AT_ONCE = 32
"""Commits that one statement reads at most: each may hold thousands of events."""

_HEAD = "SELECT first_seq, count, at, hash FROM commits ORDER BY first_seq DESC LIMIT 1"
_COMMIT_AT = "SELECT first_seq FROM commits WHERE first_seq <= ? ORDER BY first_seq DESC LIMIT 1"
_COMMITS = (
    "SELECT first_seq, count, at, typeof(body), CAST(body AS BLOB), hash FROM commits "
    "WHERE first_seq >= ? ORDER BY first_seq LIMIT ?"
)
_SNAPSHOTS = (
    "SELECT seq, hash, version, body, digest FROM snapshots WHERE version = ? AND seq <= ? "
    "AND typeof(hash) = 'blob' AND typeof(body) = 'blob' ORDER BY seq DESC"
)
_INDEX = (
    "SELECT after, upto, hash, body, digest FROM account_index WHERE typeof(after) = 'integer' "
    "AND typeof(hash) = 'blob' AND typeof(body) = 'blob' ORDER BY upto"
)
_END_AT = "SELECT first_seq + count - 1, hash FROM commits WHERE first_seq <= ? ORDER BY first_seq DESC LIMIT 1"


class SQLiteRows(ABC):
    """Reads the tables of a log in statements that each end quickly."""

    id: str
    path: Path
    _file: Path
    _identity: tuple[int, int] | None

    @abstractmethod
    def _execute(self, sql: str, *parameters: object) -> list[Any]:
        """Run a statement and return its rows. Raises Closed, Locked, Damaged or LogError."""

    def head(self) -> Head:
        """Return the head of the log. Raises LogError if another file is in its place by now."""
        check_in_place(self._file, self._identity, LogError)
        row = self._execute(_HEAD)
        if not row:
            return origin(self.id)
        first_seq, count, at, hash_ = row[0]
        self._check_row(first_seq, count, at, hash_)
        return Head(first_seq + count - 1, hash_, at)

    def read(self, after: int = 0) -> Iterator[Commit]:
        """Yield all commits with an event after that sequence, also those that are appended meanwhile.

        The first is read alone, since often it is all that is asked for, then ever more at a time.
        """
        first = self._execute(_COMMIT_AT, after + 1)
        begin, limit = first[0][0] if first else 0, 1
        while True:
            rows = self._execute(_COMMITS, begin, limit)
            limit = min(4 * limit, MAX_AT_ONCE)
            for first_seq, count, at, kind, body, hash_ in rows:
                self._check_row(first_seq, count, at, hash_, body)
                if first_seq < begin:
                    raise Damaged(f"{self.path}: the commits at {begin} are not in order")
                begin = first_seq + count
                if begin - 1 > after:
                    yield Commit(first_seq, count, at, TEXT if kind == "text" else BINARY, body, hash_)
            if not rows:
                return

    def load_snapshot(self, version: str, upto: int | None = None) -> Snapshot | None:
        """Return the latest snapshot of that version whose digest holds and whose hash the log has; others are
        ignored."""
        try:
            rows = self._execute(_SNAPSHOTS, version, 2**62 if upto is None else upto)
        except (Locked, Closed):
            raise
        except LogError:  # a cache that is gone or cannot be read is no cache
            return None
        for *fields, digest in rows:
            snapshot = Snapshot(*fields)
            end = self._execute(_END_AT, snapshot.seq)
            if end == [(snapshot.seq, snapshot.hash)] and digest == snapshot_digest(snapshot):
                return snapshot
        return None

    def load_index(self) -> list[IndexPart]:
        """Return the parts of the index whose own digest holds."""
        try:
            rows = self._execute(_INDEX)
        except (Locked, Closed):
            raise
        except LogError:  # a cache that is gone or cannot be read is no cache
            return []
        return [part for *fields, digest in rows if digest == index_digest(part := IndexPart(*fields))]

    def save_index(self, part: IndexPart) -> None:
        """Keep a part of the index. Raises LogError where this is only read."""
        self._execute(INDEX.replace("TABLE", "TABLE IF NOT EXISTS"))  # it is a cache, and may have been dropped
        self._execute("INSERT OR REPLACE INTO account_index VALUES (?, ?, ?, ?, ?)", *_row_of(part))

    def _check_row(self, first_seq: object, count: object, at: object, hash_: object, body: object = b"") -> None:
        """Raise Damaged for a row that STRICT and the triggers would refuse: a damaged page may hold one."""
        numbers = isinstance(first_seq, int) and isinstance(count, int) and first_seq >= 1 and 1 <= count < 2**32
        if not (numbers and isinstance(at, int) and isinstance(hash_, bytes) and isinstance(body, bytes)):
            raise Damaged(f"{self.path}: the row of the commit at {first_seq} has invalid values")


class SQLiteReader(SQLiteRows):
    """Reads the log in `file` while any process writes it, on a read-only connection that is opened when it is needed.

    While a process forks the connection is closed. `close` waits for a statement that another thread runs, and raises
    Closed in its next one.
    """

    def __init__(
        self, file: Path, id: str, identity: tuple[int, int] | None, lock_seconds: float = LOCK_SECONDS
    ) -> None:
        self.path = self._file = file
        self.id, self._identity, self._lock_seconds = id, identity, lock_seconds
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        register(self)

    def close(self) -> None:
        """Close the connection. A second call does nothing."""
        with self._lock:
            self._closed = True
            self._disconnect()

    def _execute(self, sql: str, *parameters: object) -> list[Any]:
        try:
            with self._lock:
                return self._connected().execute(sql, parameters).fetchall()
        except (sqlite3.DatabaseError, UnicodeError) as error:
            raise reading_error(self.path, error, self._lock_seconds) from error

    def _connected(self) -> sqlite3.Connection:
        if self._closed:
            raise Closed("the reader is closed")
        if self._connection is None:
            uri = reading_uri(self.path)
            self._connection = sqlite3.connect(
                uri, uri=True, timeout=self._lock_seconds, isolation_level=None, check_same_thread=False
            )
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _pause_for_fork(self, seconds: float) -> bool:
        if not self._lock.acquire(timeout=seconds):
            return False
        self._disconnect()
        return True

    def _resume_after_fork(self) -> None:
        self._lock.release()


def reading_uri(path: Path) -> str:
    """Return the URI by which SQLite opens a log to read it, and only that, beside a writer or without one."""
    uri = file_uri(path, "ro")
    if os.access(path.absolute().parent, os.W_OK) or write_ahead_file(path).exists():
        return uri
    return f"{uri}&immutable=1"  # a log in WAL mode cannot be read where its side files cannot be made


def file_uri(path: Path, mode: str) -> str:
    """Return SQLite's URI of a file; `mode` is `ro`, `rw` or `rwc`."""
    return f"file:{quote(os.fsencode(path.absolute()))}?mode={mode}"


def remove_side_files(path: Path) -> None:
    """Remove the side files that SQLite makes to read a log in WAL mode and that a read-only connection leaves behind.

    SQLite removes them when the last connection that may write is closed. An empty `-wal` has nothing that this could
    write into the log, and while a writer has the log open this connection is not the last.
    """
    with suppress(OSError, sqlite3.Error, UnicodeError):  # SQLite quotes a damaged schema in its message
        if write_ahead_file(path).stat().st_size == 0:
            with closing(sqlite3.connect(file_uri(path, "rw"), uri=True, timeout=0)) as connection:
                connection.execute("SELECT count(*) FROM sqlite_master")


def snapshot_digest(snapshot: Snapshot) -> bytes:
    """Return the SHA-256 of a snapshot with all that it is bound to."""
    bound = f"{snapshot.seq} {snapshot.hash.hex()} {snapshot.version} ".encode()
    return hashlib.sha256(bound + snapshot.body).digest()


def index_digest(part: IndexPart) -> bytes:
    """Return the SHA-256 of a part of the index with all that it is bound to."""
    bound = f"1 {part.after} {part.upto} {part.hash.hex()} ".encode()
    return hashlib.sha256(bound + part.body).digest()


def _row_of(part: IndexPart) -> tuple[object, ...]:
    return part.upto, part.after, part.hash, part.body, index_digest(part)


def reading_error(path: Path, error: Exception, lock_seconds: float) -> LogError:
    """Return the error of ours for one that reading raised: text that is no text has no code of SQLite's, since Python
    finds it."""
    if isinstance(error, sqlite3.OperationalError) and hasattr(error, "sqlite_errorname"):
        return locked_or(error, LogError(f"{path}: {error}"), lock_seconds)
    return Damaged(f"{path}: {error}")


def opening_error(path: Path, error: Exception, lock_seconds: float) -> LogError:
    """Return the error to raise for one that opening the file raised: NotALog, Locked or LogError."""
    if getattr(error, "sqlite_errorname", "") == "SQLITE_NOTADB":
        return NotALog(f"{path} is not an SQLite file")
    if isinstance(error, sqlite3.OperationalError):
        return locked_or(error, LogError(f"{path}: {error}", "check the path and its permissions"), lock_seconds)
    return NotALog(f"{path} is damaged or not a ledger: {error}")
