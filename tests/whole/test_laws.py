"""The laws of meaning, each by its right values: what money and access come to where a naive ledger gets it wrong.

Told through the public door alone. Times are seconds since the house opened, at the beginning of 2026.
"""

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import (
    Adjust,
    Charge,
    CreatePlan,
    CreditsLimit,
    Fact,
    Freeze,
    Give,
    Ledger,
    Limits,
    Purchase,
    RateLimit,
    Reason,
    Reinstate,
    Release,
    RepricePlan,
    Request,
    Reverse,
    Unfreeze,
    Withdraw,
)

SECOND = 1_000_000
DAY = 86_400
OPENING = 1_767_225_600 * SECOND
"""2026-01-01T00:00:00Z."""
MONTH_END = 31 * DAY

ANN = {"subscriber": "ann", "plan": "pro"}
UNITS = {"policy": "complexity", "parameters": {"weights": {"u": "1"}}}
OWING = {"overrun": "debt", "debt_limit": 50}
TIME = {"credits": 0, "seconds": 100, "policy": "time", "parameters": {}}


def tiers(policy, *steps):
    """Prices in tiers: (up to, credits a unit)."""
    return {
        "policy": policy,
        "parameters": {"dimension": "u", "tiers": [{"up_to": end, "unit": str(rate)} for end, rate in steps]},
    }


RISING = tiers("graduated", (100, 1), (None, 10))
FALLING = tiers("graduated", (100, 10), (None, 1))
VOLUME = tiers("volume", (100, 10), (None, 5))


class House:
    """A ledger whose clock is set by hand, and one plan: 100 credits for 1000, a unit of usage costs a credit."""

    def __init__(self, **terms):
        self.clock = OPENING
        self.ledger = Ledger.open(clock=lambda: self.clock)
        self.do(CreatePlan(plan="pro", owner="o", **({"price": {"o": 1000}, "credits": 100} | UNITS | terms)))

    def at(self, seconds, microseconds=0):
        self.clock = OPENING + int(seconds * SECOND) + microseconds
        return self

    def do(self, command):
        """A command that is accepted: its event, with its number as `seq`."""
        self.answer = self.ledger.execute(command).unwrap()
        return self.answer.event

    def number(self, command):
        self.do(command)
        return self.answer.seq

    def buy(self, **said):
        return self.number(Purchase(**ANN, **said))

    def give(self, credits=0, *, expiry=None, start=None, **said):
        moments = {name: OPENING + at * SECOND for name, at in (("expiry", expiry), ("start", start)) if at is not None}
        return self.number(Give(**ANN, credits=credits, **moments, **said))

    def ask(self, units):
        return self.number(Request(**ANN, estimate={"u": units}))

    def charge(self, units, request=0, **said):
        account = {} if request else ANN
        return self.number(Charge(request=request, **account, usage={"u": units}, **said))

    def event(self, seq):
        return next(self.ledger.events(after=seq - 1)).event

    def refusal(self, command):
        """Why a command is refused."""
        answer = self.ledger.execute(command)
        assert not answer, f"{command} was accepted"
        return answer

    def asking(self, units):
        return Request(**ANN, estimate={"u": units})

    @property
    def balance(self):
        return self.ledger.balance("ann", "pro")

    def has(self, **places):
        assert {name: getattr(self.balance, name) for name in places} == places

    def lot(self, number):
        return next(lot for lot in self.ledger.lots("ann", "pro") if lot.id == number)

    @property
    def holds(self):
        return [request.hold for request in self.ledger.requests("ann", "pro")]

    def starts(self, lot):
        return (self.lot(lot).start - OPENING) / SECOND

    def ends(self, lot):
        return (self.lot(lot).expiry - OPENING) / SECOND


# -- 1. nobody's share of a growing total falls ------------------------------------------------------------------------


def test_each_receiver_has_its_part_rounded_down_until_all_is_used_and_then_its_share():
    """950, 30 and 20 for 1000 credits: of 50 earned 47, 1 and 1; of 51, 48, 1 and 1; of all, 950, 30 and 20."""
    house = House(credits=1000, price={"acme": 950, "platform": 30, "partner": 20})
    lot = house.buy()
    for units, parts in ((50, (47, 1, 1)), (1, (48, 1, 1)), (949, (950, 30, 20))):
        house.charge(units)
        assert house.lot(lot).shares_earned == dict(zip(("acme", "platform", "partner"), parts, strict=True))


@given(
    shares=st.lists(st.integers(0, 50), min_size=1, max_size=4),
    charges=st.lists(st.integers(1, 30), min_size=1, max_size=8),
)
@settings(max_examples=40, deadline=None)
def test_no_share_falls_from_charge_to_charge_and_all_sum_to_the_cost_in_the_end(shares, charges):
    house = House(credits=sum(charges), price={f"r{number}": share for number, share in enumerate(shares)})
    lot, before = house.buy(), dict.fromkeys(house.lot(1 + 1).shares_earned, 0)
    for units in charges:
        house.charge(units)
        now = house.lot(lot).shares_earned
        assert all(now[name] >= before[name] for name in before)
        assert 0 <= house.lot(lot).earned - sum(now.values()) < max(1, len(shares))
        before = now
    assert list(before.values()) == shares


def test_a_window_of_time_is_shared_out_exactly_once_it_is_over():
    house = House(**TIME | {"price": {"acme": 2, "fee": 1}})
    lot = house.buy()
    assert house.at(50).lot(lot).shares_earned == {"acme": 0, "fee": 0}
    assert house.at(99).lot(lot).shares_earned == {"acme": 1, "fee": 0}
    assert house.at(100).lot(lot).shares_earned == {"acme": 2, "fee": 1}


# -- 2. credits that return pay debt first -----------------------------------------------------------------------------


def test_what_a_release_returns_pays_debt_and_is_not_taken_twice_when_it_expires():
    """80 are used of 100, 30 of them as debt while 50 were held elsewhere: 20 lapse in the end, and nothing is owed."""
    house = House(**OWING)
    house.give(100, expiry=30 * DAY)
    one, two = house.ask(50), house.ask(50)
    house.charge(80, two)
    house.has(debt=30)
    house.do(Release(request=one))
    house.has(debt=0, available=20)
    house.do(house.asking(5))
    house.at(31 * DAY).has(lapsed=20, spent=80, debt=0)


def test_what_a_smaller_final_charge_returns_pays_debt():
    house = House(**OWING)
    house.give(100)
    request = house.ask(60)
    house.charge(70)
    house.has(debt=30)
    event = house.event(house.charge(20, request))
    house.has(debt=0, available=10, spent=90)
    assert sum(credits for _, credits in event.repaid) == 30


def test_a_partial_charge_returns_nothing():
    house = House(**OWING)
    house.give(100)
    request = house.ask(60)
    house.charge(70)
    house.charge(20, request, final=False)
    house.has(debt=30, held=40)


def test_what_a_refund_returns_pays_the_debt_of_another_charge():
    house = House(**OWING)
    house.give(100)
    big = house.charge(80)
    house.charge(50)
    house.has(debt=30)
    house.do(Adjust(charge=big, credits=-80, reason="refund"))
    house.has(debt=0, available=50, spent=50)


def test_what_returns_to_an_expired_lot_pays_debt_before_the_rest_lapses():
    house = House(**OWING)
    lot = house.give(100, expiry=10)
    charge = house.charge(100)
    house.at(20).give(10)
    house.charge(40)
    house.has(debt=30)
    house.do(Adjust(charge=charge, credits=-50))
    house.has(debt=0, spent=90, lapsed=20)
    assert (house.lot(lot).spent, house.lot(lot).lapsed) == (80, 20)


def test_a_longer_expiry_keeps_only_what_debt_leaves():
    house = House(**OWING)
    lot = house.give(100, expiry=10)
    charge = house.charge(100)
    house.at(20).give(10)
    house.charge(40)
    house.do(Adjust(charge=charge, credits=-50, expiry=OPENING + 50 * SECOND))
    house.has(debt=0, available=20)
    assert house.lot(lot).left == 20


def test_money_goes_back_for_a_lapse_only_where_debt_leaves_something():
    """Of 1000 for 100 credits, 80 are used, 30 of them paid by what a release returned after the lot had expired."""
    house = House(**OWING, seconds=10, on_lapse="refund", hold_seconds=100)
    lot = house.buy()
    request = house.ask(50)
    house.charge(80)
    house.has(debt=30)
    house.at(20).do(Release(request=request))
    house.has(debt=0, spent=80, withdrawn=20)
    assert (house.lot(lot).refunded, house.lot(lot).earned) == (200, 800)


def test_a_reversal_beside_another_lot_is_paid_by_that():
    """No plan with debt is needed for that."""
    house = House()
    house.buy(payment="void")
    gift = house.give(100, priority=1)
    house.charge(60)
    house.do(Reverse(**ANN, payment="void"))
    house.has(debt=0, available=40, spent=60, withdrawn=100)
    assert house.lot(gift).spent == 60
    house.do(house.asking(40))


def test_the_oldest_debt_is_paid_first():
    """20 and then 10 are owed; of 25 that return, the first is paid whole: its refund is the lot's again."""
    house = House(**OWING)
    house.give(100)
    request = house.ask(100)
    first, second = house.charge(20), house.charge(10)
    house.charge(75, request)
    house.has(debt=5, available=-5)
    house.do(Adjust(charge=second, credits=-10))
    house.has(debt=0, available=5)
    house.do(Adjust(charge=first, credits=-20))
    house.has(available=25)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_nobody_has_debt_and_free_credits_at_once(data):
    """Gifts, charges, refunds and releases in any order."""
    house, requests, charges = House(**OWING), [], []
    for _ in range(data.draw(st.integers(3, 12))):
        units = data.draw(st.integers(1, 40))
        match data.draw(st.sampled_from(["give", "ask", "end", "charge", "refund", "wait"])):
            case "give":
                house.ledger.execute(Give(**ANN, credits=units, expiry=house.clock + 40 * SECOND))
            case "ask":
                requests += [answer.seq] if (answer := house.ledger.execute(house.asking(units))) else []
            case "end" if requests:
                request = data.draw(st.sampled_from(requests))
                house.ledger.execute(data.draw(st.sampled_from([Release(request=request), Charge(request=request)])))
            case "charge":
                answer = house.ledger.execute(Charge(**ANN, usage={"u": units}))
                charges += [answer.seq] if answer else []
            case "refund" if charges:
                house.ledger.execute(Adjust(charge=data.draw(st.sampled_from(charges)), credits=-units))
            case "wait":
                house.clock += units * SECOND
        for balance in house.ledger.balances():
            assert balance.debt == 0 or balance.available == -balance.debt


# -- 3. a correction knows the shortfall -------------------------------------------------------------------------------


def short_charge():
    """Of a price of 100, 40 are there."""
    house = House(credits=40)
    house.buy()
    return house, house.charge(100, house.ask(40))


@pytest.mark.parametrize(("price", "paid"), [(99, 40), (70, 40), (40, 40), (39, 39), (30, 30), (0, 0)])
def test_a_lower_price_gives_back_only_what_was_paid_beyond_it(price, paid):
    house, charge = short_charge()
    event = house.do(Adjust(charge=charge, usage={"u": price - 100}))
    house.has(spent=paid, available=40 - paid)
    assert (event.credits, event.shortfall) == (paid - 40, -min(60, 100 - price))


def test_a_price_falls_in_steps_as_it_falls_at_once():
    house, charge = short_charge()
    for _ in range(7):
        house.do(Adjust(charge=charge, usage={"u": -10}))
    house.has(spent=30)


def test_up_and_down_again_at_an_empty_balance_is_nothing():
    house = House(credits=40)
    house.buy()
    charge = house.charge(40)
    assert house.do(Adjust(charge=charge, usage={"u": 30})).shortfall == 30
    assert house.do(Adjust(charge=charge, usage={"u": -30})).credits == 0
    house.has(spent=40, available=0)


def test_no_more_than_what_is_owed_is_taken_back():
    house, charge = short_charge()
    assert house.refusal(Adjust(charge=charge, usage={"u": -101})).reason == Reason.adjustment_exceeds


def test_credits_alone_stay_bounded_by_what_was_paid():
    house, charge = short_charge()
    assert house.refusal(Adjust(charge=charge, credits=-41)).reason == Reason.adjustment_exceeds
    house.do(Adjust(charge=charge, credits=-40))
    house.has(spent=0)


@pytest.mark.parametrize(("price", "paid"), [(70, 40), (40, 40), (30, 30)])
def test_a_period_knows_its_shortfall_too(price, paid):
    house = House(credits=40, **tiers("graduated", (None, 1)))
    house.buy()
    house.charge(100, house.ask(4))
    house.do(Adjust(**ANN, period="2026-01", usage={"u": price - 100}))
    house.has(spent=paid)


def test_a_tier_gives_nothing_back_that_was_never_paid():
    """400 of 1000 are paid; the 101st call makes it 505."""
    house = House(credits=400, **VOLUME)
    house.buy()
    house.charge(100, house.ask(10))
    house.charge(1, house.ask(1))
    house.has(spent=400, available=0)


def test_a_tier_gives_back_what_was_paid_beyond_the_new_price():
    """700 of 1000 are paid, 300 are not: the 101st call makes it 505, and 195 go back."""
    house = House(credits=700, **VOLUME)
    house.buy()
    house.charge(100, house.ask(10))
    house.charge(1, house.ask(1))
    house.has(spent=505, available=195)


# -- 4. holds cover ----------------------------------------------------------------------------------------------------


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
            house.clock += DAY // 2 * SECOND
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
    now = house.clock
    if wait := facts.get("retry_after_us"):
        for short in (1, 0):
            house.clock = now + wait - short
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


def test_what_is_bought_covers_open_requests_before_a_direct_charge():
    """10 are held for 10 units at 1; then 8 others are charged, so that they may cost 26: 16 are missing, and 1."""
    house = House(credits=10, hold_seconds=60, **tiers("graduated", (10, 1), (None, 3)))
    house.buy()
    house.ask(10)
    house.give(8)
    house.charge(8)
    is_true(house, Charge(**ANN, usage={"u": 1}), top_up=17, retry_after_us=60 * SECOND)


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


# -- 7. limits follow corrections --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("correction", "room"), [({"credits": -10}, 10), ({"usage": {"u": -10}}, 10), ({"credits": 5}, 0)]
)
def test_credits_per_window_are_what_stands_after_corrections(correction, room):
    house = House(limits=Limits(credits=CreditsLimit(50, DAY)))
    house.buy()
    charge = house.charge(50)
    house.do(Adjust(charge=charge, **correction))
    assert house.refusal(house.asking(room + 1)).reason == Reason.window_exhausted
    if room:
        house.do(house.asking(room))


def test_a_correction_upwards_counts_too():
    house = House(limits=Limits(credits=CreditsLimit(50, DAY)))
    house.buy()
    house.do(Adjust(charge=house.charge(30), credits=10, reason="true_up"))
    assert house.refusal(house.asking(11)).reason == Reason.window_exhausted
    house.do(house.asking(10))


def test_a_correction_of_yesterdays_charge_makes_no_room_today():
    house = House(limits=Limits(credits=CreditsLimit(50, DAY)))
    house.buy()
    charge = house.charge(30)
    house.at(DAY).charge(50)
    house.do(Adjust(charge=charge, credits=-30))
    assert house.refusal(house.asking(1)).reason == Reason.window_exhausted


# -- 8. what is over weighs nothing ------------------------------------------------------------------------------------

HUGE = 5 * 10**18


def test_a_life_may_sum_to_more_than_64_bits():
    house = House(credits=HUGE, policy="per_credit", parameters={"credits": HUGE})
    for _ in range(4):
        house.buy()
        house.charge(0)
    house.has(available=0, spent=4 * HUGE)


def test_what_is_open_at_once_may_not():
    house = House(credits=HUGE)
    house.buy()
    assert house.refusal(Purchase(**ANN)).reason == Reason.overflow
    assert house.refusal(Purchase(**ANN, start=OPENING + DAY * SECOND)).reason == Reason.overflow
    house.ask(HUGE)
    assert house.refusal(Purchase(**ANN)).reason == Reason.overflow


def test_a_meter_may_count_beyond_64_bits():
    house = House(credits=1, **tiers("graduated", (None, 0)))
    house.buy()
    for _ in range(3):
        house.charge(2**62)
    assert house.event(house.charge(2**62)).before == {"u": 3 * 2**62}


# -- periods, plans of time --------------------------------------------------------------------------------------------


def test_a_period_begins_with_a_purchase_and_never_with_a_gift():
    """100 of each purchase's calls are free, then 10 cost 100."""
    price = {"policy": "package", "parameters": {"dimension": "u", "size": 10, "credits": 100, "free": 100}}
    house = House(credits=10_000, period="purchase", **price)
    house.buy()
    prices = [house.event(house.charge(100)).credits for _ in range(2)]
    house.give(1)
    prices.append(house.event(house.charge(100)).credits)
    house.buy()
    prices.append(house.event(house.charge(100)).credits)
    assert prices == [0, 1000, 1000, 0]


def test_credits_give_no_access_to_a_plan_of_time():
    house = House(**TIME)
    house.buy()
    refused = house.refusal(Give(**ANN, credits=1))
    assert refused.reason == Reason.malformed
    assert "seconds" in refused.facts["detail"]
    assert house.at(100).refusal(Request(**ANN)).reason == Reason.expired


@pytest.mark.parametrize("overrun", ["cap", "debt"])
def test_a_plan_of_time_costs_nothing_by_default(overrun):
    house = House(credits=0, seconds=100, policy=None, parameters={}, overrun=overrun, debt_limit=5)
    house.buy()
    event = house.do(Charge(request=house.number(Request(**ANN)), usage={"calls": 1}))
    assert (event.credits, event.shortfall, event.unpriced) == (0, 0, {})
    house.do(Request(**ANN))
    house.do(Charge(**ANN, usage={"calls": 1}))


def test_a_plan_of_credits_costs_one_a_request_by_default():
    house = House(policy=None, parameters={})
    house.buy()
    house.do(Charge(**ANN, usage={"calls": 9}))
    house.has(spent=1)


# -- late direct charges -----------------------------------------------------------------------------------------------


def test_direct_charges_have_a_grace_after_the_end():
    house = House(seconds=100, late_seconds=60, **OWING)
    house.buy()
    late = {"occurred_at": OPENING + 90 * SECOND}
    event = house.event(house.at(130).charge(10, **late))
    assert (event.late, event.credits) == (True, 10)
    house.has(debt=10, lapsed=100)
    assert house.at(160).refusal(Charge(**ANN, usage={"u": 1}, **late)).reason == Reason.expired


def test_work_that_was_done_after_the_end_has_no_grace():
    house = House(seconds=100, late_seconds=60, **OWING)
    house.buy()
    after = Charge(**ANN, usage={"u": 1}, occurred_at=OPENING + 100 * SECOND)
    assert house.at(130).refusal(after).reason == Reason.expired


# -- disputes ----------------------------------------------------------------------------------------------------------


def test_a_dispute_that_was_won_leaves_the_lot_as_it_was():
    house = House()
    lot = house.buy(payment="card")
    house.charge(20)
    house.ask(30)
    before = house.lot(lot)
    house.do(Reverse(**ANN, payment="card"))
    house.has(debt=50, available=-50)
    house.do(Reinstate(**ANN, payment="card"))
    assert house.lot(lot) == before
    house.has(debt=0, available=50, held=30, spent=20)


def test_what_a_dispute_took_from_a_lot_that_has_not_begun_is_there_when_it_begins():
    house = House()
    lot = house.buy(payment="card", start=OPENING + 50 * SECOND)
    house.do(Reverse(**ANN, payment="card"))
    house.at(60).has(available=0, issued=0)
    house.do(Reinstate(**ANN, payment="card"))
    house.has(available=100)
    assert house.lot(lot).started


def test_what_has_no_dispute_is_not_reinstated():
    house = House()
    lot = house.buy()
    assert house.refusal(Reinstate(**ANN, lot=lot)).reason == Reason.malformed


def test_a_void_payment_is_not_taken_again():
    house = House()
    buy = Purchase(**ANN, payment="card", key="k")
    lot = house.number(buy)
    house.do(Reverse(**ANN, lot=lot))
    assert house.refusal(buy).reason == Reason.payment_reversed
    assert house.refusal(Purchase(**ANN, payment="card")).reason == Reason.payment_reversed
    house.do(Reinstate(**ANN, lot=lot))
    assert house.ledger.execute(buy).repeated


def test_a_part_of_a_payment_is_void():
    """250 of 1000: a quarter of 100 credits, of which 90 are used: 10 are there, 15 are owed."""
    house = House()
    lot = house.buy()
    house.charge(90)
    event = house.do(Reverse(**ANN, lot=lot, amount=250))
    assert (event.credits, event.money) == (25, 250)
    house.has(debt=15, available=-15, withdrawn=25)
    assert (house.lot(lot).refunded, house.lot(lot).earned) == (250, 750)


def test_parts_that_come_to_the_whole_are_the_whole():
    house = House()
    lot = house.buy()
    for amount in (300, 300, 400):
        house.do(Reverse(**ANN, lot=lot, amount=amount))
    house.has(available=0, withdrawn=100)
    assert (house.lot(lot).refunded, house.lot(lot).earned) == (1000, 0)
    assert house.refusal(Reverse(**ANN, lot=lot)).reason == Reason.malformed


def test_more_than_was_paid_is_not_void():
    house = House()
    lot = house.buy()
    house.do(Reverse(**ANN, lot=lot, amount=600))
    assert house.refusal(Reverse(**ANN, lot=lot, amount=401)).reason == Reason.malformed


def test_a_part_of_a_window_is_as_much_shorter():
    house = House(**TIME)
    lot = house.buy()
    house.at(10).do(Reverse(**ANN, lot=lot, amount=600))
    assert (house.ends(lot), house.at(20).lot(lot).earned) == (40, 200)
    assert house.at(40).refusal(Request(**ANN)).reason == Reason.expired


def test_a_window_that_was_withdrawn_gets_back_only_the_time_that_was_reversed():
    """Half of 100 seconds is reversed, the rest withdrawn at 30; what is earned by then is not less for the half that
    comes back."""
    house = House(**TIME)
    lot = house.buy()
    house.at(20).do(Reverse(**ANN, lot=lot, amount=500))
    house.at(30).do(Withdraw(**ANN))
    assert (house.ends(lot), house.lot(lot).earned) == (30, 300)
    house.do(Reinstate(**ANN, lot=lot))
    assert (house.ends(lot), house.lot(lot).earned) == (80, 300)


# -- freezes -----------------------------------------------------------------------------------------------------------


def test_a_frozen_account_buys_nothing_until_it_is_unfrozen():
    house = House()
    house.buy()
    house.do(Freeze(**ANN))
    assert house.refusal(Purchase(**ANN)).reason == Reason.frozen
    house.give(1)
    house.do(Unfreeze(**ANN))
    house.buy()
    house.do(house.asking(200))


def test_only_a_freeze_is_undone_and_not_one_that_a_chain_asked_for():
    house = House()
    house.buy()
    assert house.refusal(Unfreeze(**ANN)).reason == Reason.malformed
    house.do(Freeze(**ANN, fact=Fact(chain="mock:local", contract="tollbook", id="exit-1")))
    assert house.refusal(Unfreeze(**ANN)).reason == Reason.frozen


# -- usage that no rate reads ------------------------------------------------------------------------------------------

BY_MODEL = {"policy": "complexity", "parameters": {"models": {"small": {"tokens": "1"}}}}


@pytest.mark.parametrize(
    ("usage", "labels", "named"),
    [
        ({"tokens": 9}, {"model": "large"}, ("tokens", "large")),
        ({"tokens": 9}, {"model": "Small"}, ("tokens", "Small")),
        ({"tokens": 9}, {}, ("tokens",)),
        ({"prompt_tokens": 9}, {"model": "small"}, ("prompt_tokens", "small")),
        ({"tokens": 1, "token": 9}, {"model": "small"}, ("token", "small")),
    ],
)
def test_a_request_whose_usage_no_rate_reads_is_refused_and_told_what(usage, labels, named):
    house = House(**BY_MODEL)
    house.buy()
    refused = house.refusal(Request(**ANN, estimate=usage, labels=labels))
    assert refused.reason == Reason.unpriced
    assert all(name in refused.facts["detail"] for name in named)


def test_a_request_whose_usage_is_read_or_nothing_is_admitted():
    house = House(**BY_MODEL)
    house.buy()
    house.do(Request(**ANN, estimate={"tokens": 9, "prompt_tokens": 0}, labels={"model": "small"}))
    house.do(Request(**ANN))


def test_work_that_is_done_is_charged_for_what_is_priced_and_the_rest_is_counted():
    house = House(**BY_MODEL)
    house.buy()
    request = house.number(Request(**ANN, estimate={"tokens": 9}, labels={"model": "small"}))
    event = house.do(Charge(request=request, usage={"tokens": 5, "images": 2}))
    assert (event.credits, event.unpriced) == (5, {"images": 2})
    event = house.do(Charge(**ANN, usage={"tokens": 7}, labels={"model": "large"}))
    assert (event.credits, event.unpriced) == (0, {"tokens": 7})
    house.do(Adjust(charge=house.answer.seq, usage={"tokens": -3}))
    house.has(spent=5, unpriced={"images": 2, "tokens": 4})


def test_a_plan_may_say_that_what_is_not_priced_is_free():
    house = House(**BY_MODEL, unpriced="free")
    house.buy()
    request = house.number(Request(**ANN, estimate={"tokens": 9}, labels={"model": "large"}))
    assert house.do(Charge(request=request, usage={"tokens": 9})).unpriced == {}
    house.has(spent=0, unpriced={})


def test_a_price_for_the_request_alone_reads_everything():
    house = House(policy="per_credit", parameters={"credits": 3})
    house.buy()
    assert house.do(Charge(**ANN, usage={"whatever": 9})).unpriced == {}
    house.do(Request(**ANN, estimate={"whatever": 9}))


# -- repeated answers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", [{"key": "k"}, {"payment": "p"}])
def test_an_answer_that_is_a_repeat_says_so(said):
    house = House()
    first = house.ledger.execute(Purchase(**ANN, **said))
    again = house.ledger.execute(Purchase(**ANN, **said))
    assert (first.repeated, again.repeated) == (False, True)
    assert (again.seq, again.at, again.event) == (first.seq, first.at, first.event)
    house.has(issued=100)
