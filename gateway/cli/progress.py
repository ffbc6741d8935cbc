"""The progress of a long command on stderr: a bar on a terminal; elsewhere only that it waits, once a minute."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..waiting import WAITING

if TYPE_CHECKING:
    from replay.reports.exports import Progress

_INTERVAL_SECONDS = 60


@contextmanager
def progress(quiet: bool) -> Iterator[Progress]:
    """Yield a function that shows progress: the stage, how much is done, how much there is (0: unknown).

    With `quiet`, or if stderr is no terminal, it writes a warning when a local chain has given no answer for another
    minute, and nothing else.
    """
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        yield _warn_of_waits(as_json=quiet)
        return
    from rich import progress as rich_progress
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with rich_progress.Progress(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        stages = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in stages:
                stages[stage] = bar.add_task(stage, total=total or None)
            bar.update(stages[stage], completed=done, total=total or None)

        yield report


def _warn_of_waits(as_json: bool) -> Progress:
    written = 0

    def report(stage: str, done: int, total: int) -> None:
        nonlocal written
        if stage != WAITING:
            return
        if total:  # the answer has come
            written = 0
        elif done >= written + _INTERVAL_SECONDS:
            from .errors import write_warning

            written = done
            write_warning(f"no answer of the local chain for {done} s; it runs", "wait, or press Ctrl-C", as_json)

    return report
