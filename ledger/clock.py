"""The system's wall clock, checked against elapsed time.

Expiries are written to the log and cannot be undone: one reading a day ahead expires holds, closes windows and blocks
new events until that day has passed. So a wall clock that jumped against elapsed time is read again, and its time is
not written until it is right again or an operator accepts it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeAlias

from .commands.command import MAX_TIME
from .errors import BadData, ClockMoved

Clock: TypeAlias = Callable[[], int]
"""Returns the time as UTC microseconds."""

MAX_MOVED = 60_000_000_000
"""Nanoseconds by which a wall clock may differ from the elapsed time between two readings and still be accepted."""


_YEARS = range(946_684_800, 4_102_444_800)
"""The years 2000 to 2099, in seconds."""
_YEAR_2000 = _YEARS.start * 1_000_000
_OTHER_UNITS = {"seconds": 1, "milliseconds": 1_000, "nanoseconds": 1_000_000_000}


def check_reading(now: object, head: int | None) -> None:
    """Raise BadData for a clock's reading that is no time in UTC microseconds, beside a log whose head is of the time
    `head` (None: it is new).

    One that is of these years in another unit is an error where it would date a new log, or is behind one of these
    years. Elsewhere it is simulated time, which passes through all numbers.
    """
    hint = "give the ledger a clock of whole microseconds, such as `lambda: time.time_ns() // 1000`"
    if type(now) is not int:
        raise BadData(f"clock: whole microseconds are needed, it gives {now!r}", hint)
    if now > MAX_TIME or head is None or now < _YEAR_2000 <= head:
        for unit, size in _OTHER_UNITS.items():
            if now // size in _YEARS:
                raise BadData(f"clock: microseconds are needed, it gives {now}, a time of these years in {unit}", hint)
    if now > MAX_TIME:
        raise BadData("clock: it gives a time beyond the year 9999", hint)


def _elapsed_source() -> Clock:
    """Return a clock of nanoseconds since the system started, including sleep, which cannot be set.

    Sleep must count: otherwise a machine that wakes up would look like one whose clock was set ahead. Linux has
    CLOCK_BOOTTIME for it (its CLOCK_MONOTONIC stops during sleep); macOS counts sleep in CLOCK_MONOTONIC, though not in
    `time.monotonic`; other systems only have `time.monotonic`, which counts sleep on Windows. A virtual machine that
    its host paused or restored cannot be distinguished from a clock that was set ahead: an operator must accept its
    clock.
    """
    name = {"linux": "CLOCK_BOOTTIME", "darwin": "CLOCK_MONOTONIC"}.get(sys.platform, "")
    with suppress(AttributeError, OSError):  # missing in this build of Python or in this kernel
        source = partial(time.clock_gettime_ns, getattr(time, name))
        source()
        return source
    return time.monotonic_ns


elapsed_time = _elapsed_source()


class WallClock:
    """A wall clock that is checked against the time elapsed since its last accepted reading.

    A call returns UTC microseconds. `wall` and `elapsed` are its two sources, in nanoseconds. The first reading is
    accepted, and each accepted reading is the reference of the next, so that a clock that is slewed, or set by some
    seconds now and then, is followed. Both sources are the system's, so a forked child keeps its parent's reference.
    """

    __slots__ = ("_accepted", "_elapsed", "_wall")

    def __init__(self, wall: Clock = time.time_ns, elapsed: Clock = elapsed_time) -> None:
        self._wall, self._elapsed = wall, elapsed
        self._accepted: tuple[int, int] | None = None  # wall and elapsed time of the last accepted reading

    def __call__(self) -> int:
        """Return the wall clock's time in UTC microseconds.

        Raises ClockMoved if it jumped by more than `MAX_MOVED` against elapsed time.
        """
        now, moved = self._read()
        if moved:
            way = "ahead of" if moved > 0 else "behind"
            seconds = f"{abs(moved) // 1_000_000_000:,} s"
            raise ClockMoved(f"the system clock jumped: it is {seconds} {way} the time elapsed since its last reading")
        return now // 1000

    def estimate(self) -> int:
        """Return the best estimate of the time in UTC microseconds: after a jump, the last accepted reading plus
        elapsed time.

        Never raises ClockMoved; for readings, which write nothing.
        """
        now, moved = self._read()
        return (now - moved) // 1000

    def accept(self) -> None:
        """Accept the clock as it is now."""
        self._accepted = self._wall(), self._elapsed()

    def _read(self, again: bool = True) -> tuple[int, int]:
        """Return the wall clock's time and by how much it jumped, in nanoseconds; 0 if the reading is accepted.

        A jump is confirmed by reading `again`: a process that was stopped between the two readings sees one once.
        """
        reference = self._accepted
        wall, elapsed = self._wall(), self._elapsed()
        if reference is not None:
            moved = wall - reference[0] - elapsed + reference[1]
            if moved > MAX_MOVED or moved < -MAX_MOVED:
                return self._read(False) if again else (wall, moved)
        if self._accepted is reference:  # no other thread accepted one meanwhile
            self._accepted = wall, elapsed
        return wall, 0


system_clock = WallClock()
"""The system's clock, for all ledgers of this process that are given no other."""
