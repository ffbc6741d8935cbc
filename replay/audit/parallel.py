"""The audit in several processes: each audits a partition of the accounts, and the results are put together.

The parts only ever prove that a log is clean; where they do not, the caller audits it in one process.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from contextlib import closing, contextmanager
from multiprocessing import active_children, get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

from ledger.errors import LedgerError

from .auditor import Auditor
from .checks.case import Case
from .conclusion import kinds_of, report_of
from .file_rows import FileRows
from .findings import Findings, Report
from .hashes import Checkpoint
from .onchain import EarnedByBatch
from .parts import Part, Partition, together
from .rows import Source
from .tally import Tally

LONG = 100_000
"""Number of events from which it is worth starting processes to audit a log."""

PART = 10_000
"""Number of events that are worth a process which was asked for: one takes as long to start as to audit so many."""


class ProcessDied(LedgerError):
    """Raised when a process that audited a part of the log died."""

    hint = "run it again with one process"


def processes_for(log: Source, processes: int | None) -> int:
    """Return how many processes audit a log: `processes`, or one per core if that is None and the log is long."""
    if not log.last():
        return 1
    if processes is not None:
        return processes
    return _cores() if log.last() >= LONG else 1


def at_most(processes: int, events: int) -> int:
    """Return how many processes are of use for a log, at most `processes`: one per core, and per PART events."""
    return min(processes, _cores(), max(1, events // PART))


def _cores() -> int:
    """Return the number of cores that this process may use, or the machine's where the system does not know."""
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable is not None else os.cpu_count() or 1


def start_workers(processes: int) -> Executor:
    """Return a pool of new processes. They are spawned: a fork would copy locks and threads."""
    return ProcessPoolExecutor(processes, mp_context=get_context("spawn"))


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back for this thread and, permanently, for the processes it starts: they end as their parent says."""
    mask = getattr(signal, "pthread_sigmask", None)
    if mask is None:  # Windows
        yield
        return
    before = mask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        mask(signal.SIG_SETMASK, before)


@contextmanager
def _ended_with(others: set[BaseProcess]) -> Iterator[None]:
    """End all processes but the `others` if this one is interrupted, which would otherwise wait for their work."""
    try:
        yield
    except KeyboardInterrupt:
        for process in set(active_children()) - others:
            process.terminate()
        raise


def audit_in_parts(log: FileRows, checkpoints: list[Checkpoint], parts: int) -> tuple[Report, EarnedByBatch] | None:
    """Audit a log in so many parts, one per process. Return None where these do not prove that it is clean.

    Raises ProcessDied.
    """
    with start_workers(parts) as workers, _ended_with(set(active_children())):
        with _interrupts_held():
            futures = [
                workers.submit(audit_part, log.name, log.last(), checkpoints, parts, index) for index in range(parts)
            ]
        try:
            results = [future.result() for future in futures]
        except BrokenExecutor as error:
            hint = "run it with one process; a script that starts several guards itself by `if __name__ == '__main__':`"
            raise ProcessDied("a process of the audit died", hint) from error
        finally:
            for future in futures:
                future.cancel()
    return combined(log, results, checkpoints)


def combined(
    log: Source, results: Sequence[Part | None], checkpoints: Sequence[Checkpoint] = ()
) -> tuple[Report, EarnedByBatch] | None:
    """Return the report of all parts, and the money earned by batch. None where they do not prove the log."""
    proofs = [part for part in results if part is not None]
    case = Case(Findings(), frozenset(), log.id)
    try:
        if len(proofs) < len(results) or not together(case, proofs, log.snapshots()):
            return None
    except Exception:  # noqa: BLE001 - a log in which the parts do not fit together is not clean
        return None
    sums = Tally()
    for part in proofs:
        sums.add(part.tally)
    report = report_of(log, proofs[0].end, case, kinds_of(checkpoints), proofs[0].leaps, sums)
    return report, case.settled.earned


def audit_part(path: str, upto: int, checkpoints: list[Checkpoint], of: int, index: int) -> Part | None:
    """Audit one part of a file, in a separate process. Return None where it does not prove its accounts to be right."""
    try:
        with closing(FileRows(Path(path), upto)) as log:
            return part_of(log, checkpoints, of, index)
    except Exception:  # noqa: BLE001 - what a part cannot read, the audit in one process finds
        return None


def part_of(log: Source, checkpoints: list[Checkpoint], of: int, index: int) -> Part | None:
    """Audit one part of a log. Return None where it does not prove its accounts to be right."""
    try:
        return Auditor(log, checkpoints if not index else []).part(Partition(index, of))
    except Exception:  # noqa: BLE001 - what a part cannot judge, the audit in one process finds
        return None
