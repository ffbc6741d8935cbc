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


def rounded_up(
    numerator: int, denominator: int, lines: Sequence[Line], minimum: int = 0, maximum: int | None = None
) -> Price:
    """The price of an exact total: the next whole credit, then no less than `minimum`, no more than `maximum`.

    `lines` come to the exact total; one more line says what the rounding or the bound adds or takes.
    """
    credits, why = -(-numerator // denominator), "rounded up"
    if credits < minimum:
        credits, why = minimum, "minimum"
    if maximum is not None and credits > maximum:
        credits, why = maximum, "maximum"
    if difference := credits * denominator - numerator:
        lines = [*lines, Line(text=why, credits=exact(difference, denominator))]
    return Price(credits, tuple(lines))


class Rates:
    """Credits a unit by dimension. A dimension without a rate is free."""

    def __init__(self, rates: Mapping[str, Fraction]) -> None:
        # Sorted, so that neither the order of the parameters nor that of the usage shows in the lines.
        ordered = sorted(rates.items())
        self.denominator, numerators = common([rate for _, rate in ordered])
        self._rates = [(name, top, str(rate)) for (name, rate), top in zip(ordered, numerators, strict=True)]

    def total(self, usage: Mapping[str, int]) -> tuple[int, list[Line]]:
        """The exact total as a numerator over `denominator`, and a line for each dimension that was used."""
        total, lines = 0, []
        for dimension, numerator, rate in self._rates:
            if units := usage.get(dimension, 0):
                part = units * numerator
                total += part
                credits = exact(part, self.denominator)
                lines.append(Line(dimension=dimension, units=units, rate=rate, credits=credits))
        return total, lines


class RatesByModel:
    """General rates, and those of single models, which override the general ones dimension by dimension."""

    def __init__(self, general: Mapping[str, Fraction], models: Mapping[str, Mapping[str, Fraction]]) -> None:
        self._general = Rates(general)
        self._models = {model: Rates({**general, **own}) for model, own in models.items()}

    def of(self, labels: Mapping[str, str]) -> Rates:
        """The rates for the label `model`; the general ones where there is none, or none of that name."""
        return self._models.get(labels.get("model", ""), self._general)
