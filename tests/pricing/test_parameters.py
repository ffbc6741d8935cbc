"""Parameters: what is refused at the door, and in what form the log keeps the rest."""

from decimal import Decimal
from typing import Any

import pytest

from ledger.plugins import PolicyFactory
from pricing import Complexity, CostPlus, Graduated, Package, PerCredit, Time, Volume

REFUSED: list[tuple[PolicyFactory, dict[str, Any], str]] = [
    (Time, {"credits_per_second": 0.5}, "time: credits_per_second: 0.5 is not an exact number"),
    (Time, {"credits_per_second": True}, "time: credits_per_second"),
    (Time, {"credits_per_second": "1,000"}, "time: credits_per_second"),
    (Time, {"credits_per_second": "3 per dozen"}, "time: credits_per_second"),
    (Time, {"credits_per_second": "3 per 1m"}, "time: credits_per_second: .* per 1k"),  # milli, or million?
    (Time, {"credits_per_second": "3 per 1M tokens"}, "time: credits_per_second: .* without the name of a unit"),
    (Time, {"credits_per_second": "3 per token"}, "time: credits_per_second: .* without the name of a unit"),
    (Time, {"credits_per_second": "3 per"}, "time: credits_per_second"),
    (Time, {"credits_per_second": "3 per 0"}, "time: credits_per_second"),
    (Time, {"credits_per_second": "$3 per million"}, "time: credits_per_second"),
    (Time, {"credits_per_second": "1e-3"}, "time: credits_per_second"),
    (Time, {"credits_per_second": Decimal("NaN")}, "time: credits_per_second"),
    (Time, {"credits_per_second": Decimal("1e999999")}, "time: credits_per_second"),
    (Time, {"credits_per_second": "1/0"}, "time: credits_per_second"),
    (Time, {"credits_per_second": "-1/2"}, "time: credits_per_second"),
    (Time, {"credits_per_second": -1}, "time: credits_per_second"),
    (Time, {"credits_per_second": 2**63}, "time: credits_per_second"),
    (Time, {"credits_per_second": "9" * 5000}, "time: credits_per_second"),
    (Time, {"credits_per_secnod": 1}, "time: credits_per_secnod"),
    (PerCredit, {"credits": 2.0}, "per_credit: credits"),
    (PerCredit, {"credits": True}, "per_credit: credits"),
    (PerCredit, {"credits": "0.5"}, "per_credit: credits: 0.5 does not fit credits of 0 decimals"),
    (PerCredit, {"credits": 2**63}, "per_credit: credits"),
    (PerCredit, {"per": "second"}, "per_credit: per"),
    (Complexity, {"weights": {"input_tokens": 1.5}}, r"complexity: weights\.input_tokens"),
    (Complexity, {"weights": {"": 1}}, "complexity: weights"),
    (Complexity, {"weights": 1}, "complexity: weights"),
    (Complexity, {"models": {"large": {"calls": -1}}}, r"complexity: models\.large\.calls"),
    (Complexity, {"minimum": -1}, "complexity: minimum"),
    (Complexity, {"minimum": 3, "maximum": 2}, "complexity: maximum: 2 is less than the minimum, 3"),
    (CostPlus, {"costs": {"calls": 1}}, "cost_plus: margin"),
    (CostPlus, {"margin": -1}, "cost_plus: margin"),
    (CostPlus, {"margin": "20%"}, "cost_plus: margin: '20%' is not .*: write '0.2' or '1/5' for 20 percent"),
    *(
        (Complexity, free, "complexity: every request would be free")
        for free in ({}, {"models": {"a": {}}}, {"maximum": 9})
    ),
    (CostPlus, {"margin": 1}, "cost_plus: every request would be free"),
    (Graduated, {"tiers": [{"up_to": None, "unit": 1}]}, "graduated: dimension"),
    (Graduated, {"dimension": "calls", "tiers": []}, "graduated: tiers: the last tier"),
    (Graduated, {"dimension": "calls", "tiers": [{"up_to": 5, "unit": 1}]}, "graduated: tiers: the last tier"),
    (Volume, {"dimension": "calls", "tiers": [{"up_to": None, "unit": 1}] * 2}, "volume: tiers: the last tier"),
    (
        Volume,
        {"dimension": "calls", "tiers": [{"up_to": up_to, "unit": 1} for up_to in (5, 5, None)]},
        "volume: tiers: the bounds must rise",
    ),
    (Volume, {"dimension": "calls", "tiers": [{"up_to": None, "unit": 0.1}]}, r"volume: tiers\.0\.unit"),
    (Volume, {"dimension": "calls", "tiers": [{"up_to": None, "unit": 1, "flat": "0.5"}]}, r"volume: tiers\.0\.flat"),
    (Package, {"dimension": "calls", "size": 0, "credits": 1}, "package: size"),
    (Package, {"dimension": "calls", "size": 10, "credits": "1/2"}, "package: credits"),
]


@pytest.mark.parametrize(("factory", "parameters", "message"), REFUSED)
def test_what_is_not_right_is_refused_by_name(factory: PolicyFactory, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        factory(parameters)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ValueError, match=r"size: .*; credits: "):
        Package({"dimension": "calls"})


@pytest.mark.parametrize(
    ("factory", "given", "kept"),
    [
        (Time, {"credits_per_second": "6/4"}, {"credits_per_second": "3/2"}),
        (Time, {"credits_per_second": "8/4"}, {"credits_per_second": "2"}),
        (Time, {"credits_per_second": "0"}, {}),
        (PerCredit, {"credits": 1, "per": "request"}, {}),
        (
            Complexity,
            {"weights": {"a": "7"}, "models": {"m": {}, "n": {"a": 0}}, "minimum": 0, "maximum": None},
            {"weights": {"a": "7"}, "models": {"n": {"a": "0"}}},
        ),
        (CostPlus, {"costs": {"calls": "2/4"}, "margin": "2/10"}, {"costs": {"calls": "1/2"}, "margin": "1/5"}),
        (
            Graduated,
            {"dimension": "a", "tiers": [{"up_to": 5, "unit": "2/4", "flat": 0}, {"up_to": None, "unit": 0}]},
            {"dimension": "a", "tiers": [{"up_to": 5, "unit": "1/2"}, {"up_to": None, "unit": "0"}]},
        ),
        (Package, {"dimension": "a", "size": 5, "credits": 1, "free": 0}, {"dimension": "a", "size": 5, "credits": 1}),
    ],
)
def test_parameters_are_kept_in_lowest_terms_without_defaults(
    factory: PolicyFactory, given: dict[str, Any], kept: dict[str, Any]
) -> None:
    policy = factory(given)
    assert policy.parameters == kept
    assert factory(kept) == policy


def test_policies_of_two_kinds_or_of_other_parameters_differ() -> None:
    tiers = {"dimension": "calls", "tiers": [{"up_to": None, "unit": 1}]}
    assert Graduated(tiers) != Volume(tiers)
    assert PerCredit({"credits": 2}) != PerCredit({})


def test_what_a_caller_does_to_the_parameters_does_not_reach_the_policy() -> None:
    policy = PerCredit({"credits": 2})
    policy.parameters["credits"] = 9
    assert policy.parameters == {"credits": 2}
