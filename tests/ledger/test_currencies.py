"""The decimals of currencies, held to the package that follows ISO 4217."""

import pytest

from ledger.currencies import minor_units


@pytest.mark.parametrize(("code", "decimals"), [("USD", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4)])
def test_a_code_has_its_minor_units(code, decimals):
    assert minor_units(code) == decimals


@pytest.mark.parametrize("name", ["usd", "XAU", "XXX", "", "eip155:1/erc20:0xa0b8"])
def test_other_names_have_none(name):
    assert minor_units(name) is None


def test_the_table_is_that_of_the_standard():
    currencies = pytest.importorskip("iso4217").Currency
    assert {one.code: one.exponent for one in currencies} == {one.code: minor_units(one.code) for one in currencies}
