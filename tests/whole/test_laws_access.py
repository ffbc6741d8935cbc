"""The laws of access: windows of time in a queue, and what a refusal says of the remedy."""

import pytest
from law_house import ANN, DAY, MONTH_END, OPENING, OWING, SECOND, TIME, House, tiers

from ledger import Adjust, Charge, CreditsLimit, Freeze, Limits, RateLimit, Request, Reverse, Withdraw

# -- 5. a window queues behind the last one that still gives access ----------------------------------------------------


@pytest.mark.parametrize("terms", [TIME, {"seconds": 100}])
def test_a_window_queues_behind_the_one_that_runs_and_the_ones_that_wait(terms):
    house = House(**terms)
    assert [house.starts(house.at(10).buy()) for _ in range(3)] == [10, 110, 210]


@pytest.mark.parametrize("terms", [TIME, {"seconds": 100}])
@pytest.mark.parametrize("how", [Reverse, Withdraw])
def test_a_window_does_not_queue_behind_one_that_was_taken_back(terms, how):
    house = House(**terms)
    lot = house.buy()
    house.at(20).do(how(**ANN, lot=lot))
    assert house.starts(house.at(30).buy()) == 30


def test_a_window_does_not_queue_behind_one_that_was_taken_back_before_it_began():
    house = House(**TIME)
    house.buy()
    lot = house.buy()
    house.do(Reverse(**ANN, lot=lot))
    assert house.starts(house.buy()) == 100


def test_a_window_does_not_queue_behind_one_whose_credits_are_gone():
    house = House(seconds=100)
    house.buy()
    house.charge(100)
    assert house.starts(house.at(30).buy()) == 30
    house.do(house.asking(10))


def test_a_window_queues_behind_one_of_which_something_is_held():
    house = House(seconds=100)
    house.buy()
    house.ask(100)
    assert house.starts(house.at(30).buy()) == 100


def test_a_window_does_not_queue_behind_an_expiry_that_a_refund_brought():
    house = House(seconds=100)
    house.buy()
    charge = house.charge(100)
    house.at(120).do(Adjust(charge=charge, credits=-30, expiry=OPENING + 500 * SECOND))
    assert house.starts(house.buy()) == 120


@pytest.mark.parametrize("gift", [{"seconds": 30 * DAY}, {"expiry": 30 * DAY}])
def test_a_gift_of_a_month_and_a_bought_month_are_two(gift):
    house = House(**TIME | {"seconds": 30 * DAY})
    house.give(**gift)
    assert house.ends(house.buy()) == 60 * DAY


def test_a_gift_with_an_expiry_does_not_queue_itself():
    house = House(**TIME)
    house.buy()
    assert house.starts(house.give(expiry=30)) == 0


# -- 6. a refusal tells the truth --------------------------------------------------------------------------------------


def is_true(house, command, **facts):
    """The refusal says just that; it comes true, and one less does not."""
    refused = house.refusal(command)
    assert {name: refused.facts[name] for name in ("top_up", "retry_after_us") if name in refused.facts} == facts
    now = house.now
    if wait := facts.get("retry_after_us"):
        for short in (1, 0):
            house.now = now + wait - short
            assert bool(house.ledger.execute(command)) == (not short)
    elif credits := facts.get("top_up"):
        if credits > 1:
            house.give(credits - 1)
            house.refusal(command)
        house.give(1)
        house.do(command)


def test_what_is_missing_is_what_to_buy():
    house = House(credits=10)
    house.buy()
    is_true(house, house.asking(30), top_up=20)


def test_who_never_bought_is_told_what_to_buy():
    is_true(House(), house_request := Request(**ANN, estimate={"u": 7}), top_up=7)
    assert house_request


def test_who_is_in_debt_is_told_to_buy_that_too():
    house = House(**OWING, credits=10)
    house.buy()
    house.charge(40, house.ask(10))
    is_true(house, house.asking(5), top_up=35)


def test_whose_credits_expired_is_told_what_to_buy():
    house = House()
    house.give(10, expiry=10)
    is_true(house.at(20), house.asking(5), top_up=5)


def test_who_holds_too_much_may_wait_for_it_to_return():
    house = House(hold_seconds=60)
    house.buy()
    house.ask(80)
    is_true(house, house.asking(30), top_up=10, retry_after_us=60 * SECOND)


def test_who_has_credits_that_start_later_may_wait_for_them():
    house = House()
    house.give(10, start=50)
    is_true(house, house.asking(7), top_up=7, retry_after_us=50 * SECOND)


def test_who_must_wait_longest_is_told_the_longest():
    """The rate allows the next request after 10 seconds, the credits come back after 60."""
    house = House(hold_seconds=60, limits=Limits(rate=RateLimit(1, 10)))
    house.buy()
    house.ask(80)
    is_true(house, house.asking(30), retry_after_us=60 * SECOND)


def test_more_than_a_windows_credits_never_pass():
    house = House(limits=Limits(credits=CreditsLimit(20, DAY)))
    house.buy()
    is_true(house, house.asking(30))


def test_a_full_window_is_waited_for_and_so_is_what_is_still_held_then():
    house = House(hold_seconds=90, longest_seconds=90, limits=Limits(credits=CreditsLimit(20, 60)))
    house.buy()
    house.charge(5)
    house.ask(10)
    is_true(house, house.asking(12), retry_after_us=90 * SECOND)


def test_one_who_has_too_much_open_waits_for_the_first_to_end():
    house = House(hold_seconds=90, limits=Limits(open=1))
    house.buy()
    house.ask(1)
    is_true(house, house.asking(1), retry_after_us=90 * SECOND)


def test_buying_is_no_help_where_a_purchase_would_sleep():
    """The window runs for 100 seconds; one that is bought now begins after it."""
    house = House(credits=10, seconds=100)
    house.buy()
    is_true(house, house.asking(30))
    house.buy()
    house.charge(5)
    is_true(house, house.asking(10), retry_after_us=100 * SECOND)


def test_what_is_bought_covers_open_requests_before_another():
    """10 are held for 10 units at 1; then 8 others are charged, so that they may cost 26: 16 are missing, and 1."""
    house = House(credits=10, hold_seconds=60, **tiers("graduated", (10, 1), (None, 3)))
    house.buy()
    house.ask(10)
    house.give(8)
    house.charge(8)
    is_true(house, Request(**ANN, estimate={"u": 1}), top_up=19, retry_after_us=60 * SECOND)


def test_work_that_costs_nothing_needs_access_and_nothing_else():
    """7 are owed, which is more than may be: one credit is access, and a price of 0 is there."""
    house = House(credits=10, seconds=50, late_seconds=5, overrun="debt", debt_limit=3)
    lot = house.buy()
    house.charge(7)
    house.do(Reverse(**ANN, lot=lot))
    is_true(house.at(100), Charge(**ANN, usage={"u": 0}), top_up=1)


def test_nothing_helps_a_frozen_account():
    house = House(credits=10)
    house.buy()
    house.do(Freeze(**ANN))
    is_true(house, house.asking(30))


def test_on_a_plan_of_time_credits_are_no_help():
    house = House(**TIME)
    house.buy()
    is_true(house.at(200), Request(**ANN))


def test_a_new_month_may_let_it_pass():
    """5 of 10 free units are left in January."""
    house = House(credits=1, policy="package", parameters={"dimension": "u", "size": 1, "credits": 1, "free": 10})
    house.at(MONTH_END - 60).buy()
    house.charge(5)
    is_true(house, house.asking(10), top_up=4, retry_after_us=60 * SECOND)


def test_where_the_clock_is_behind_the_log_a_wait_counts_from_the_clock():
    house = House(limits=Limits(rate=RateLimit(1, 10)))
    house.at(1000).buy()
    house.ask(1)
    refused = house.at(0).refusal(house.asking(1))
    assert (refused.facts["retry_after_us"], refused.facts["clock_behind_us"]) == (1010 * SECOND, 1000 * SECOND)
