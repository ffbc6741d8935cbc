"""The naive model by worked examples: each figure here was found by hand, from the design's rules."""

import pytest
from whole_accounts import SECOND, split
from whole_model import Model
from whole_prices import complexity, cost_plus, dearest, graduated, on_top, package, peak, unread, volume

from ledger.commands import (
    Adjust,
    Charge,
    CreatePlan,
    Extend,
    Freeze,
    Give,
    Purchase,
    Reinstate,
    Release,
    RepricePlan,
    Request,
    Reverse,
    Unfreeze,
    Withdraw,
)
from ledger.events import CreditsLimit, Limits, RateLimit

ALICE = {"subscriber": "alice", "plan": "basic"}
TOKENS = {"policy": "complexity", "parameters": {"weights": {"tokens": "1"}}}


class Story:
    """Commands one second apart, or at a moment that is named; each is numbered by its place."""

    def __init__(self, **terms):
        self.model, self.now, self.seq = Model(), 0, 0
        self.do(CreatePlan(plan="basic", owner="bob", **({"credits": 100, "price": {"bob": 10}} | TOKENS | terms)))

    def do(self, command, at=None):
        self.now = self.now + SECOND if at is None else at * SECOND
        self.seq += 1
        self.answer = self.model.apply(command, self.now, self.seq)
        return self.seq

    def buy(self, **more):
        return self.do(Purchase(**ALICE, **more))

    def give(self, **more):
        return self.do(Give(**ALICE, **more))

    def request(self, tokens):
        return self.do(Request(**ALICE, estimate={"tokens": tokens}))

    def charge(self, tokens, request=0, **more):
        account = {} if request else ALICE
        return self.do(Charge(request=request, **account, usage={"tokens": tokens}, **more))

    def refused(self):
        kind, reason = self.answer
        return reason if kind == "refused" else None

    def read(self, at=None):
        return self.model.read(("alice", "basic"), self.now if at is None else at * SECOND)

    def has(self, at=None, **expected):
        reading = self.read(at)["balance"]
        assert {name: reading[name] for name in expected} == expected

    def lot(self, number, at=None, **expected):
        reading = next(lot for lot in self.read(at)["lots"] if lot["id"] == number)
        assert {name: reading[name] for name in expected} == expected


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


def test_a_direct_charge_is_refused_for_want_of_credits_unless_debt_covers_it():
    story = Story()
    story.buy()
    story.charge(101)
    assert story.refused() == "insufficient_credits"
    owing = Story(overrun="debt", debt_limit=1)
    owing.buy()
    owing.charge(102)
    assert owing.refused() == "insufficient_credits"
    owing.charge(101)
    owing.has(debt=1)


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


def test_a_key_is_remembered_for_its_account_for_a_day():
    story = Story()
    story.buy(key="k")
    first = story.answer
    story.buy(key="k")
    assert story.answer == ("repeated", first[1])
    story.give(credits=1, key="k")
    assert story.refused() == "key_reused"
    story.do(Purchase(**ALICE, key="k"), at=86_402)
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

OWING = {"overrun": "debt", "debt_limit": 50}


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
    assert story.refused() == "insufficient_credits"
    story.do(Charge(**ALICE, usage={"tokens": 50}, occurred_at=11 * SECOND), at=13)
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
