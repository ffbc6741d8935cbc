"""The audit's checks. A kind of finding is one line of `KINDS`; a check of single events is one line of `JUDGES`."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ledger.events import (
    Adjusted,
    Charged,
    Event,
    Invoiced,
    InvoicePaid,
    Lapsed,
    Overdue,
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
    Subscribed,
    Unfrozen,
    Withdrawn,
    WrittenOff,
)

from . import (
    account_rules,
    adjustments,
    adoptions,
    batch_order,
    draws,
    earnings,
    exits,
    holds,
    invoices,
    outstanding,
    payouts,
    prices,
    reversals,
    roots,
    totals,
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
    "invoice",
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
    Judge("window", Purchased, account_rules.queued),
    Judge("frozen", Purchased, account_rules.sold_unfrozen),
    Judge("frozen", Requested, account_rules.acts_unfrozen),
    Judge("unpriced", Requested, account_rules.priced),
    Judge("limit", Requested, account_rules.within_limits),
    Judge("hold", Requested, holds.requested),
    Judge("draws", Requested, draws.requested),
    Judge("coverage", Reheld, holds.reheld),
    Judge("draws", Released, draws.repaid),
    Judge("frozen", Charged, account_rules.acts_unfrozen),
    Judge("unpriced", Charged, account_rules.priced),
    Judge("price", Charged, prices.charged),
    Judge("draws", Charged, draws.charged),
    Judge("unpriced", Adjusted, account_rules.priced),
    Judge("adjustment", Adjusted, adjustments.adjusted),
    Judge("draws", Adjusted, draws.adjusted),
    Judge("draws", Reversed, reversals.taken),
    Judge("earned", Reversed, reversals.refunded),
    Judge("draws", Reinstated, reversals.given),
    Judge("invoice", Reversed, invoices.changed),
    Judge("invoice", Reinstated, invoices.changed),
    Judge("invoice", Subscribed, invoices.subscribed),
    Judge("invoice", Invoiced, invoices.invoiced),
    Judge("invoice", InvoicePaid, invoices.paid),
    Judge("draws", InvoicePaid, draws.repaid),
    Judge("invoice", WrittenOff, invoices.written_off),
    Judge("draws", WrittenOff, draws.repaid),
    Judge("invoice", Overdue, invoices.overdue),
    Judge("frozen", Unfrozen, account_rules.unfrozen),
    Judge("draws", Started, draws.started),
    Judge("draws", Lapsed, draws.lapsed),
    Judge("earned", Lapsed, earnings.lapsed),
    Judge("draws", Withdrawn, exits.drawn),
    Judge("earned", Withdrawn, exits.paid),
    Judge("batch_order", SettlementOpened, batch_order.opened),
    Judge("payouts", SettlementOpened, payouts.paid),
    Judge("solvency", SettlementOpened, payouts.solvent),
    Judge("root", SettlementOpened, roots.root_of_leaves),
    Judge("batch_order", SettlementSubmitted, batch_order.attempted),
    Judge("batch_order", SettlementUnknown, batch_order.attempted),
    Judge("batch_order", SettlementConfirmed, batch_order.confirmed),
    Judge("batch_order", SettlementFailed, batch_order.failed),
    Judge("batch_order", SettlementAdopted, adoptions.adopted),
    Judge("payouts", SettlementAdopted, adoptions.paid),
    Judge("root", SettlementAdopted, adoptions.root_of_leaves),
)

BY_EVENT: dict[type[Event], tuple[Judge, ...]] = {
    event: tuple(judge for judge in JUDGES if judge.event is event) for event in {judge.event for judge in JUDGES}
}

AT_END: tuple[tuple[str, Callable[[Case], None]], ...] = (
    ("books", totals.end),
    ("earned", earnings.end),
    ("books", outstanding.unpaid),
    ("invoice", invoices.end),
)
"""The checks of all accounts at the end of a log, each with the kind of its findings."""
