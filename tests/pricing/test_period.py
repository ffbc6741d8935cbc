"""Policies about a metering period. The numbers of each example are worked by hand beside it."""

from fractions import Fraction
from functools import cache
from math import ceil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.rating import marginal
from pricing import Graduated, Package, Price, Volume

TIERS = [
    {"up_to": 100, "unit": 3, "flat": 10},
    {"up_to": 1000, "unit": "5/2"},
    {"up_to": None, "unit": 1, "flat": 50},
]


def rows(price: Price) -> list[tuple[str, int, str, str]]:
    """A price's lines: what, how many, at what rate, and what they come to."""
    return [(line.text or str(line.dimension), line.units, line.rate, line.credits) for line in price.lines]


@pytest.mark.parametrize(
    ("calls", "credits"),
    [
        (0, 10),  # the first tier's flat fee, whatever the units
        (1, 10 + 3),
        (100, 10 + 300),  # the bound itself is in the tier below
        (101, 10 + 300 + 3),  # 5/2 rounded up
        (102, 10 + 300 + 5),
        (1000, 10 + 300 + 2250),
        (1001, 10 + 300 + 2250 + 50 + 1),
        (2000, 10 + 300 + 2250 + 50 + 1000),
    ],
)
def test_graduated_prices_each_unit_in_its_own_tier(calls: int, credits: int) -> None:
    assert Graduated({"dimension": "calls", "tiers": TIERS}).total({"calls": calls}, {}).credits == credits


def test_graduated_has_a_line_for_each_tier_that_is_reached() -> None:
    price = Graduated({"dimension": "calls", "tiers": TIERS}).total({"calls": 101}, {})
    assert rows(price) == [
        ("calls", 100, "3", "300"),
        ("flat fee of tier 1", 0, "0", "10"),
        ("calls", 1, "5/2", "5/2"),
        ("rounded up", 0, "0", "1/2"),
    ]


def test_the_first_charge_of_a_period_takes_the_flat_fee_even_without_units() -> None:
    """Nothing was charged before: 10 for no units at all. After that, a unit costs 3."""
    policy = Graduated({"dimension": "calls", "tiers": TIERS})
    assert marginal(policy, None, {}, {})[0] == 10
    assert marginal(policy, {}, {"calls": 1}, {})[0] == 3


@pytest.mark.parametrize(
    ("calls", "credits"),
    [
        (0, 10),
        (100, 10 + 300),
        (101, 253),  # 101 × 5/2 = 252.5
        (1000, 2500),
        (1001, 50 + 1001),
    ],
)
def test_volume_prices_all_units_at_the_tier_of_their_number(calls: int, credits: int) -> None:
    assert Volume({"dimension": "calls", "tiers": TIERS}).total({"calls": calls}, {}).credits == credits


def test_the_unit_that_reaches_a_cheaper_tier_costs_less_than_nothing() -> None:
    """310 for 100 calls, 253 for 101."""
    policy = Volume({"dimension": "calls", "tiers": TIERS})
    assert marginal(policy, {"calls": 100}, {"calls": 1}, {})[0] == 253 - 310


@pytest.mark.parametrize(
    ("tiers", "monotone"),
    [
        (TIERS, False),
        ([{"up_to": None, "unit": 1}], True),
        ([{"up_to": 10, "unit": 1}, {"up_to": None, "unit": 2}], True),
        ([{"up_to": 10, "unit": 2}, {"up_to": None, "unit": 1}], False),  # 20, then 11
        ([{"up_to": 10, "unit": 2}, {"up_to": None, "unit": 1, "flat": 9}], True),  # 20, then 20
        ([{"up_to": 10, "unit": 2}, {"up_to": None, "unit": 1, "flat": 8}], False),  # 20, then 19
        ([{"up_to": 2, "unit": "1/3"}, {"up_to": None, "unit": "1/10"}], True),  # 2/3 and 3/10 are 1 and 1
    ],
)
def test_volume_is_monotone_where_no_step_to_the_next_tier_falls(tiers: list[dict[str, Any]], monotone: bool) -> None:
    assert Volume({"dimension": "calls", "tiers": tiers}).monotone is monotone


@pytest.mark.parametrize(
    ("units", "credits"),
    [(0, 0), (100, 0), (101, 7), (1100, 7), (1101, 14), (10**12, 7 * 10**9)],
)
def test_package_is_paid_when_it_is_begun_and_after_what_is_free(units: int, credits: int) -> None:
    """Packages of 1000 at 7 after 100 free units. 10^12 − 100 units fill 10^9 − 1 packages and begin one more."""
    policy = Package({"dimension": "input_tokens", "size": 1000, "credits": 7, "free": 100})
    assert policy.total({"input_tokens": units}, {}).credits == credits


def test_package_accounts_for_every_unit() -> None:
    """1150 units: 100 free, 1050 at 7/1000 are 7.35, and 6.65 for the rest of the second package."""
    policy = Package({"dimension": "input_tokens", "size": 1000, "credits": 7, "free": 100})
    assert rows(policy.total({"input_tokens": 1150}, {})) == [
        ("free", 100, "0", "0"),
        ("input_tokens", 1050, "7/1000", "147/20"),
        ("rounded up", 0, "0", "133/20"),
    ]


@st.composite
def tiered(draw: st.DrawFn) -> dict[str, Any]:
    bounds: list[int | None] = [*sorted(draw(st.sets(st.integers(1, 60), max_size=4)))]
    rates = st.fractions(min_value=0, max_value=9, max_denominator=12).map(str)
    return {
        "dimension": "calls",
        "tiers": [{"up_to": bound, "unit": draw(rates), "flat": draw(st.integers(0, 30))} for bound in [*bounds, None]],
    }


@st.composite
def packages(draw: st.DrawFn) -> dict[str, Any]:
    size, credits, free = draw(st.tuples(st.integers(1, 12), st.integers(0, 9), st.integers(0, 20)))
    return {"dimension": "calls", "size": size, "credits": credits, "free": free}


def tier_of(tiers: list[dict[str, Any]], unit: int) -> int:
    """The tier of the `unit`-th unit, found by looking at one after the other."""
    return next(at for at, tier in enumerate(tiers) if tier["up_to"] is None or unit <= tier["up_to"])


@given(tiered(), st.integers(0, 80))
def test_graduated_agrees_with_counting_unit_by_unit(parameters: dict[str, Any], units: int) -> None:
    tiers = parameters["tiers"]
    reached = {0} | {tier_of(tiers, unit) for unit in range(1, units + 1)}
    exact = sum((Fraction(tiers[tier_of(tiers, unit)]["unit"]) for unit in range(1, units + 1)), Fraction(0))
    expected = ceil(exact + sum(tiers[at]["flat"] for at in reached))
    assert Graduated(parameters).total({"calls": units}, {}).credits == expected


@given(tiered())
def test_volume_says_that_it_is_monotone_exactly_where_it_is(parameters: dict[str, Any]) -> None:
    policy = Volume(parameters)
    totals = [policy.total({"calls": units}, {}).credits for units in range(70)]
    assert policy.monotone is (totals == sorted(totals))


@pytest.mark.parametrize(
    ("before", "more", "credits"),
    [
        (0, 50, 10 + 150),  # the end
        (0, 100, 10 + 300),  # the bound is the end
        (0, 101, 10 + 300),  # 253 at the end
        (100, 1, 10 + 300),  # 310 before, 253 after
        (101, 9, 275),  # 110 × 5/2: the bound is behind
        (50, 2000, 2500),  # at 1000; 2100 at the end
        (2000, 0, 2050),
    ],
)
def test_the_peak_of_volume_is_at_the_end_or_at_a_bound_before_the_step_down(
    before: int, more: int, credits: int
) -> None:
    policy = Volume({"dimension": "calls", "tiers": TIERS})
    assert policy.peak({"calls": before}, {"calls": more}, {}) == credits


@given(st.sampled_from([Graduated, Volume]), tiered(), st.integers(0, 70), st.integers(0, 70))
def test_the_peak_is_the_largest_total_on_the_way(
    kind: type[Graduated | Volume], parameters: dict[str, Any], before: int, more: int
) -> None:
    policy = kind(parameters)
    totals = [policy.total({"calls": units}, {}).credits for units in range(before, before + more + 1)]
    assert policy.peak({"calls": before}, {"calls": more}, {}) == max(totals)


@given(packages(), st.integers(0, 40), st.integers(0, 40))
def test_the_peak_of_packages_is_the_last_total(parameters: dict[str, Any], before: int, more: int) -> None:
    policy = Package(parameters)
    totals = [policy.total({"calls": units}, {}).credits for units in range(before, before + more + 1)]
    assert policy.peak({"calls": before}, {"calls": more}, {}) == max(totals)


TIERED = {"dimension": "calls", "tiers": TIERS}
FALLING = {
    "dimension": "calls",
    "tiers": [{"up_to": 1, "unit": 9}, {"up_to": 2, "unit": 4}, {"up_to": None, "unit": 1}],
}
PACKAGES = {"dimension": "calls", "size": 10, "credits": 7, "free": 5}


@pytest.mark.parametrize(
    ("policy", "before", "more", "among", "credits"),
    [
        (Graduated(TIERED), 90, 8, 20, 8 * 3),  # ten at 3, ten at 5/2 of which five come to 3: the eight dearest
        (Graduated(TIERED), 95, 8, 20, 8 * 3),  # five and eight of them
        (Graduated(TIERED), 95, 15, 20, 5 * 3 + 8 * 3 + 2 * 2),
        (Graduated(TIERED), 100, 4, 20, 4 * 3),  # not 10: each may be the one that is rounded up
        (Graduated(TIERED), 995, 1, 20, 51),  # the unit that reaches the last tier
        (Graduated(TIERED), 995, 2, 20, 51 + 3),
        (Graduated(TIERED), 95, 20, 20, 15 + 38),  # nobody else's units: 10 + 300 + 37.5 less 10 + 285
        (Volume(TIERED), 95, 7, 20, 5 * 3 + 2 * 3),  # the fall at 101 gives nothing
        (Volume(TIERED), 95, 20, 20, 310 - 295),  # alone the fall pays for what follows
        (Volume({"dimension": "calls", "tiers": TIERS[:1] + TIERS[2:]}), 95, 9, 20, 5 * 3 + 4),  # 310 falls to 151
        (
            Volume({"dimension": "calls", "tiers": [{"up_to": 9, "unit": 1}, {"up_to": None, "unit": 2}]}),
            5,
            2,
            9,
            11 + 2,
        ),  # 9, then 20
        (Volume(FALLING), 0, 3, 4, 9 + 1),  # totals 0, 9, 8, 3, 4: no fall counts
        (Package(PACKAGES), 0, 1, 5, 0),  # free
        (Package(PACKAGES), 0, 5, 6, 7),
        (Package(PACKAGES), 4, 3, 30, 3 * 7),  # three begin, after 5, 15 and 25: each unit may be one of them
        (Package(PACKAGES), 4, 9, 30, 3 * 7),
        (Package(PACKAGES), 6, 9, 9, 0),  # within the package that was begun
        (Package({**PACKAGES, "size": 1}), 5, 4, 30, 4 * 7),
    ],
)
def test_the_dearest_units_of_a_meter_that_others_move_as_well(
    policy: Graduated | Volume | Package, before: int, more: int, among: int, credits: int
) -> None:
    assert policy.dearest({"calls": before}, {"calls": more}, {"calls": among}, {}) == credits


def dearest_placement(totals: list[int], units: int) -> int:
    """The most that parts of `units` in all add to the totals of consecutive meters: every placement is tried.

    Parts that touch are one or two, whichever is dearer: so at each meter a unit is skipped, or a part of any length
    begins there.
    """

    @cache
    def best(at: int, left: int) -> int:
        if at == len(totals) - 1:
            return 0
        lengths = range(1, min(left, len(totals) - 1 - at) + 1)
        parts = (max(0, totals[at + size] - totals[at]) + best(at + size, left - size) for size in lengths)
        return max(best(at + 1, left), *parts, 0)

    return best(0, units)


policies_of_a_period = st.one_of(
    st.builds(Graduated, tiered()), st.builds(Volume, tiered()), st.builds(Package, packages())
)


@given(policies_of_a_period, st.integers(0, 70), st.integers(0, 16), st.integers(1, 16))
def test_no_placement_of_parts_is_dearer_than_the_dearest_and_one_comes_to_it(
    policy: Graduated | Volume | Package, before: int, more: int, others: int
) -> None:
    totals = [policy.total({"calls": units}, {}).credits for units in range(before, before + more + others + 1)]
    dearest = policy.dearest({"calls": before}, {"calls": more}, {"calls": more + others}, {})
    assert dearest == dearest_placement(totals, more)


@given(policies_of_a_period, st.integers(0, 70), st.integers(0, 70))
def test_where_nobody_else_charges_the_dearest_is_what_the_peak_adds(
    policy: Graduated | Volume | Package, before: int, more: int
) -> None:
    start, usage = {"calls": before}, {"calls": more}
    expected = policy.peak(start, usage, {}) - policy.total(start, {}).credits
    assert policy.dearest(start, usage, usage, {}) == expected


def test_the_dearest_of_huge_meters_is_found_at_once() -> None:
    """At 3/1000, three of a thousand units raise the total, each by 1: 3 × 10^15 of 10^18 units."""
    policy = Graduated({"dimension": "calls", "tiers": [{"up_to": None, "unit": "3/1000"}]})
    assert policy.dearest({}, {"calls": 5 * 10**17}, {"calls": 10**18}, {}) == 3 * 10**15
    assert policy.dearest({}, {"calls": 10**15}, {"calls": 10**18}, {}) == 10**15


def test_a_policy_about_a_period_reads_the_dimension_that_it_counts_and_no_label() -> None:
    tiers = {"dimension": "calls", "tiers": [{"up_to": None, "unit": 0}]}
    for policy in (Graduated(tiers), Volume(tiers), Package({"dimension": "calls", "size": 1, "credits": 0})):
        assert policy.reads({}) == frozenset({"calls"})
        assert not policy.by_label
