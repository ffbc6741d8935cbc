"""Who writes next: one process at a time waits at the log's lock, and who has just written waits behind it.

SQLite's lock goes to whoever asks when it is free. A process that writes again and again is nearly always the one,
since the others sleep between their tries, and they come to nothing until it stops.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # a system without it: turns fall as SQLite's lock does
    fcntl = None  # type: ignore[assignment]

_SHORTEST, _MAX_LENGTH = 1, 50
"""Ten-thousandths of a second between two tries."""


class FairLock:
    """Lets one process at a time wait for the write lock of the log whose side file is `beside`.

    SQLite takes no lock on that file itself (locks on the log or on its `-shm` would be lost when ours is closed), and
    it is one and the same for all who have the log open.
    """

    def __init__(self, beside: Path) -> None:
        self._beside = beside
        self._file: int | None = None

    @contextmanager
    def turn(self, seconds: float) -> Iterator[None]:
        """Nobody else waits for the lock inside; after so many seconds turns fall as they may."""
        entered = fcntl is not None and self._enter(time.monotonic() + seconds)
        try:
            yield
        finally:
            if entered and self._file is not None:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the side file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _enter(self, end: float) -> bool:
        pause = _SHORTEST
        while True:
            try:
                if self._file is None:
                    self._file = os.open(self._beside, os.O_RDONLY | os.O_CLOEXEC)
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                if time.monotonic() >= end:
                    return False
            except OSError:  # no side file, or a file system without locks
                return False
            time.sleep(pause / 10_000)
            pause = min(2 * pause, _MAX_LENGTH)
