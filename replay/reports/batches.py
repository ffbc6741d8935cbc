"""The batches of a log, read from its store."""

from __future__ import annotations

from ledger.log import entries
from ledger.plugins import Store

from ..batch_history import BatchHistory, BatchRecord
from .exports import Verified

_SETTLEMENT = b'"settlement_', b"\\u"
"""One of these is in the body of a commit with an event about a batch: the others need not be decoded. Another writer
of JSON may escape any letter."""


class StoredBatches:
    """All batches of a log; read once, its hash chain checked on the way. `upto` is the last sequence that was read."""

    def __init__(self, store: Store) -> None:
        history = BatchHistory()
        commits = Verified(store)
        for entry in entries(commit for commit in commits if any(mark in commit.body for mark in _SETTLEMENT)):
            history.add(entry)
        self.batches: list[BatchRecord] = history.batches
        self.upto = commits.upto
