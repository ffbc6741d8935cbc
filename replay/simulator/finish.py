"""The end of a run: what the processes began is finished."""

from __future__ import annotations

from collections.abc import Sequence

from chains.outbox import Outbox
from chains.watcher import RejectedFact, Watcher
from ledger.errors import SettlementStopped

from .laws import require
from .market import Market

_MAX_ROUNDS = 60
_PAUSES = range(60)


def finish(market: Market, watcher: Watcher, outbox: Outbox) -> set[str]:
    """Import chain facts and settle until nothing is open; return the ids of the facts that the ledger must reject.

    Raises Violated where this does not end, or where a fact is rejected for no good reason.
    """
    rejected: Sequence[RejectedFact] = ()
    for _ in range(_MAX_ROUNDS):
        market.pass_time()
        rejected = watcher.sync()
        try:
            if not outbox.settle([market.harness.asset], pauses=_PAUSES):
                break
        except SettlementStopped:
            market.cancel()  # as the error's hint says
    else:
        require(market.owing(), "all is settled in the end", "there is always one more batch")
    wrong = [fact for fact in rejected if "it waits for" not in fact.reason and "overflow" not in fact.reason]
    require(not wrong, "all chain facts are imported", f"{wrong}")
    return {rejection.fact.id for rejection in rejected}
