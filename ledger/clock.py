"""The machine's clock, and when it is not believed.

Everything that time does is written down and cannot be taken back: one reading a day ahead expires holds, closes
windows and stops sales until that day has passed. So a wall clock that moved against the time that passed is asked
again, and what it says is not written until it is right again, or an operator accepts it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeAlias

from .errors import ClockMoved

Clock: TypeAlias = Callable[[], int]
"""Gives the time as UTC microseconds."""

MAX_MOVED = 60_000_000_000
"""Nanoseconds by which a wall clock may move between two readings against the time that passed, and is believed."""


def _elapsed_source() -> Clock:
    """Nanoseconds since some fixed moment of this system's run, its sleep included; nobody can set them.

    Sleep must count: otherwise a machine that wakes up would look like one whose clock was set ahead. Linux has
    CLOCK_BOOTTIME for it (its CLOCK_MONOTONIC stands still meanwhile); macOS counts sleep in CLOCK_MONOTONIC, though
    not in `time.monotonic`; elsewhere `time.monotonic` is what there is, and on Windows it counts sleep. A virtual
    machine that its host paused or restored cannot be told from a clock that was set ahead: there an operator accepts.
    """
    name = {"linux": "CLOCK_BOOTTIME", "darwin": "CLOCK_MONOTONIC"}.get(sys.platform, "")
    with suppress(AttributeError, OSError):  # it is not in this build of Python, or not in this kernel
        source = partial(time.clock_gettime_ns, getattr(time, name))
        source()
        return source
    return time.monotonic_ns


elapsed_time = _elapsed_source()


class WallClock:
    """A wall clock that is held to the time that passed since it was last believed.

    Called, it gives UTC microseconds. `wall` and `elapsed` are its two sources, in nanoseconds. The first reading is
    believed; each one that is believed renews what the next is compared with, so that a clock that is slewed, or set by
    some seconds now and then, is followed. Both sources are the system's, so a forked child goes on with what its
    parent believed.
    """

    __slots__ = ("_believed", "_elapsed", "_wall")

    def __init__(self, wall: Clock = time.time_ns, elapsed: Clock = elapsed_time) -> None:
        self._wall, self._elapsed = wall, elapsed
        self._believed: tuple[int, int] | None = None  # wall and elapsed time, at the last reading that was believed

    def __call__(self) -> int:
        """The wall clock's time, in UTC microseconds.

        Raises ClockMoved where it moved by more than `MAX_MOVED` against the time that passed.
        """
        now, moved = self._look()
        if moved:
            way = "ahead of" if moved > 0 else "behind"
            seconds = f"{abs(moved) // 1_000_000_000:,} s"
            raise ClockMoved(f"the machine's clock is {seconds} {way} what has passed since it was last believed")
        return now // 1000

    def estimate(self) -> int:
        """The time in UTC microseconds as far as it is known: while the clock is not believed, the last time that was,
        and what has passed since. Never raises ClockMoved; good for readings, which write nothing."""
        now, moved = self._look()
        return (now - moved) // 1000

    def accept(self) -> None:
        """Believe the clock as it is now."""
        self._believed = self._wall(), self._elapsed()

    def _look(self, again: bool = True) -> tuple[int, int]:
        """What the wall clock says, and by how much it moved too far, in nanoseconds; 0 where it is believed.

        It is asked `again` before it is doubted: a process that was stopped between the looks at its two sources sees
        such a move once.
        """
        believed = self._believed
        wall, elapsed = self._wall(), self._elapsed()
        if believed is not None:
            moved = wall - believed[0] - elapsed + believed[1]
            if moved > MAX_MOVED or moved < -MAX_MOVED:
                return self._look(False) if again else (wall, moved)
        if self._believed is believed:  # nobody accepted another one meanwhile
            self._believed = wall, elapsed
        return wall, 0


system_clock = WallClock()
"""The machine's clock, for all ledgers of this process that are given no other."""
