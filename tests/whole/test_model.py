"""The naive model by worked examples: each figure here was found by hand, from the design's rules."""

import pytest
from model_story import ALICE, Story
from whole_accounts import SECOND, split
from whole_prices import complexity, graduated, on_top, package, volume

from ledger.commands import Adjust, Charge, Extend, Freeze, Purchase, Release, Request, Reverse, Withdraw
from ledger.events import CreditsLimit, Limits, RateLimit


def test_a_charge_returns_what_was_held_but_not_used():
    """Holding 30 and charging 25 gives 5 back."""
    story = Story()
    story.buy()
    request = story.request(30)
    story.has(available=70, held=30, open_requests=1)
    story.charge(25, request)
    story.has(available=75, held=0, spent=25, open_requests=0)


def test_a_lot_used_up_has_earned_its_cost_in_parts_that_sum_to_it():
    """Of 10 for 3 credits, 1 credit earns 3, 2 earn 6, 3 earn 10; a fee of 1 in 10 waits until the end."""
    story = Story(credits=3, price={"bob": 9, "fee": 1})
    lot = story.buy()
    for earned, shares in ((3, {"bob": 2, "fee": 0}), (6, {"bob": 5, "fee": 0}), (10, {"bob": 9, "fee": 1})):
        story.charge(1)
        story.lot(lot, earned=earned, shares_earned=shares)


def test_what_expires_unused_lapses_but_what_is_held_may_still_be_charged():
    """100 credits for 60 s; 30 are held over the expiry: 70 lapse then, and what the charge leaves lapses after."""
    story = Story(seconds=60)
    lot = story.buy()
    story.do(Request(**ALICE, estimate={"tokens": 30}), at=50)
    story.has(at=61, available=70)
    story.lot(lot, at=62, lapsed=70, held=30)
    story.charge(20, story.seq)
    story.has(at=63, spent=20, lapsed=80, held=0, available=0)


def test_a_hold_past_its_deadline_returns_and_may_be_charged_late_once():
    """A hold of 10 s from second 3 is over at 13; charged at 14 it takes from what is available."""
    story = Story(hold_seconds=10, late_seconds=5)
    story.buy()
    request = story.request(30)
    story.has(at=12, held=30)
    story.has(at=13, held=0, available=100)
    story.do(Charge(request=request, usage={"tokens": 10}, final=False), at=14)
    assert story.refused() == "request_closed"
    story.charge(40, request)
    story.has(spent=40)
    story.charge(40, request)
    assert story.refused() == "request_closed"


def test_a_voided_request_is_not_charged_late():
    story = Story()
    story.buy()
    request = story.request(30)
    story.do(Release(request=request))
    story.charge(1, request)
    assert story.refused() == "request_closed"


def test_a_partial_charge_moves_the_deadline_up_to_the_longest_request():
    story = Story(hold_seconds=10, longest_seconds=15)
    story.buy()
    request = story.request(30)
    story.do(Charge(request=request, usage={"tokens": 5}, final=False), at=9)
    assert story.read()["requests"] == [{"id": request, "hold": 25, "deadline": 18 * SECOND}]
    story.do(Extend(request=request, seconds=0), at=10)
    assert story.read()["requests"][0]["deadline"] == 18 * SECOND


def test_a_minimum_applies_once_a_request_however_many_parts():
    """A minimum of 10: the first part of 4 takes it, the next 4 come to 8 in all and cost nothing more."""
    story = Story(policy="complexity", parameters={"weights": {"tokens": "1"}, "minimum": 10})
    story.buy()
    request = story.request(4)
    for spent in (10, 10, 12):
        story.charge(4, request, final=False)
        story.has(spent=spent)


def test_capped_overrun_takes_what_there_is():
    story = Story()
    story.buy()
    story.charge(130, story.request(30))
    story.has(available=0, spent=100, debt=0)


def test_debt_stops_requests_and_is_paid_by_the_next_lot_that_starts():
    """130 of 100 leave a debt of 30; the next 100 pay it and leave 70."""
    story = Story(overrun="debt", debt_limit=40)
    story.buy()
    story.charge(130, story.request(30))
    story.has(available=-30, debt=30, spent=130)
    story.request(1)
    assert story.refused() == "in_debt"
    lot = story.buy()
    story.has(available=70, debt=0, spent=130, issued=200)
    story.lot(lot, spent=30, left=70, earned=3)


def test_debt_beyond_its_limit_is_capped():
    story = Story(overrun="debt", debt_limit=40)
    story.buy()
    story.charge(170, story.request(30))
    story.has(debt=40, spent=140)


def test_a_direct_charge_beyond_the_credits_is_capped_or_owed():
    story = Story()
    story.buy()
    story.charge(101)
    story.has(debt=0, spent=100)
    owing = Story(overrun="debt", debt_limit=1)
    owing.buy()
    owing.charge(102)
    owing.has(debt=1, spent=101)


def test_lots_burn_by_priority_then_expiry_then_start():
    story = Story()
    last = story.give(credits=10, priority=1, expiry=50 * SECOND)
    third = story.give(credits=10)
    second = story.give(credits=10, expiry=90 * SECOND)
    first = story.give(credits=10, expiry=80 * SECOND)
    for lot in (first, second, third, last):
        story.charge(10)
        story.lot(lot, left=0, spent=10)


def test_what_is_given_back_goes_to_the_lot_drawn_on_last():
    story = Story()
    early, late = story.give(credits=10, expiry=90 * SECOND), story.give(credits=10)
    charge = story.charge(15)
    story.do(Adjust(charge=charge, credits=-7))
    story.lot(late, spent=0, left=10)
    story.lot(early, spent=8, left=2)
    story.do(Adjust(charge=charge, credits=-9))
    assert story.refused() == "adjustment_exceeds"


def test_what_returns_to_an_expired_lot_lapses_unless_it_is_given_an_expiry():
    story = Story()
    lot = story.give(credits=10, expiry=20 * SECOND)
    charge = story.charge(10)
    story.do(Adjust(charge=charge, credits=-3), at=30)
    story.lot(lot, lapsed=3, spent=7)
    story.do(Adjust(charge=charge, credits=-4, expiry=40 * SECOND))
    story.lot(lot, lapsed=3, spent=3, left=4, expiry=40 * SECOND)
    story.lot(lot, at=40, lapsed=7, left=0)


def test_a_refund_pays_a_debt_back_first():
    """120 of 100: 20 of debt were drawn last, so they are the first to go."""
    story = Story(overrun="debt", debt_limit=40)
    story.buy()
    charge = story.charge(120)
    story.do(Adjust(charge=charge, credits=-25))
    story.has(debt=0, available=5, spent=95)


def test_a_correction_of_usage_is_priced_once_at_the_charges_own_tariff():
    """A minimum of 10: from 4 to 9 tokens costs nothing, on to 12 costs 2."""
    story = Story(policy="complexity", parameters={"weights": {"tokens": "1"}, "minimum": 10})
    story.buy()
    charge = story.charge(4)
    story.do(Adjust(charge=charge, usage={"tokens": 5}))
    story.has(spent=10)
    story.do(Adjust(charge=charge, usage={"tokens": 3}))
    story.has(spent=12)
    story.do(Adjust(charge=charge, usage={"tokens": -13}))
    assert story.refused() == "adjustment_exceeds"


VOLUME = {
    "dimension": "tokens",
    "tiers": [{"up_to": 10, "unit": "2", "flat": 0}, {"up_to": None, "unit": "1", "flat": 0}],
}


def test_a_period_that_becomes_cheaper_gives_the_difference_back():
    """10 tokens at 2 cost 20; with one more, 11 at 1 cost 11: the charge is 0 and 9 go back."""
    story = Story(policy="volume", parameters=VOLUME)
    story.buy()
    charge = story.charge(10)
    story.has(spent=20)
    story.charge(1)
    story.has(spent=11)
    story.do(Adjust(charge=charge, credits=-12))
    assert story.refused() == "adjustment_exceeds"


def test_a_bought_window_starts_where_the_last_one_ends_and_earns_as_it_passes():
    story = Story(credits=0, seconds=100, policy="time", parameters={})
    first, second = story.buy(), story.buy()
    story.lot(first, at=52, earned=5)
    story.lot(second, at=102, start=102 * SECOND, expiry=202 * SECOND, earned=0, started=True)
    story.do(Withdraw(**ALICE, lot=second), at=152)
    story.lot(second, earned=5, expiry=152 * SECOND)
    story.request(1)
    assert story.refused() == "expired"


def test_unused_credits_leave_with_their_unearned_money():
    """100 for 10, 25 of them used: 30 of the other 75 take 3 with them, and the rest earns as it is used."""
    story = Story()
    lot = story.buy()
    story.charge(25)
    story.do(Withdraw(**ALICE, credits=30))
    story.lot(lot, withdrawn=30, earned=2)
    story.charge(45)
    story.lot(lot, left=0, earned=7)


def test_a_lapse_that_is_refunded_earns_nothing():
    story = Story(seconds=10, on_lapse="refund")
    lot = story.buy()
    story.charge(50)
    story.lot(lot, at=12, withdrawn=50, lapsed=0, earned=5)


def test_a_void_payment_turns_what_was_used_and_held_into_debt():
    story = Story()
    lot = story.buy()
    story.charge(20)
    request = story.request(30)
    story.do(Reverse(**ALICE, lot=lot))
    story.has(available=-50, debt=50, spent=20, held=30)
    story.charge(10, request)
    story.has(available=-30, debt=30, spent=30, held=0)


def test_a_request_needs_a_lot_that_has_started_and_is_not_over():
    story = Story(seconds=10)
    story.request(1)
    assert story.refused() == "not_subscribed"
    story.buy(start=20 * SECOND)
    story.request(1)
    assert story.refused() == "not_subscribed"
    story.do(Request(**ALICE), at=20)
    assert story.refused() is None
    story.do(Request(**ALICE), at=30)
    assert story.refused() == "expired"
    story.do(Freeze(**ALICE))
    story.request(1)
    assert story.refused() == "frozen"


def test_limits_are_checked_in_their_order():
    limits = Limits(rate=RateLimit(2, 20), credits=CreditsLimit(60, 1000), open=1)
    story = Story(limits=limits)
    story.buy()
    story.request(10)
    story.request(51)
    assert story.refused() == "window_exhausted"
    story.request(50)
    assert story.refused() == "too_many_open"
    story.do(Release(request=3))
    story.request(60)
    assert story.refused() is None
    story.request(60)
    assert story.refused() == "rate_limited"


def test_a_key_is_remembered_for_its_account_for_its_plan_s_time():
    story = Story()
    story.buy(key="k")
    first = story.answer
    story.buy(key="k")
    assert story.answer == ("repeated", first[1])
    story.give(credits=1, key="k")
    assert story.refused() == "key_reused"
    story.do(Purchase(**ALICE, key="k"), at=35 * 86_400 + 300 + 2)
    assert story.answer == ("accepted", story.seq)


def test_nothing_charged_yet_is_not_the_same_as_nothing_used():
    """A first tier's flat fee comes with the first charge, whatever its units, and only then."""
    tiers = [{"up_to": 10, "unit": "1/2", "flat": 3}, {"up_to": None, "unit": "1/4", "flat": 1}]
    tariff = {"policy": "graduated", "parameters": {"dimension": "tokens", "tiers": tiers}}
    assert on_top(tariff, None, {}) == 3
    assert on_top(tariff, {}, {"tokens": 1}) == 1
    assert on_top(tariff, {"tokens": 10}, {"tokens": 1}) == 2


@pytest.mark.parametrize(("units", "credits"), [(0, 3), (1, 4), (10, 8), (11, 10), (14, 10)])
def test_graduated_prices_each_tier_by_itself(units, credits):
    tiers = [{"up_to": 10, "unit": "1/2", "flat": 3}, {"up_to": None, "unit": "1/4", "flat": 1}]
    assert graduated({"dimension": "tokens", "tiers": tiers}, {"tokens": units}) == credits


@pytest.mark.parametrize(("units", "credits"), [(0, 0), (10, 20), (11, 11)])
def test_volume_prices_all_units_in_the_tier_of_the_total(units, credits):
    assert volume(VOLUME, {"tokens": units}) == credits


@pytest.mark.parametrize(("units", "credits"), [(0, 0), (5, 0), (6, 7), (15, 7), (16, 14)])
def test_packages_are_whole(units, credits):
    parameters = {"dimension": "tokens", "size": 10, "credits": 7, "free": 5}
    assert package(parameters, {"tokens": units}) == credits


def test_weights_are_exact_and_the_sum_is_rounded_up_once():
    parameters = {"weights": {"in": "1/3", "out": "2/3"}, "minimum": 1, "maximum": 5}
    assert complexity(parameters, {"in": 1, "out": 1}) == 1
    assert complexity(parameters, {"in": 2, "out": 1}) == 2
    assert complexity(parameters, {"in": 100}) == 5
    assert complexity(parameters, {}) == 1


def test_parts_sum_to_the_whole():
    assert split(10, [1, 1, 1]) == [3, 3, 4]
    assert split(10, [0, 0]) == [0, 10]
