"""Rounding shows: the exact price of a charge beside the charged one, and what rounding added in all (issue 13)."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.rounding import RoundingSum, percent

THOUSANDTH = {"weights": {"units": "0.001"}}


def rounding(shop):
    sums = RoundingSum()
    for entry in shop.ledger.events():
        sums.add(entry.event)
    return sums.sum()


def test_an_explanation_has_the_exact_price(shop):
    shop.given(shop.plan(parameters=THOUSANDTH), shop.buy())
    explained = shop.ledger.explain(shop.given(shop.charge_directly(1200)))
    assert (explained.credits, explained.exact) == (2, "6/5")


def test_of_a_part_it_is_what_the_part_adds(shop):
    shop.given(shop.plan(parameters=THOUSANDTH), shop.buy())
    request = shop.given(shop.ask(3000))
    exact = [shop.ledger.explain(shop.given(shop.part(request, units))).exact for units in (1200, 500)]
    assert exact == ["6/5", "1/2"]


def test_a_minimum_is_part_of_the_price_and_no_rounding(shop):
    shop.given(shop.plan(parameters=THOUSANDTH | {"minimum": 1}), shop.buy())
    assert shop.ledger.explain(shop.given(shop.charge_directly(5))).exact == "1"


def test_a_policy_without_an_exact_price_says_so(shop):
    shop.given(shop.plan(policy="only_total", parameters={}), shop.buy())
    assert shop.ledger.explain(shop.given(shop.charge_directly(5))).exact is None
    assert rounding(shop).charges == 0
    assert rounding(shop).added_percent is None


def test_what_rounding_added_is_summed_over_a_log_and_its_tariffs(shop):
    """1.2 and 0.5 were charged as 2 and 1, then 2.5 as 3."""
    shop.given(shop.plan(parameters=THOUSANDTH), shop.buy())
    shop.given(shop.charge_directly(1200), shop.charge_directly(500))
    shop.given(shop.reprice(weights={"units": "0.0025"}), shop.charge_directly(1000))
    sums = rounding(shop)
    assert (sums.charges, sums.exact, sums.priced, sums.added_percent) == (3, "21/5", 6, "42.9")


def test_decimals_avoid_it(shop):
    shop.given(shop.plan(parameters=THOUSANDTH, decimals=3, credits="100"), shop.buy())
    shop.given(shop.charge_directly(1200))
    sums = rounding(shop)
    assert (sums.exact, sums.priced, sums.added_percent) == ("1200", 1200, "0.0")


def test_a_shortfall_is_no_rounding(shop):
    """5 are taken of 7.001, which costs 8."""
    shop.given(shop.plan(parameters=THOUSANDTH, credits=5), shop.buy())
    request = shop.given(shop.ask(5000))
    shop.given(shop.charge(request, 7001))
    assert (rounding(shop).exact, rounding(shop).priced) == ("7001/1000", 8)


@pytest.mark.parametrize(("part", "text"), [("2863/10000", "28.6"), ("1/2000", "0.1"), ("-1/8", "-12.5"), ("0", "0.0")])
def test_percents_have_one_decimal(part, text):
    assert percent(Fraction(part), Fraction(1)) == text


@given(st.fractions(0, 100), st.fractions(min_value=Fraction(1, 1000), max_value=1000))
def test_a_percent_is_within_half_a_tenth(part, whole):
    assert abs(Fraction(percent(part, whole).replace(",", "")) - 100 * part / whole) <= Fraction(1, 20)
