"""The audit: a log is read as stored on disk, and everything in it is computed again.

Nothing is believed: not the store, not a snapshot, not the engine's decisions. Hashes, sequence and time are followed
over the stored bytes; then each event is held to what it refers to, and to the price, meter, hold, draws and money that
follow from everything before it; batches are made again, payouts and roots; and the books that the reducers fold are
held to the legs that the movements post.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from ledger import plugins
from ledger.plugins import Store

from .auditor import Auditor, Progress
from .file_rows import FileRows
from .findings import Report
from .hashes import Checkpoint, checkpoint
from .onchain import EarnedByBatch, compared
from .parallel import ProcessDied, audit_in_parts, processes_for
from .sources import source
from .unseen import unseen

__all__ = ["ProcessDied", "Progress", "audit", "checkpoint"]


def audit(
    where: str | Path | Store,
    *,
    since: Checkpoint | str | Sequence[Checkpoint] | None = None,
    against: str | Path | Store | None = None,
    progress: Progress | None = None,
    processes: int | None = 1,
    chains: Sequence[plugins.Chain] = (),
) -> Report:
    """Audit a log file, or an open store.

    `since` is a head that an earlier audit reported and that the log must still have (`Note.checkpoint`), or several;
    `against` is a copy of the log, or the JSON of a saved audit. Without any, the log's end is not proven.

    A log file can be audited by several `processes`: None means one per core if the log is long enough to be worth it.
    An open store, or a log that is compared with a copy, is audited in this process. The report does not depend on the
    number of processes.

    With `chains`, connections to contracts, the log is also compared with these (`onchain`): give all contracts that it
    has money in (`onchain.read(log).contracts_by_chain()` names them). They are read, and nothing is sent.

    Raises NotFound, NotALog or WrongVersion where there is no log to audit, WrongType for what is neither a path
    nor a store (such as a ledger), BadData where `since` is not a checkpoint, ProcessDied, and ChainUnavailable.
    """
    early = checkpoint(since) if isinstance(since, str) else since
    checkpoints = [early] if isinstance(early, Checkpoint) else list(early or ())
    report, earned = _audited(where, checkpoints, against, progress, processes)
    if chains:
        report = compared(report, where, chains, earned)
    proven_to = None if report.findings else max((each.seq for each in checkpoints), default=None)
    return replace(report, proven_to=proven_to, unseen=unseen(report, proven_to, bool(chains)))


def _audited(
    where: str | Path | Store,
    checkpoints: list[Checkpoint],
    against: str | Path | Store | None,
    progress: Progress | None,
    processes: int | None,
) -> tuple[Report, EarnedByBatch]:
    """Return the report from the log alone, and what had been earned at each batch."""
    log = source(where)
    try:
        number = processes_for(log, processes)
        here = all(each.ledger in ("", log.id) for each in checkpoints)
        if isinstance(log, FileRows) and number > 1 and against is None and here:
            proven = audit_in_parts(log, checkpoints, number)
            if proven is not None:
                if progress is not None:
                    progress(proven[0].head.seq, proven[0].head.seq)
                return proven
        return Auditor(log, checkpoints).run(against, progress)
    finally:
        log.close()
