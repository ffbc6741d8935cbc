"""A mark in a log's own file that says: what stands in this file alone is not all of the log.

SQLite keeps what was written last beside the log, in its write-ahead file (`-wal`). A copy of the log's file alone,
made while a writer has it open, is an older log that is whole in itself; nothing else would tell. So a writer sets the
mark, has SQLite write it into the file (a checkpoint), and takes it away again, which stands in the write-ahead file
only. Whatever SQLite reads, copies or writes back from both files is without the mark; the file alone has it.

Invariant: a checkpoint by a writer of ours leaves the mark in the file unless it leaves nothing beside the file. Where
another program makes one, or a reader keeps one from being complete, the mark may be missing until the next: it is
never there for nothing but where a writer died between setting it and taking it away, and then the write-ahead file is
there, too.

The mark is a row among the snapshots that is no snapshot: of a version that nobody has.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

CHECKPOINT_PAGES = 1_000
"""Pages written ahead, about, after which they are written into the log's file; SQLite's own number, too."""

MISSING = "its write-ahead file is missing: this may be a copy of the file alone, made while a writer had it open"
MISSING_HINT = (
    "commits may be lost: copy the log with `tollbook copy`, or take what stands here with `tollbook copy --as-it-is`"
)

_HEADER = 32  # bytes of a write-ahead file that has nothing in it
_SET = "INSERT OR REPLACE INTO snapshots (seq, version) VALUES (-1, 'written ahead')"
_CLEAR = "DELETE FROM snapshots WHERE seq = -1 AND version = 'written ahead'"
_FIND = "SELECT count(*) FROM snapshots WHERE seq = -1 AND CAST(version AS TEXT) = 'written ahead'"


def write_ahead_file(log: Path) -> Path:
    """Where SQLite writes ahead for the log at that path."""
    return log.with_name(f"{log.name}-wal")


def marked(connection: sqlite3.Connection) -> bool:
    """Whether the mark is in what SQLite reads. Where snapshots cannot be read (they are a cache), it is not."""
    try:
        return bool(connection.execute(_FIND).fetchone()[0])
    except (sqlite3.DatabaseError, UnicodeError):
        return False


def misses_write_ahead_file(connection: sqlite3.Connection, log: Path) -> bool:
    """Whether the log's file says that it had a write-ahead file with commits, and there is none."""
    if not marked(connection):
        return False
    try:
        return write_ahead_file(Path(os.path.realpath(log))).stat().st_size <= _HEADER  # SQLite follows links, too
    except OSError:
        return True


def set_mark(connection: sqlite3.Connection) -> bool:
    """Have what was written ahead in the log's file, with the mark, and the mark there only. Other writers of ours
    must be kept away meanwhile. False where a reader kept a part from being written.

    Where the log has no table of snapshots to put the mark in, it goes without. Raises NothingWritten, or SQLite's
    error where a commit failed, so that nobody knows what is on the disk.
    """
    begun = _begun(connection, _SET)
    if begun:
        connection.execute("COMMIT")
    busy, written_ahead, written = 0, 0, 0
    # What fails here stands in the write-ahead file, and is written the next time: SQLite's own do not tell, either.
    with suppress(sqlite3.OperationalError):
        busy, written_ahead, written = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    if begun and _begun(connection, _CLEAR):
        connection.execute("COMMIT")
    return not busy and written == written_ahead


def _begun(connection: sqlite3.Connection, change: str) -> bool:
    """Make a change that is not committed yet. False where there is no table to make it in."""
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
    """Take the mark away: all that it speaks of is there. Writes only where there is one."""
    if marked(connection):
        connection.execute(_CLEAR)


class NothingWritten(Exception):
    """Nothing was written; `error` is what SQLite says of it."""

    def __init__(self, error: sqlite3.Error) -> None:
        super().__init__(str(error))
        self.error = error
