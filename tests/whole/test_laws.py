"""The laws of meaning, each by its right values: what money and access come to where a naive ledger gets it wrong.

Told through the public door alone. Times are seconds since the house opened, at the beginning of 2026.
"""

import pytest
from law_house import ANN, DAY, OPENING, OWING, SECOND, TIME, House, tiers

from ledger import (
    Adjust,
    Charge,
    CreditsLimit,
    Fact,
    Freeze,
    Give,
    Limits,
    Purchase,
    Reason,
    Reinstate,
    Request,
    Reverse,
    Unfreeze,
    Withdraw,
)

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


@pytest.mark.parametrize("rule", [{"overrun": "cap"}, {"overrun": "debt", "debt_limit": 5}])
def test_a_plan_of_time_costs_nothing_by_default(rule):
    house = House(credits=0, seconds=100, policy=None, parameters={}, **rule)
    house.buy()
    event = house.event(house.do(Charge(request=house.do(Request(**ANN)), usage={"calls": 1})))
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
    lot = house.do(buy)
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
    event = house.event(house.do(Reverse(**ANN, lot=lot, amount=250)))
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
    request = house.do(Request(**ANN, estimate={"tokens": 9}, labels={"model": "small"}))
    event = house.event(house.do(Charge(request=request, usage={"tokens": 5, "images": 2})))
    assert (event.credits, event.unpriced) == (5, {"images": 2})
    charge = house.do(Charge(**ANN, usage={"tokens": 7}, labels={"model": "large"}))
    event = house.event(charge)
    assert (event.credits, event.unpriced) == (0, {"tokens": 7})
    house.do(Adjust(charge=charge, usage={"tokens": -3}))
    house.has(spent=5, unpriced={"images": 2, "tokens": 4})


def test_a_plan_may_say_that_what_is_not_priced_is_free():
    house = House(**BY_MODEL, unpriced="free")
    house.buy()
    request = house.do(Request(**ANN, estimate={"tokens": 9}, labels={"model": "large"}))
    assert house.event(house.do(Charge(request=request, usage={"tokens": 9}))).unpriced == {}
    house.has(spent=0, unpriced={})


def test_a_price_for_the_request_alone_reads_everything():
    house = House(policy="per_credit", parameters={"credits": 3})
    house.buy()
    assert house.event(house.do(Charge(**ANN, usage={"whatever": 9}))).unpriced == {}
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
