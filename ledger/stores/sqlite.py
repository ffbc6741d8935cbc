"""The log in an SQLite file: one row a commit, appended under the write lock with a full sync.

The file opens in plain `sqlite3` and in Datasette: the view `events` unpacks the commits, `accounts`, `plans` and
`agents` give the numbers their names. Triggers refuse every change but the next commit.
"""

from __future__ import annotations

import os
import sqlite3
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import (
    Closed,
    Conflict,
    Damaged,
    Locked,
    LogError,
    NotALog,
    NotFound,
    NotWritten,
    OutcomeUnknown,
    WrongVersion,
)
from ..log import FORMAT, TEXT, Commit, Head, Snapshot, origin
from .fair_lock import FairLock
from .schema import SCHEMA, SNAPSHOTS, statements
from .sqlite_rows import (
    LOCK_SECONDS,
    SQLiteReader,
    SQLiteRows,
    file_uri,
    locked_or,
    reading_error,
    reading_uri,
    snapshot_digest,
)
from .wal_mark import (
    CHECKPOINT_PAGES,
    MISSING,
    MISSING_HINT,
    NothingWritten,
    clear_mark,
    marked,
    misses_write_ahead_file,
    set_mark,
    write_ahead_file,
)

APPLICATION_ID = 0x546F6C6C  # "Toll"
_PAGE = 4_096

_APPEND = """
INSERT INTO commits (first_seq, count, at, body, hash) SELECT ?, ?, ?, ?, ?
WHERE (SELECT first_seq + count - 1, hash FROM commits ORDER BY first_seq DESC LIMIT 1) IS (?, ?)
"""
"""A commit after a head: compared and appended in one statement, inside the write lock."""


class IncompleteLog(UserWarning):
    """A log is read whose own file says that it is not all of it. `hint` says what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class SQLiteStore(SQLiteRows):
    """A log in the file `where`, made where there is none (with `id`, or a new one) unless `read_only`.

    Raises NotFound, NotALog, WrongVersion or Locked; and Damaged where it is to be written and its write-ahead file is
    missing though it had commits, since what is written then would follow an older log than the one that was
    acknowledged. It can be read, with an `IncompleteLog` warning (not with `warn` off), and `incomplete` says so.
    """

    def __init__(self, where: str | Path, id: str | None = None, read_only: bool = False, warn: bool = True) -> None:
        self.path = Path(where)
        self._file = self.path.absolute()  # the process may go to another folder, and the file be opened anew
        self._read_only = read_only
        self.incomplete = False
        self._connection: sqlite3.Connection | None = None
        self._fair_lock = FairLock(write_ahead_file(self._file))
        self._paused = self._held = False
        self._unmarked_pages = CHECKPOINT_PAGES
        self._half_marked = False
        try:
            self._connect(create=not read_only)
            self.id = self._identify(id)
            self._check_whole()
        except (sqlite3.DatabaseError, UnicodeError) as error:
            self.close()
            raise _opening_error(self.path, error) from error
        except BaseException:
            self.close()
            raise
        if self.incomplete and warn:
            warnings.warn(IncompleteLog(f"{self.path}: {MISSING}", MISSING_HINT), stacklevel=3)

    def append(self, expected: Head, commit: Commit) -> None:
        """Write one row and sync it, if the head is still `expected`."""
        connection = self._open_connection()
        if self._read_only:
            raise NotWritten(f"{self.path} was opened only to be read", "open it to be written, too")
        committing = False
        try:
            if not self._held:
                self._undo_what_was_left(connection)
                self._mark(connection, commit)
                connection = self._open_connection()
                self._begin(connection)
            body: str | bytes = commit.body.decode() if commit.kind == TEXT else commit.body
            row = (commit.first_seq, commit.count, commit.at, body, commit.hash)
            empty = not expected.seq and expected.hash == origin(self.id).hash
            before = (None, None) if empty else expected[:2]
            if not connection.execute(_APPEND, (*row, *before)).rowcount:
                raise Conflict("the head moved")
            committing = True
            connection.execute("COMMIT")
            self._unmarked_pages += 2 + len(commit.body) // _PAGE
        except sqlite3.Error as error:
            if not committing:
                self._roll_back()
                raise self._not_written(error) from error
            self._find_out(commit, error)
        except BaseException:
            self._roll_back()
            raise
        finally:
            self._held = False

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Nobody else writes inside, up to the first append. Raises Locked."""
        try:
            connection = self._open_connection()
            self._undo_what_was_left(connection)
            if not self._read_only:
                self._mark(connection)
            self._begin(self._open_connection())
        except sqlite3.Error as error:
            raise self._not_written(error) from error
        self._held = True
        try:
            yield
        finally:
            self._held = False
            self._roll_back()

    def reader(self) -> SQLiteReader:
        """Return a reader of the same file on a connection of its own. Close it before the store."""
        return SQLiteReader(self._file, self.id)

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep this snapshot and the one before it."""
        self._execute(SNAPSHOTS.replace("TABLE", "TABLE IF NOT EXISTS"))  # it is a cache, and may have been dropped
        row = (*snapshot, snapshot_digest(snapshot))
        self._execute("INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?, ?)", *row)
        self._execute(
            "DELETE FROM snapshots WHERE seq > 0 AND seq NOT IN (SELECT seq FROM snapshots ORDER BY seq DESC LIMIT 2)"
        )
        self._unmarked_pages += len(snapshot.body) // _PAGE

    def pause(self) -> None:
        """Let go of the file until it is next needed."""
        if self._connection is not None and not self._connection.in_transaction:
            self.close()
            self._paused = True

    def close(self) -> None:
        """Close the file. Reading leaves nothing behind."""
        self._paused = False
        if self._connection is not None:
            if self._half_marked:
                self._unmark(self._connection)
            self._fair_lock.close()
            self._connection.close()
            self._connection = None
            if self._read_only:
                remove_side_files(self._file)

    # -- the connection ------------------------------------------------------------------------------------------------

    def _connect(self, create: bool) -> None:
        if not create and not self._file.exists():
            raise NotFound(f"there is no file {self.path}")
        if self._file.is_dir():
            raise NotALog(f"{self.path} is a folder")
        if self._file.exists() and not self._file.is_file():
            raise NotALog(f"{self.path} is not a file")  # opening a pipe would wait for its other end
        where = reading_uri(self._file) if self._read_only else file_uri(self._file, "rwc" if create else "rw")
        self._connection = sqlite3.connect(
            where, uri=True, timeout=LOCK_SECONDS, isolation_level=None, check_same_thread=False
        )
        if not self._read_only:
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA wal_autocheckpoint = 0")  # `_mark` does it
        self._unmarked_pages, self._half_marked = CHECKPOINT_PAGES, False

    def _identify(self, new: str | None) -> str:
        """The ledger's id; a file that is empty becomes a ledger."""
        connection = self._open_connection()
        if not self._read_only and not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            self._create(new or str(uuid.uuid4()))
        if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise NotALog(f"{self.path} is not a Tollbook ledger")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version != FORMAT:
            raise WrongVersion(f"{self.path} has format {version}, and this release reads format {FORMAT}")
        self._check_tables(connection)
        row = connection.execute("SELECT id FROM ledger").fetchone()
        if row is None or not isinstance(row[0], str):
            raise NotALog(f"{self.path} has lost its id")
        if not self._read_only:
            _turn_to_wal(connection)  # a copy may have been made in another mode
        return row[0]

    def _check_whole(self) -> None:
        """Whether the write-ahead file is there, where the log's own file says that it had one with commits."""
        connection = self._open_connection()
        self.incomplete = misses_write_ahead_file(connection, self._file)
        if self._read_only:
            return
        if self.incomplete:
            raise Damaged(f"{self.path}: {MISSING}", MISSING_HINT)
        self._unmark(connection)

    def _unmark(self, connection: sqlite3.Connection) -> None:
        """Take away a mark whose setting was cut short, here or in a writer that died: what it speaks of is there."""
        if marked(connection):
            with self._fair_lock.turn(LOCK_SECONDS), suppress(sqlite3.Error):  # else the next who opens it does
                clear_mark(connection)
        self._half_marked = False

    def _mark(self, connection: sqlite3.Connection, commit: Commit | None = None) -> None:
        """Before the first commit, and when about so many pages were written ahead: have these written into the log's
        file, with the mark that more follows beside it. A failure is told as one of `commit`, the next one, which is
        not begun: where a write of the mark may or may not be on the disk, no commit may follow it."""
        if self._unmarked_pages < CHECKPOINT_PAGES:
            return
        self._half_marked = True
        try:
            with self._fair_lock.turn(LOCK_SECONDS):
                complete = set_mark(connection)
        except NothingWritten as failed:
            raise failed.error from None
        except sqlite3.Error as error:
            self._find_out(commit, error)
        self._half_marked = False
        self._unmarked_pages = 0 if complete else CHECKPOINT_PAGES * 7 // 8

    def _check_tables(self, connection: sqlite3.Connection) -> None:
        """A view or a virtual table in the place of a table may never end."""
        sql = (
            "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('ledger', 'commits') "
            "AND sql NOT LIKE 'CREATE VIRTUAL %'"
        )
        if connection.execute(sql).fetchone()[0] != 2:
            raise NotALog(f"{self.path} has no table of commits, or none of its id")

    def _create(self, id: str) -> None:
        connection = self._open_connection()
        _turn_to_wal(connection)
        connection.execute("BEGIN IMMEDIATE")
        try:
            if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                for statement in statements(SCHEMA):
                    connection.execute(statement)
                connection.execute("INSERT INTO ledger VALUES (?, ?)", (id, FORMAT))
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {FORMAT}")
            connection.execute("COMMIT")
            # A lost side file may make the log shorter, but must not leave an empty one: a writer would make a new log.
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _find_out(self, commit: Commit | None, error: sqlite3.Error) -> None:
        """A COMMIT failed: neither done nor undone until the file says so. Retrying a sync is not an answer, so the
        file is opened anew, checkpointed (which writes the pages again and syncs them), and read. What is not found
        must not be there after a power cut either, so it is gone for good before that is said. Without a `commit` it
        was one that writes no events."""
        try:
            self.close()
            self._connect(create=False)
            clear_mark(self._open_connection())
            busy = self._execute("PRAGMA wal_checkpoint(TRUNCATE)")[0][0]
            at = 0 if commit is None else commit.first_seq
            found = self._execute("SELECT hash FROM commits WHERE first_seq = ?", at)
            if not found:
                _forget_for_good(self._file)
        except (sqlite3.Error, LogError, OSError) as second:
            self.close()
            raise OutcomeUnknown(f"the append failed ({error}), and so did reading the log again ({second})") from error
        if found and commit is not None and found[0][0] != commit.hash:
            raise Conflict("another process wrote in between")
        if busy:
            self.close()
            raise OutcomeUnknown(f"the append failed ({error}), and a reader keeps it from being synced again")
        if not found:
            raise self._not_written(error) from error

    def _undo_what_was_left(self, connection: sqlite3.Connection) -> None:
        """A second interrupt may have come before an append that was interrupted could undo what it had begun: nobody
        may read that, or wait for its lock."""
        if connection.in_transaction:
            connection.execute("ROLLBACK")

    def _roll_back(self) -> None:
        """Undo what was begun; SQLite may have done so itself. Where that fails, the file is let go of."""
        if self._connection is not None and self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error:
                self.close()

    def _not_written(self, error: sqlite3.Error) -> LogError:
        return locked_or(error, NotWritten(f"nothing was written to {self.path}: {error}"))

    def _begin(self, connection: sqlite3.Connection) -> None:
        with self._fair_lock.turn(LOCK_SECONDS):
            connection.execute("BEGIN IMMEDIATE")

    def _execute(self, sql: str, *parameters: object) -> list[Any]:
        try:
            connection = self._open_connection()
            if not self._held:
                self._undo_what_was_left(connection)
            return connection.execute(sql, parameters).fetchall()
        except (sqlite3.DatabaseError, UnicodeError) as error:
            raise reading_error(self.path, error) from error

    def _open_connection(self) -> sqlite3.Connection:
        if self._paused:
            try:
                self._connect(create=False)
            except sqlite3.Error as error:
                raise _opening_error(self.path, error) from error
            self._paused = False
        if self._connection is None:
            raise Closed("the ledger is closed")
        return self._connection


def remove_side_files(path: Path) -> None:
    """Remove the side files that SQLite makes to read a log in WAL mode and that a read-only connection leaves behind.

    SQLite itself does it where the last connection to close may write. An empty `-wal` has nothing that could be
    written into the log by that, and a writer that has the log open is never the last.
    """
    with suppress(OSError, sqlite3.Error, UnicodeError):  # SQLite quotes a damaged schema in its message
        if write_ahead_file(path).stat().st_size == 0:
            with closing(sqlite3.connect(file_uri(path, "rw"), uri=True, timeout=0)) as connection:
                connection.execute("SELECT count(*) FROM sqlite_master")


def _forget_for_good(path: Path) -> None:
    """Sync that the `-wal` file was emptied, or removed from its folder. SQLite does not: a power cut could bring it
    back with a commit that was not synced then, and is."""
    places = [write_ahead_file(path)] if write_ahead_file(path).exists() else []
    if hasattr(os, "O_DIRECTORY"):  # elsewhere a folder cannot be synced
        places.append(path.absolute().parent)
    for place in places:
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _turn_to_wal(connection: sqlite3.Connection) -> None:
    """SQLite does not wait for this lock, so we do: several may make the same new file at once. Nor does it raise where
    the disk fails it here: it stays in another mode, in which an answer could come before the log is safe."""
    end = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            break
        except sqlite3.OperationalError as error:
            if not isinstance(locked_or(error, LogError("")), Locked) or time.monotonic() > end:
                raise
        time.sleep(0.005)
    if mode != "wal":
        raise LogError(f"the log cannot be written ahead: its journal mode stays {mode}")


def _opening_error(path: Path, error: Exception) -> LogError:
    if getattr(error, "sqlite_errorname", "") == "SQLITE_NOTADB":
        return NotALog(f"{path} is not an SQLite file")
    if isinstance(error, sqlite3.OperationalError):
        return locked_or(error, LogError(f"{path}: {error}", "check the path and its permissions"))
    return NotALog(f"{path} is damaged or not a ledger: {error}")
