"""What an audit checks. A kind of finding is one line of `KINDS`; a check of single events is one line of `JUDGES`."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ledger.events import (
    Adjusted,
    Charged,
    Event,
    Lapsed,
    Purchased,
    Reheld,
    Reinstated,
    Released,
    Requested,
    Reversed,
    SettlementAdopted,
    SettlementConfirmed,
    SettlementFailed,
    SettlementOpened,
    SettlementSubmitted,
    SettlementUnknown,
    Started,
    Unfrozen,
    Withdrawn,
)

from . import (
    adjustments,
    adoptions,
    draws,
    earnings,
    exits,
    holds,
    prices,
    reversals,
    settlements,
    standing,
)
from .case import Case

KINDS = (
    "unreadable",
    "hash",
    "sequence",
    "time",
    "schema",
    "conservation",
    "books",
    "overspend",
    "hold",
    "price",
    "meter",
    "draws",
    "adjustment",
    "earned",
    "payouts",
    "root",
    "batch_order",
    "snapshot",
    "solvency",
    "debt",
    "coverage",
    "window",
    "limit",
    "unpriced",
    "frozen",
)
"""The kinds of findings that every audit looks for, in the order of the report."""

DIFFERENCE = "difference"
"""The kind that joins them where a copy is given to compare with."""


class Judge(NamedTuple):
    """A check of each event of one type, before it is folded."""

    kind: str
    event: type[Event]
    judge: Callable[[Case], None]


JUDGES = (
    Judge("window", Purchased, standing.queued),
    Judge("frozen", Purchased, standing.sold_unfrozen),
    Judge("frozen", Requested, standing.acts_unfrozen),
    Judge("unpriced", Requested, standing.priced),
    Judge("limit", Requested, standing.within_limits),
    Judge("hold", Requested, holds.requested),
    Judge("draws", Requested, draws.requested),
    Judge("coverage", Reheld, holds.reheld),
    Judge("draws", Released, draws.repaid),
    Judge("frozen", Charged, standing.acts_unfrozen),
    Judge("unpriced", Charged, standing.priced),
    Judge("price", Charged, prices.charged),
    Judge("draws", Charged, draws.charged),
    Judge("unpriced", Adjusted, standing.priced),
    Judge("adjustment", Adjusted, adjustments.adjusted),
    Judge("draws", Adjusted, draws.adjusted),
    Judge("draws", Reversed, reversals.taken),
    Judge("earned", Reversed, reversals.refunded),
    Judge("draws", Reinstated, reversals.given),
    Judge("frozen", Unfrozen, standing.unfrozen),
    Judge("draws", Started, draws.started),
    Judge("draws", Lapsed, draws.lapsed),
    Judge("earned", Lapsed, earnings.lapsed),
    Judge("draws", Withdrawn, exits.drawn),
    Judge("earned", Withdrawn, exits.paid),
    Judge("batch_order", SettlementOpened, settlements.opened),
    Judge("payouts", SettlementOpened, settlements.paid),
    Judge("solvency", SettlementOpened, settlements.solvent),
    Judge("root", SettlementOpened, settlements.sealed),
    Judge("batch_order", SettlementSubmitted, settlements.attempted),
    Judge("batch_order", SettlementUnknown, settlements.attempted),
    Judge("batch_order", SettlementConfirmed, settlements.confirmed),
    Judge("batch_order", SettlementFailed, settlements.failed),
    Judge("batch_order", SettlementAdopted, adoptions.adopted),
    Judge("payouts", SettlementAdopted, adoptions.paid),
    Judge("root", SettlementAdopted, adoptions.sealed),
)

BY_EVENT: dict[type[Event], tuple[Judge, ...]] = {
    event: tuple(judge for judge in JUDGES if judge.event is event) for event in {judge.event for judge in JUDGES}
}
