"""Adjustments: corrections of one charge, or of one account's period (design.md, section 6)."""

import pytest

from ledger import Adjust, Reason

NOVEMBER = "2023-11"


def test_what_is_given_back_goes_to_the_lots_drawn_on_last_drawn_first(shop):
    """25 were drawn as 10 and 15, then 5 by another charge. 8 return to the second lot, 10 more as 7 and 3."""
    first = shop.given(shop.plan(), shop.gift(10, expiry=900))
    second = shop.given(shop.gift(20))
    charge = shop.given(shop.charge_directly(25))
    shop.given(shop.charge_directly(5))
    assert shop.draws(shop.when(shop.correct(charge, -8))) == [(second, 8)]
    assert shop.draws(shop.when(shop.correct(charge, -10))) == [(second, 7), (first, 3)]
    shop.lot_has(first, left=3, spent=7)
    shop.lot_has(second, left=15, spent=5)


def test_never_more_is_given_back_than_was_drawn(shop):
    """25 were charged: 26 are refused; 20 pass, then 6 are refused and 5 pass."""
    shop.given(shop.plan(), shop.buy())
    charge = shop.given(shop.charge_directly(25))
    shop.given(shop.charge_directly(50))
    shop.refuses(shop.correct(charge, -26), Reason.adjustment_exceeds, needed=26, available=25)
    shop.given(shop.correct(charge, -20))
    shop.refuses(shop.correct(charge, -6), Reason.adjustment_exceeds, needed=6, available=5)
    shop.when(shop.correct(charge, -5))
    shop.leaves(available=50, spent=50)


def test_what_an_adjustment_took_may_be_given_back_too(shop):
    """25 charged and 10 added: 35 may return, and no more."""
    shop.given(shop.plan(), shop.buy())
    charge = shop.given(shop.charge_directly(25))
    shop.given(shop.correct(charge, 10))
    shop.leaves(available=65, spent=35)
    shop.refuses(shop.correct(charge, -36), Reason.adjustment_exceeds)
    shop.when(shop.correct(charge, -35))
    shop.leaves(available=100, spent=0)


def test_a_shortfall_is_not_given_back(shop):
    """A charge of 130 came to 100: no more than that may return."""
    shop.given(shop.plan(), shop.buy())
    charge = shop.given(shop.charge(shop.given(shop.ask(30)), 130))
    shop.refuses(shop.correct(charge, -101), Reason.adjustment_exceeds, needed=101, available=100)
    shop.when(shop.correct(charge, -100))


def test_a_part_drawn_from_debt_lowers_the_debt(shop):
    """130 were drawn as 100 and a debt of 30: of 40 that return, 30 end the debt and 10 are available."""
    lot = shop.given(shop.plan(overrun="debt", debt_limit=50), shop.buy())
    charge = shop.given(shop.charge_directly(130))
    assert shop.draws(shop.when(shop.correct(charge, -40))) == [(0, 30), (lot, 10)]
    shop.leaves(available=10, debt=0, spent=90)


def test_a_debt_that_a_lot_has_paid_returns_to_that_lot(shop):
    """The 30 that were owed are the second lot's by now, and they have earned 300 there, which go back with them."""
    shop.given(shop.plan(overrun="debt", debt_limit=50), shop.buy())
    charge = shop.given(shop.charge_directly(130))
    second = shop.given(shop.buy())
    assert shop.draws(shop.when(shop.correct(charge, -30))) == [(second, 30)]
    shop.leaves(available=100, debt=0, spent=100)
    assert shop.earned == 1000


def test_what_is_given_back_has_not_earned(shop):
    """50 of 100 are charged: 500 are earned; 20 return: 300."""
    shop.given(shop.plan(), shop.buy())
    charge = shop.given(shop.charge_directly(50))
    shop.when(shop.correct(charge, -20))
    assert shop.earned == 300


def test_a_part_whose_lot_has_expired_lapses_at_once(shop):
    """In the same commit, at its time; and so it has earned again."""
    shop.given(shop.plan(), shop.gift(100, expiry=100))
    charge = shop.given(shop.charge_directly(25))
    shop.at(150).tick()
    shop.when(shop.correct(charge, -10))
    assert shop.types == ["adjusted", "lapsed"]
    assert (shop.wrote[1].event.credits, shop.wrote[1].event.instant) == (10, shop.moment(150))
    shop.leaves(available=0, spent=15, lapsed=85)


def test_where_lapsed_credits_are_refunded_what_returns_to_an_expired_lot_leaves_with_its_money(shop):
    """25 were used of 100 for 1000, the rest was refunded; 10 more return, and 100 with them."""
    lot = shop.given(shop.plan(seconds=100, on_lapse="refund"), shop.buy())
    charge = shop.given(shop.charge_directly(25))
    shop.at(150).tick()
    shop.when(shop.correct(charge, -10))
    assert shop.types == ["adjusted", "withdrawn"]
    assert shop.wrote[1].event.money == {lot: 100}
    shop.lot_has(lot, spent=15, withdrawn=85, lapsed=0, earned=150)


@pytest.mark.parametrize("second", [100, 150])
def test_the_command_may_give_the_expired_lot_a_new_expiry(shop, second):
    """10 return to live until 300, from the very instant of the expiry. What had lapsed stays so."""
    lot = shop.given(shop.plan(), shop.gift(100, expiry=100))
    charge = shop.given(shop.charge_directly(25))
    shop.at(second).when(shop.correct(charge, -10, expiry=300))
    shop.leaves(available=10, spent=15, lapsed=75)
    shop.lot_has(lot, expiry=shop.moment(300))
    shop.at(299).when(shop.ask(4))
    shop.at(300).leaves(available=0, held=4, lapsed=81)


def test_a_new_expiry_is_for_expired_lots_only(shop):
    lot = shop.given(shop.plan(), shop.gift(100, expiry=1000))
    charge = shop.given(shop.charge_directly(25))
    shop.at(150).when(shop.correct(charge, -10, expiry=300))
    shop.lot_has(lot, expiry=shop.moment(1000))


def test_an_adjustment_upward_takes_from_what_is_available(shop):
    shop.given(shop.plan(), shop.buy())
    request = shop.given(shop.ask(30))
    charge = shop.given(shop.charge_directly(25))
    shop.when(shop.correct(charge, 15))
    shop.leaves(available=30, held=30, spent=40)
    assert shop.ledger.explain(charge).net == 40
    shop.given(shop.release(request))


def test_an_adjustment_upward_is_capped(shop):
    """5 are there, 12 are added: 7 are missing."""
    shop.given(shop.plan(), shop.buy())
    charge = shop.given(shop.charge_directly(95))
    event = shop.event(shop.when(shop.correct(charge, 12)))
    assert (event.credits, event.shortfall) == (5, 7)
    shop.leaves(available=0, spent=100, debt=0)


def test_an_adjustment_upward_goes_into_debt_up_to_the_limit(shop):
    """5 are there, 12 are added, the limit is 6: 5, 6 owed, and 1 missing."""
    lot = shop.given(shop.plan(overrun="debt", debt_limit=6), shop.buy())
    charge = shop.given(shop.charge_directly(95))
    seq = shop.when(shop.correct(charge, 12))
    assert (shop.draws(seq), shop.event(seq).shortfall) == ([(lot, 5), (0, 6)], 1)
    shop.leaves(available=-6, debt=6, spent=106)


def test_a_usage_delta_is_priced_on_the_meter_as_it_stands(shop):
    """10 units at 1, then at 3. Two charges of 10 cost 10 and 30. The first had 3 units too many: now they are the last
    three of 20, and 9 come back of its 10. The second is not rated again."""
    shop.given(shop.tiers((10, 1), (None, 3)), shop.buy())
    first, second = shop.given(shop.charge_directly(10)), shop.given(shop.charge_directly(10))
    event = shop.event(shop.when(shop.correct(first, usage={"units": -3})))
    assert (event.credits, event.before) == (-9, {"units": 20})
    assert [shop.ledger.explain(charge).net for charge in (first, second)] == [1, 30]
    shop.leaves(available=69, spent=31)


def test_the_meter_moves_by_a_usage_delta(shop):
    """From 10 to 14 by a correction upward, which costs 4 × 3; one unit more costs 3."""
    shop.given(shop.tiers((10, 1), (None, 3)), shop.buy())
    charge = shop.given(shop.charge_directly(10))
    assert shop.event(shop.when(shop.correct(charge, usage={"units": 4}))).credits == 12
    event = shop.event(shop.when(shop.charge_directly(1)))
    assert (event.before, event.credits) == ({"units": 14}, 3)


def test_an_adjustment_in_credits_alone_leaves_the_meter(shop):
    shop.given(shop.tiers((10, 1), (None, 3)), shop.buy())
    charge = shop.given(shop.charge_directly(10))
    shop.given(shop.correct(charge, -10))
    event = shop.event(shop.when(shop.charge_directly(1)))
    assert (event.before, event.credits) == ({"units": 10}, 3)


def test_a_usage_delta_of_a_closed_request_is_priced_on_top_of_that_request(shop):
    """At 1 a unit, at least 5. 2 units cost 5; 2 more nothing, 4 more 8 − 5; and 6 fewer give 3 back."""
    shop.given(shop.plan(parameters={"weights": {"units": 1}, "minimum": 5}), shop.buy())
    charge = shop.given(shop.charge_directly(2))
    shop.given(shop.charge_directly(50))
    credits = [shop.event(shop.when(shop.correct(charge, usage={"units": delta}))).credits for delta in (2, 4, -6)]
    assert credits == [0, 3, -3]


def test_a_usage_delta_moves_the_meter_of_an_open_request(shop):
    """Of 6 charged in part 4 were wrong: 5 remain, the minimum. The final 4 make 6 in all, and cost 1."""
    shop.given(shop.plan(parameters={"weights": {"units": 1}, "minimum": 5}), shop.buy())
    request = shop.given(shop.ask(20))
    part = shop.given(shop.part(request, 6))
    assert shop.event(shop.when(shop.correct(part, usage={"units": -4}))).credits == -1
    assert shop.event(shop.when(shop.charge(request, 4))).credits == 1
    shop.leaves(available=94, held=0, spent=6)


def test_a_usage_delta_is_priced_at_the_tariff_of_the_charge(shop):
    """A unit cost 1 then, and costs 5 now: 2 more cost 2."""
    shop.given(shop.plan(), shop.buy())
    charge = shop.given(shop.charge_directly(10))
    shop.given(shop.reprice(weights={"units": 5}))
    event = shop.event(shop.when(shop.correct(charge, usage={"units": 2})))
    assert (event.credits, event.tariff) == (2, 1)


def test_a_usage_delta_of_a_period_is_priced_at_its_current_tariff(shop):
    """A unit cost 1 then, and costs 5 now: 2 more cost 10."""
    shop.given(shop.tiers((None, 1)), shop.buy(), shop.charge_directly(10))
    shop.given(shop.reprice(policy="graduated", dimension="units", tiers=[{"up_to": None, "unit": 5}]))
    event = shop.event(shop.when(shop.correct_period(NOVEMBER, usage={"units": 2})))
    assert (event.credits, event.tariff, event.before) == (10, 2, {"units": 10})


@pytest.mark.parametrize("delta", [-11, -12])
def test_usage_does_not_fall_below_0(shop, delta):
    shop.given(shop.plan(), shop.buy())
    charge = shop.given(shop.charge_directly(10))
    shop.refuses(shop.correct(charge, usage={"units": delta}), Reason.adjustment_exceeds)


def test_the_usage_of_one_charge_does_not_fall_below_0_by_anothers(shop):
    """20 units are metered, but only 10 of them by this charge."""
    shop.given(shop.tiers((None, 1)), shop.buy())
    charge = shop.given(shop.charge_directly(10))
    shop.given(shop.charge_directly(10))
    shop.refuses(shop.correct(charge, usage={"units": -11}), Reason.adjustment_exceeds)


def test_a_usage_delta_that_would_give_back_more_than_the_charge_took_is_refused(shop):
    """At the meter as it stands 5 units are worth 15, and the charge took 10 in all."""
    shop.given(shop.tiers((10, 1), (None, 3)), shop.buy())
    charge = shop.given(shop.charge_directly(10))
    shop.given(shop.charge_directly(10))
    shop.refuses(shop.correct(charge, usage={"units": -5}), Reason.adjustment_exceeds, needed=15, available=10)


def test_the_net_of_a_period_stays_0_or_more(shop):
    """Charges of 25 and 10: 36 are refused, 35 pass."""
    shop.given(shop.plan(), shop.buy(), shop.charge_directly(25), shop.charge_directly(10))
    shop.refuses(shop.correct_period(NOVEMBER, -36), Reason.adjustment_exceeds, needed=36, available=35)
    shop.when(shop.correct_period(NOVEMBER, -35))
    shop.leaves(available=100, spent=0)


def test_what_a_period_gives_back_goes_to_its_lots_last_drawn_first(shop):
    first = shop.given(shop.plan(), shop.gift(10, expiry=900))
    second = shop.given(shop.gift(20))
    shop.given(shop.charge_directly(8), shop.charge_directly(7))
    assert shop.draws(shop.when(shop.correct_period(NOVEMBER, -9))) == [(second, 5), (first, 4)]


def test_a_periods_refund_does_not_lower_single_charges_nets(shop):
    """35 charged, 10 given back to the period: the net of the 25 is still 25, and all of it may return."""
    shop.given(shop.plan(), shop.buy())
    charge = shop.given(shop.charge_directly(25))
    shop.given(shop.charge_directly(10), shop.correct_period(NOVEMBER, -10))
    assert shop.ledger.explain(charge).net == 25
    shop.when(shop.correct(charge, -25))
    shop.leaves(available=100, spent=0)


def test_both_bounds_hold_the_charges_and_the_periods(shop):
    """35 charged, 30 given back to the period: of the 25 that one charge took, 5 may return."""
    shop.given(shop.plan(), shop.buy())
    charge = shop.given(shop.charge_directly(25))
    shop.given(shop.charge_directly(10), shop.correct_period(NOVEMBER, -30))
    shop.refuses(shop.correct(charge, -6), Reason.adjustment_exceeds, needed=6, available=5)
    shop.when(shop.correct(charge, -5))
    shop.leaves(available=100, spent=0)


def test_the_periods_bound_is_its_own(shop):
    """What December took of the same lot is not November's to give back."""
    shop.given(shop.plan(), shop.buy())
    charge = shop.given(shop.charge_directly(25))
    shop.given(shop.charge_directly(10), shop.correct_period(NOVEMBER, -30))
    shop.at(20 * 86_400).given(shop.charge_directly(40))
    shop.refuses(shop.correct(charge, -6), Reason.adjustment_exceeds, needed=6, available=5)
    shop.when(shop.correct(charge, -5))


def test_a_charges_refund_lowers_its_periods_net(shop):
    """35 charged, 25 given back: the period may give back 10."""
    shop.given(shop.plan(), shop.buy())
    charge = shop.given(shop.charge_directly(25))
    shop.given(shop.charge_directly(10), shop.correct(charge, -25))
    shop.refuses(shop.correct_period(NOVEMBER, -11), Reason.adjustment_exceeds, needed=11, available=10)
    shop.when(shop.correct_period(NOVEMBER, -10))


def test_a_refund_of_a_period_gives_nothing_back_beyond_what_its_lots_were_drawn(shop):
    """Of the period's 20, all of the gift, 12 went back already with their charge. The rest is 8, of the gift."""
    gift = shop.given(shop.plan(), shop.gift(50))
    charge = shop.given(shop.charge_directly(12))
    shop.given(shop.charge_directly(8), shop.correct(charge, -12))
    assert shop.draws(shop.when(shop.correct_period(NOVEMBER, -8))) == [(gift, 8)]
    shop.lot_has(gift, left=50, spent=0)


def test_charges_of_requests_in_parts_are_corrected_one_by_one(shop):
    """Each part is a charge of its own: of 10 and 15, no more than 10 return by the first."""
    shop.given(shop.plan(), shop.buy())
    request = shop.given(shop.ask(30))
    part = shop.given(shop.part(request, 10))
    shop.given(shop.charge(request, 15))
    shop.refuses(shop.correct(part, -11), Reason.adjustment_exceeds)
    shop.when(shop.correct(part, -10))
    shop.leaves(available=85, spent=15)


def test_a_charge_of_an_earlier_period_may_still_be_corrected(shop):
    """Three months later: its meter is gone, its net is not."""
    shop.given(shop.plan(), shop.buy())
    charge = shop.given(shop.charge_directly(25))
    shop.at(90 * 86_400).refuses(shop.correct(charge, -26), Reason.adjustment_exceeds)
    shop.when(shop.correct(charge, -25))
    shop.leaves(available=100, spent=0)


# -- of which meter ----------------------------------------------------------------------------------------------------

TIERS = ((100, 3), (None, 1))
DECEMBER, JANUARY = 16 * 86_400, 47 * 86_400


def test_a_usage_delta_is_priced_on_the_meter_of_its_charge_while_that_is_kept(shop):
    """50 units of November at 3. In December, where 500 are metered, they cost 150, and November moves."""
    shop.given(shop.tiers(*TIERS, credits=10_000), shop.buy())
    charge = shop.given(shop.charge_directly(50))
    shop.at(DECEMBER).given(shop.charge_directly(500))
    event = shop.event(shop.when(shop.correct(charge, usage={"units": -50})))
    assert (event.credits, event.before, event.metered) == (-150, {"units": 50}, NOVEMBER)
    assert shop.event(shop.when(shop.charge_directly(1))).before == {"units": 500}


@pytest.mark.parametrize("delta", [-50, 50])
def test_a_usage_delta_is_never_priced_on_another_periods_meter(shop, delta):
    """In January the meter of November is gone. The refusal says what to do, and that passes."""
    shop.given(shop.tiers(*TIERS, credits=10_000), shop.buy())
    charge = shop.given(shop.charge_directly(50))
    shop.at(JANUARY).given(shop.charge_directly(500))
    refused = shop.refuses(shop.correct(charge, usage={"units": delta}), Reason.charge_unknown)
    assert "2023-11" in refused.facts["detail"]
    assert "`credits`" in refused.facts["detail"]
    shop.when(shop.correct(charge, -150))
    assert shop.event(shop.when(shop.charge_directly(1))).before == {"units": 500}


def test_a_charge_that_has_its_own_meter_is_corrected_by_usage_at_any_time(shop):
    """In January 5 of the 20 units of November are given back. January's meter has 2, and does not move."""
    shop.given(shop.plan(), shop.buy())
    charge = shop.given(shop.charge_directly(20))
    shop.at(JANUARY).given(shop.charge_directly(2))
    event = shop.event(shop.when(shop.correct(charge, usage={"units": -5})))
    assert (event.credits, event.metered) == (-5, "")
    shop.refuses(shop.correct_period("2024-01", -3), Reason.adjustment_exceeds, needed=3, available=2)
    shop.refuses(shop.correct(charge, usage={"units": -16}), Reason.adjustment_exceeds)


def test_a_period_that_is_no_longer_kept_is_refused_with_what_to_do(shop):
    shop.given(shop.tiers(*TIERS, credits=10_000), shop.buy(), shop.charge_directly(50))
    shop.at(JANUARY).given(shop.charge_directly(1))
    refused = shop.refuses(shop.correct_period(NOVEMBER, usage={"units": -1}), Reason.charge_unknown)
    assert "kept are 2024-01" in refused.facts["detail"]
    assert "by `credits`" in refused.facts["detail"]


@pytest.mark.parametrize("reason", ["correction", "refund", "true_up", "late"])
def test_an_adjustment_says_why(shop, reason):
    shop.given(shop.plan(), shop.buy())
    charge = shop.given(shop.charge_directly(25))
    event = shop.event(shop.when(shop.correct(charge, -1, reason=reason, note="counted twice")))
    assert (event.reason, event.note) == (reason, "counted twice")


# -- what was never paid ----------------------------------------------------------------------------------------------


def owed_100_paid_40(shop, **terms):
    """A request is charged 100 where 40 are there."""
    lot = shop.given(shop.plan(**terms), shop.gift(40))
    charge = shop.given(shop.charge(shop.given(shop.ask(40)), 100))
    assert (shop.event(charge).credits, shop.event(charge).shortfall) == (40, 60)
    return lot, charge


def corrected(shop, *said, **more):
    """(credits, shortfall, draws) of a correction."""
    seq = shop.when(shop.correct(*said, **more))
    return shop.event(seq).credits, shop.event(seq).shortfall, shop.draws(seq)


def test_a_correction_gives_back_only_what_was_paid_beyond_the_right_price(shop):
    """100 are owed and 40 paid: 30 units less give nothing back, 40 less again give 10."""
    lot, charge = owed_100_paid_40(shop)
    assert corrected(shop, charge, usage={"units": -30}) == (0, -30, [])
    assert shop.types == ["adjusted"], "it is written, though it moves nothing"
    assert corrected(shop, charge, usage={"units": -40}) == (-10, -30, [(lot, 10)])
    assert corrected(shop, charge, usage={"units": -30}) == (-30, 0, [(lot, 30)])
    shop.leaves(available=40, spent=0)


def test_a_statement_has_the_sum_of_what_was_never_paid(shop):
    """60 of 100, then 25 of another charge; a correction takes off 70, of which 60 were never paid."""
    _, charge = owed_100_paid_40(shop)
    shop.given(shop.charge_directly(25))
    assert shop.ledger.statement("alice", "pro").shortfall == 85
    seq = shop.when(shop.correct(charge, usage={"units": -70}))
    assert shop.ledger.statement("alice", "pro").shortfall == 25
    shop.leaves(shortfall=25)
    assert shop.ledger.statement("alice", "pro", since=seq - 1).shortfall == -60


def test_seventy_less_at_once_give_ten_back(shop):
    lot, charge = owed_100_paid_40(shop)
    assert corrected(shop, charge, usage={"units": -70}) == (-10, -60, [(lot, 10)])


@pytest.mark.parametrize("said", ["charge", "period"])
def test_up_and_down_again_at_an_empty_balance_is_nothing(shop, said):
    """40 of 40 were paid. 30 more cannot be, and 30 less are not given back; 10 less still are."""
    lot = shop.given(shop.plan(), shop.gift(40))
    charge = shop.given(shop.charge_directly(40))
    named = {"charge": charge} if said == "charge" else {"subscriber": "alice", "plan": "pro", "period": NOVEMBER}
    found = []
    for delta in (30, -30, -10):
        seq = shop.when(Adjust(usage={"units": delta}, **named))
        found.append((shop.event(seq).credits, shop.event(seq).shortfall, shop.draws(seq)))
    assert found == [(0, 30, []), (0, -30, []), (-10, 0, [(lot, 10)])]


def test_what_a_correction_upward_could_not_take_is_owed_too(shop):
    """95 paid; 12 more units take the 5 that are there, and 7 are owed. 7 less give nothing back, 5 less the 5."""
    lot = shop.given(shop.plan(), shop.buy())
    charge = shop.given(shop.charge_directly(95))
    assert corrected(shop, charge, usage={"units": 12}) == (5, 7, [(lot, 5)])
    assert corrected(shop, charge, usage={"units": -7}) == (0, -7, [])
    assert corrected(shop, charge, usage={"units": -5}) == (-5, 0, [(lot, 5)])


def test_credits_that_a_correction_could_not_take_are_owed_too(shop):
    shop.given(shop.plan(), shop.buy())
    charge = shop.given(shop.charge_directly(95))
    assert corrected(shop, charge, 12)[:2] == (5, 7)
    assert corrected(shop, charge, usage={"units": -7}) == (0, -7, [])


def test_explicit_credits_are_bounded_by_what_was_paid_and_leave_what_was_not(shop):
    """All 40 that were paid are given back; 60 of the price were never paid: they are owed no more by 60 units less."""
    lot, charge = owed_100_paid_40(shop)
    shop.refuses(shop.correct(charge, -41), Reason.adjustment_exceeds, needed=41, available=40)
    assert corrected(shop, charge, -40) == (-40, 0, [(lot, 40)])
    assert corrected(shop, charge, usage={"units": -60}) == (0, -60, [])
    shop.refuses(shop.correct(charge, usage={"units": -40}), Reason.adjustment_exceeds)


def test_no_more_is_corrected_than_the_charge_owes(shop):
    """10 units cost 10, of which 4 were paid. As the meter stands 5 units are worth 15."""
    shop.given(shop.tiers((10, 1), (None, 3)), shop.gift(4))
    charge = shop.given(shop.charge(shop.given(shop.ask(4)), 10))
    shop.given(shop.gift(30), shop.charge_directly(10))
    shop.refuses(shop.correct(charge, usage={"units": -5}), Reason.adjustment_exceeds)
    assert corrected(shop, charge, usage={"units": -3})[:2] == (-3, -6)


def test_a_period_knows_what_of_it_was_never_paid(shop):
    """100 owed and 40 paid, then 20 more that are paid: 60 of 120 are not. 50 units less give nothing, 30 less 20."""
    shop.given(shop.plan(), shop.gift(40))
    shop.given(shop.charge(shop.given(shop.ask(40)), 100), shop.gift(20), shop.charge_directly(20))
    found = []
    for delta in (-50, -30):
        event = shop.event(shop.when(shop.correct_period(NOVEMBER, usage={"units": delta})))
        found.append((event.credits, event.shortfall))
    assert found == [(0, -50), (-20, -10)]
    shop.refuses(shop.correct_period(NOVEMBER, usage={"units": -41}), Reason.adjustment_exceeds)


def test_a_correction_of_a_charge_lowers_what_its_period_owes(shop):
    """60 are owed by the charge and so by the period. Once the charge owes them no more, neither does the period."""
    lot, charge = owed_100_paid_40(shop)
    shop.given(shop.correct(charge, usage={"units": -60}))
    event = shop.event(shop.when(shop.correct_period(NOVEMBER, usage={"units": -5})))
    assert (event.credits, event.shortfall, event.draws) == (-5, 0, ((lot, 5),))


def test_a_tier_gives_back_only_what_was_paid_beyond_the_new_total(shop):
    """100 calls at 10 cost 1000, of which 400 were paid. The 101st makes all of them 505: nothing is given back."""
    shop.given(shop.tiers((100, 10), (None, 5), policy="volume"), shop.gift(400))
    shop.given(shop.charge(shop.given(shop.ask(40)), 100), shop.charge_directly(1))
    assert shop.types == ["charged", "adjusted"]
    tier = shop.wrote[1].event
    assert (tier.reason, tier.credits, tier.shortfall, tier.draws) == ("tier", 0, -495, ())
    shop.leaves(available=0, spent=400)


def test_a_tier_gives_back_what_was_paid_beyond_the_new_total(shop):
    """700 of 1000 were paid, 505 are owed: 300 were never paid, 195 come back."""
    lot = shop.given(shop.tiers((100, 10), (None, 5), policy="volume"), shop.gift(700))
    shop.given(shop.charge(shop.given(shop.ask(70)), 100), shop.charge_directly(1))
    tier = shop.wrote[1].event
    assert (tier.credits, tier.shortfall, tier.draws) == (-195, -300, ((lot, 195),))
    shop.leaves(available=195, spent=505)


def test_a_tier_that_has_nothing_to_lower_is_not_written(shop):
    """All that was paid went back by credits alone: nothing is owed unpaid, and nothing is paid."""
    shop.given(shop.tiers((100, 10), (None, 5), policy="volume"), shop.gift(1000))
    charge = shop.given(shop.charge_directly(100))
    shop.given(shop.correct(charge, -1000), shop.charge_directly(1))
    assert shop.types == ["charged"]
