"""The demo's time: the trace's, in slices of one commit each."""

from __future__ import annotations

from ledger.amounts import SECOND
from replay.workload.moments import HOUR
from replay.workload.traces import Trace

MAX_SLICES = 400
"""Each slice is a commit, and each commit waits for the disk's sync, a few milliseconds on most: with more of them, the
demo would mostly wait."""


class TraceClock:
    """The ledger's clock: gives the story's time (UTC microseconds), but none twice, as no machine's clock does between
    two commits."""

    def __init__(self, now: int) -> None:
        self.now = self._last = now

    def __call__(self) -> int:
        self._last = max(self.now, self._last + 1)
        return self._last


def slice_length(trace: Trace) -> int:
    """Return a slice's microseconds: a part of the trace's span, from a second to an hour."""
    return min(max(SECOND, (trace.rows[-1].at - trace.rows[0].at) // MAX_SLICES), HOUR)
