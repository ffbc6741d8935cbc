"""An audit made in every way there is: as usual, without the fast path, and in parts."""

from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import closing, contextmanager
from typing import Any
from unittest.mock import patch

import msgspec

import replay
from replay import Report
from replay.audit import parallel
from replay.audit.checks import fast_path
from replay.audit.sources import source


class Here(Executor):
    """An executor that runs in this process, immediately, what is submitted."""

    def submit(self, work: Any, /, *args: Any, **named: Any) -> Future:
        done: Future = Future()
        try:
            done.set_result(work(*args, **named))
        except Exception as error:  # noqa: BLE001 - it is the caller's, as with any executor
            done.set_exception(error)
        return done


@contextmanager
def in_this_process() -> Iterator[None]:
    """Run the parts of audits in this process, one after the other: starting processes takes longer than the audits."""
    with patch.object(parallel, "start_workers", lambda parts: Here()):
        yield


def audit(where: Any, **said: Any) -> Report:
    """The report, which must be the same byte for byte in whatever way it is made.

    The parts are audited on the same rows, and only the parts: where they do not prove a log, its report is the first.
    """
    report = replay.audit(where, **said)
    with patch.object(fast_path, "FAST_PATH", {}):
        assert replay.audit(where, **said) == report
    if not said:
        with closing(source(where)) as log:
            proven = parallel.combined(log, [parallel.part_of(log, [], 2, index) for index in range(2)])
        parted = report if proven is None else msgspec.structs.replace(proven[0], log=report.log, unseen=report.unseen)
        assert msgspec.json.encode(parted) == msgspec.json.encode(report)
    return report
