"""Backup of a log: a whole copy at one head, verified, made while other processes write, by SQLite's online backup.

Copying the file alone is not enough: the last commits are in the write-ahead file beside it.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from ..errors import AlreadyExists, Damaged, LogError
from ..log import Head
from ..log.following import follow_store
from .lock_wait import LOCK_SECONDS
from .paths import file_path
from .sqlite import SQLiteStore
from .sqlite_rows import reading_uri
from .wal_mark import MISSING, MISSING_HINT, clear_mark

_PAGES = 256
_SIDES = ("", "-wal", "-shm", "-journal")
_LAST = "SELECT first_seq, count, hash FROM commits ORDER BY first_seq DESC LIMIT 1"


class Backup(NamedTuple):
    """A finished backup: its head (sequence 0 if the log is empty), the number of its commits, and its size."""

    head: Head
    commits: int
    bytes: int


def back_up(
    log: Path, to: Path, *, as_it_is: bool = False, progress: Callable[[int, int], None] = lambda done, total: None
) -> Backup:
    """Copy a log into the new file `to`, which appears complete, verified and synced, or not at all.

    Writers may continue meanwhile; the backup has what was committed when it began, with free pages and everything else
    in the file. Each of its commits is held to its hash. `progress` is called with the pages done and the total. With
    `as_it_is`, a log whose write-ahead file is missing, or that is damaged, is copied, too: the copy has the commits of
    the file alone, and its hashes are not looked at.

    Raises NotFound, NotALog or WrongVersion as opening does; AlreadyExists; LogError if `to` cannot be written; and
    Damaged if the write-ahead file is missing, a commit does not have its hash, or the backup does not end as the log
    does.
    """
    _check_free(file_path(to))
    with closing(SQLiteStore(log, read_only=True, warn=False)) as store, _new_file(to) as part:
        if store.incomplete and not as_it_is:
            raise Damaged(f"{log}: {MISSING}", MISSING_HINT)
        uri = reading_uri(log)
        with closing(sqlite3.connect(uri, uri=True, timeout=LOCK_SECONDS, isolation_level=None)) as source:
            source.execute("BEGIN")  # a read transaction: later commits do not restart the backup
            expected = source.execute(_LAST).fetchone()
            _copy(source, part, to, progress)
        with closing(SQLiteStore(part, read_only=True)) as copy:
            head = copy.head()
            last = copy._execute(_LAST)
            commits = copy._execute("SELECT count(*) FROM commits")[0][0]
            same = copy.id == store.id and last == ([] if expected is None else [expected])
            if not same:
                raise Damaged(f"the backup of {log} ends at {head.seq}, but the log did not")
            if not as_it_is:
                _verify(copy, log)
        size = part.stat().st_size
    return Backup(head, commits, size)


def _verify(copy: SQLiteStore, log: Path) -> None:
    """Hold each commit of a copy to its hash. Raises Damaged, which is then the log's own damage."""
    try:
        for _ in follow_store(copy):
            pass
    except Damaged as error:
        hint = "restore an earlier backup; `--as-it-is` copies the damaged log, for a closer look"
        raise Damaged(f"{log} cannot be backed up: {error}", hint) from error


def _copy(source: sqlite3.Connection, part: Path, to: Path, progress: Callable[[int, int], None]) -> None:
    target = sqlite3.connect(part, isolation_level=None)
    try:
        target.execute("PRAGMA synchronous = OFF")  # the file is synced when it is complete
        source.backup(target, pages=_PAGES, progress=lambda _, left, total: progress(total - left, total))
        clear_mark(target)
    except sqlite3.OperationalError as error:
        raise _unwritten(to, error) from error
    finally:
        target.close()


def _check_free(to: Path) -> None:
    """Raise AlreadyExists if the file or a side file exists: SQLite would take a leftover side file for the copy's."""
    part = _part(to)
    for path in (to, *(to.with_name(to.name + side) for side in _SIDES[1:])):
        if os.path.lexists(path):
            raise AlreadyExists(f"{path} exists")
    if os.path.lexists(part):
        raise AlreadyExists(f"{part} exists", "another backup is writing it; if none is, one was killed: remove it")


def _part(to: Path) -> Path:
    return to.with_name(f"{to.name}.part")


@contextmanager
def _new_file(to: Path) -> Iterator[Path]:
    """Yield a temporary file beside `to`; then sync it and rename it to `to`, or remove it after an error."""
    part = _part(to)
    try:
        part.touch(exist_ok=False)
    except OSError as error:
        raise _unwritten(to, error) from error
    try:
        yield part
        try:
            _sync(part, os.O_RDWR)
            part.rename(to)
            if hasattr(os, "O_DIRECTORY"):  # elsewhere a folder cannot be synced
                _sync(to.absolute().parent, os.O_RDONLY)
        except OSError as error:
            raise _unwritten(to, error) from error
    except BaseException:
        for side in _SIDES:
            part.with_name(part.name + side).unlink(missing_ok=True)
        raise


def _unwritten(to: Path, error: Exception) -> LogError:
    """Return an error that names `to`, not the temporary file, which the caller does not know."""
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return LogError(f"{to} cannot be written: {reason.lower()}", "check the path, its permissions and the space left")


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
