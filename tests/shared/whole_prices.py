"""The model's own prices: each policy's total as one short function of its parameters and the usage in its scope.

Written from the design alone. Every total is an exact fraction, rounded up once, at the end.
"""

from collections.abc import Mapping
from fractions import Fraction
from itertools import pairwise
from math import ceil
from typing import Any

Parameters = Mapping[str, Any]
Usage = Mapping[str, int]
Labels = Mapping[str, str]
NO_LABELS: Labels = {}


def per_credit(parameters: Parameters, usage: Usage, labels: Labels = NO_LABELS) -> int:
    """So many credits for a request, or for each of its calls."""
    times = usage.get("calls", 0) if parameters.get("per") == "call" else 1
    return int(parameters.get("credits", 1)) * times


def time(parameters: Parameters, usage: Usage, labels: Labels = NO_LABELS) -> int:
    """So many credits for a second, none by default."""
    return int(parameters.get("credits_per_second", 0)) * usage.get("seconds", 0)


def weights(parameters: Parameters, labels: Labels, general: str) -> dict[str, Fraction]:
    """What a unit of each dimension costs: the model's own weights stand over the general ones."""
    own = parameters.get("models", {}).get(labels.get("model", ""), {})
    return {name: Fraction(rate) for name, rate in {**parameters.get(general, {}), **own}.items()}


def complexity(parameters: Parameters, usage: Usage, labels: Labels = NO_LABELS) -> int:
    """A weighted sum, rounded up, then held between a minimum and a maximum."""
    weighted = sum(rate * usage.get(name, 0) for name, rate in weights(parameters, labels, "weights").items())
    total = max(ceil(weighted), parameters.get("minimum") or 0)
    return total if parameters.get("maximum") is None else min(total, parameters["maximum"])


def cost_plus(parameters: Parameters, usage: Usage, labels: Labels = NO_LABELS) -> int:
    """What the usage cost, and a margin on it."""
    cost = sum(rate * usage.get(name, 0) for name, rate in weights(parameters, labels, "costs").items())
    return ceil(cost * (1 + Fraction(parameters["margin"])))


def graduated(parameters: Parameters, usage: Usage, labels: Labels = NO_LABELS) -> int:
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


def volume(parameters: Parameters, usage: Usage, labels: Labels = NO_LABELS) -> int:
    """All units at the tier in which their number falls."""
    units = usage.get(parameters["dimension"], 0)
    tier = next(tier for tier in parameters["tiers"] if tier["up_to"] is None or units <= tier["up_to"])
    return ceil(Fraction(tier.get("unit", 0)) * units + tier.get("flat", 0))


def package(parameters: Parameters, usage: Usage, labels: Labels = NO_LABELS) -> int:
    """Whole packages of the units beyond the free ones."""
    beyond = max(0, usage.get(parameters["dimension"], 0) - parameters.get("free", 0))
    return int(parameters["credits"]) * ceil(Fraction(beyond, parameters["size"]))


TOTALS = {
    "per_credit": per_credit,
    "time": time,
    "complexity": complexity,
    "cost_plus": cost_plus,
    "graduated": graduated,
    "volume": volume,
    "package": package,
}
OF_A_PERIOD = {"graduated", "volume", "package"}


def plus(left: Usage, right: Usage) -> dict[str, int]:
    """Two usages, dimension by dimension."""
    return {name: left.get(name, 0) + right.get(name, 0) for name in [*left, *(set(right) - set(left))]}


def at_least(left: Usage, right: Usage) -> dict[str, int]:
    """The larger of two usages, dimension by dimension."""
    return {name: max(left.get(name, 0), right.get(name, 0)) for name in {**left, **right}}


def beyond(estimate: Usage, used: Usage) -> dict[str, int]:
    """What of an estimate is not used yet."""
    return {name: max(0, units - used.get(name, 0)) for name, units in estimate.items()}


def total_of(tariff: Mapping[str, Any], usage: Usage, labels: Labels) -> int:
    return TOTALS[tariff["policy"]](tariff["parameters"], usage, labels)


def on_top(tariff: Mapping[str, Any], before: Usage | None, usage: Usage, labels: Labels = NO_LABELS) -> int:
    """What `usage` costs after `before`; None before says that nothing was charged yet, which costs nothing."""
    if before is None:
        return total_of(tariff, usage, labels)
    return total_of(tariff, plus(before, usage), labels) - total_of(tariff, before, labels)


# -- what a tariff reads, and what it may come to ----------------------------------------------------------------------


def reads(tariff: Mapping[str, Any], labels: Labels) -> set[str] | None:
    """The dimensions that have a rate; None where the price does not depend on them, or is 0 by intent."""
    parameters = tariff["parameters"]
    match tariff["policy"]:
        case "per_credit":
            return {"calls"} if parameters.get("per") == "call" else None
        case "time":
            return {"seconds"} if parameters.get("credits_per_second") else None
        case "complexity":
            least, most = parameters.get("minimum", 0), parameters.get("maximum")
            no_rates = not parameters.get("weights") and not parameters.get("models")
            is_flat = least == most or (no_rates and least > 0)
            return None if is_flat else set(weights(parameters, labels, "weights"))
        case "cost_plus":
            return set(weights(parameters, labels, "costs"))
    return {parameters["dimension"]}


def unread(tariff: Mapping[str, Any], usage: Usage, labels: Labels) -> dict[str, int]:
    """The units that no rate of the tariff reads."""
    read = reads(tariff, labels)
    return {name: units for name, units in usage.items() if units and read is not None and name not in read}


def totals_on_the_way(tariff: Mapping[str, Any], before: Usage, units: int) -> list[int]:
    """The totals of a period's tariff after each of so many more units of the one dimension that it reads."""
    dimension = tariff["parameters"]["dimension"]
    return [total_of(tariff, plus(before, {dimension: more}), {}) for more in range(units + 1)]


def peak(tariff: Mapping[str, Any], before: Usage, more: Usage) -> int:
    """The largest total on the way."""
    return max(totals_on_the_way(tariff, before, more.get(tariff["parameters"]["dimension"], 0)))


def dearest(tariff: Mapping[str, Any], before: Usage, own: Usage, among: Usage) -> int:
    """The most that some units cost when others are charged in between: they are those that raise the total most."""
    dimension = tariff["parameters"]["dimension"]
    totals = totals_on_the_way(tariff, before, among.get(dimension, 0))
    if own.get(dimension, 0) >= among.get(dimension, 0):
        return max(totals) - totals[0]
    return sum(sorted(rises(totals), reverse=True)[: own.get(dimension, 0)])


def may_fall(tariff: Mapping[str, Any]) -> bool:
    """Whether one unit more may cost less in all: where a volume tier is cheaper than the one before."""
    bounds = [tier["up_to"] for tier in tariff["parameters"].get("tiers", ()) if tier["up_to"] is not None]
    if tariff["policy"] != "volume":
        return False
    dimension = tariff["parameters"]["dimension"]
    return any(
        totals_on_the_way(tariff, {dimension: bound}, 1) != sorted(totals_on_the_way(tariff, {dimension: bound}, 1))
        for bound in bounds
    )


def rises(totals: list[int]) -> list[int]:
    """By how much each unit raises the total; one that lowers it counts 0."""
    return [max(0, after - before) for before, after in pairwise(totals)]
