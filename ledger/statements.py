"""Statements: every movement of an account with running balances; and explanations of charges.

A statement is computed from the log by `movements`, not from the books, so it is an independent computation of the
balance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from html import escape
from itertools import takewhile
from typing import NamedTuple

import msgspec

from .account_index import AccountIndex
from .amounts import add_usage, amount_text
from .catalogue import Plan
from .descriptions import Units as Units
from .descriptions import describe as describe
from .descriptions import unpriced_of
from .errors import LedgerError
from .events import Adjusted, Charged, Line, Recorded, Requested, tag
from .legs import Leg
from .log import Entry
from .movements import CREDITS, Journal
from .plugins import LogReader
from .rating import fault_of_lines, marginal
from .readers import LogView
from .rounding import exact_price
from .shown import Shown
from .tariffs import Tariffs


def entries_of(log: LogReader, account: int, upto: int) -> Iterator[Entry]:
    """Yield an account's events up to a sequence, in order. The log is indexed for it. Raises Damaged or LogError."""
    indexed = AccountIndex().entries(LogView(log, log.head(), lambda: None), account)
    return takewhile(lambda entry: entry.seq <= upto, indexed)


class Amounts(msgspec.Struct, frozen=True, kw_only=True):
    """Credits by state, of a change or of a balance. Debt is subtracted from available.

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
        """Return the sum, state by state."""
        return Amounts(**{name: getattr(self, name) + getattr(change, name) for name in self.__struct_fields__})


class StatementLine(msgspec.Struct, frozen=True, kw_only=True):
    """One event of the account. `seq` is None for an event that is due and not yet written. `unpriced` are the units by
    dimension that no rate of the tariff read, below 0 where a correction removes them."""

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

    `unpriced` are the units of all lines that no rate of a tariff read, `shortfall` the credits that they used and that
    were not paid, less what corrections took off.
    """

    account: int
    subscriber: str
    plan: str
    decimals: int
    seq: int
    at: int
    opening: Amounts
    lines: tuple[StatementLine, ...]
    closing: Amounts
    unpriced: dict[str, int]
    shortfall: int

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{line.seq or ''}</td><td>{escape(line.text)}</td>"
            f"<td>{amount_text(line.change.available, self.decimals, signed=True)}</td>"
            f"<td>{amount_text(line.balance.available, self.decimals)}</td></tr>"
            for line in self.lines
        )
        return f"<table><tr><th>seq</th><th>what</th><th>change</th><th>available</th></tr>{rows}</table>"


class Explanation(Shown, frozen=True, kw_only=True):
    """An explanation of a charge, in the smallest unit of the plan's credits, which have `decimals`.

    `exact` is its price before rounding, a fraction as text; None if the policy does not offer it. `recomputed` is its
    price computed again; None if the policy is not installed in that version, or fails. `agrees` is false where the
    price differs, or where the lines in the log do not sum to it, and None where the price was not computed. `fault` is
    why something was not computed again or does not agree; None if nothing is wrong.
    """

    charge: int
    at: int
    account: int
    subscriber: str
    plan: str
    decimals: int
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
    exact: str | None
    recomputed: int | None
    agrees: bool | None
    fault: str | None
    draws: tuple[tuple[int, int], ...]
    adjustments: tuple[Entry, ...]
    net: int
    unpriced: dict[str, int]


class Subject(NamedTuple):
    """The account of a statement, the sequence up to which it is read, its time (UTC microseconds), and how its amounts
    are shown."""

    account: int
    subscriber: str
    plan: str
    seq: int
    at: int
    units: Units = Units()


class Begin(NamedTuple):
    """The beginning of a statement's lines: after a sequence, and after so many events of the account as were due there
    and were written later. So a statement opens where one up to that sequence closes."""

    seq: int = 0
    due: int = 0


def statement(subject: Subject, entries: Iterable[Entry], pending: Iterable[Recorded], begin: Begin) -> Statement:
    """Return the statement of an account from its entries in the log, or from those of all accounts.

    `pending` are the events that are due and not yet written. Lines are those after `begin`.
    """
    journal, opening, balance = Journal(), Amounts(), Amounts()
    lines: list[StatementLine] = []
    shortfall, due = 0, begin.due
    for entry in _and_pending(entries, pending, subject.at):
        legs = [leg for leg in journal.post(entry) if leg.account == subject.account]
        if not legs and getattr(entry.event, "account", 0) != subject.account:
            continue
        change = _amounts(legs)
        balance = balance.plus(change)
        if 0 < entry.seq <= begin.seq:
            opening = balance
        elif due:
            opening, due = balance, due - 1
        else:
            lines.append(_line(entry, change, balance, subject.units))
            shortfall += getattr(entry.event, "shortfall", 0)
    return Statement(
        account=subject.account,
        subscriber=subject.subscriber,
        plan=subject.plan,
        decimals=subject.units.decimals,
        seq=subject.seq,
        at=subject.at,
        opening=opening,
        lines=tuple(lines),
        closing=balance,
        unpriced=reduce(add_usage, (line.unpriced for line in lines), {}),
        shortfall=shortfall,
    )


def _line(entry: Entry, change: Amounts, balance: Amounts, units: Units) -> StatementLine:
    seq, at, event = entry
    return StatementLine(
        seq=seq or None,
        at=at if seq else getattr(event, "instant", at),
        type=tag(event),
        text=describe(event, units),
        request=seq if isinstance(event, Requested) else getattr(event, "request", 0) or None,
        charge=seq if isinstance(event, Charged) else getattr(event, "charge", 0) or None,
        change=change,
        balance=balance,
        unpriced=unpriced_of(event),
    )


def _and_pending(entries: Iterable[Entry], pending: Iterable[Recorded], at: int) -> Iterator[Entry]:
    yield from entries
    for event in pending:
        yield Entry(0, at, event)


def _amounts(legs: Iterable[Leg]) -> Amounts:
    """Return the change of credits by the legs of one account. Issued credits are negative in legs: the sign is
    changed."""
    states: Counter[str] = Counter()
    for leg in legs:
        if leg.unit == CREDITS:
            states[leg.state] += leg.amount
            if leg.lot == 0 and leg.state == "available":
                states["debt"] -= leg.amount
    states["issued"] = -states["issued"]
    return Amounts(**states)


def explain(
    charge: int, at: int, event: Charged, subscriber: str, plan: Plan, tariffs: Tariffs, later: Iterable[Entry]
) -> Explanation:
    """Return an explanation of a charge, with its price computed again. `later` are entries that may correct it."""
    tariff = plan.tariffs[event.tariff - 1]
    adjustments = tuple(entry for entry in later if isinstance(entry.event, Adjusted) and entry.event.charge == charge)
    price = event.credits + event.shortfall
    wrong = fault_of_lines(event.lines, price, falls=True) if event.lines else ""
    recomputed, lines, failed = reprice(tariffs, plan, event)
    exact = None
    try:
        exact = exact_price(plan, event, tariffs)
    except LedgerError as error:
        failed = failed or str(error)
    return Explanation(
        charge=charge,
        at=at,
        account=event.account,
        subscriber=subscriber,
        plan=plan.terms.plan,
        decimals=plan.terms.decimals,
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
        exact=None if exact is None else str(exact),
        recomputed=recomputed,
        agrees=False if wrong else None if recomputed is None else recomputed == price,
        fault="; ".join(filter(None, (wrong, failed))) or None,
        draws=event.draws,
        adjustments=adjustments,
        net=event.credits + sum(entry.event.credits for entry in adjustments if isinstance(entry.event, Adjusted)),
        unpriced={**event.unpriced},
    )


def reprice(tariffs: Tariffs, plan: Plan, event: Charged) -> tuple[int | None, tuple[Line, ...], str]:
    """Return the price of a charge, computed from its usage, meter and tariff version alone, and its lines; or None, no
    lines, and why its policy computes none."""
    before = event.before if event.before or event.continues else None
    try:
        price, lines = marginal(tariffs.policy(plan, event.tariff), before, event.usage, event.labels)
    except LedgerError as error:
        return None, (), str(error)
    return max(0, price), lines, ""


def _sum(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted((Counter(left) + Counter(right)).items()))
