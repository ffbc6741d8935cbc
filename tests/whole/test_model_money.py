"""The naive model of money by worked examples: shares, debt, disputes, shortfalls."""

import pytest
from model_story import ALICE, OWING, Story
from whole_accounts import SECOND

from ledger.commands import Adjust, Reinstate, Release, Reverse, Withdraw

# -- shares of what was earned -----------------------------------------------------------------------------------------


def test_no_share_falls_while_more_is_earned():
    """Of 1000 for 1000 credits, 950 and 30 and 20: what each has earned is rounded down, and exact when all is used."""
    story = Story(credits=1000, price={"bob": 950, "fee": 30, "eve": 20})
    lot = story.buy()
    story.charge(50)
    story.lot(lot, earned=50, shares_earned={"bob": 47, "fee": 1, "eve": 1})
    story.charge(1)
    story.lot(lot, earned=51, shares_earned={"bob": 48, "fee": 1, "eve": 1})
    story.charge(949)
    story.lot(lot, earned=1000, shares_earned={"bob": 950, "fee": 30, "eve": 20})


# -- debt --------------------------------------------------------------------------------------------------------------


def test_what_a_release_returns_pays_debt_first():
    """50 and 50 are held of 100; 80 are charged of the second, 30 of them owed; the first is voided: 20 are left."""
    story = Story(**OWING)
    lot = story.give(credits=100, expiry=90 * SECOND)
    first, second = story.request(50), story.request(50)
    story.charge(80, second)
    story.has(debt=30, available=-30, held=50)
    story.do(Release(request=first))
    story.has(debt=0, available=20, spent=80)
    story.lot(lot, at=90, lapsed=20, spent=80)


def test_what_a_smaller_charge_or_a_refund_returns_pays_debt_first():
    story = Story(**OWING)
    story.give(credits=100)
    first = story.request(50)
    charge = story.charge(70)
    story.has(debt=20)
    story.charge(40, first)
    story.has(debt=10, available=-10, spent=110)
    story.do(Adjust(charge=charge, credits=-5))
    story.has(debt=5, spent=105)


def test_what_returns_to_a_lot_that_is_over_pays_debt_before_the_rest_lapses():
    story = Story(**OWING)
    over = story.give(credits=100, expiry=20 * SECOND)
    story.give(credits=1)
    charge = story.charge(100)
    story.charge(31)
    story.do(Adjust(charge=charge, credits=-50), at=30)
    story.has(debt=0, available=0, spent=81)
    story.lot(over, spent=80, lapsed=20)


def test_a_void_payment_is_paid_by_another_lot_that_has_credits():
    story = Story()
    lot = story.buy()
    gift = story.give(credits=100, priority=1)
    story.charge(60)
    story.do(Reverse(**ALICE, lot=lot))
    story.has(debt=0, available=40, spent=60, withdrawn=100)
    story.lot(gift, left=40, spent=60)


# -- disputes ----------------------------------------------------------------------------------------------------------


def test_a_part_of_a_payment_takes_as_large_a_part_of_the_credits():
    """4 of 10 are void: 40 of 100 credits, of which 20 are there, 20 were spent; 30 stay held."""
    story = Story()
    lot = story.buy()
    story.charge(50)
    story.request(30)
    story.do(Reverse(**ALICE, lot=lot, amount=4))
    story.lot(lot, left=0, spent=30, held=30, withdrawn=40, earned=3)
    story.has(debt=20, available=-20, spent=50, held=30)
    story.do(Reverse(**ALICE, lot=lot, amount=7))
    assert story.refused() == "malformed"


def test_a_part_of_a_window_makes_it_as_much_shorter():
    story = Story(credits=0, seconds=100, policy="time", parameters={})
    lot = story.buy()  # in second 2
    story.do(Reverse(**ALICE, lot=lot, amount=5), at=12)
    story.lot(lot, at=27, expiry=52 * SECOND, earned=2)
    story.do(Reinstate(**ALICE, lot=lot), at=30)
    story.lot(lot, at=52, expiry=102 * SECOND, earned=5)


def test_a_window_that_was_withdrawn_gets_only_the_time_that_was_reversed():
    story = Story(credits=0, seconds=100, policy="time", parameters={}, price={"bob": 100})
    lot = story.buy()  # in second 2
    story.do(Reverse(**ALICE, lot=lot, amount=50), at=22)
    story.do(Withdraw(**ALICE), at=32)
    story.lot(lot, earned=30, expiry=32 * SECOND)
    story.do(Reinstate(**ALICE, lot=lot), at=32)
    story.lot(lot, earned=30, expiry=82 * SECOND)


def test_a_reinstated_lot_pays_what_its_reversal_made_owed():
    story = Story()
    lot = story.buy(payment="card")
    story.charge(20)
    story.request(30)
    story.do(Reverse(**ALICE, payment="card"))
    story.has(debt=50)
    story.buy(payment="card")
    assert story.refused() == "payment_reversed"
    story.do(Reinstate(**ALICE, payment="card"))
    story.has(debt=0, available=50, held=30, spent=20)
    story.lot(lot, left=50, held=30, spent=20, earned=2)
    story.buy(payment="card")
    assert story.answer == ("repeated", lot)


def test_a_lot_that_was_void_at_its_start_starts_when_it_is_reinstated():
    story = Story()
    lot = story.buy(start=10 * SECOND)
    story.do(Reverse(**ALICE, lot=lot))
    story.lot(lot, at=11, started=False, withdrawn=100)
    story.do(Reinstate(**ALICE, lot=lot), at=20)
    story.lot(lot, started=True, left=100, withdrawn=0)


# -- what was never paid -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("price", "paid"), [(90, 40), (70, 40), (40, 40), (30, 30), (0, 0)])
def test_a_lower_price_lowers_what_was_never_paid_first(price, paid):
    """100 are owed, 40 paid."""
    story = Story(credits=40)
    story.buy()
    charge = story.charge(100, story.request(40))
    story.do(Adjust(charge=charge, usage={"tokens": price - 100}))
    assert story.refused() is None
    story.has(spent=paid, available=40 - paid)


def test_up_and_down_at_an_empty_balance_is_nothing():
    story = Story(credits=40)
    story.buy()
    charge = story.charge(40)
    story.do(Adjust(charge=charge, usage={"tokens": 30}))
    story.do(Adjust(charge=charge, usage={"tokens": -30}))
    story.has(spent=40)
    story.do(Adjust(charge=charge, usage={"tokens": -10}))
    story.has(spent=30)


def test_a_period_that_becomes_cheaper_gives_back_only_what_was_paid():
    """400 of 1000 are paid; the 101st call makes it 505: nothing goes back, and 105 stay owed."""
    tiers = [{"up_to": 100, "unit": "10"}, {"up_to": None, "unit": "5"}]
    story = Story(credits=400, policy="volume", parameters={"dimension": "tokens", "tiers": tiers})
    story.buy()
    story.charge(100, story.request(10))
    story.charge(1, story.request(1))
    story.has(spent=400)
    story.do(Adjust(**ALICE, period="1970-01", usage={"tokens": -22}))  # 79 tokens at 10: 285 more are owed, not there
    story.do(Adjust(**ALICE, period="1970-01", usage={"tokens": -44}))  # 35 tokens: 350
    story.has(spent=350)
