"""The naive model of access by worked examples: holds, windows, refusals, limits."""

from model_story import ALICE, OWING, Story
from whole_accounts import SECOND
from whole_prices import complexity, cost_plus, dearest, peak, unread

from ledger.commands import Adjust, Charge, Freeze, Release, RepricePlan, Request, Reverse, Unfreeze
from ledger.events import CreditsLimit, Limits

# -- holds -------------------------------------------------------------------------------------------------------------

RISING = {"dimension": "tokens", "tiers": [{"up_to": 100, "unit": "1"}, {"up_to": None, "unit": "10"}]}
FALLING = {"dimension": "tokens", "tiers": [{"up_to": 100, "unit": "10"}, {"up_to": None, "unit": "1"}]}


def test_rising_tiers_are_held_whole_and_lent():
    """100 for 100 tokens and 1000 for the next: whoever comes first pays 100, whoever comes last 1000."""
    story = Story(credits=1100, policy="graduated", parameters=RISING)
    story.buy()
    first, second = story.request(100), story.request(100)
    assert [row["hold"] for row in story.read()["requests"]] == [100, 1000]
    story.request(1)
    assert story.refused() == "insufficient_credits"
    story.charge(100, second)
    story.has(spent=100, held=1000, available=0)
    story.charge(100, first)
    story.has(spent=1100, available=0)


def test_a_younger_request_lends_to_an_older_one_what_it_needs_no_more():
    story = Story(credits=1100, policy="graduated", parameters=RISING)
    story.buy()
    first, second = story.request(100), story.request(100)
    story.charge(100, first, final=False)
    story.charge(20, second)
    story.has(spent=300, held=0)


def test_falling_tiers_hold_only_what_all_cost_together():
    """1000 for the first 100 tokens, 100 for the next. If the first is voided, the second holds 1000."""
    story = Story(credits=1100, policy="graduated", parameters=FALLING)
    story.buy()
    first, second = story.request(100), story.request(100)
    assert [row["hold"] for row in story.read()["requests"]] == [1000, 100]
    story.do(Release(request=first))
    assert story.read()["requests"] == [{"id": second, "hold": 1000, "deadline": 604 * SECOND}]


def test_a_request_is_metered_in_the_period_in_which_it_was_admitted():
    """1970-01-31 ends at second 2,678,400: the charge a minute later is priced as January's."""
    story = Story(credits=1100, policy="graduated", parameters=FALLING)
    story.buy()
    story.charge(100)
    story.do(Request(**ALICE, estimate={"tokens": 100}), at=2_678_390)
    request = story.seq
    story.do(Charge(request=request, usage={"tokens": 100}), at=2_678_410)
    story.has(spent=1100)


def test_requests_of_two_tariffs_hold_what_each_costs_at_the_dearest_places():
    """10 tokens of each: whoever takes the places beyond 100 pays 10 a token."""
    story = Story(credits=1100, policy="graduated", parameters=RISING)
    story.buy()
    story.charge(90)
    story.request(10)
    story.do(RepricePlan(plan="basic", policy="graduated", parameters={**RISING, "tiers": FALLING["tiers"]}))
    story.request(10)
    assert [row["hold"] for row in story.read()["requests"]] == [10, 190]


def test_the_dearest_places_and_the_peak_on_the_way():
    tariff = {"policy": "volume", "parameters": {"dimension": "tokens", "tiers": FALLING["tiers"]}}
    assert peak(tariff, {"tokens": 90}, {"tokens": 20}) == 1000
    assert dearest(tariff, {"tokens": 90}, {"tokens": 20}, {"tokens": 20}) == 100
    assert dearest(tariff, {"tokens": 90}, {"tokens": 10}, {"tokens": 20}) == 100
    assert dearest(tariff, {"tokens": 90}, {"tokens": 12}, {"tokens": 20}) == 102


# -- windows -----------------------------------------------------------------------------------------------------------

WINDOW = {"credits": 0, "seconds": 100, "policy": "time", "parameters": {}}
HYBRID = {"credits": 10, "seconds": 100}


def test_a_window_waits_for_a_gift_with_an_expiry():
    story = Story(**WINDOW)
    story.give(expiry=60 * SECOND)
    story.lot(story.buy(), start=60 * SECOND, expiry=160 * SECOND)


def test_a_window_does_not_wait_for_one_that_gives_no_access():
    story = Story(**HYBRID)
    first = story.buy()
    story.do(Reverse(**ALICE, lot=first))
    second = story.buy()
    story.lot(second, start=story.now)
    charge = story.charge(10)
    story.lot(story.buy(), start=story.now)
    story.do(Adjust(charge=charge, credits=-1, expiry=500 * SECOND), at=105)
    story.lot(second, expiry=500 * SECOND)
    story.lot(story.buy(), start=story.now)


def test_a_window_waits_for_one_of_which_something_is_held():
    story = Story(**HYBRID)
    first = story.buy()
    story.request(10)
    story.lot(story.buy(), start=story.read()["lots"][0]["expiry"])
    assert story.read()["lots"][0]["id"] == first


# -- what refusals say -------------------------------------------------------------------------------------------------


def hints(story, at=None, **said):
    """What a request is told that is refused."""
    story.do(Request(**ALICE, estimate={"tokens": 30}, **said), at=at)
    return story.model.hints(Request(**ALICE, estimate={"tokens": 30}, **said), story.refused(), story.now)


def test_a_refusal_says_what_to_buy_and_how_long_to_wait():
    story = Story(credits=10)
    assert hints(story) == {"top_up": 30}
    story.buy()
    story.give(credits=50, start=20 * SECOND)
    assert hints(story, at=12) == {"top_up": 20, "retry_after_us": 8 * SECOND}


def test_a_refusal_says_nothing_that_would_not_help():
    story = Story(limits=Limits(credits=CreditsLimit(29, 10)))
    story.buy()
    assert hints(story) == {}
    story.do(Freeze(**ALICE))
    assert hints(story) == {}
    story.do(Unfreeze(**ALICE))
    story = Story(**HYBRID)
    story.buy()
    assert hints(story) == {}


def test_a_refusal_waits_for_the_next_window_and_for_holds_that_end():
    story = Story(limits=Limits(credits=CreditsLimit(50, 100)), hold_seconds=150, longest_seconds=150)
    story.buy()
    story.request(21)
    assert hints(story, at=50) == {"retry_after_us": 103 * SECOND}


# -- limits follow corrections -----------------------------------------------------------------------------------------


def test_credits_per_window_count_what_stands_after_corrections():
    story = Story(limits=Limits(credits=CreditsLimit(50, 1000)))
    story.buy()
    charge = story.charge(50)
    story.request(10)
    assert story.refused() == "window_exhausted"
    story.do(Adjust(charge=charge, credits=-10))
    story.request(11)
    assert story.refused() == "window_exhausted"
    story.request(10)
    assert story.refused() is None


def test_a_correction_of_an_earlier_windows_charge_is_not_of_this_one():
    story = Story(limits=Limits(credits=CreditsLimit(50, 10)))
    story.buy()
    charge = story.charge(30)
    story.do(Charge(**ALICE, usage={"tokens": 50}), at=11)
    story.do(Adjust(charge=charge, credits=-30))
    story.request(1)
    assert story.refused() == "window_exhausted"


# -- commands ----------------------------------------------------------------------------------------------------------


def test_a_period_begins_with_a_sale_and_not_with_a_gift():
    free = {"policy": "package", "parameters": {"dimension": "tokens", "size": 1, "credits": 1, "free": 10}}
    story = Story(period="purchase", **free)
    story.give(credits=5)
    story.charge(10)
    story.give(credits=5)
    story.charge(1)
    story.has(spent=1)
    story.buy()
    story.charge(10)
    story.has(spent=1)


def test_a_frozen_account_buys_nothing_until_it_is_unfrozen():
    story = Story()
    story.buy()
    story.do(Freeze(**ALICE))
    story.buy()
    assert story.refused() == "frozen"
    story.give(credits=1)
    assert story.refused() is None
    story.do(Unfreeze(**ALICE))
    story.do(Unfreeze(**ALICE))
    assert story.refused() == "malformed"
    story.buy()
    assert story.refused() is None


def test_credits_cannot_be_given_on_a_plan_of_time():
    story = Story(**WINDOW)
    story.give(credits=1)
    assert story.refused() == "malformed"


def test_a_plan_of_time_costs_nothing_by_default():
    story = Story(credits=0, seconds=100, policy=None, parameters={})
    story.buy()
    story.charge(5)
    story.has(spent=0, unpriced={})


def test_a_direct_charge_may_come_late():
    story = Story(seconds=10, late_seconds=5, **OWING)
    story.buy()
    story.do(Charge(**ALICE, usage={"tokens": 70}, occurred_at=12 * SECOND), at=13)
    assert story.refused() == "expired"
    story.do(Charge(**ALICE, usage={"tokens": 51}, occurred_at=11 * SECOND), at=13)
    story.has(debt=50, spent=50)
    story.do(Charge(**ALICE, usage={"tokens": 1}), at=17)
    assert story.refused() == "expired"


def test_usage_that_no_rate_reads_is_refused_or_counted():
    models = {"policy": "complexity", "parameters": {"models": {"small": {"tokens": "1"}}}}
    story = Story(**models)
    story.buy()
    story.request(5)
    assert story.refused() == "unpriced"
    story.charge(5, labels={"model": "large"})
    story.has(spent=0, unpriced={"tokens": 5})
    story = Story(**models, unpriced="free")
    story.buy()
    story.charge(5, story.request(5))
    story.has(spent=0, unpriced={})


def test_what_a_tariff_reads():
    tariff = {"policy": "complexity", "parameters": {"weights": {"in": "1"}, "models": {"big": {"out": "2"}}}}
    assert unread(tariff, {"in": 1, "out": 1}, {}) == {"out": 1}
    assert unread(tariff, {"in": 1, "out": 1}, {"model": "big"}) == {}
    assert unread({"policy": "per_credit", "parameters": {}}, {"in": 1}, {}) == {}
    assert complexity(tariff["parameters"], {"in": 1, "out": 1}, {"model": "big"}) == 3
    assert cost_plus({"costs": {"in": "1/3"}, "margin": "1/5"}, {"in": 10}) == 4


def test_what_is_over_weighs_nothing():
    huge = 2**62
    story = Story(credits=huge, policy="per_credit", parameters={"credits": huge})
    for _ in range(3):
        story.buy()
        assert story.refused() is None
        story.charge(1)
    story.buy()
    story.buy()
    assert story.refused() == "overflow"
