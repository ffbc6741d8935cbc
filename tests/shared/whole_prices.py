"""The model's own prices: each policy's total as one short function of its parameters and the usage in its scope.

Written from the design alone. Every total is an exact fraction, rounded up once, at the end.
"""

from collections.abc import Mapping
from fractions import Fraction
from math import ceil
from typing import Any

Parameters = Mapping[str, Any]
Usage = Mapping[str, int]


def per_credit(parameters: Parameters, usage: Usage) -> int:
    """So many credits for a request, or for each of its calls."""
    times = usage.get("calls", 0) if parameters.get("per") == "call" else 1
    return int(parameters.get("credits", 1)) * times


def time(parameters: Parameters, usage: Usage) -> int:
    """So many credits for a second, none by default."""
    return int(parameters.get("credits_per_second", 0)) * usage.get("seconds", 0)


def complexity(parameters: Parameters, usage: Usage) -> int:
    """A weighted sum, rounded up, then held between a minimum and a maximum."""
    weighted = sum(Fraction(weight) * usage.get(name, 0) for name, weight in parameters.get("weights", {}).items())
    total = max(ceil(weighted), parameters.get("minimum") or 0)
    return total if parameters.get("maximum") is None else min(total, parameters["maximum"])


def graduated(parameters: Parameters, usage: Usage) -> int:
    """The units in each tier at that tier's price, and its flat fee once the tier is reached."""
    units, begin, total = usage.get(parameters["dimension"], 0), 0, Fraction(0)
    for tier in parameters["tiers"]:
        if begin == 0 or units > begin:
            end = units if tier["up_to"] is None else min(units, tier["up_to"])
            total += Fraction(tier.get("unit", 0)) * (end - begin) + tier.get("flat", 0)
        begin = tier["up_to"]
        if begin is None or units <= begin:
            break
    return ceil(total)


def volume(parameters: Parameters, usage: Usage) -> int:
    """All units at the tier in which their number falls."""
    units = usage.get(parameters["dimension"], 0)
    tier = next(tier for tier in parameters["tiers"] if tier["up_to"] is None or units <= tier["up_to"])
    return ceil(Fraction(tier.get("unit", 0)) * units + tier.get("flat", 0))


def package(parameters: Parameters, usage: Usage) -> int:
    """Whole packages of the units beyond the free ones."""
    beyond = max(0, usage.get(parameters["dimension"], 0) - parameters.get("free", 0))
    return int(parameters["credits"]) * ceil(Fraction(beyond, parameters["size"]))


TOTALS = {
    "per_credit": per_credit,
    "time": time,
    "complexity": complexity,
    "graduated": graduated,
    "volume": volume,
    "package": package,
}
OF_A_PERIOD = {"graduated", "volume", "package"}


def plus(left: Usage, right: Usage) -> dict[str, int]:
    """Two usages, dimension by dimension."""
    return {name: left.get(name, 0) + right.get(name, 0) for name in [*left, *(set(right) - set(left))]}


def on_top(tariff: Mapping[str, Any], before: Usage | None, usage: Usage) -> int:
    """What `usage` costs after `before`; None before says that nothing was charged yet, which costs nothing."""
    total = TOTALS[tariff["policy"]]
    if before is None:
        return total(tariff["parameters"], usage)
    return total(tariff["parameters"], plus(before, usage)) - total(tariff["parameters"], before)
