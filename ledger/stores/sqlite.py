"""Store of a log in an SQLite file: one row for each commit, appended under the write lock with a full sync.

The file opens in plain `sqlite3` and in Datasette: the view `events` unpacks the commits; `accounts`, `plans` and
`agents` map numbers to names. Triggers refuse every change except the next commit.
"""

from __future__ import annotations

import sqlite3
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import (
    Closed,
    Conflict,
    Damaged,
    LogError,
    NotALog,
    NotFound,
    NotWritten,
    OutcomeUnknown,
    WrongVersion,
)
from ..log import FORMAT, TEXT, Commit, Head, origin
from .fair_lock import FairLock
from .lock_wait import LOCK_SECONDS, locked_or, set_lock_wait, set_wal_mode
from .paths import check_in_place, file_identity, file_path
from .schema import SCHEMA, check_tables, statements
from .sqlite_caches import PAGE, SQLiteCaches
from .sqlite_rows import SQLiteReader, file_uri, opening_error, reading_error, reading_uri, remove_side_files
from .wal_mark import (
    CHECKPOINT_PAGES,
    MISSING,
    MISSING_HINT,
    NothingWritten,
    check_not_orphaned,
    clear_mark,
    marked,
    misses_write_ahead_file,
    set_mark,
    sync_emptied_file,
    sync_what_is_found,
    write_ahead_file,
)

APPLICATION_ID = 0x546F6C6C  # "Toll"

_APPEND = """
INSERT INTO commits (first_seq, count, at, body, hash) SELECT ?, ?, ?, ?, ?
WHERE (SELECT first_seq + count - 1, hash FROM commits ORDER BY first_seq DESC LIMIT 1) IS (?, ?)
"""
"""Append a commit if the head is as expected: compared and appended in one statement, inside the write lock."""


class IncompleteLog(UserWarning):
    """A log is read although its write-ahead file is missing, so commits may be missing. `hint` says what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class SQLiteStore(SQLiteCaches):
    """A log in the file `where`, created if missing (with `id`, or a new one) unless `read_only` or not `create`.

    Raises NotFound, NotALog, WrongVersion or Locked. Raises Damaged for a log that is opened to be written and whose
    write-ahead file with commits is missing, since new commits would follow an older head than the acknowledged one; it
    can be read: `incomplete` is True then, and `warn` makes it an `IncompleteLog` warning. A lock that another process
    holds is waited for `lock_seconds`.
    """

    def __init__(
        self,
        where: str | Path,
        id: str | None = None,
        read_only: bool = False,
        warn: bool = True,
        lock_seconds: float = LOCK_SECONDS,
        create: bool = True,
    ) -> None:
        self.path = file_path(where)
        self._file = self.path.absolute()  # absolute: the process may change its folder before the file is reopened
        self._read_only, self._lock_seconds = read_only, lock_seconds
        self.incomplete = False
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._fair_lock = FairLock(write_ahead_file(self._file))
        self._paused = self._held = self._half_marked = False
        self._unmarked_pages = CHECKPOINT_PAGES
        try:
            self._connect(create=create and not read_only)
            self.id = self._identify(id, create)
            self._check_complete()
        except (sqlite3.DatabaseError, UnicodeError) as error:
            self.close()
            raise opening_error(self.path, error, self._lock_seconds) from error
        except BaseException:
            self.close()
            raise
        if self.incomplete and warn:
            warnings.warn(IncompleteLog(f"{self.path}: {MISSING}", MISSING_HINT), stacklevel=3)

    def append(self, expected: Head, commit: Commit) -> None:
        """Write one row and sync it, if the head is still `expected`.

        Raises Conflict, Locked, NotWritten or OutcomeUnknown.
        """
        connection = self._open_connection()
        if self._read_only:
            raise NotWritten(f"{self.path} was opened read-only", "open it without `read_only`")
        committing = False
        try:
            if not self._held:
                self._roll_back_leftover(connection)
                self._mark(connection, commit)
                connection = self._open_connection()
                self._begin(connection)
            body: str | bytes = commit.body.decode() if commit.kind == TEXT else commit.body
            row = (commit.first_seq, commit.count, commit.at, body, commit.hash)
            empty = not expected.seq and expected.hash == origin(self.id).hash
            before = (None, None) if empty else expected[:2]
            if not connection.execute(_APPEND, (*row, *before)).rowcount:
                raise Conflict("the head moved: another process appended a commit")
            check_in_place(self._file, self._identity, NotWritten)
            committing = True
            connection.execute("COMMIT")
            self._unmarked_pages += 2 + len(commit.body) // PAGE
        except sqlite3.Error as error:
            if not committing:
                self._roll_back()
                raise self._not_written(error) from error
            self._recover(commit, error)
        except BaseException:
            self._roll_back()
            raise
        finally:
            self._held = False

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the write lock inside the context, up to the first append. Raises Locked."""
        try:
            connection = self._open_connection()
            self._roll_back_leftover(connection)
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
        return SQLiteReader(self._file, self.id, self._identity, self._lock_seconds)

    def pause(self) -> None:
        """Close the file until it is next needed."""
        if self._connection is not None and not self._connection.in_transaction:
            self.close()
            self._paused = True

    def close(self) -> None:
        """Close the file. A read-only store removes the side files that reading made."""
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
            raise NotALog(f"{self.path} is not a file")  # opening a pipe would block until its other end is opened
        if create:
            check_not_orphaned(self._file)
        where = reading_uri(self._file) if self._read_only else file_uri(self._file, "rwc" if create else "rw")
        self._connection = sqlite3.connect(
            where, uri=True, timeout=self._lock_seconds, isolation_level=None, check_same_thread=False
        )
        self._identity = self._identity or file_identity(self._file)
        if not self._read_only:
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA wal_autocheckpoint = 0")  # `_mark` does it
            sync_what_is_found(self._file)
        self._unmarked_pages, self._half_marked = CHECKPOINT_PAGES, False

    def _identify(self, new: str | None, create: bool) -> str:
        """Return the ledger's id; create the ledger in an empty file. Raises NotALog or WrongVersion."""
        connection = self._open_connection()
        if (
            create
            and not self._read_only
            and not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        ):
            self._create(new or str(uuid.uuid4()))
        if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise NotALog(f"{self.path} is not a Tollbook ledger")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version != FORMAT:
            raise WrongVersion(f"{self.path} has format {version}, and this release reads format {FORMAT}")
        check_tables(connection, self.path)
        rows = connection.execute("SELECT id FROM ledger LIMIT 2").fetchall()
        if len(rows) != 1 or not isinstance(rows[0][0], str):
            raise NotALog(f"{self.path} does not have one ledger id")
        if not self._read_only:
            set_wal_mode(connection, self._lock_seconds)  # a copy may have another journal mode
        return str(rows[0][0])

    def _check_complete(self) -> None:
        """Raise Damaged for a log to be written whose write-ahead file is missing though it had commits."""
        connection = self._open_connection()
        self.incomplete = misses_write_ahead_file(connection, self._file)
        if self._read_only:
            return
        if self.incomplete:
            raise Damaged(f"{self.path}: {MISSING}", MISSING_HINT)
        self._unmark(connection)

    def _unmark(self, connection: sqlite3.Connection) -> None:
        """Clear a mark that was left by an interrupted or dead writer: the write-ahead file is there."""
        if marked(connection):
            with self._turn(connection), suppress(sqlite3.Error):  # then the next opening clears it
                clear_mark(connection)
        self._half_marked = False

    def _mark(self, connection: sqlite3.Connection, commit: Commit | None = None) -> None:
        """Checkpoint the write-ahead log with the mark, before the first commit and after about `CHECKPOINT_PAGES`
        pages.

        A failure is raised as one of `commit`, the next one, which is not begun: while it is unknown whether the mark
        is on the disk, no commit may follow it.
        """
        if self._unmarked_pages < CHECKPOINT_PAGES:
            return
        self._half_marked = True
        try:
            with self._turn(connection):
                complete = set_mark(connection)
        except NothingWritten as failed:
            raise failed.error from None
        except sqlite3.Error as error:
            self._recover(commit, error)
        self._half_marked = False
        self._unmarked_pages = 0 if complete else CHECKPOINT_PAGES * 7 // 8

    def _create(self, id: str) -> None:
        connection = self._open_connection()
        set_wal_mode(connection, self._lock_seconds)
        connection.execute("BEGIN IMMEDIATE")
        try:
            if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                for statement in statements(SCHEMA):
                    connection.execute(statement)
                connection.execute("INSERT INTO ledger VALUES (?, ?)", (id, FORMAT))
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {FORMAT}")
            connection.execute("COMMIT")
            # A lost side file may shorten the log, but must not empty it: a writer would create a new log in it.
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _recover(self, commit: Commit | None, error: sqlite3.Error) -> None:
        """Find out whether a COMMIT that failed was done. Returns if it was.

        Retrying a failed sync proves nothing, so the file is reopened, checkpointed (which writes the pages again and
        syncs them), and read. A commit that is not found must not return after a power cut either, so its absence is
        synced before NotWritten is raised. Without a `commit` it was a write of the mark, without events.

        Raises NotWritten, Conflict or OutcomeUnknown.
        """
        try:
            self.close()
            self._connect(create=False)
            clear_mark(self._open_connection())
            busy = self._execute("PRAGMA wal_checkpoint(TRUNCATE)")[0][0]
            at = 0 if commit is None else commit.first_seq
            rows = self._execute("SELECT hash FROM commits WHERE first_seq = ?", at)
            if not rows:
                sync_emptied_file(self._file)
        except (sqlite3.Error, LogError, OSError) as second:
            self.close()
            raise OutcomeUnknown(f"the append failed ({error}), and so did reading the log again ({second})") from error
        if rows and commit is not None and rows[0][0] != commit.hash:
            raise Conflict("another process appended a commit meanwhile")
        if busy:
            self.close()
            raise OutcomeUnknown(f"the append failed ({error}), and a reader keeps it from being synced again")
        if not rows:
            raise self._not_written(error) from error

    @contextmanager
    def _cache_transaction(self, pages: int) -> Iterator[sqlite3.Connection]:
        """Change about so many pages of caches in one transaction. Raises LogError."""
        try:
            connection = self._open_connection()
            self._roll_back_leftover(connection)
            self._begin(connection)
            yield connection
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._not_written(error) from error
        finally:
            self._roll_back()
        self._unmarked_pages += pages

    def _roll_back_leftover(self, connection: sqlite3.Connection) -> None:
        """Roll back a transaction that an interrupted append left open, if a second interrupt cut its rollback
        short."""
        if connection.in_transaction:
            connection.execute("ROLLBACK")

    def _roll_back(self) -> None:
        """Roll back an open transaction; SQLite may have done so itself. If that fails, close the file."""
        if self._connection is not None and self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error:
                self.close()

    def _not_written(self, error: sqlite3.Error) -> LogError:
        return locked_or(error, NotWritten(f"nothing was written to {self.path}: {error}"), self._lock_seconds)

    def _begin(self, connection: sqlite3.Connection) -> None:
        with self._turn(connection):
            connection.execute("BEGIN IMMEDIATE")

    @contextmanager
    def _turn(self, connection: sqlite3.Connection) -> Iterator[None]:
        """Hold the turn to wait for the write lock. What the turn took is waited less for the lock itself."""
        with self._fair_lock.turn(self._lock_seconds) as left:
            if left == self._lock_seconds:
                yield
                return
            set_lock_wait(connection, left)
            try:
                yield
            finally:
                set_lock_wait(connection, self._lock_seconds)

    def _execute(self, sql: str, *parameters: object) -> list[Any]:
        try:
            connection = self._open_connection()
            if not self._held:
                self._roll_back_leftover(connection)
            return connection.execute(sql, parameters).fetchall()
        except (sqlite3.DatabaseError, UnicodeError) as error:
            raise reading_error(self.path, error, self._lock_seconds) from error

    def _open_connection(self) -> sqlite3.Connection:
        if self._paused:
            try:
                self._connect(create=False)
            except sqlite3.Error as error:
                raise opening_error(self.path, error, self._lock_seconds) from error
            self._paused = False
        if self._connection is None:
            raise Closed("the ledger is closed")
        return self._connection
