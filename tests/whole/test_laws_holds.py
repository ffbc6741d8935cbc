"""The law of holds: together they cover what the open requests of an account may cost."""

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from law_house import ANN, DAY, FALLING, MONTH_END, RISING, SECOND, UNITS, VOLUME, House, tiers

from ledger import Adjust, Reason, Release, RepricePlan, Request, Withdraw


def test_with_rising_tiers_whoever_comes_last_is_covered():
    """100 for the first 100 units and 1000 for the next: both requests are covered in either order, and no third."""
    for first, last in permutations((0, 1)):
        house = House(credits=1100, **RISING)
        house.buy()
        requests = house.ask(100), house.ask(100)
        assert house.refusal(house.asking(1)).reason == Reason.insufficient_credits
        assert house.event(house.charge(100, requests[first])).credits == 100
        assert house.refusal(house.asking(1)).reason == Reason.insufficient_credits
        event = house.event(house.charge(100, requests[last]))
        assert (event.credits, event.shortfall) == (1000, 0)


def test_with_falling_tiers_no_more_is_needed_than_all_cost_together():
    """1000 and 100 cost 1100, also if the first is voided."""
    house = House(credits=1100, **FALLING)
    house.buy()
    one, two = house.ask(100), house.ask(100)
    house.has(held=1100)
    house.do(Release(request=one))
    assert house.holds == [1000]
    house.do(house.asking(100))
    assert house.event(house.charge(100, two)).shortfall == 0


def test_a_partial_charge_counts_what_is_left_of_its_estimate():
    """Of 100 units 60 are charged: 40 more may come, not 100, so that 60 more may be asked for."""
    house = House(credits=160, **tiers("graduated", (1000, 1), (None, 9)))
    house.buy()
    request = house.ask(100)
    house.charge(60, request, final=False)
    assert house.refusal(house.asking(61)).reason == Reason.insufficient_credits
    house.do(house.asking(60))


def test_a_request_is_metered_in_the_period_in_which_it_was_admitted():
    """In January 1000 units are charged at 10, so 100 more are 1 each: also two minutes later, in February."""
    house = House(credits=10_100, **tiers("graduated", (1000, 10), (None, 1)))
    house.at(MONTH_END - 60).buy()
    house.charge(1000)
    request = house.ask(100)
    event = house.event(house.at(MONTH_END + 60).charge(100, request))
    assert (event.period, event.credits, event.shortfall) == ("2026-01", 100, 0)


def test_a_request_of_the_month_before_does_not_cost_what_a_new_month_costs():
    """The other way round: rising tiers are cheap again in February, for February's requests."""
    house = House(credits=1100, **RISING)
    house.at(MONTH_END - 60).buy()
    house.charge(100)
    request = house.ask(100)
    assert house.event(house.at(MONTH_END + 60).charge(100, request)).credits == 1000


def test_a_late_charge_is_metered_where_its_request_was_admitted():
    house = House(credits=10_100, hold_seconds=60, **tiers("graduated", (1000, 10), (None, 1)))
    house.at(MONTH_END - 30).buy()
    house.charge(1000)
    request = house.ask(100)
    event = house.event(house.at(MONTH_END + 60).charge(100, request))
    assert (event.late, event.period, event.credits) == (True, "2026-01", 100)


def test_a_repricing_does_not_uncover_what_is_open():
    """One unit more than 100 costs 10 under the first tariff, under the second 20; 100 units are charged already."""
    house = House(credits=1000, **RISING)
    house.buy()
    house.charge(100)
    one = house.ask(10)
    dearer = tiers("graduated", (105, 1), (None, 20))
    house.do(RepricePlan(plan="pro", **dearer))
    two = house.ask(10)
    assert [house.event(house.charge(10, request)).shortfall for request in (one, two)] == [0, 0]


def test_a_request_of_another_kind_of_tariff_does_not_make_a_neighbour_dearer():
    """The first is priced by itself; but it moves the meter by which the second is priced: at worst 100 units at 10."""
    house = House(credits=1200)
    house.buy()
    one = house.ask(100)
    house.do(RepricePlan(plan="pro", **RISING))
    two = house.ask(100)
    assert house.holds == [100, 1000]
    assert [house.event(house.charge(100, request)).shortfall for request in (one, two)] == [0, 0]


def test_what_cannot_be_given_back_does_not_pay_for_what_rises_again():
    """100 units cost 1000, and all of that was refunded. Of 60 more the first makes all cheaper, by nothing that was
    paid, and 59 cost 295."""
    house = House(credits=1000, **VOLUME)
    house.buy()
    house.do(Adjust(charge=house.charge(100), credits=-1000, reason="refund"))
    request = house.ask(60)
    assert house.holds == [295]
    assert house.event(house.charge(1, request, final=False)).credits == 0
    assert house.event(house.charge(59, request)).credits == 295


def test_a_tariff_of_another_dimension_does_not_hide_what_cannot_be_given_back():
    """As above, while a request is open under a tariff that reads other usage."""
    house = House(credits=1000, **VOLUME, unpriced="free")
    house.buy()
    house.do(Adjust(charge=house.charge(100), credits=-1000, reason="refund"))
    request = house.ask(60)
    calls = {"policy": "package", "parameters": {"dimension": "calls", "size": 10, "credits": 1}}
    house.do(RepricePlan(plan="pro", **calls))
    house.do(Request(**ANN, estimate={"calls": 5}))
    house.do(Withdraw(**ANN))
    house.charge(1, request, final=False)
    assert house.event(house.charge(59, request)).shortfall == 0


def test_falling_volume_tiers_are_lent_whole_to_who_comes_first():
    """10 units cost 100, and 20 cost 100: the second request holds nothing, and is charged first."""
    house = House(**tiers("volume", (10, 10), (None, 5)))
    house.buy()
    one, two = house.ask(10), house.ask(10)
    assert house.holds == [100, 0]
    assert [house.event(house.charge(10, request)).credits for request in (two, one)] == [100, 0]


@pytest.mark.parametrize("price", [UNITS, tiers("graduated", (None, 1)), VOLUME])
def test_a_part_that_is_corrected_leaves_as_much_more_of_the_estimate(price):
    """All was charged, and nothing of it was right: it may still come."""
    house = House(credits=100, **price)
    house.buy()
    request = house.ask(10)
    house.do(Adjust(charge=house.charge(10, request, final=False), usage={"u": -10}))
    house.ledger.execute(Withdraw(**ANN))
    assert house.event(house.charge(10, request)).shortfall == 0


def test_what_is_reserved_for_an_unknown_request_covers_a_neighbour_within_its_estimate():
    """The first unit of the period costs 4, 3 of them whatever its units. Nobody knows what the first request uses."""
    price = tiers("volume", (6, 1), (None, "7/2"))
    price["parameters"]["tiers"][0]["flat"] = 3
    house = House(credits=4, **price)
    house.buy()
    house.do(Request(**ANN))
    request = house.ask(1)
    event = house.event(house.charge(1, request, final=False))
    assert (event.credits, event.shortfall) == (4, 0)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_within_their_estimates_requests_end_without_a_shortfall_in_any_order(data):
    """On credits that admit some: with partial charges, releases, a month's end, a repricing in between."""
    draw = data.draw
    prices = [
        tiers("graduated", (6, 1), (None, 4)),
        tiers("graduated", (6, 4), (None, 1)),
        tiers("volume", (6, 3), (12, 1), (None, 2)),
        tiers("volume", (6, 1), (None, "7/2")),
        {"policy": "package", "parameters": {"dimension": "u", "size": 4, "credits": 5, "free": 3}},
        {"policy": "complexity", "parameters": {"weights": {"u": "2/3"}, "minimum": 2}},
        {"policy": "cost_plus", "parameters": {"costs": {"u": "1/3"}, "margin": "1/2"}},
    ]
    house = House(
        credits=draw(st.integers(5, 90)),
        hold_seconds=10 * DAY,
        longest_seconds=40 * DAY,
        **draw(st.sampled_from(prices)),
    )
    house.at(MONTH_END - DAY).buy()
    rest = {}
    for _ in range(draw(st.integers(4, 14))):
        move = draw(st.sampled_from(["ask", "ask", "part", "part", "end", "void", "reprice", "wait"]))
        request = draw(st.sampled_from(sorted(rest))) if rest else 0
        if move == "ask":
            units = draw(st.integers(1, 12))
            if answer := house.ledger.execute(house.asking(units)):
                rest[answer.seq] = units
        elif move == "reprice":
            house.do(RepricePlan(plan="pro", **draw(st.sampled_from(prices))))
        elif move == "wait":
            house.now += DAY // 2 * SECOND
        elif request and move == "void":
            house.do(Release(request=request))
            del rest[request]
        elif request:
            units = draw(st.integers(0, rest[request]))
            event = house.event(house.charge(units, request, final=move == "end"))
            assert event.shortfall == 0, house.balance
            rest[request] -= units
            if move == "end":
                del rest[request]


@pytest.mark.parametrize("price", [RISING, FALLING, tiers("graduated", (None, 1)), UNITS])
def test_a_request_is_refused_only_where_all_together_cost_more_than_there_is(price):
    """Two requests of 100 units cost so much together that one credit less is too little, and no more is needed."""
    together = {"graduated": {"1": 1100, "10": 1100}}.get(price["policy"], {})
    cost = together.get(price["parameters"].get("tiers", [{}])[0].get("unit"), 200)
    cost = 200 if len(price["parameters"].get("tiers", "")) == 1 else cost
    for credits, passes in ((cost, True), (cost - 1, False)):
        house = House(credits=credits, **price)
        house.buy()
        house.ask(100)
        assert bool(house.ledger.execute(house.asking(100))) == passes
