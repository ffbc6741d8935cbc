"""Long waits for a local chain, as a phase of progress."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chains.evm.local import LocalChain
    from replay.reports.exports import Progress

WAITING = "waiting for the local chain, in seconds"
"""The phase in which an answer of a local chain takes long; its total is 0 until the answer has come."""


def reported(local: LocalChain, progress: Progress) -> AbstractContextManager[None]:
    """Report long waits for a chain's answers, within the context, from a thread of its own."""
    return local.waiting.reported(lambda seconds, total: progress(WAITING, seconds, total))
