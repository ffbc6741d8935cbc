"""The laws of money: shares of what was earned, returning credits that pay debt, shortfalls."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from law_house import ANN, DAY, OPENING, OWING, SECOND, TIME, VOLUME, House, tiers

from ledger import Adjust, Charge, Give, Reason, Release, Reverse

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
                house.ledger.execute(Give(**ANN, credits=units, expiry=house.now + 40 * SECOND))
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
                house.now += units * SECOND
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
    event = house.event(house.do(Adjust(charge=charge, usage={"u": price - 100})))
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
    assert house.event(house.do(Adjust(charge=charge, usage={"u": 30}))).shortfall == 30
    assert house.event(house.do(Adjust(charge=charge, usage={"u": -30}))).credits == 0
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
