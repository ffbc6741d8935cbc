"""The price of one usage under each built-in policy, with its lines or without, beside its formula in plain Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ledger.plugins import policies

from .figures import Comparison
from .rounds import Contender, Trial
from .workshop import Workshop

FORMULA = "the formula alone"
LABELS = {"model": "large"}

Usage = Mapping[str, int]


class Rule(NamedTuple):
    """A policy's parameters, and its total as plain Python."""

    parameters: dict[str, Any]
    formula: Callable[[Usage], int]


def _graduated(usage: Usage) -> int:
    units = usage["input_tokens"]
    first, rest = min(units, 500), max(0, units - 500)
    return -(-(2 * first + rest) // 100) + 3


def _volume(usage: Usage) -> int:
    units = usage["input_tokens"]
    return -(-2 * units // 100) + 3 if units <= 500 else -(-units // 100)


TIERS = [{"up_to": 500, "unit": "1/50", "flat": 3}, {"up_to": None, "unit": "1/100", "flat": 0}]
RATES = {"input_tokens": "1/100", "output_tokens": "3/100"}
MODELS = {"large": {"output_tokens": "7/100"}}
RULES: dict[str, Rule] = {
    "time": Rule({"credits_per_second": "1/10"}, lambda usage: -(-usage["seconds"] // 10)),
    "per_credit": Rule({"credits": 3, "per": "call"}, lambda usage: 3 * usage["calls"]),
    "complexity": Rule(
        {"weights": RATES, "models": MODELS, "minimum": 2},
        lambda usage: max(2, -(-(usage["input_tokens"] + 7 * usage["output_tokens"]) // 100)),
    ),
    "cost_plus": Rule(
        {"costs": RATES, "margin": "1/5"},
        lambda usage: -(-(usage["input_tokens"] + 3 * usage["output_tokens"]) * 6 // 500),
    ),
    "graduated": Rule({"dimension": "input_tokens", "tiers": TIERS}, _graduated),
    "volume": Rule({"dimension": "input_tokens", "tiers": TIERS}, _volume),
    "package": Rule(
        {"dimension": "input_tokens", "size": 100, "credits": 7, "free": 50},
        lambda usage: -(-max(0, usage["input_tokens"] - 50) // 100) * 7,
    ),
}


def comparisons(workshop: Workshop) -> list[Comparison]:
    """Return a figure for each built-in policy."""
    return [_comparison(name, rule, _usages(workshop.size.prices)) for name, rule in RULES.items()]


def _usages(number: int) -> list[dict[str, int]]:
    return [
        {"input_tokens": 1 + n * 7 % 1_000, "output_tokens": n % 331, "seconds": n % 77, "calls": 1 + n % 3}
        for n in range(number)
    ]


def _comparison(name: str, rule: Rule, usages: list[dict[str, int]]) -> Comparison:
    def expected() -> list[int]:
        return [rule.formula(usage) for usage in usages]

    def pricing(made: Any) -> Callable[[Usage], int]:
        """Return the call that a ledger makes: for the credits where the policy offers that, else for the price."""
        credits = getattr(made, "credits_of", None)
        return (lambda usage: credits(usage, LABELS)) if credits is not None else lined(made)

    def lined(made: Any) -> Callable[[Usage], int]:
        return lambda usage: made.total(usage, LABELS).credits

    def contender(name_: str, make: Callable[[Any], Callable[[Usage], int]]) -> Contender:
        @contextmanager
        def prepare(folder: Path) -> Iterator[Trial]:
            price = make(policies.get(name)(rule.parameters))
            found: list[int] = []
            yield Trial(lambda: found.extend(map(price, usages)), lambda: found)

        return Contender(name_, prepare, expected)

    others = contender("tollbook, with its lines", lined), contender(FORMULA, lambda _: rule.formula)
    subject = contender("tollbook", pricing)
    return Comparison(f"price.{name}", f"a price of `{name}`", "price", len(usages), subject, others)
