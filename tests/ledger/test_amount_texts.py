"""Amounts as people read them: exact, whatever their size."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.amounts import MAX_MONEY, amount_text, exact_text, money_text
from ledger.readings import Earned


@pytest.mark.parametrize(
    ("amount", "decimals", "text"),
    [
        (0, 0, "0"),
        (0, 2, "0.00"),
        (5, 2, "0.05"),
        (-5, 2, "-0.05"),
        (29_792, 2, "297.92"),
        (1_234_567, 3, "1,234.567"),
        (1_000_000, 0, "1,000,000"),
        (10**18 + 1, 18, "1.000000000000000001"),
    ],
)
def test_an_amount_has_its_decimals_and_separators(amount, decimals, text):
    assert amount_text(amount, decimals) == text


def test_a_change_has_its_sign():
    assert [amount_text(each, 2, signed=True) for each in (-1, 0, 1)] == ["-0.01", "0.00", "+0.01"]


def test_money_names_its_asset():
    assert money_text(29_792, "USD", 2) == "297.92 USD"
    assert money_text(29_792, "points") == "29,792 points"


@given(st.integers(-MAX_MONEY, MAX_MONEY), st.integers(0, 255))
def test_the_text_is_the_amount_exactly(amount, decimals):
    assert Fraction(amount_text(amount, decimals).replace(",", "")) * 10**decimals == amount


@pytest.mark.parametrize(
    ("exact", "decimals", "text"),
    [
        (Fraction(937, 500), 0, "1.874"),
        (Fraction(1, 3), 0, "1/3"),
        (Fraction(1874, 1000), 2, "0.01874"),
        (Fraction(1, 3), 2, "1/300"),
        (Fraction(7), 0, "7"),
        (Fraction(-5), 1, "-0.5"),
    ],
)
def test_an_exact_amount_is_a_decimal_number_if_it_has_an_end(exact, decimals, text):
    assert exact_text(exact, decimals) == text


@given(st.fractions(max_denominator=10**6), st.integers(0, 40))
def test_the_exact_text_is_the_amount(exact, decimals):
    assert Fraction(exact_text(exact, decimals).replace(",", "")) * 10**decimals == exact


def test_a_notebook_shows_money_as_money():
    earned = Earned(
        asset="USD",
        asset_decimals=2,
        sold=29_792,
        earned=950,
        settled=0,
        outstanding=950,
        receivers={"acme": 900, "fee": 50},
        due={},
    )
    shown = earned._repr_html_()
    assert "<td>297.92</td>" in shown
    assert "<td>acme 9.00, fee 0.50</td>" in shown
