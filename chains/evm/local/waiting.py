"""Requests that a local chain has not answered yet: they wait as long as it runs, and long waits are reported."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LONG_SECONDS = 5
"""A wait is reported from this length on."""

_INTERVAL_SECONDS = 1.0


class Waiting:
    """The requests of all threads that wait for an answer."""

    def __init__(self) -> None:
        self._since: dict[int, float] = {}  # by thread, which waits for one answer at a time

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count the block as a request that waits."""
        thread = threading.get_ident()
        self._since[thread] = time.monotonic()
        try:
            yield
        finally:
            self._since.pop(thread, None)

    @property
    def seconds(self) -> int:
        """The time that the oldest request has waited, in whole seconds; 0 if none waits."""
        now = time.monotonic()
        return int(max((now - since for since in list(self._since.values())), default=0))

    @contextmanager
    def reported(self, report: Callable[[int, int], None], *, after: int = LONG_SECONDS) -> Iterator[None]:
        """Call `report` in a thread of its own, about once a second, with the seconds of a wait of `after` seconds or
        more and 0; and twice with the seconds that it took when it is over."""
        over = threading.Event()

        def watch() -> None:
            shown = 0
            while not over.wait(_INTERVAL_SECONDS):
                if (seconds := self.seconds) >= after:
                    report(seconds, 0)
                    shown = seconds
                elif shown:
                    report(shown, shown)
                    shown = 0

        watcher = threading.Thread(target=watch, name="waits for a local chain", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()
