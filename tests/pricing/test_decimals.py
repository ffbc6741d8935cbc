"""A written price is in credits: with more decimals the same price list is charged more finely.

A whole number is in the smallest unit.
"""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing import Complexity, CostPlus, Graduated, Package, PerCredit, Time, Volume

TIERS = [{"up_to": 1000, "unit": "3/1000", "flat": "2"}, {"up_to": None, "unit": "0.001", "flat": "1"}]
LISTS: list[tuple[Any, dict[str, Any]]] = [
    (Time, {"credits_per_second": "1/60"}),
    (PerCredit, {"credits": "3", "per": "call"}),
    (PerCredit, {}),
    (Complexity, {"weights": {"calls": "0.001", "seconds": "1/3"}, "minimum": "1", "maximum": "50"}),
    (Complexity, {"weights": {"calls": "0.001"}, "models": {"large": {"calls": "12.00 per million"}}}),
    (CostPlus, {"costs": {"calls": "1/7"}, "margin": "1/5"}),
    (Graduated, {"dimension": "calls", "tiers": TIERS}),
    (Volume, {"dimension": "calls", "tiers": TIERS}),
    (Package, {"dimension": "calls", "size": 10, "credits": "25"}),
]


@pytest.mark.parametrize(
    ("written", "exact"),
    [
        ("0.001", Fraction(1, 1000)),
        ("1/1000", Fraction(1, 1000)),
        (Decimal("0.001"), Fraction(1, 1000)),
        (Decimal("1E-3"), Fraction(1, 1000)),
        ("3.00 per million", Fraction(3, 10**6)),
        ("3 per 1M", Fraction(3, 10**6)),
        ("3.00 / 1M", Fraction(3, 10**6)),
        ("3/1K", Fraction(3, 1000)),
        ("3 per 1k", Fraction(3, 1000)),
        ("3 per k", Fraction(3, 1000)),
        ("3 / M", Fraction(3, 10**6)),
        ("3 per 1 million", Fraction(3, 10**6)),
        ("0.5 per thousand", Fraction(1, 2000)),
        ("2 per billion", Fraction(2, 10**9)),
        ("3 per 1000", Fraction(3, 1000)),
        ("2.50", Fraction(5, 2)),
        (7, Fraction(7)),
    ],
)
def test_a_rate_is_what_price_lists_say(written: object, exact: Fraction) -> None:
    policy = Time({"credits_per_second": written})
    assert policy.given.credits_per_second == exact
    assert policy.parameters == {"credits_per_second": str(exact)}
    assert Time(policy.parameters) == policy


@pytest.mark.parametrize(("policy", "parameters"), LISTS)
@given(units=st.integers(0, 10**7), decimals=st.integers(0, 12), model=st.sampled_from(["", "large"]))
def test_decimals_change_how_finely_is_charged_and_nothing_else(
    policy: Any, parameters: dict[str, Any], units: int, decimals: int, model: str
) -> None:
    """What is charged in whole credits is what is charged finely, rounded up."""
    usage, labels = {"calls": units, "seconds": units}, {"model": model}
    coarse, fine = policy(parameters), policy.with_decimals(parameters, decimals)
    finely = fine.total(usage, labels)
    assert coarse.credits_of(usage, labels) == -(-finely.credits // 10**decimals)
    assert sum(Fraction(line.credits) for line in finely.lines) == finely.credits == fine.credits_of(usage, labels)
    assert policy.with_decimals(fine.parameters, decimals) == fine


WHOLE: list[tuple[Any, dict[str, Any]]] = [
    (Time, {"credits_per_second": 7}),
    (PerCredit, {"credits": 3, "per": "call"}),
    (Complexity, {"weights": {"calls": 2}, "models": {"large": {"calls": 5}}, "minimum": 10, "maximum": 5_000}),
    (CostPlus, {"costs": {"calls": 4}, "margin": "1/5"}),
    (CostPlus, {"costs": {"calls": 4}, "margin": 1}),
    (Graduated, {"dimension": "calls", "tiers": [{"up_to": 10, "unit": 3, "flat": 2}, {"up_to": None, "unit": 1}]}),
    (Volume, {"dimension": "calls", "tiers": [{"up_to": 10, "unit": 3, "flat": 2}, {"up_to": None, "unit": 1}]}),
    (Package, {"dimension": "calls", "size": 10, "credits": 25}),
]


@pytest.mark.parametrize(("policy", "parameters"), WHOLE)
@given(units=st.integers(0, 10**7), decimals=st.integers(0, 18), model=st.sampled_from(["", "large"]))
def test_a_whole_price_is_in_the_smallest_unit_of_any_decimals(
    policy: Any, parameters: dict[str, Any], units: int, decimals: int, model: str
) -> None:
    """As every amount is: `credits=5 * 10**18` of a plan and of its price are the same 5.0 credits of 18 decimals."""
    usage, labels = {"calls": units, "seconds": units}, {"model": model}
    whole = policy.with_decimals(parameters, decimals)
    assert whole.credits_of(usage, labels) == policy(parameters).credits_of(usage, labels)
    assert policy.with_decimals(whole.parameters, decimals) == whole


@pytest.mark.parametrize(("policy", "parameters"), LISTS)
def test_policies_with_other_decimals_are_others(policy: Any, parameters: dict[str, Any]) -> None:
    assert policy(parameters) == policy.with_decimals(parameters, 0)
    assert policy(parameters) != policy.with_decimals(parameters, 1)


def test_an_amount_must_fit_the_decimals() -> None:
    parameters = {"weights": {"calls": "0.001"}, "minimum": "0.05"}
    assert Complexity.with_decimals(parameters, 2).credits_of({"calls": 1}, {}) == 5
    assert Complexity.with_decimals(parameters, 2).parameters == {"weights": {"calls": "1/1000"}, "minimum": "0.05"}
    with pytest.raises(ValueError, match=r"minimum: 0\.05 does not fit credits of 1 decimals"):
        Complexity.with_decimals(parameters, 1)
    with pytest.raises(ValueError, match="minimum: 1 is too large"):
        Complexity.with_decimals({"minimum": "1"}, 36)


def test_the_worst_of_a_meter_is_in_the_smallest_unit_too() -> None:
    policy = Package.with_decimals({"dimension": "calls", "size": 10, "credits": "0.25"}, 2)
    assert policy.peak({}, {"calls": 11}, {}) == 50
    assert policy.dearest({}, {"calls": 2}, {"calls": 20}, {}) == 50
