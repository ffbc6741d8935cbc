"""Rounding: the exact prices of charges beside what they were charged, and how much rounding added in all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from fractions import Fraction

import msgspec

from .catalogue import Plan
from .errors import LedgerError
from .events import Charged, PlanCreated, PlanRepriced, Purchased, Recorded, Subscribed
from .rating import exact
from .tariffs import Tariffs


class Rounding(msgspec.Struct, frozen=True, kw_only=True):
    """Charges whose exact price is known, in the smallest unit of credits: `exact` is the sum of their exact prices, a
    fraction as text, `priced` the sum of their prices, shortfall included.

    `added_percent` is what rounding added, in percent of the exact sum, with one decimal (`28.6`); None if that is 0.
    `unknown` counts charges whose exact price could not be computed, for the `reason` that the first of them has.
    """

    charges: int
    exact: str
    priced: int
    added_percent: str | None
    unknown: int = 0
    reason: str | None = None


class RoundingSum:
    """Sums the prices of the charges in a log's events, given in order from its beginning; or, with the `plans` of the
    books, in the events of some accounts.

    Charges without an exact price are left out, and counted if their policy offers it and fails, or cannot be made.
    """

    def __init__(self, plans: Mapping[str, Plan] | None = None) -> None:
        self._tariffs = Tariffs()
        self._plans: dict[str, Plan] = {**(plans or {})}
        self._plan_of: dict[int, str] = {}
        self._charges = self._priced = self._unknown = 0
        self._reason: str | None = None
        self._numerators: Counter[int] = Counter()  # by denominator: a fraction is made once, at the end

    def add(self, event: Recorded) -> None:
        """Add the log's next event."""
        match event:
            case PlanCreated():
                self._plans[event.plan] = Plan(event, (event.tariff,))
            case PlanRepriced():
                plan = self._plans[event.plan]
                self._plans[event.plan] = Plan(plan.terms, (*plan.tariffs, event.tariff))
            case Purchased() | Subscribed():
                self._plan_of[event.account] = event.plan
            case Charged() if event.account in self._plan_of:
                self._charge(self._plans[self._plan_of[event.account]], event)

    def _charge(self, plan: Plan, event: Charged) -> None:
        try:
            price = exact_price(plan, event, self._tariffs)
        except LedgerError as error:
            self._unknown, self._reason = self._unknown + 1, self._reason or str(error)
            return
        if price is not None:
            self._charges += 1
            self._priced += event.credits + event.shortfall
            self._numerators[price.denominator] += price.numerator

    def sum(self) -> Rounding:
        """Return the sums so far."""
        total = sum((Fraction(part, whole) for whole, part in self._numerators.items()), Fraction(0))
        return Rounding(
            charges=self._charges,
            exact=str(total),
            priced=self._priced,
            added_percent=percent(self._priced - total, total) if total else None,
            unknown=self._unknown,
            reason=self._reason,
        )


def exact_price(plan: Plan, event: Charged, tariffs: Tariffs) -> Fraction | None:
    """Return the price of a charge before rounding, in the smallest unit; None if its policy does not offer it.

    Raises PolicyFailed.
    """
    before = event.before if event.before or event.continues else None
    return exact(tariffs.policy(plan, event.tariff), before, event.usage, event.labels)


def percent(part: Fraction, whole: Fraction) -> str:
    """Return a part in percent of a positive whole, rounded half up to one decimal: `28.6`."""
    share = part * 1000
    tenths = (2 * share.numerator * whole.denominator + share.denominator * whole.numerator) // (
        2 * share.denominator * whole.numerator
    )
    sign = "-" if tenths < 0 else ""
    return f"{sign}{abs(tenths) // 10:,}.{abs(tenths) % 10}"
