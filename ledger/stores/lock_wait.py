"""Waiting for SQLite's locks: for how long, and the error where another process holds one for longer."""

from __future__ import annotations

import sqlite3
import time
from datetime import timedelta

from ..errors import Locked, LogError, WrongType, WrongValue

LOCK_SECONDS = 30
"""How long a lock is waited for, unless the caller says."""
MAX_LOCK_SECONDS = 86_400
_RETRY_PAUSE = timedelta(milliseconds=5)


def checked_lock_seconds(value: object) -> float:
    """Return a number of seconds to wait. Raises WrongType or WrongValue."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WrongType(f"lock_seconds: {value!r} is no number of seconds")
    if not 0 <= value <= MAX_LOCK_SECONDS:  # NaN, too
        raise WrongValue(f"lock_seconds: {value!r} is not between 0 and {MAX_LOCK_SECONDS}")
    return value


def set_lock_wait(connection: sqlite3.Connection, seconds: float) -> None:
    """Let SQLite wait so long for its locks on a connection."""
    connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")


def is_locked(error: sqlite3.Error) -> bool:
    """True if another process holds the lock."""
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def locked_or(error: sqlite3.Error, otherwise: LogError, seconds: float) -> LogError:
    """Return Locked where another process held the lock for so many seconds, else `otherwise`."""
    if not is_locked(error):
        return otherwise
    return Locked(f"another process holds the log's lock; waited {seconds:g} s for it: {error}")


def set_wal_mode(connection: sqlite3.Connection, seconds: float) -> None:
    """Set the journal mode to WAL. Raises LogError if the mode does not change.

    SQLite does not wait for this lock, so this function retries: several processes may create a file together.
    Nor does SQLite raise if the disk fails here: it keeps another mode, in which a commit may return before it is
    durable.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            break
        except sqlite3.OperationalError as error:
            if not is_locked(error) or time.monotonic() > end:
                raise
        time.sleep(_RETRY_PAUSE.total_seconds())
    if mode != "wal":
        raise LogError(f"the log cannot use write-ahead logging: its journal mode stays {mode}")
