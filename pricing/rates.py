"""Rates over one denominator, so that a total is a sum of whole numbers and a single division that rounds up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import gcd, lcm

from ledger.events import Line
from ledger.plugins import Price


def exact(numerator: int, denominator: int) -> str:
    """A fraction as a line carries it: in lowest terms, `3/1000` or `7`."""
    shared = gcd(numerator, denominator)
    whole = shared == denominator
    return str(numerator // shared) if whole else f"{numerator // shared}/{denominator // shared}"


def common(rates: Sequence[Fraction]) -> tuple[int, list[int]]:
    """The least common denominator of the rates, and their numerators over it."""
    denominator = lcm(*(rate.denominator for rate in rates))
    return denominator, [rate.numerator * (denominator // rate.denominator) for rate in rates]


def rounded_up(numerator: int, denominator: int) -> int:
    """An exact total as whole credits: the next one."""
    return -(-numerator // denominator)


def explained(credits: int, numerator: int, denominator: int, lines: Sequence[Line]) -> Price:
    """A price with its lines, which come to the exact total; one more says what rounding or a bound adds or takes."""
    if difference := credits * denominator - numerator:
        bound = "minimum" if difference > 0 else "maximum"
        why = "rounded up" if 0 < difference < denominator else bound
        lines = [*lines, Line(text=why, credits=exact(difference, denominator))]
    return Price(credits, tuple(lines))


class Rates:
    """Credits a unit by dimension, and the `dimensions` that have a rate, be it 0. Others are not looked at."""

    def __init__(self, rates: Mapping[str, Fraction]) -> None:
        # Sorted, so that neither the order of the parameters nor that of the usage shows in the lines.
        ordered = sorted(rates.items())
        self.denominator, numerators = common([rate for _, rate in ordered])
        self._rates = [(name, top, str(rate)) for (name, rate), top in zip(ordered, numerators, strict=True)]
        self.dimensions = frozenset(rates)

    def total(self, usage: Mapping[str, int]) -> int:
        """The exact total, as a numerator over `denominator`."""
        total = 0
        for dimension, numerator, _ in self._rates:
            total += usage.get(dimension, 0) * numerator
        return total

    def lines(self, usage: Mapping[str, int]) -> list[Line]:
        """A line for each dimension that was used; they come to the total."""
        return [
            Line(dimension=dimension, units=units, rate=rate, credits=exact(units * numerator, self.denominator))
            for dimension, numerator, rate in self._rates
            if (units := usage.get(dimension, 0))
        ]


class RatesByModel:
    """General rates, and those of single models, which override the general ones dimension by dimension.

    `by_model` says whether any model has rates of its own.
    """

    def __init__(self, general: Mapping[str, Fraction], models: Mapping[str, Mapping[str, Fraction]]) -> None:
        self._general = Rates(general)
        self._models = {model: Rates({**general, **own}) for model, own in models.items()}
        self.by_model = bool(models)

    def of(self, labels: Mapping[str, str]) -> Rates:
        """The rates for the label `model`; the general ones where there is none, or none of that name."""
        return self._models.get(labels.get("model", ""), self._general)
