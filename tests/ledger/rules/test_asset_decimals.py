"""The decimals of assets: in the log, one number for each asset in a ledger (issue 13)."""

import pytest

from ledger import Reason, Terms
from ledger.books import Books

COIN = "eip155:1/erc20:0xa0b8"


def decimals(shop):
    """What the books know."""
    return Books.load(shop.ledger.state()).assets


def on_chain(shop, purchase, said, asset=COIN):
    """A purchase for a coin, of which the chain says so many decimals."""
    terms = Terms(asset=asset, shares={"acme": 5}, credits=1, asset_decimals=said)
    return shop.deposit(purchase, chain="other:1", terms=terms)


@pytest.mark.parametrize(("asset", "said"), [("USD", 2), ("JPY", 0), ("KWD", 3)])
def test_a_plan_records_the_minor_units_of_its_currency(shop, asset, said):
    assert shop.stored(shop.given(shop.plan(asset=asset)))["asset_decimals"] == said
    assert decimals(shop) == {asset: said}


def test_a_name_that_is_no_currency_has_the_decimals_that_are_given(shop):
    assert "asset_decimals" not in shop.stored(shop.given(shop.plan(asset="points")))
    assert shop.stored(shop.given(shop.plan("coins", asset=COIN, asset_decimals=6)))["asset_decimals"] == 6
    assert decimals(shop) == {COIN: 6}


def test_what_is_given_stands_over_the_table(shop):
    assert shop.stored(shop.given(shop.plan(asset="USD", asset_decimals=4)))["asset_decimals"] == 4


def test_an_asset_has_one_number_of_decimals(shop):
    shop.given(shop.plan(asset=COIN, asset_decimals=6))
    shop.refuses(shop.plan("other", asset=COIN, asset_decimals=2), Reason.malformed)
    assert shop.stored(shop.given(shop.plan("other", asset=COIN)))["asset_decimals"] == 6


@pytest.mark.parametrize("said", [-1, 256])
def test_no_asset_has_so_many(shop, said):
    shop.raises(shop.plan(asset=COIN, asset_decimals=said), "asset_decimals: ")


def test_a_purchase_records_what_its_chain_tells_once(shop):
    shop.given(shop.plan(asset=COIN))
    told = [shop.stored(shop.given(on_chain(shop, id, said))) for id, said in (("1", None), ("2", 6), ("3", 6))]
    assert [event.get("asset_decimals") for event in told] == [None, 6, None]
    assert decimals(shop) == {COIN: 6}


def test_in_one_commit_too(shop):
    shop.given(shop.plan(asset=COIN))
    answers = shop.ledger.execute_many([on_chain(shop, id, 6) for id in ("1", "2")])
    assert [answer.event.asset_decimals for answer in answers] == [6, None]


def test_a_chains_word_replaces_a_plans(shop):
    """It is the chain's own token."""
    shop.given(shop.plan(asset=COIN, asset_decimals=2), on_chain(shop, "1", 6))
    assert decimals(shop) == {COIN: 6}


def test_a_purchase_is_the_same_whatever_its_chain_tells_of_the_asset(shop):
    shop.given(shop.plan(asset=COIN))
    first, again = (shop.ledger.execute(on_chain(shop, "1", said)) for said in (6, None))
    assert again.repeated
    assert again.seq == first.seq


def test_money_is_read_with_its_decimals(shop):
    shop.given(shop.plan(), shop.buy())
    shop.given(shop.charge_directly(1))
    assert [one.asset_decimals for one in shop.ledger.earned()] == [2]
    assert [lot.asset_decimals for lot in shop.ledger.lots("alice", "pro")] == [2]


def test_a_snapshot_keeps_them(shop):
    shop.given(shop.plan(asset=COIN, asset_decimals=6))
    state = shop.ledger.state()
    assert Books.load(state).dump() == state
    assert Books.load(state).decimals(COIN) == 6
    assert Books.load(state).decimals("points") == 0
