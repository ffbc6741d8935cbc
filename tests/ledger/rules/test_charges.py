"""Charges: what a request really cost, in parts or directly, and what happens beyond the hold (design.md, 6)."""

from fractions import Fraction

import pytest

from ledger import Reason

DAY = 86_400


def credits(shop, *charges):
    return [shop.event(charge).credits for charge in charges]


def test_less_than_the_hold_gives_the_rest_back(shop):
    """Holding 30 and charging 25 gives 5 back."""
    shop.given(shop.plan(), shop.buy())
    shop.when(shop.charge(shop.given(shop.ask(30)), 25))
    shop.leaves(available=75, held=0, spent=25)


def test_more_than_the_hold_is_taken_from_available(shop):
    """Holding 30 and charging 45 takes 15 more."""
    shop.given(shop.plan(), shop.buy())
    shop.when(shop.charge(shop.given(shop.ask(30)), 45))
    shop.leaves(available=55, held=0, spent=45)


def test_a_policy_need_not_offer_more_than_its_total(shop):
    """A unit costs 2: 20 are held for 10 units, and 14 are charged for 3 and 4 of them."""
    shop.given(shop.plan(policy="only_total", parameters={}), shop.buy())
    request = shop.given(shop.ask(10))
    assert shop.event(request).hold == 20
    charges = shop.given(shop.part(request, 3)), shop.given(shop.charge(request, 4))
    assert credits(shop, *charges, shop.given(shop.charge_directly(5))) == [6, 8, 10]
    assert shop.event(shop.given(shop.correct(charges[1], usage={"units": -1}))).credits == -2


def test_a_request_under_such_a_policy_holds_the_most_that_it_can_cost_beside_others(shop):
    """5 units are metered. Of two requests for 3 and 4 units with other labels, each may cost all of the 7: 14."""
    shop.given(shop.plan(policy="only_total_of_periods", parameters={}), shop.buy(), shop.charge_directly(5))
    requests = shop.given(shop.ask(3)), shop.given(shop.ask(4, labels={"model": "large"}))
    assert [shop.event(request).hold for request in requests] == [6, 28 - 6]


def test_any_number_of_parts_and_one_final_charge(shop):
    shop.given(shop.plan(), shop.buy())
    request = shop.given(shop.ask(30))
    shop.given(*[shop.part(request, 7)] * 3, shop.charge(request, 4))
    shop.leaves(available=75, held=0, spent=25, open_requests=0)


def test_overrun_cap_leaves_the_shortfall_to_the_builder(shop):
    """Held 30, cost 130, there: 100. The missing 30 are a field of the event and no leg: nothing else moved."""
    lot = shop.given(shop.plan(), shop.buy())
    charge = shop.when(shop.charge(shop.given(shop.ask(30)), 130))
    assert (shop.event(charge).credits, shop.event(charge).shortfall) == (100, 30)
    assert shop.draws(charge) == [(lot, 100)]
    shop.leaves(available=0, spent=100, debt=0)
    assert shop.earned == 1000


def test_overrun_debt_goes_up_to_the_plans_limit_and_then_caps(shop):
    """Cost 130, there: 100, limit 20: 20 are owed and 10 are missing."""
    lot = shop.given(shop.plan(overrun="debt", debt_limit=20), shop.buy())
    charge = shop.when(shop.charge(shop.given(shop.ask(30)), 130))
    assert (shop.event(charge).credits, shop.event(charge).shortfall) == (120, 10)
    assert shop.draws(charge) == [(lot, 100), (0, 20)]
    shop.leaves(available=-20, spent=120, debt=20)


def test_a_partial_charge_follows_the_overrun_rule_too(shop):
    """A part of 110 empties the account with 10 missing; the next part finds nothing."""
    shop.given(shop.plan(), shop.buy())
    request = shop.given(shop.ask(30))
    first, second = shop.given(shop.part(request, 110)), shop.given(shop.charge(request, 5))
    assert [(shop.event(each).credits, shop.event(each).shortfall) for each in (first, second)] == [(100, 10), (0, 5)]


def test_the_price_is_credits_plus_shortfall_and_the_draws_sum_to_the_credits(shop):
    """Also of the lines, which say how the price came about, where the plan records them."""
    shop.given(shop.plan(parameters={"weights": {"units": "7/2"}}, record_lines=True), shop.gift(50))
    event = shop.event(shop.when(shop.charge(shop.given(shop.ask(1)), 17)))
    assert event.credits + event.shortfall == 60  # 59.5, rounded up
    assert sum(credits for _, credits in event.draws) == event.credits == 50
    assert sum(Fraction(line.credits) for line in event.lines) == 60


def test_lines_that_follow_from_the_tariff_are_left_out_and_computed_when_asked_for(shop):
    """A charge on top of one that was charged before says so, too."""
    shop.given(shop.plan(parameters={"weights": {"units": "7/2"}}), shop.gift(90))
    request = shop.given(shop.ask(1))
    part, last = shop.given(shop.part(request, 3)), shop.given(shop.charge(request, 4))
    assert [shop.event(each).lines for each in (part, last)] == [(), ()]
    explained = [shop.ledger.explain(each) for each in (part, last)]
    assert [[(line.text, line.credits) for line in each.lines] for each in explained] == [
        [("", "21/2"), ("rounded up", "1/2")],
        [("", "49/2"), ("rounded up", "1/2"), ("charged before in this scope", "-11")],
    ]
    assert [sum(Fraction(line.credits) for line in each.lines) for each in explained] == [11, 14]


def test_a_direct_charge_is_a_request_and_its_final_charge_in_one_event(shop):
    lot = shop.given(shop.plan(), shop.buy())
    charge = shop.when(shop.charge_directly(25))
    assert shop.types == ["charged"]
    assert (shop.event(charge).request, shop.event(charge).final, shop.draws(charge)) == (0, True, [(lot, 25)])
    shop.leaves(available=75, held=0, spent=25, open_requests=0)


def test_a_direct_charge_beyond_what_is_available_is_capped_and_keeps_its_shortfall(shop):
    """61 of 60: 60 are taken, 1 is short; an importer loses nothing unrecorded. What is held is not available."""
    lot = shop.given(shop.plan(), shop.buy())
    shop.given(shop.ask(40))
    charge = shop.when(shop.charge_directly(61))
    assert (shop.draws(charge), shop.event(charge).shortfall) == ([(lot, 60)], 1)
    charge = shop.when(shop.charge_directly(5))
    assert (shop.draws(charge), shop.event(charge).shortfall) == ([], 5)
    shop.leaves(available=0, held=40, spent=60, debt=0)


def test_a_direct_charge_goes_into_debt_where_the_rule_is_debt(shop):
    lot = shop.given(shop.plan(overrun="debt", debt_limit=20), shop.buy())
    assert shop.draws(shop.when(shop.charge_directly(115))) == [(lot, 100), (0, 15)]
    shop.when(shop.charge_directly(5))
    shop.leaves(available=-20, debt=20)


def test_a_direct_charge_beyond_the_debt_limit_keeps_its_shortfall(shop):
    """130 where 100 and a debt of 20 are there: 10 are short; in debt to the limit, all of the next."""
    lot = shop.given(shop.plan(overrun="debt", debt_limit=20), shop.buy())
    charge = shop.when(shop.charge_directly(130))
    assert (shop.draws(charge), shop.event(charge).shortfall) == ([(lot, 100), (0, 20)], 10)
    charge = shop.when(shop.charge_directly(5))
    assert (shop.draws(charge), shop.event(charge).shortfall) == ([], 5)
    shop.leaves(available=-20, spent=120, debt=20)


@pytest.mark.parametrize("terms", [{}, {"overrun": "debt", "debt_limit": 20}])
@pytest.mark.parametrize("units", [0, 99, 100, 101, 120, 121, 500])
def test_a_direct_charge_takes_what_that_of_a_request_takes(open_shop, terms, units):
    """By the plan's overrun rule, whether the work was admitted or is reported afterwards."""
    charges = []
    for make in (lambda shop: shop.charge(shop.given(shop.ask(1)), units), lambda shop: shop.charge_directly(units)):
        shop = open_shop()
        shop.given(shop.plan(**terms), shop.buy())
        charge = shop.when(make(shop))
        charges.append((shop.draws(charge), shop.event(charge).credits, shop.event(charge).shortfall))
        shop.close()
    assert charges[0] == charges[1]


def test_a_direct_charge_needs_an_account_that_is_there_lives_and_is_not_frozen(shop):
    shop.given(shop.plan(seconds=100))
    shop.refuses(shop.charge_directly(1), Reason.not_subscribed)
    shop.given(shop.buy(), shop.buy(subscriber="bob"), shop.freeze(subscriber="bob"))
    shop.refuses(shop.charge_directly(1, subscriber="bob"), Reason.frozen)
    shop.at(100 + DAY).refuses(shop.charge_directly(1), Reason.expired)  # no more late charges


def test_a_minimum_applies_once_a_request_however_many_parts(shop):
    """Units at 1, at least 5. Parts of 2, 2 and 4 have totals 5, 5 and 8: they cost 5, 0 and 3."""
    shop.given(shop.plan(parameters={"weights": {"units": 1}, "minimum": 5}), shop.buy())
    request = shop.given(shop.ask(8))
    parts = [shop.given(shop.part(request, 2)), shop.given(shop.part(request, 2)), shop.given(shop.charge(request, 4))]
    assert credits(shop, *parts) == [5, 0, 3]


def test_a_maximum_applies_once_a_request_however_many_parts(shop):
    shop.given(shop.plan(parameters={"weights": {"units": 1}, "maximum": 10}), shop.buy())
    request = shop.given(shop.ask(8))
    assert credits(shop, shop.given(shop.part(request, 8)), shop.given(shop.charge(request, 8))) == [8, 2]


def test_a_price_per_call_applies_once_a_request_however_many_parts(shop):
    shop.given(shop.plan(policy="per_credit", parameters={"credits": 7}), shop.buy())
    request = shop.given(shop.ask())
    assert credits(shop, shop.given(shop.part(request)), shop.given(shop.charge(request, 3))) == [7, 0]


def test_rounding_applies_once_a_request_however_many_parts(shop):
    """Three parts of a unit at 1/3 are one credit, in the first part."""
    shop.given(shop.plan(parameters={"weights": {"units": "1/3"}}), shop.buy())
    request = shop.given(shop.ask(3))
    parts = [shop.given(shop.part(request, 1)), shop.given(shop.part(request, 1)), shop.given(shop.charge(request, 1))]
    assert credits(shop, *parts) == [1, 0, 0]


def test_rounding_applies_to_each_request_of_its_own(shop):
    """Three requests of a unit at 1/3 are three credits."""
    shop.given(shop.plan(parameters={"weights": {"units": "1/3"}}), shop.buy())
    assert credits(shop, *(shop.given(shop.charge_directly(1)) for _ in range(3))) == [1, 1, 1]


def test_the_first_charge_takes_the_minimum_even_of_nothing(shop):
    """The total before the first charge is 0, even though the policy gives an empty usage its minimum."""
    shop.given(shop.plan(parameters={"weights": {"units": 1}, "minimum": 5}), shop.buy())
    request = shop.given(shop.ask(8))
    assert credits(shop, shop.given(shop.part(request, 0)), shop.given(shop.charge(request, 8))) == [5, 3]


def test_a_flat_fee_of_the_first_tier_comes_with_the_first_charge_of_the_period(shop):
    """Whatever its units: the first charge of nothing costs 7, the next 3 units cost 3, and nothing costs nothing."""
    shop.given(shop.tiers((10, 1, 7), (None, 2)), shop.buy())
    charges = [shop.given(shop.charge_directly(units)) for units in (0, 3, 0)]
    assert credits(shop, *charges) == [7, 3, 0]
    assert shop.event(charges[0]).before == {}


def test_a_charge_says_the_meter_before_it(shop):
    """Of the period where the policy is of periods, of the request where it is of requests."""
    shop.given(shop.tiers((10, 1), (None, 2)), shop.buy(), shop.charge_directly(4))
    assert shop.event(shop.given(shop.charge_directly(9))).before == {"units": 4}
    shop.given(shop.plan("plain"), shop.buy(plan="plain"), shop.charge_directly(4, plan="plain"))
    request = shop.given(shop.ask(9, plan="plain"))
    assert shop.event(shop.given(shop.part(request, 4))).before == {}
    assert shop.event(shop.given(shop.charge(request, 5))).before == {"units": 4}


def test_tiers_have_inclusive_upper_bounds(shop):
    """10 units at 1, then at 3: 10 cost 10, and the eleventh 3."""
    shop.given(shop.tiers((10, 1), (None, 3)), shop.buy())
    assert credits(shop, shop.given(shop.charge_directly(10)), shop.given(shop.charge_directly(1))) == [10, 3]


def test_where_the_marginal_is_negative_the_charge_is_0_and_an_adjustment_follows(shop):
    """All units at 3 up to 10, at 1 beyond: 10 cost 30, 11 cost 11. The eleventh is charged 0, and 19 come back."""
    lot = shop.given(shop.tiers((10, 3), (None, 1), policy="volume"), shop.buy())
    shop.given(shop.charge_directly(10))
    charge = shop.when(shop.charge_directly(1))
    assert shop.types == ["charged", "adjusted"]
    adjusted = shop.wrote[1].event
    assert (shop.event(charge).credits, adjusted.credits, adjusted.reason) == (0, -19, "tier")
    assert (adjusted.period, adjusted.draws) == ("2023-11", ((lot, 19),))
    shop.leaves(available=89, spent=11)


def test_a_new_tariff_version_takes_the_meter_as_it_stands(shop):
    """10 units are metered. Under 20 at 1 and then at 5, the next 15 cost total(25) − total(10) = 45 − 10."""
    shop.given(shop.tiers((10, 1), (None, 2)), shop.buy(), shop.charge_directly(10))
    tiers = [{"up_to": 20, "unit": 1}, {"up_to": None, "unit": 5}]
    shop.given(shop.reprice(policy="graduated", dimension="units", tiers=tiers))
    event = shop.event(shop.when(shop.charge_directly(15)))
    assert (event.credits, event.tariff, event.before) == (35, 2, {"units": 10})


def test_weights_of_a_model_override_dimension_by_dimension(shop):
    """Of the model `big` a unit costs 5; its calls cost 2 as for all."""
    tariff = {"weights": {"units": 1, "calls": 2}, "models": {"big": {"units": 5}}}
    shop.given(shop.plan(parameters=tariff), shop.buy())
    used = {"units": 3, "calls": 1}
    charges = [shop.given(shop.charge_directly(used)), shop.given(shop.charge_directly(used, labels={"model": "big"}))]
    assert credits(shop, *charges) == [5, 17]


def test_explain_computes_a_charge_again(shop):
    """Its tariff, meter before and after, lots drawn, adjustments, and what remains of it."""
    lot = shop.given(shop.tiers((10, 1), (None, 2)), shop.buy())
    shop.given(shop.charge_directly(4))
    charge = shop.given(shop.charge_directly(9))  # 6 at 1 and 3 at 2
    correction = shop.given(shop.correct(charge, -5, reason="refund"))
    told = shop.ledger.explain(charge)
    assert (told.before, told.usage, told.after) == ({"units": 4}, {"units": 9}, {"units": 13})
    assert (told.tariff, told.policy, told.credits, told.recomputed, told.agrees) == (1, "graduated", 12, 12, True)
    assert (told.draws, [each.seq for each in told.adjustments], told.net) == (((lot, 12),), [correction], 7)


@pytest.mark.parametrize("seq", [0, 1, 2, 3, 99])
def test_only_charges_are_explained(shop, seq):
    shop.given(shop.plan(), shop.buy())
    assert shop.ledger.explain(seq) is None


# -- direct charges after the end --------------------------------------------------------------------------------------

OWING = {"overrun": "debt", "debt_limit": 20}


def test_work_that_was_done_before_the_end_may_be_charged_directly_after_it(shop):
    """Access ended at 100. What is metered elsewhere comes late: it is owed, as far as the plan's rule goes."""
    shop.given(shop.plan(seconds=100, late_seconds=60, **OWING), shop.buy(), shop.charge_directly(30))
    event = shop.event(shop.at(100).when(shop.charge_directly(5)))
    assert (shop.types, event.late, event.draws) == (["lapsed", "charged"], True, ((0, 5),))
    event = shop.event(shop.at(160, microseconds=-1).when(shop.charge_directly(5, occurred_at=99)))
    assert (event.late, event.draws) == (True, ((0, 5),))
    shop.leaves(available=-10, debt=10, spent=40)
    shop.at(160).refuses(shop.charge_directly(5), Reason.expired)


@pytest.mark.parametrize(("occurred", "passes"), [(None, True), (99, True), (100, False), (120, False)])
def test_what_occurred_after_the_end_is_not_charged_after_it(shop, occurred, passes):
    shop.given(shop.plan(seconds=100, **OWING), shop.buy())
    shop.at(150)
    if passes:
        shop.when(shop.charge_directly(5, occurred_at=occurred))
    else:
        shop.refuses(shop.charge_directly(5, occurred_at=occurred), Reason.expired)


def test_a_late_direct_charge_follows_the_rule_of_any_direct_charge(shop):
    """Nothing is available and nothing may be owed: all of it is short."""
    shop.given(shop.plan(seconds=100), shop.buy())
    event = shop.event(shop.at(150).when(shop.charge_directly(5)))
    assert (event.credits, event.shortfall, event.late) == (0, 5, True)
    shop.given(shop.buy())
    event = shop.event(shop.when(shop.charge_directly(5)))
    assert (event.credits, event.shortfall, event.late) == (5, 0, False)


def test_a_late_direct_charge_beyond_the_debt_limit_keeps_its_shortfall(shop):
    shop.given(shop.plan(seconds=100, **OWING), shop.buy(), shop.charge_directly(30))
    event = shop.event(shop.at(150).when(shop.charge_directly(21)))
    assert (event.draws, event.shortfall) == (((0, 20),), 1)


def test_one_credit_lets_a_direct_charge_pass_where_access_has_ended(shop):
    """It needs access, not credits: the rest of its price is short."""
    shop.given(shop.plan(seconds=100, late_seconds=0), shop.buy())
    shop.at(150).refuses(shop.charge_directly(500), Reason.expired, needed=None, top_up=1)
    shop.given(shop.gift(1))
    assert shop.event(shop.when(shop.charge_directly(500))).shortfall == 499


def test_the_end_is_that_of_the_last_lot(shop):
    """One ended at 50, another at 100."""
    shop.given(shop.plan(late_seconds=10, **OWING), shop.gift(5, expiry=50), shop.gift(5, expiry=100))
    shop.at(105).given(shop.charge_directly(5))
    shop.at(110).refuses(shop.charge_directly(5), Reason.expired)


def test_a_window_without_credits_ends_so_too(shop):
    """What is late costs nothing on a plan of time that is priced 0."""
    shop.given(shop.window(late_seconds=10), shop.buy())
    event = shop.event(shop.at(109).when(shop.charge_directly({"seconds": 40})))
    assert (event.late, event.credits, event.shortfall) == (True, 0, 0)
    shop.at(110).refuses(shop.charge_directly({"seconds": 40}), Reason.expired)


def test_a_plan_without_grace_has_none(shop):
    shop.given(shop.plan(seconds=100, late_seconds=0, **OWING), shop.buy())
    shop.at(100).refuses(shop.charge_directly(1), Reason.expired)


def test_a_frozen_account_has_no_grace(shop):
    shop.given(shop.plan(seconds=100, **OWING), shop.buy(), shop.freeze())
    shop.at(150).refuses(shop.charge_directly(1), Reason.frozen)


def test_a_late_direct_charge_is_metered_and_corrected_like_any_other(shop):
    """Where it occurred, while that is kept. What is given back lowers the debt."""
    december = 16 * 86_400
    shop.given(shop.plan(seconds=december + 50, **OWING), shop.buy())
    charge = shop.at(december + 100).given(shop.charge_directly(15, occurred_at=december - 10))
    assert shop.event(charge).period == "2023-11"
    assert shop.draws(shop.when(shop.correct(charge, usage={"units": -5}))) == [(0, 5)]
    shop.leaves(debt=10)
