"""An event as a row: what is worth a column, and the whole event as JSON."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from ledger.events import (
    Charged,
    InvoicePaid,
    PlanCreated,
    Purchased,
    Recorded,
    Requested,
    Subscribed,
    Withdrawn,
    encode,
    tag,
)
from ledger.log import Entry

from ..audit.findings import time_text


class EventRow(NamedTuple):
    """An event with what is worth a column. `amount` is money as text, since it may pass 64 bits; `event` is JSON."""

    seq: int
    at: str
    type: str
    account: int | None
    subscriber: str | None
    plan: str | None
    agent: int | None
    request: int | None
    charge: int | None
    credits: int | None
    asset: str | None
    amount: str | None
    event: bytes


class Subject(NamedTuple):
    """The account that an event is about, with its subscriber and plan; None of each for other events."""

    account: int | None
    subscriber: str | None
    plan: str | None


COLUMNS = EventRow._fields


class EventRows:
    """Makes rows of entries, in the order of the log: it keeps the accounts of lots and of open requests."""

    def __init__(self) -> None:
        self._accounts: dict[int, tuple[str, str]] = {}
        self._assets: dict[int, str] = {}
        self._requests: dict[int, int] = {}
        self._decimals: dict[str, int] = {}
        self._asset_decimals: dict[str, int] = {}

    def subject(self, entry: Entry) -> Subject:
        """Return the account that an event is about, if any. Call it for every entry in turn, once."""
        account = self._account(entry)
        return Subject(account, *self._accounts.get(account or 0, (None, None)))

    def _account(self, entry: Entry) -> int | None:
        event = entry.event
        if (decimals := getattr(event, "asset_decimals", None)) is not None:
            self._asset_decimals[getattr(event, "asset", "")] = decimals
        match event:
            case PlanCreated():
                self._decimals[event.plan] = event.decimals
            case Subscribed():
                self._accounts[event.account] = (event.subscriber, event.plan)
            case Purchased():
                self._accounts[event.account] = (event.subscriber, event.plan)
                self._assets[entry.seq] = event.asset
            case Requested():
                self._requests[entry.seq] = event.account
        request = getattr(event, "request", 0)
        account: int | None = getattr(event, "account", None) or self._requests.get(request)
        if tag(event) == "released" or (isinstance(event, Charged) and event.final):
            self._requests.pop(request, None)
        return account

    def row(self, entry: Entry) -> EventRow:
        """Return the row of an entry. Call it for every entry in turn, once."""
        event, (account, subscriber, plan) = entry.event, self.subject(entry)
        asset, amount = self._money(event)
        return EventRow(
            seq=entry.seq,
            at=time_text(entry.at),
            type=tag(event),
            account=account,
            subscriber=subscriber,
            plan=plan or getattr(event, "plan", None),
            agent=getattr(event, "agent", None) or None,
            request=entry.seq if isinstance(event, Requested) else getattr(event, "request", None) or None,
            charge=entry.seq if isinstance(event, Charged) else getattr(event, "charge", None) or None,
            credits=getattr(event, "credits", None),
            asset=asset,
            amount=None if amount is None else str(amount),
            event=encode(event),
        )

    def decimal(self, row: EventRow) -> tuple[Decimal | None, Decimal | None]:
        """Return the credits of the last row in whole credits, and its amount in the asset, both exact. An asset whose
        decimals are unknown has none."""
        credits = _scaled(row.credits, self._decimals.get(row.plan or "", 0))
        amount = None if row.amount is None else int(row.amount)
        return credits, _scaled(amount, self._asset_decimals.get(row.asset or "", 0))

    def _money(self, event: Recorded) -> tuple[str | None, int | None]:
        """Return the asset that an event names, and how much of it comes in (or, negative, leaves)."""
        if isinstance(event, Purchased):
            return event.asset or None, event.cost if event.asset else None
        if isinstance(event, Withdrawn) and event.money:
            return self._assets.get(min(event.money)), -sum(event.money.values())
        if isinstance(event, InvoicePaid):
            return event.asset, event.money
        payouts = getattr(event, "payouts", ())
        return getattr(event, "asset", None), sum(payout.amount for payout in payouts) if payouts else None


class _Exact(Decimal):
    """A Decimal without an exponent in its text."""

    def __str__(self) -> str:
        return format(self, "f")


def _scaled(amount: int | None, decimals: int) -> Decimal | None:
    """Return an amount of the smallest unit as a decimal number of the whole one."""
    if amount is None:
        return None
    digits = tuple(map(int, str(abs(amount))))
    return _Exact((int(amount < 0), digits, -decimals))  # not `scaleb`, which rounds to the context's precision
