"""Events in words, with amounts as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from .amounts import amount_text, money_text
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
    Subscribed,
    WrittenOff,
    tag,
)
from .values import total

_NO_ASSETS: Mapping[str, int] = MappingProxyType({})
_NO_LOTS: Mapping[int, str] = MappingProxyType({})


class Units(NamedTuple):
    """Decimals for the amounts of one account: those of its plan's credits, the plan's asset, those of assets, and the
    assets of the account's lots (one that is missing has the plan's)."""

    decimals: int = 0
    asset: str = ""
    assets: Mapping[str, int] = _NO_ASSETS
    lots: Mapping[int, str] = _NO_LOTS

    def credits(self, amount: int) -> str:
        """Return an amount of credits as text."""
        return amount_text(amount, self.decimals)

    def money(self, amount: int, asset: str) -> str:
        """Return an amount of an asset as text, with the asset."""
        return money_text(amount, asset, self.assets.get(asset, 0))

    def money_of(self, lot: int, amount: int) -> str:
        """Return an amount of a lot's money as text, with its asset."""
        return self.money(amount, self.lots.get(lot, self.asset)).rstrip()


def unpriced_of(event: Event) -> dict[str, int]:
    """Return the units that no rate of the tariff read, by dimension; below 0 where a correction removes them."""
    return {**event.unpriced} if isinstance(event, Charged | Adjusted) else {}


def describe(event: Event, units: Units) -> str:
    """Return a short text of an event, with the debt that it pays and the units that no rate prices."""
    paid = total(getattr(event, "draws" if isinstance(event, Started) else "repaid", ()))
    unpriced = ", ".join(f"{count} {name}" for name, count in sorted(unpriced_of(event).items()))
    more = [f"pays {units.credits(paid)} of the debt"] * bool(paid) + [f"no price for {unpriced}"] * bool(unpriced)
    return ", ".join([_words(event, units), *more])


def _words(event: Event, units: Units) -> str:
    words = tag(event).replace("_", " ")
    match event:
        case Purchased():
            granted = [f"{units.credits(event.credits)} credits"] if event.credits else []
            granted += [f"{event.seconds:,} seconds"] if event.seconds else []
            cost = f" for {units.money(event.cost, event.asset)}" if event.cost else ""
            return f"{event.kind} of {' and '.join(granted)}{cost}"
        case Charged():
            short = f", {units.credits(event.shortfall)} short" if event.shortfall else ""
            portion = "" if event.final else "part of "
            how = f"for {portion}request {event.request}" if event.request else "directly"
            return f"charged {how}{' (late)' if event.late else ''}{short}"
        case Requested():
            return f"request held {units.credits(event.hold)}"
        case Reheld():
            return f"request {event.request} holds {units.credits(total(event.draws))} now"
        case Reversed() | Reinstated():
            parts = [f"{units.credits(event.credits)} credits"] * bool(event.credits)
            parts += [units.money_of(event.lot, event.money)] * bool(event.money)
            return f"{words} {' and '.join(parts)}".rstrip() + f", lot {event.lot}"
        case Adjusted():
            target = f"charge {event.charge}" if event.charge else f"period {event.period}"
            return f"{event.reason.replace('_', ' ')} of {target}" + (f": {event.note}" if event.note else "")
        case Subscribed():
            return f"subscribed with a credit line of {units.credits(event.credits)} credits"
        case Invoiced() | InvoicePaid() | WrittenOff() | Overdue():
            return _invoice_words(event, units)
        case _:
            reason = getattr(event, "reason", "")
            lot = getattr(event, "lot", 0)
            return words + (f" ({reason})" if reason else "") + (f", lot {lot}" if lot else "")


def _invoice_words(event: Invoiced | InvoicePaid | WrittenOff | Overdue, units: Units) -> str:
    match event:
        case Invoiced():
            kind = "invoice" if event.credits >= 0 else "credit note"
            credits, money = units.credits(event.credits), units.money(event.money, event.asset)
            return f"{kind} {event.invoice} of {event.period}: {credits} credits, {money}"
        case InvoicePaid():
            return f"payment of invoice {event.invoice}: {units.money(event.money, event.asset)}"
        case WrittenOff():
            reason = f" ({event.reason})" if event.reason else ""
            return f"{units.money(event.money, units.asset).rstrip()} of invoice {event.invoice} written off{reason}"
        case Overdue():
            return f"invoice {event.invoice} is overdue"
