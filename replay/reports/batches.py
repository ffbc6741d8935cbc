"""The batches of a log, read from its store."""

from __future__ import annotations

from ledger.events import Settlement
from ledger.log import entries
from ledger.log.bodies import mentions
from ledger.plugins import Store

from ..batch_history import BatchHistory, BatchRecord
from .exports import Verified


class StoredBatches:
    """All batches of a log; read once, its hash chain checked on the way. `upto` is the last sequence that was read."""

    def __init__(self, store: Store) -> None:
        history = BatchHistory()
        commits = Verified(store)
        for entry in entries(commit for commit in commits if mentions(commit.kind, commit.body, Settlement)):
            history.add(entry)
        self.batches: list[BatchRecord] = history.batches
        self.upto = commits.upto
