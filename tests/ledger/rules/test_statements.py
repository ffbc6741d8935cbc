"""What statements say of what happened: events in plain words, what they pay of a debt, units without a price."""

import pytest
import shop as shops

from ledger import (
    Adjust,
    Charge,
    CreatePlan,
    Freeze,
    Give,
    Purchase,
    Reinstate,
    Release,
    Request,
    Reverse,
    Unfreeze,
)
from ledger.statements import Amounts

SECOND = 1_000_000
PRO = {"subscriber": "ann", "plan": "pro"}


class Shop(shops.Shop):
    """A ledger in memory, with one plan: 10 credits for 100 USD; one call costs one; 5 may be owed."""

    def __init__(self, **terms):
        super().__init__()
        plan = {"credits": 10, "price": {"acme": 100}, "policy": "per_credit", "parameters": {"per": "call"}}
        plan |= {"overrun": "debt", "debt_limit": 5}
        self.do(CreatePlan(plan="pro", owner="acme", **{**plan, **terms}))

    def told(self):
        return self.ledger.statement("ann", "pro")

    def last(self):
        return self.told().lines[-1].text


@pytest.fixture
def shop():
    shop = Shop()
    shop.do(Purchase(**PRO))
    yield shop
    shop.ledger.close()


def test_units_without_a_price_are_counted_by_line_and_in_all(shop):
    shop.do(Charge(**PRO, usage={"calls": 1, "cals": 7}))
    charge = shop.do(Charge(**PRO, usage={"cals": 2, "tokens": 30}))
    told = shop.told()
    assert [line.unpriced for line in told.lines if line.unpriced] == [{"cals": 7}, {"cals": 2, "tokens": 30}]
    assert told.unpriced == {"cals": 9, "tokens": 30}
    assert told.lines[-1].text == "charged directly, no price for 2 cals, 30 tokens"
    assert shop.ledger.explain(charge).unpriced == {"cals": 2, "tokens": 30}


def test_a_correction_takes_units_without_a_price_away_again(shop):
    charge = shop.do(Charge(**PRO, usage={"calls": 1, "cals": 7}))
    shop.do(Adjust(charge=charge, usage={"cals": -7}))
    told = shop.told()
    assert (told.lines[-1].unpriced, told.unpriced) == ({"cals": -7}, {})
    assert told.unpriced == shop.ledger.balance("ann", "pro").unpriced


def test_what_is_free_by_the_plan_is_not_counted():
    shop = Shop(unpriced="free")
    shop.do(Purchase(**PRO))
    shop.do(Charge(**PRO, usage={"calls": 1, "cals": 7}))
    assert shop.told().unpriced == {}
    assert "price" not in shop.last()


def test_what_returns_and_pays_a_debt_says_so(shop):
    held = shop.do(Request(**PRO, estimate={"calls": 4}))
    shop.do(Charge(**PRO, usage={"calls": 9}))
    shop.do(Release(request=held))
    line = shop.told().lines[-1]
    assert line.text == "released (voided), pays 3 of the debt"
    assert line.change == Amounts(available=4, held=-4, debt=-3)
    assert line.balance == Amounts(issued=10, available=1, spent=9)


def test_what_is_reversed_and_reinstated_is_told_with_its_credits_and_its_money(shop):
    (lot,) = (lot.id for lot in shop.ledger.lots("ann", "pro"))
    shop.do(Reverse(**PRO, lot=lot, amount=30))
    assert shop.last() == f"reversed 3 credits and 0.30 USD, lot {lot}"
    shop.do(Reinstate(**PRO, lot=lot))
    assert shop.last() == f"reinstated 3 credits and 0.30 USD, lot {lot}"
    assert shop.told().closing == Amounts(issued=10, available=10)


def test_an_account_that_is_frozen_and_unfrozen_says_so(shop):
    shop.do(Freeze(**PRO))
    shop.do(Unfreeze(**PRO))
    assert [line.text for line in shop.told().lines[-2:]] == ["frozen", "unfrozen"]


def test_holds_that_move_are_told_by_request():
    """Packages of 4 tokens for 3 credits: three requests of 2 tokens share two of them, whoever is charged first."""
    shop = Shop(policy="package", parameters={"dimension": "tokens", "size": 4, "credits": 3}, credits=6)
    shop.do(Give(**PRO, credits=6))
    _, second, third = (shop.do(Request(**PRO, estimate={"tokens": 2})) for _ in range(3))
    assert [line.text for line in shop.told().lines[-3:]] == ["request held 3", "request held 0", "request held 3"]
    shop.do(Charge(request=second, usage={"tokens": 2}))
    assert [line.text for line in shop.told().lines[-3:]] == [
        f"request {third} holds 0 now",
        f"request {second} holds 3 now",
        f"charged for request {second}",
    ]
