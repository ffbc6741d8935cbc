"""The order of batches: their numbers, which commits open them, and how they may end."""

from __future__ import annotations

from ledger.events import (
    Invoiced,
    Lapsed,
    Overdue,
    Recorded,
    Reheld,
    Released,
    Settlement,
    SettlementAdopted,
    SettlementConfirmed,
    SettlementFailed,
    SettlementOpened,
    SettlementSubmitted,
    SettlementUnknown,
    Started,
    Withdrawn,
)
from ledger.settlement.messages import STREAM

from .case import Case
from .settled import OwnBatch

ORDER = "batch_order"


MAX_QUEUED = 10
"""Batches of one chain, contract and asset that may be open at once."""


def opened(case: Case) -> None:
    """Check that the batch has the next number, comes first in its commit but for due events, and that the batches
    before it were submitted."""
    event = case.event
    assert isinstance(event, SettlementOpened)
    numbered(case, event)
    if event.covers != {STREAM: case.seq - 1}:
        message = "a batch covers everything before its opening, and nothing else"
        case.find(ORDER, "covers", {STREAM: case.seq - 1}, event.covers, message)
    for seq, before in enumerate(case.commit[: case.seq - case.first], case.first):
        if not _is_due(before):
            message = f"event {seq} comes before the batch in its commit, and was not due"
            case.find(ORDER, "covers", "due events alone", seq, message)
            break
    queue = case.settled.contract(event).queue(event.asset)
    if waiting := [number for number, batch in queue if not batch.attempts and batch.state != "committed"]:
        case.find(ORDER, "number", "all submitted", waiting, f"batch {waiting[0]} is not submitted yet")
    if len(queue) >= MAX_QUEUED:
        message = f"{len(queue)} batches are queued before it"
        case.find(ORDER, "number", f"at most {MAX_QUEUED}", len(queue) + 1, message)


def numbered(case: Case, event: SettlementOpened | SettlementAdopted) -> None:
    """Check that the numbers of a contract have no gap."""
    due = case.settled.contract(event).number + 1
    if event.number != due:
        message = "batch numbers of a contract have no gap; only a number that the chain never used is given again"
        case.find(ORDER, "number", due, event.number, message)


def _is_due(event: Recorded) -> bool:
    """True if time alone writes such an event, or it follows from one that time wrote."""
    match event:
        case Started() | Lapsed() | Reheld() | Invoiced() | Overdue():
            return True
        case Released() | Withdrawn():
            return event.instant is not None
        case _:
            return False


def attempted(case: Case) -> None:
    """Check that attempts are numbered without a gap, and that an unknown outcome is that of the last one."""
    event = case.event
    assert isinstance(event, SettlementSubmitted | SettlementUnknown)
    due = _batch(case, event).attempts + isinstance(event, SettlementSubmitted)
    if event.attempt != due:
        case.find(ORDER, "attempt", due, event.attempt, f"of batch {event.number} this is attempt {due}")


def confirmed(case: Case) -> None:
    """Check that batches are confirmed in order, as a chain executes them."""
    event = case.event
    assert isinstance(event, SettlementConfirmed)
    first = min(case.settled.contract(event).open)
    if event.number != first:
        message = f"the earlier batch {first} is still open"
        case.find(ORDER, "number", first, event.number, message)


def failed(case: Case) -> None:
    """Check that only the last number becomes free again: later batches build on it, and must have failed before."""
    event = case.event
    assert isinstance(event, SettlementFailed)
    last = case.settled.contract(event).number
    if event.used:
        return
    if event.number != last:
        message = f"batch {last} comes after it and has not failed, or the chain has used its number"
        case.find(ORDER, "number", last, event.number, message)
    elif _batch(case, event).state == "committed" and any(
        isinstance(each, SettlementFailed) and each.contract_ref == event.contract_ref and each.number < event.number
        for each in case.commit[case.seq - case.first :]
    ):
        message = f"the chain has batch {event.number}, so it has those before it"
        case.find(ORDER, "used", True, False, message)


def is_open(case: Case, event: Settlement) -> bool:
    """True if the batch is open. Otherwise the event cannot be folded, which is a finding."""
    if event.number in case.settled.contract(event).open:
        return True
    message = f"batch {event.number} of {event.contract!r} on {event.chain!r} is not open"
    case.find(ORDER, "number", sorted(case.settled.contract(event).open), event.number, message)
    return False


def _batch(case: Case, event: Settlement) -> OwnBatch:
    return case.settled.contract(event).open[event.number]
