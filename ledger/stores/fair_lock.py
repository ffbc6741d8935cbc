"""A fair queue for SQLite's write lock: one process at a time waits for it, and a process that has just written queues
behind that one.

SQLite gives its lock to the process that asks when it is free. A process that writes repeatedly nearly always gets it,
since the others sleep between their tries, and they starve until it stops.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

try:
    import fcntl
except ImportError:  # a system without it: SQLite's own order
    fcntl = None  # type: ignore[assignment]

_MIN_PAUSE, _MAX_PAUSE = timedelta(microseconds=100), timedelta(milliseconds=5)
"""Pauses between two tries; each is twice the one before."""


class FairLock:
    """Lock by which one process at a time waits for the write lock of a log.

    `side_file` is the log's write-ahead file: it is the same for all processes that have the log open, and SQLite
    itself takes no lock on it. (Locks on the log or on its `-shm` would be lost when this lock's descriptor is closed.)
    """

    def __init__(self, side_file: Path) -> None:
        self._side_file = side_file
        self._file: int | None = None

    @contextmanager
    def turn(self, seconds: float) -> Iterator[float]:
        """Hold the turn to wait for the write lock, and yield the seconds that are left for that; at least one, if it
        was so many. After all of them continue without the turn."""
        end = time.monotonic() + seconds
        entered, waited = (False, False) if fcntl is None else self._enter(end)
        try:
            yield max(min(seconds, 1), end - time.monotonic()) if waited else seconds
        finally:
            if entered and self._file is not None:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the side file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _enter(self, end: float) -> tuple[bool, bool]:
        """Return whether the turn was taken, and whether that was waited for."""
        pause, waited = _MIN_PAUSE, False
        while True:
            try:
                if self._file is None:
                    self._file = os.open(self._side_file, os.O_RDONLY | os.O_CLOEXEC)
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True, waited
            except BlockingIOError:
                waited = True
                if time.monotonic() >= end:
                    return False, waited
            except OSError:  # no side file, or a file system without locks
                return False, waited
            time.sleep(pause.total_seconds())
            pause = min(2 * pause, _MAX_PAUSE)
