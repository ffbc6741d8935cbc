"""What the floors of the receivers' shares leave of what lots have earned: it is paid when a lot is used up."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ledger import Ledger


def left_by_floors(log: str | Path) -> dict[str, int]:
    """By asset, over all lots of a log at its end; of each lot less than a unit a receiver."""
    left: Counter[str] = Counter()
    with Ledger.open(log, read_only=True, clock=lambda: 0) as ledger:
        for balance in ledger.balances():
            for lot in ledger.lots(balance.subscriber, balance.plan):
                if lot.cost:
                    rest = lot.earned - sum(lot.shares_earned.values())
                    assert 0 <= rest < max(1, len(lot.shares_earned))
                    left[lot.asset] += rest
    return dict(left)
