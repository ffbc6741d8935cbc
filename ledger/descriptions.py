"""Short texts of events, as statements show them."""

from __future__ import annotations

from .events import (
    Adjusted,
    Charged,
    Event,
    Invoiced,
    InvoicePaid,
    Overdue,
    Purchased,
    Reheld,
    Reinstated,
    Requested,
    Reversed,
    Started,
    WrittenOff,
    tag,
)
from .values import total


def describe(event: Event) -> str:
    """Return a short text of an event, with the debt that it pays and the units that no rate prices."""
    paid = total(getattr(event, "draws" if isinstance(event, Started) else "repaid", ()))
    unpriced = ", ".join(f"{units} {name}" for name, units in sorted(unpriced_of(event).items()))
    more = [f"pays {paid} of the debt"] * bool(paid) + [f"no price for {unpriced}"] * bool(unpriced)
    return ", ".join([_words(event), *more])


def _words(event: Event) -> str:
    words = tag(event).replace("_", " ")
    match event:
        case Purchased():
            granted = [f"{event.credits} credits"] if event.credits else []
            granted += [f"{event.seconds} seconds"] if event.seconds else []
            cost = f" for {event.cost} {event.asset}" if event.cost else ""
            return f"{event.kind} of {' and '.join(granted)}{cost}"
        case Charged():
            short = f", {event.shortfall} short" if event.shortfall else ""
            portion = "" if event.final else "part of "
            of = f"{portion}request {event.request}" if event.request else "direct charge"
            return f"charged for {of}{' (late)' if event.late else ''}{short}"
        case Requested():
            return f"request held {event.hold}"
        case Reheld():
            return f"request {event.request} holds {total(event.draws)} now"
        case Reversed() | Reinstated():
            parts = [f"{event.credits} credits"] * bool(event.credits)
            parts += [f"{event.money} of the money"] * bool(event.money)
            return f"{words} {' and '.join(parts)}".rstrip() + f", lot {event.lot}"
        case Adjusted():
            target = f"charge {event.charge}" if event.charge else f"period {event.period}"
            return f"{event.reason.replace('_', ' ')} of {target}" + (f": {event.note}" if event.note else "")
        case Invoiced():
            kind = "invoice" if event.credits >= 0 else "credit note"
            return f"{kind} {event.invoice} of {event.period}: {event.credits} credits, {event.money} {event.asset}"
        case InvoicePaid():
            return f"invoice {event.invoice} paid: {event.money} {event.asset}"
        case WrittenOff():
            return f"invoice {event.invoice}: {event.money} written off" + f" ({event.reason})" * bool(event.reason)
        case Overdue():
            return f"invoice {event.invoice} is overdue"
        case _:
            reason = getattr(event, "reason", "")
            lot = getattr(event, "lot", 0)
            return words + (f" ({reason})" if reason else "") + (f", lot {lot}" if lot else "")


def unpriced_of(event: Event) -> dict[str, int]:
    """Return the units of an event that no rate prices, by dimension; below 0 where a correction removes them."""
    return {**event.unpriced} if isinstance(event, Charged | Adjusted) else {}
