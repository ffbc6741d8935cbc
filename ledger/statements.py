"""Statements: every movement of an account with running balances; and how one charge came about.

A statement is read from the log by `movements`, not from the books, so it is a second road to the same balance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import reduce

import msgspec

from .accounts import Account
from .amounts import add_usage
from .books import Books
from .catalogue import Plan
from .errors import LedgerError
from .events import (
    Adjusted,
    Charged,
    Event,
    Line,
    Purchased,
    Recorded,
    Reheld,
    Reinstated,
    Requested,
    Reversed,
    Started,
    tag,
)
from .log import Entry
from .movements import CREDITS, Journal, Leg
from .rating import marginal
from .readings import Shown
from .tariffs import Tariffs
from .values import total


class Amounts(msgspec.Struct, frozen=True, kw_only=True):
    """Credits by place; of a change, or of a balance. Debt counts against available.

    issued = available + held + spent + lapsed + withdrawn
    """

    issued: int = 0
    available: int = 0
    held: int = 0
    spent: int = 0
    lapsed: int = 0
    withdrawn: int = 0
    debt: int = 0

    def plus(self, change: Amounts) -> Amounts:
        """The sum, place by place."""
        return Amounts(**{name: getattr(self, name) + getattr(change, name) for name in self.__struct_fields__})


class StatementLine(msgspec.Struct, frozen=True, kw_only=True):
    """One event of the account. `seq` is None for what time has done and nothing has written yet. `unpriced` are the
    units by dimension that no rate of the tariff read; a correction takes some away by a minus."""

    seq: int | None
    at: int
    type: str
    text: str
    request: int | None
    charge: int | None
    change: Amounts
    balance: Amounts
    unpriced: dict[str, int]


class Statement(Shown, frozen=True, kw_only=True):
    """An account's movements. Invariant: opening + the changes of the lines = closing.

    `unpriced` are the units of all lines that no rate of a tariff read.
    """

    account: int
    subscriber: str
    plan: str
    seq: int
    at: int
    opening: Amounts
    lines: tuple[StatementLine, ...]
    closing: Amounts
    unpriced: dict[str, int]

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{line.seq or ''}</td><td>{line.text}</td><td>{line.change.available:+}</td>"
            f"<td>{line.balance.available}</td></tr>"
            for line in self.lines
        )
        return f"<table><tr><th>seq</th><th>what</th><th>change</th><th>available</th></tr>{rows}</table>"


class Explanation(Shown, frozen=True, kw_only=True):
    """How a charge came about. `recomputed` is its price computed again, None where the policy is not installed."""

    charge: int
    at: int
    account: int
    subscriber: str
    plan: str
    request: int | None
    final: bool
    usage: dict[str, int]
    labels: dict[str, str]
    before: dict[str, int]
    after: dict[str, int]
    tariff: int
    policy: str
    parameters: dict[str, object]
    lines: tuple[Line, ...]
    credits: int
    shortfall: int
    recomputed: int | None
    agrees: bool
    draws: tuple[tuple[int, int], ...]
    adjustments: tuple[Entry, ...]
    net: int
    unpriced: dict[str, int]


def statement(
    entries: Iterable[Entry], subscriber: str, plan: str, at: int, pending: Iterable[Recorded], since: int | None
) -> Statement | None:
    """The statement of an account from the whole log's entries; `pending` is what is due and was not written."""
    journal, number, seq = Journal(), 0, 0
    opening, balance, lines = Amounts(), Amounts(), []
    for entry in _and_pending(entries, pending, at):
        if not number and isinstance(entry.event, Purchased):
            opened = (entry.event.subscriber, entry.event.plan) == (subscriber, plan)
            number = entry.event.account if opened else 0
        mine = [leg for leg in journal.post(entry) if leg.account == number]
        written = entry.seq > 0
        seq = max(seq, entry.seq)
        if not number or not (mine or getattr(entry.event, "account", 0) == number):
            continue
        change = _amounts(mine)
        balance = balance.plus(change)
        if since is not None and written and entry.seq <= since:
            opening = balance
            continue
        lines.append(
            StatementLine(
                seq=entry.seq if written else None,
                at=entry.at if written else getattr(entry.event, "instant", at),
                type=tag(entry.event),
                text=describe(entry.event),
                request=entry.seq if isinstance(entry.event, Requested) else getattr(entry.event, "request", 0) or None,
                charge=entry.seq if isinstance(entry.event, Charged) else getattr(entry.event, "charge", 0) or None,
                change=change,
                balance=balance,
                unpriced=_unpriced(entry.event),
            )
        )
    if not number:
        return None
    return Statement(
        account=number,
        subscriber=subscriber,
        plan=plan,
        seq=seq,
        at=at,
        opening=opening,
        lines=tuple(lines),
        closing=balance,
        unpriced=reduce(add_usage, (line.unpriced for line in lines), {}),
    )


def _unpriced(event: Event) -> dict[str, int]:
    return {**event.unpriced} if isinstance(event, Charged | Adjusted) else {}


def _and_pending(entries: Iterable[Entry], pending: Iterable[Recorded], at: int) -> Iterator[Entry]:
    yield from entries
    for event in pending:
        yield Entry(0, at, event)


def _amounts(legs: Iterable[Leg]) -> Amounts:
    """The change that legs of one account make; what is issued comes in with a minus, as the other side."""
    states: Counter[str] = Counter()
    for leg in legs:
        if leg.unit == CREDITS:
            states[leg.state] += leg.amount
            if leg.lot == 0 and leg.state == "available":
                states["debt"] -= leg.amount
    states["issued"] = -states["issued"]
    return Amounts(**states)


def describe(event: Event) -> str:
    """An event in a few words, with what it pays of the account's debt, and the units that have no price."""
    paid = total(getattr(event, "draws" if isinstance(event, Started) else "repaid", ()))
    unpriced = ", ".join(f"{units} {name}" for name, units in sorted(_unpriced(event).items()))
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
            what = f"charge {event.charge}" if event.charge else f"period {event.period}"
            return f"{event.reason.replace('_', ' ')} of {what}" + (f": {event.note}" if event.note else "")
        case _:
            reason = getattr(event, "reason", "")
            lot = getattr(event, "lot", 0)
            return words + (f" ({reason})" if reason else "") + (f", lot {lot}" if lot else "")


def explain(
    entries: Callable[[int], Iterator[Entry]], books: Books, tariffs: Tariffs, charge: int
) -> Explanation | None:
    """A charge from its event in the log, computed again, with its adjustments."""
    entry = next(entries(charge - 1), None) if charge > 0 else None
    if entry is None or not isinstance(entry.event, Charged):
        return None
    event = entry.event
    account = books.accounts[event.account]
    plan = books.plans[account.plan]
    tariff = plan.tariffs[event.tariff - 1]
    adjustments = tuple(_adjustments(entries, account, charge))
    recomputed, lines = reprice(tariffs, plan, event) or (None, ())
    return Explanation(
        charge=charge,
        at=entry.at,
        account=account.number,
        subscriber=account.subscriber,
        plan=account.plan,
        request=event.request or None,
        final=event.final,
        usage=event.usage,
        labels=event.labels,
        before=event.before,
        after=_sum(event.before, event.usage),
        tariff=event.tariff,
        policy=tariff.policy,
        parameters=tariff.parameters,
        lines=event.lines or lines,
        credits=event.credits,
        shortfall=event.shortfall,
        recomputed=recomputed,
        agrees=recomputed is None or recomputed == event.credits + event.shortfall,
        draws=event.draws,
        adjustments=adjustments,
        net=event.credits + sum(each.event.credits for each in adjustments if isinstance(each.event, Adjusted)),
        unpriced={**event.unpriced},
    )


def reprice(tariffs: Tariffs, plan: Plan, event: Charged) -> tuple[int, tuple[Line, ...]] | None:
    """The price of a charge from its usage, meter and tariff version alone, and the lines that come to it; None where
    the policy is not installed."""
    before = event.before if event.before or event.continues else None
    try:
        price, lines = marginal(tariffs.policy(plan, event.tariff), before, event.usage, event.labels)
    except LedgerError:
        return None
    return max(0, price), lines


def _adjustments(entries: Callable[[int], Iterator[Entry]], account: Account, charge: int) -> Iterator[Entry]:
    """The adjustments of a charge. Only a charge that the books know as corrected is worth reading on for."""
    if charge in account.corrections:
        for entry in entries(charge):
            if isinstance(entry.event, Adjusted) and entry.event.charge == charge:
                yield entry


def _sum(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted((Counter(left) + Counter(right)).items()))
