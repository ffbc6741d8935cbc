"""A copy of a log, whole and as of one moment, while others write to it: SQLite's own online backup.

A copy of the file alone is not that: what was written last stands in the write-ahead file beside it.
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
from .sqlite import SQLiteStore
from .sqlite_rows import LOCK_SECONDS, reading_uri
from .wal_mark import MISSING, MISSING_HINT, clear_mark

_PAGES = 256
_SIDES = ("", "-wal", "-shm", "-journal")
_LAST = "SELECT first_seq, count, hash FROM commits ORDER BY first_seq DESC LIMIT 1"


class Copied(NamedTuple):
    """What a copy has: its head (sequence 0 where the log is empty) and the number of its commits."""

    head: Head
    commits: int


def copy_log(
    log: Path, to: Path, *, as_it_is: bool = False, progress: Callable[[int, int], None] = lambda done, total: None
) -> Copied:
    """Copy a log into the new file `to`, which appears whole and synced, or not at all.

    A writer may go on meanwhile; the copy has what was committed when it began, the free pages and whatever else the
    file holds. `progress` is told the pages done and those there are. With `as_it_is` also a log whose write-ahead file
    is missing: the copy is a log of what stands in the file.

    Raises NotFound, NotALog or WrongVersion as opening does; AlreadyExists; and Damaged where the write-ahead file is
    missing, or the copy does not end as the log does.
    """
    _check_free(to)
    with closing(SQLiteStore(log, read_only=True, warn=False)) as store, _new_file(to) as part:
        if store.incomplete and not as_it_is:
            raise Damaged(f"{log}: {MISSING}", MISSING_HINT)
        uri = reading_uri(log)
        with closing(sqlite3.connect(uri, uri=True, timeout=LOCK_SECONDS, isolation_level=None)) as source:
            source.execute("BEGIN")  # what is copied is what is read first: later commits start no copying anew
            expected = source.execute(_LAST).fetchone()
            _back_up(source, part, to, progress)
        with closing(SQLiteStore(part, read_only=True)) as copy:
            head = copy.head()
            found = copy._execute(_LAST)
            commits = copy._execute("SELECT count(*) FROM commits")[0][0]
            same = copy.id == store.id and found == ([] if expected is None else [expected])
        if not same:
            raise Damaged(f"the copy of {log} ends at {head.seq}, and not as the log did")
    return Copied(head, commits)


def _back_up(source: sqlite3.Connection, part: Path, to: Path, progress: Callable[[int, int], None]) -> None:
    target = sqlite3.connect(part, isolation_level=None)
    try:
        target.execute("PRAGMA synchronous = OFF")  # the file is synced when it is whole
        source.backup(target, pages=_PAGES, progress=lambda _, left, total: progress(total - left, total))
        clear_mark(target)
    except sqlite3.OperationalError as error:
        raise _unwritten(to, error) from error
    finally:
        target.close()


def _check_free(to: Path) -> None:
    """A side file that is left of another log would be taken for the copy's."""
    part = _part(to)
    for path in (to, *(to.with_name(to.name + side) for side in _SIDES[1:])):
        if os.path.lexists(path):
            raise AlreadyExists(f"{path} exists")
    if os.path.lexists(part):
        raise AlreadyExists(f"{part} exists", "another copy is writing it; if none is, one was killed: remove it")


def _part(to: Path) -> Path:
    return to.with_name(f"{to.name}.part")


@contextmanager
def _new_file(to: Path) -> Iterator[Path]:
    """A file to write beside the place of the new one, which then becomes that one, synced, or is taken away."""
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
    """Says the file that was asked for, and not the one beside it, of which nobody was told."""
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return LogError(f"{to} cannot be written: {reason.lower()}", "check the path, its permissions and the space left")


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
