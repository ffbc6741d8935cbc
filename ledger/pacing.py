"""Pacing of readings beside a writer: a thread that reads leaves most of the interpreter to the one that writes.

A writer comes back from the disk several times in a group. If a reading runs then, the writer waits until the reading
sleeps, or for the interpreter's switch interval, 5 milliseconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta

MIN_WORK = timedelta(microseconds=100).total_seconds()
"""Seconds that a thread works between two pauses."""
PAUSE_RATIO = 4
"""A pause lasts this many times the work before it, so a reading has at most a fifth of the interpreter."""
MAX_PAUSE = timedelta(milliseconds=5).total_seconds()
"""The longest pause in seconds."""


class Pace:
    """Pauses for readings in any number of threads. `writing()` is true while a group is being written."""

    def __init__(
        self,
        writing: Callable[[], bool],
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._writing, self._sleep, self._clock = writing, sleep, clock
        self._thread = threading.local()

    def step(self) -> None:
        """Pause, if this thread has worked for `MIN_WORK` since its last pause while a group is being written."""
        now = self._clock()
        if not self._writing():
            self._thread.since = now
        elif (worked := now - getattr(self._thread, "since", 0)) >= MIN_WORK:
            self._sleep(min(PAUSE_RATIO * worked, MAX_PAUSE))
            self._thread.since = self._clock()
