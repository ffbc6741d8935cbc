"""Mark in a log's file that says that the file alone is not the whole log: commits are in its write-ahead file.

SQLite keeps the last commits beside the log, in its write-ahead file (`-wal`). A copy of the log's file alone, made
while a writer has it open, is an older log that is consistent in itself, which cannot be detected otherwise. So a
writer sets the mark, checkpoints it into the file, and clears it again in the write-ahead file only. What SQLite reads,
copies or checkpoints from both files has no mark; the file alone has it.

Invariant: a checkpoint by Tollbook's writer leaves the mark in the file unless it leaves nothing in the write-ahead
file. After a checkpoint by another program, or one that a reader kept incomplete, the mark may be missing until the
next. It is set without need only if a writer died between setting and clearing it, and then the write-ahead file
exists.

The mark is a row among the snapshots with a version that no snapshot has.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from ..errors import Damaged, LogError

CHECKPOINT_PAGES = 1_000
"""Pages in the write-ahead file, about, after which it is checkpointed; SQLite's own default."""

MISSING = "its write-ahead file is missing: this may be a copy of the file alone, made while a writer had it open"
MISSING_HINT = (
    "commits may be lost: back the log up with `tollbook backup`, or accept what this file has with "
    "`tollbook backup --as-it-is`"
)
ORPHANED_HINT = "put the log back beside it; to begin a new log instead, move the -wal and -shm files away"

_HEADER = 32  # bytes of a write-ahead file that has nothing in it
_SET = "INSERT OR REPLACE INTO snapshots (seq, version) VALUES (-1, 'written ahead')"
_CLEAR = "DELETE FROM snapshots WHERE seq = -1 AND version = 'written ahead'"
_FIND = "SELECT count(*) FROM snapshots WHERE seq = -1 AND CAST(version AS TEXT) = 'written ahead'"


def write_ahead_file(log: Path) -> Path:
    """Return the path of a log's write-ahead file."""
    return log.with_name(f"{log.name}-wal")


def check_not_orphaned(log: Path) -> None:
    """Raise Damaged where a log is missing or empty and its write-ahead file has commits: SQLite would remove that file
    for a new log. It is looked for first: a log that is created has its tables before it has any."""
    ahead = write_ahead_file(log)
    if ahead.exists() and ahead.stat().st_size > _HEADER and not (log.exists() and log.stat().st_size):
        raise Damaged(f"{log} is missing or empty, and its write-ahead file has commits", ORPHANED_HINT)


def sync_emptied_file(path: Path) -> None:
    """Sync that the write-ahead file was emptied, or removed from its folder. SQLite does not: after a power cut it
    could return with a commit that was reported as not written."""
    paths = [write_ahead_file(path)] if write_ahead_file(path).exists() else []
    if hasattr(os, "O_DIRECTORY"):  # elsewhere a folder cannot be synced
        paths.append(path.absolute().parent)
    for synced in paths:
        _sync(synced)


def sync_what_is_found(path: Path) -> None:
    """Sync the write-ahead file, before a log that is to be written is read. Raises LogError.

    A process may have died between writing a commit and syncing it. SQLite recovers such a commit, and who repeats
    its command is answered from it: without this, a power cut could lose it after that answer.
    """
    try:
        _sync(write_ahead_file(path))
    except FileNotFoundError:
        pass
    except OSError as error:
        raise LogError(f"{path}: its write-ahead file could not be synced: {error.strerror or error}") from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def marked(connection: sqlite3.Connection) -> bool:
    """True if the mark is set. False if the snapshots cannot be read, which are a cache."""
    try:
        return bool(connection.execute(_FIND).fetchone()[0])
    except (sqlite3.DatabaseError, UnicodeError):
        return False


def misses_write_ahead_file(connection: sqlite3.Connection, log: Path) -> bool:
    """True if the log's file is marked, and its write-ahead file is missing or empty."""
    if not marked(connection):
        return False
    try:
        return write_ahead_file(Path(os.path.realpath(log))).stat().st_size <= _HEADER  # SQLite follows links, too
    except OSError:
        return True


def set_mark(connection: sqlite3.Connection) -> bool:
    """Checkpoint the write-ahead file into the log with the mark, then clear the mark in the write-ahead file. True if
    the checkpoint was complete; a reader may keep it from being so.

    The caller must keep other writers away meanwhile. A log without a table of snapshots gets no mark.

    Raises NothingWritten, or SQLite's error if a commit failed and it is unknown what is on the disk.
    """
    begun = _begun(connection, _SET)
    if begun:
        connection.execute("COMMIT")
    busy, written_ahead, written = 0, 0, 0
    # After a failure the pages are still in the write-ahead file, and written next time; SQLite's own checkpoints
    # ignore failures, too.
    with suppress(sqlite3.OperationalError):
        busy, written_ahead, written = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    if begun and _begun(connection, _CLEAR):
        connection.execute("COMMIT")
    return not busy and written == written_ahead


def _begun(connection: sqlite3.Connection, change: str) -> bool:
    """Begin a transaction with a change. False if the table is missing. Raises NothingWritten."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(change)
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if getattr(error, "sqlite_errorname", "") == "SQLITE_ERROR":
            return False
        raise NothingWritten(error) from error
    return True


def clear_mark(connection: sqlite3.Connection) -> None:
    """Clear the mark, if it is set, without a sync if the disk refuses one. Raises SQLite's error if that fails, too.

    If it were left, the write-ahead file could be empty, and SQLite removes an empty one when it closes the log: then
    the marked file alone, the whole log, would be taken for a copy. One that has pages is kept until they are synced.
    """
    if not marked(connection):
        return
    try:
        connection.execute(_CLEAR)
    except sqlite3.Error:
        connection.execute("PRAGMA synchronous = OFF")
        try:
            connection.execute(_CLEAR)
        finally:
            connection.execute("PRAGMA synchronous = FULL")


class NothingWritten(Exception):
    """Nothing was written; `error` is SQLite's error."""

    def __init__(self, error: sqlite3.Error) -> None:
        super().__init__(str(error))
        self.error = error
