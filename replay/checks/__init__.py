"""What an audit checks. A kind of finding is one line of `KINDS`; a check of single events is one line of `JUDGES`."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ledger.events import Adjusted, Charged, Event, Lapsed, Requested, Started, Withdrawn

from . import adjustments, draws, earnings, prices
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
    "snapshot",
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
    Judge("hold", Requested, prices.requested),
    Judge("draws", Requested, draws.requested),
    Judge("price", Charged, prices.charged),
    Judge("draws", Charged, draws.charged),
    Judge("adjustment", Adjusted, adjustments.adjusted),
    Judge("draws", Adjusted, draws.adjusted),
    Judge("draws", Started, draws.started),
    Judge("draws", Lapsed, draws.lapsed),
    Judge("earned", Lapsed, earnings.lapsed),
    Judge("draws", Withdrawn, draws.withdrawn),
    Judge("earned", Withdrawn, earnings.withdrawn),
)

BY_EVENT: dict[type[Event], tuple[Judge, ...]] = {
    event: tuple(judge for judge in JUDGES if judge.event is event) for event in {judge.event for judge in JUDGES}
}
