"""Rates over a common denominator: a total is a sum of whole numbers, then one division that rounds up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import gcd, lcm

from ledger.events import Line
from ledger.plugins import Price


def exact(numerator: int, denominator: int) -> str:
    """Return a fraction as lines have it: text in lowest terms, `3/1000` or `7`."""
    shared = gcd(numerator, denominator)
    whole = shared == denominator
    return str(numerator // shared) if whole else f"{numerator // shared}/{denominator // shared}"


def common(rates: Sequence[Fraction]) -> tuple[int, list[int]]:
    """Return the least common denominator of the rates, and their numerators over it."""
    denominator = lcm(*(rate.denominator for rate in rates))
    return denominator, [rate.numerator * (denominator // rate.denominator) for rate in rates]


def rounded_up(numerator: int, denominator: int) -> int:
    """Return an exact total as whole credits, rounded up."""
    return -(-numerator // denominator)


def explained(credits: int, numerator: int, denominator: int, lines: Sequence[Line]) -> Price:
    """Return a price with its lines, which sum to the exact total, and a line for what rounding or a bound adds or
    takes."""
    if difference := credits * denominator - numerator:
        bound = "minimum" if difference > 0 else "maximum"
        text = "rounded up" if 0 < difference < denominator else bound
        lines = [*lines, Line(text=text, credits=exact(difference, denominator))]
    return Price(credits, tuple(lines))


class Rates:
    """Credits a unit by dimension, `smallest` units to a credit. `dimensions` are those with a rate, which may be 0;
    others are ignored. Totals and lines are in the smallest unit."""

    def __init__(self, rates: Mapping[str, Fraction], smallest: int = 1) -> None:
        # Sorted, so that the lines do not depend on the order of the parameters or of the usage.
        ordered = [(dimension, rate * smallest) for dimension, rate in sorted(rates.items())]
        self.denominator, numerators = common([rate for _, rate in ordered])
        self._rates = [
            (dimension, numerator, str(rate)) for (dimension, rate), numerator in zip(ordered, numerators, strict=True)
        ]
        self.dimensions = frozenset(rates)

    def total(self, usage: Mapping[str, int]) -> int:
        """Return the exact total, as a numerator over `denominator`."""
        total = 0
        for dimension, numerator, _ in self._rates:
            total += usage.get(dimension, 0) * numerator
        return total

    def lines(self, usage: Mapping[str, int]) -> list[Line]:
        """Return a line for each dimension that was used; they sum to the total."""
        return [
            Line(dimension=dimension, units=units, rate=rate, credits=exact(units * numerator, self.denominator))
            for dimension, numerator, rate in self._rates
            if (units := usage.get(dimension, 0))
        ]


class RatesByModel:
    """General rates, and rates of single models, which override the general ones dimension by dimension.

    `by_model` is True if any model has its own rates.
    """

    def __init__(
        self, general: Mapping[str, Fraction], models: Mapping[str, Mapping[str, Fraction]], smallest: int = 1
    ) -> None:
        self._general = Rates(general, smallest)
        self._models = {model: Rates({**general, **own}, smallest) for model, own in models.items()}
        self.by_model = bool(models)

    def of(self, labels: Mapping[str, str]) -> Rates:
        """Return the rates for the label `model`; the general ones if there is no label, or no model of that name."""
        return self._models.get(labels.get("model", ""), self._general)
