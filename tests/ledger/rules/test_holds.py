"""Holds cover together what an account's open requests may still cost, and move between them (issue: holds cover).

Rising tiers are 10 units at 1, then at 3; falling ones 10 at 3, then at 1: 20 units cost 40 in both.
"""

import pytest

from ledger import Reason

RISING = ((10, 1), (None, 3))
FALLING = ((10, 3), (None, 1))


def hold(shop, request):
    return shop.event(request).hold


def reheld(shop):
    """What the last command wrote of holds that moved: [(request, draws), …]."""
    events = [entry.event for kind, entry in zip(shop.types, shop.wrote, strict=True) if kind == "reheld"]
    return [(event.request, event.draws) for event in events]


def ends(shop, request, units):
    """The request is charged for so many units at last, and nothing is missing."""
    event = shop.event(shop.when(shop.charge(request, units)))
    charged = next(entry.event for kind, entry in zip(shop.types, shop.wrote, strict=True) if kind == "charged")
    assert charged.shortfall == 0
    return event


# -- what is held ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tiers", "holds"), [(RISING, [10, 30, 30]), (FALLING, [30, 10, 10])])
def test_all_hold_together_what_all_cost(shop, tiers, holds):
    shop.given(shop.tiers(*tiers), shop.buy())
    assert [hold(shop, shop.when(shop.ask(10))) for _ in range(3)] == holds


@pytest.mark.parametrize("tiers", [RISING, FALLING])
def test_a_request_is_refused_only_where_together_they_would_cost_more_than_there_is(shop, tiers):
    """Two of 10 cost 40, in either order: with 39 the second is refused, with 40 it is not."""
    shop.given(shop.tiers(*tiers), shop.gift(39))
    first = shop.given(shop.ask(10))
    needed = 40 - hold(shop, first)
    shop.refuses(shop.ask(10), Reason.insufficient_credits, needed=needed, available=needed - 1, top_up=1)
    shop.given(shop.gift(1), shop.ask(10))
    shop.leaves(available=0, held=40)


def test_a_partial_charge_counts_the_rest_of_its_estimate_not_the_whole_again(shop):
    """4 of 10 units are charged: 6 more and another 10 bring the meter from 4 to 20, which costs 36; 6 are held."""
    shop.given(shop.tiers(*RISING), shop.gift(40))
    request = shop.given(shop.ask(10))
    shop.given(shop.part(request, 4))
    shop.leaves(available=30, held=6, spent=4)
    other = shop.when(shop.ask(10))
    assert hold(shop, other) == 30
    ends(shop, other, 10)
    ends(shop, request, 6)
    shop.leaves(available=0, held=0, spent=40)


def test_a_request_that_was_charged_beyond_its_estimate_counts_no_more(shop):
    """12 of an estimate of 10 were charged in part: of it nothing more is expected. 10 more cost 30."""
    shop.given(shop.tiers(*RISING), shop.buy())
    request = shop.given(shop.ask(10))
    shop.given(shop.part(request, 12))
    assert hold(shop, shop.when(shop.ask(10))) == 30


def test_the_flat_fee_of_a_period_is_held_once(shop):
    """A fee of 5 comes with the first charge of the period: of two requests one holds it, whichever is charged."""
    shop.given(shop.tiers((None, 1, 5)), shop.gift(25))
    first, second = shop.given(shop.ask(10)), shop.given(shop.ask(10))
    assert (hold(shop, first), hold(shop, second)) == (15, 10)
    ends(shop, second, 10)
    ends(shop, first, 10)
    shop.leaves(available=0, spent=25)


def test_volume_tiers_that_fall_hold_the_most_that_the_total_comes_to_on_the_way(shop):
    """Up to 10 units at 10, more at 5 each: 20 units cost 100 in the end, but so do the first 10."""
    shop.given(shop.tiers((10, 10), (None, 5), policy="volume"), shop.gift(100))
    first, second = shop.given(shop.ask(10)), shop.given(shop.ask(10))
    assert (hold(shop, first), hold(shop, second)) == (100, 0)
    ends(shop, second, 10)
    ends(shop, first, 10)
    shop.leaves(available=0, held=0, spent=100)


def test_what_was_never_paid_of_a_volume_tier_is_not_counted_on(shop):
    """100 units at 10 were charged and all of it was refunded, so the fall to 5 at the next unit gives nothing back:
    60 more units rise by 295, and that is held, though the total falls in all."""
    shop.given(shop.tiers((100, 10), (None, 5), policy="volume"), shop.gift(1000))
    charge = shop.given(shop.charge_directly(100))
    shop.given(shop.correct(charge, -1000))
    request = shop.when(shop.ask(60))
    assert 295 <= hold(shop, request) <= 300
    shop.given(shop.withdraw())
    shop.given(shop.part(request, 1))
    ends(shop, request, 59)


def test_requests_of_several_tariffs_hold_the_dearest_of_either_order(shop):
    """10 at 1 and then at 3 under the first tariff, 10 at 2 and then at 5 under the second. Each may come second: 30
    and 50 at most."""
    shop.given(shop.tiers(*RISING), shop.gift(80))
    first = shop.given(shop.ask(10))
    tiers = [{"up_to": 10, "unit": 2}, {"up_to": None, "unit": 5}]
    shop.given(shop.reprice(policy="graduated", dimension="units", tiers=tiers))
    second = shop.given(shop.ask(10))
    assert (hold(shop, first), hold(shop, second)) == (10, 70)
    assert ends(shop, second, 10).tariff == 2
    assert ends(shop, first, 10).credits == 30


def test_a_request_of_an_earlier_tariff_about_requests_moves_the_meter_of_the_period_too(shop):
    """100 units by the unit are open as the plan is repriced to 100 units at 1, then at 10. Whoever comes under that
    may come second, and cost 1000."""
    shop.given(shop.plan(credits=2000), shop.buy())
    first = shop.given(shop.ask(100))
    tiers = [{"up_to": 100, "unit": 1}, {"up_to": None, "unit": 10}]
    shop.given(shop.reprice(policy="graduated", dimension="units", tiers=tiers))
    second = shop.given(shop.ask(100))
    assert (hold(shop, first), hold(shop, second)) == (100, 1000)
    shop.given(shop.withdraw())
    ends(shop, first, 100)
    assert ends(shop, second, 100).credits == 1000


def test_requests_of_two_periods_share_no_meter(shop):
    """At the end of November and at the begin of December: each month has its own 10 units at 1."""
    december = 16 * 86_400
    shop.given(shop.tiers(*RISING), shop.buy())
    november = shop.at(december - 10).given(shop.ask(10))
    assert hold(shop, shop.at(december).when(shop.ask(10))) == hold(shop, november) == 10


# -- credits that are taken on -----------------------------------------------------------------------------------------


def test_what_another_request_made_dearer_is_held_at_once(shop):
    """The second is charged first, at 1 a unit. The first will cost 3 a unit now, and takes on 20 of the 20 that were
    returned."""
    lot = shop.given(shop.tiers(*RISING), shop.gift(40))
    first, second = shop.given(shop.ask(10)), shop.given(shop.ask(10))
    assert ends(shop, second, 10).credits == 10
    assert shop.types == ["charged", "reheld"]
    assert reheld(shop) == [(first, ((lot, 30),))]
    shop.leaves(available=0, held=30, spent=10)
    ends(shop, first, 10)


def test_a_direct_charge_makes_open_requests_dearer(shop):
    lot = shop.given(shop.tiers(*RISING), shop.gift(100))
    request = shop.given(shop.ask(10))
    shop.when(shop.charge_directly(10))
    assert (shop.types, reheld(shop)) == (["charged", "reheld"], [(request, ((lot, 30),))])
    shop.leaves(available=60, held=30, spent=10)


def test_a_correction_of_usage_makes_open_requests_dearer(shop):
    """4 more units were charged at 1: 4 of the open 10 cost 3 each now."""
    lot = shop.given(shop.tiers(*RISING), shop.gift(100))
    charge, request = shop.given(shop.charge_directly(2)), shop.given(shop.ask(8))
    shop.when(shop.correct(charge, usage={"units": 4}))
    assert (shop.types, reheld(shop)) == (["adjusted", "reheld"], [(request, ((lot, 16),))])


def test_the_oldest_request_takes_on_what_is_missing(shop):
    """15 units open, of which 5 are beyond 10; by 5 that are charged directly, 10 are."""
    lot = shop.given(shop.tiers(*RISING), shop.gift(100))
    first = shop.given(shop.ask(10))
    shop.given(shop.ask(5))
    shop.when(shop.charge_directly(5))
    assert reheld(shop) == [(first, ((lot, 20),))]


@pytest.mark.parametrize("buys", ["gift", "buy", "start"])
def test_what_is_missing_is_taken_on_as_soon_as_there_is_something(shop, buys):
    """20 are missing and nothing is free. Of whatever comes then, they are taken."""
    lot = shop.given(shop.tiers(*RISING), shop.gift(20))
    request = shop.given(shop.ask(10))
    shop.given(shop.charge_directly(10))
    assert shop.types == ["charged"]
    if buys == "start":
        later = shop.given(shop.gift(100, start=50))
        shop.at(50).tick()
        assert shop.types == ["started", "reheld"]
    else:
        later = shop.when(shop.gift(100) if buys == "gift" else shop.buy())
        assert shop.types == ["purchased", "started", "reheld"]
    assert reheld(shop) == [(request, ((lot, 10), (later, 20)))]
    shop.leaves(available=80, held=30, spent=10)


def test_what_is_missing_is_taken_on_bit_by_bit(shop):
    lot = shop.given(shop.tiers(*RISING), shop.gift(20))
    request = shop.given(shop.ask(10))
    shop.given(shop.charge_directly(10))
    first = shop.when(shop.gift(15))
    assert reheld(shop) == [(request, ((lot, 10), (first, 15)))]
    second = shop.when(shop.gift(10))
    assert reheld(shop) == [(request, ((lot, 10), (first, 15), (second, 5)))]
    shop.leaves(available=5, held=30)
    ends(shop, request, 10)


def test_debt_is_paid_before_anything_is_taken_on(shop):
    """20 are missing, 5 are owed: of 30 that come, 5 pay, 20 are held, 5 are free."""
    shop.given(shop.tiers(*RISING, overrun="debt", debt_limit=5), shop.gift(15))
    request = shop.given(shop.ask(10))
    shop.given(shop.charge_directly(10))
    shop.leaves(available=-5, held=10, debt=5)
    lot = shop.given(shop.gift(30))
    assert shop.wrote[1].event.draws == ((0, 5),)
    assert reheld(shop)[0][1][-1] == (lot, 20)
    shop.leaves(available=5, held=30, debt=0)
    ends(shop, request, 10)


def test_where_one_expires_another_takes_on_what_it_leaves(shop):
    """The 10 units at 3 were the first request's. It expires at 100, and the second holds 30 from then on; 20 of them
    are of the lot that has expired, of which 10 lapse."""
    gift = shop.given(shop.tiers(*FALLING, hold_seconds=100), shop.gift(30, expiry=60))
    other = shop.given(shop.gift(100))
    first = shop.given(shop.ask(10))
    second = shop.at(50).given(shop.ask(10))
    assert (shop.draws(first), shop.draws(second)) == ([(gift, 30)], [(other, 10)])
    shop.at(100).leaves(available=90, held=30, lapsed=10)
    shop.tick()
    assert shop.types == ["released", "reheld", "lapsed"]
    assert reheld(shop) == [(second, ((other, 10), (gift, 20)))]
    assert (shop.wrote[2].event.lot, shop.wrote[2].event.credits) == (gift, 10)
    ends(shop, second, 10)


def test_what_time_does_is_read_as_it_is_written(shop):
    """What one that expires leaves for another is held by it in a reading, too."""
    shop.given(shop.tiers(*FALLING, hold_seconds=100), shop.buy(), shop.ask(10))
    second = shop.at(50).given(shop.ask(10))
    shop.at(100)
    (reading,) = shop.ledger.requests()
    assert (reading.id, reading.hold) == (second, 30)
    shop.refuses(shop.ask(1000), Reason.insufficient_credits, available=70)


# -- credits that are lent ---------------------------------------------------------------------------------------------


def test_who_comes_first_may_have_what_the_other_held_for_the_dear_tier(shop):
    """The first holds the 10 units at 3, the second 10 at 1. The second comes first and costs 30: the first gives up
    the 20 that it will not cost any more."""
    lot = shop.given(shop.tiers(*FALLING), shop.gift(40))
    first, second = shop.given(shop.ask(10)), shop.given(shop.ask(10))
    seq = shop.when(shop.charge(second, 10))
    assert shop.types == ["reheld", "reheld", "charged"]
    assert reheld(shop) == [(first, ((lot, 10),)), (second, ((lot, 30),))]
    assert shop.event(seq) == shop.wrote[-1].event, "the answer is the charge"
    shop.leaves(available=0, held=10, spent=30)
    assert ends(shop, first, 10).credits == 10


def test_the_youngest_gives_first(shop):
    lot = shop.given(shop.tiers(*FALLING), shop.gift(50))
    first, second, third = [shop.given(shop.ask(10)) for _ in range(3)]
    shop.when(shop.charge(second, 10))
    assert reheld(shop) == [(third, ()), (first, ((lot, 20),)), (second, ((lot, 30),))]
    assert ends(shop, third, 10).credits == 10
    assert ends(shop, first, 10).credits == 10
    shop.leaves(available=0, held=0, spent=50)


def test_what_was_drawn_last_is_given_first(shop):
    """The first drew 15 and 15 of two lots; it gives 15 of the second and 5 of the first."""
    one = shop.given(shop.tiers(*FALLING), shop.gift(15, expiry=900))
    other = shop.given(shop.gift(25))
    first, second = shop.given(shop.ask(10)), shop.given(shop.ask(10))
    assert (shop.draws(first), shop.draws(second)) == ([(one, 15), (other, 15)], [(other, 10)])
    shop.when(shop.charge(second, 10))
    assert reheld(shop) == [(first, ((one, 10),)), (second, ((other, 25), (one, 5)))]
    assert shop.wrote[-1].event.draws == ((other, 25), (one, 5))


def test_what_is_available_is_taken_before_anything_is_lent(shop):
    """30 cost 10 that are held and 15 that are available; 5 are lent."""
    lot = shop.given(shop.tiers(*FALLING), shop.gift(55))
    first, second = shop.given(shop.ask(10)), shop.given(shop.ask(10))
    shop.when(shop.charge(second, 10))
    assert reheld(shop) == [(first, ((lot, 25),)), (second, ((lot, 15),))]
    shop.leaves(available=0, held=25, spent=30)


def test_beyond_the_estimate_only_what_is_spare_is_lent(shop):
    """Rising: the second is charged 30 units for its estimate of 10. They cost 70, of which it holds 30; the first will
    cost 30 for its 10, and holds 10: it has nothing to spare."""
    shop.given(shop.tiers(*RISING), shop.gift(40))
    first, second = shop.given(shop.ask(10)), shop.given(shop.ask(10))
    event = shop.event(shop.when(shop.charge(second, 30)))
    assert (shop.types, event.credits, event.shortfall) == (["charged"], 30, 40)
    shop.leaves(available=0, held=10, spent=30)
    assert shop.event(shop.when(shop.charge(first, 0))).credits == 0


def test_what_is_owed_is_not_lent(shop):
    """After a reversal the first request holds 30 on debt: those stay with it."""
    lot = shop.given(shop.tiers(*FALLING, price={"acme": 100}), shop.buy())
    first, second = shop.given(shop.ask(10)), shop.given(shop.ask(10))
    shop.given(shop.reverse(lot))
    shop.when(shop.charge(second, 10))
    assert "reheld" not in shop.types
    charged = shop.wrote[0].event
    assert (charged.draws, charged.shortfall) == (((0, 10),), 20)
    assert shop.draws(shop.when(shop.charge(first, 10))) == [(0, 10)]


# -- where holds do not move -------------------------------------------------------------------------------------------


def test_holds_of_a_tariff_about_requests_do_not_move(shop):
    """Each has its own: what one leaves is free, and what one lacks is not lent."""
    shop.given(shop.plan(), shop.gift(20))
    first, second = shop.given(shop.ask(10)), shop.given(shop.ask(10))
    event = shop.event(shop.when(shop.charge(second, 15)))
    assert (shop.types, event.credits, event.shortfall) == (["charged"], 10, 5)
    shop.given(shop.release(first))
    assert shop.types == ["released"]


def test_on_a_plan_of_time_nothing_is_held_and_nothing_moves(shop):
    shop.given(shop.tiers(*RISING, credits=0, seconds=1000), shop.buy())
    first, second = shop.given(shop.ask(10)), shop.given(shop.ask(10))
    assert (hold(shop, first), hold(shop, second)) == (0, 0)
    shop.when(shop.charge(second, 10))
    assert shop.types == ["charged"]


def test_a_policy_that_fails_keeps_nobodys_credits(shop):
    """Repriced to a policy that raises: what is open under tiers ends as usual, and nothing is taken on."""
    shop.given(shop.tiers(*FALLING), shop.buy(), shop.ask(10))
    second = shop.given(shop.ask(10))
    shop.given(shop.reprice(policy="failing"))
    shop.refuses(shop.ask(1), Reason.policy_failed)
    ends(shop, second, 10)


# -- requests of which nothing is estimated ----------------------------------------------------------------------------


@pytest.mark.parametrize(("tiers", "holds"), [(RISING, [1, 1, 1]), (((None, 1, 5),), [5, 1, 1])])
def test_a_request_of_which_nothing_is_estimated_holds_1_at_least(shop, tiers, holds):
    """Or what the first charge of the period costs whatever its units. Otherwise any number of them would pass."""
    shop.given(shop.tiers(*tiers), shop.gift(sum(holds)))
    assert [hold(shop, shop.when(shop.ask(said))) for said in (None, {"units": 0}, {})] == holds
    shop.refuses(shop.ask(), Reason.insufficient_credits, needed=1, available=0)


def test_what_nothing_is_estimated_of_keeps_its_1_while_others_are_charged(shop):
    """The first costs 3 units for its estimate of 2: it may not have the 1 of the second."""
    shop.given(shop.tiers((None, 1)), shop.gift(3))
    first, second = shop.given(shop.ask(2)), shop.given(shop.ask())
    event = shop.event(shop.when(shop.charge(first, 3)))
    assert (event.credits, event.shortfall) == (2, 1)
    assert ends(shop, second, 1).credits == 1


# -- tariffs about requests: what corrections of parts change ----------------------------------------------------------


def test_a_part_that_was_corrected_downwards_is_to_come_still(shop):
    """6 of 10 were charged, 4 of them wrongly: 8 are to come, and are held."""
    lot = shop.given(shop.plan(), shop.gift(20))
    request = shop.given(shop.ask(10))
    part = shop.given(shop.part(request, 6))
    shop.leaves(available=10, held=4, spent=6)
    shop.given(shop.correct(part, usage={"units": -4}))
    assert (shop.types, reheld(shop)) == (["adjusted", "reheld"], [(request, ((lot, 8),))])
    shop.leaves(available=10, held=8, spent=2)
    shop.given(shop.withdraw())
    ends(shop, request, 8)


def test_a_part_that_was_corrected_upwards_leaves_something_to_lend(shop):
    """2 of 10 were charged, and 5 more by a correction: 3 are to come, and 8 are held. Another that costs 4 beyond its
    estimate has them of the 5 to spare."""
    lot = shop.given(shop.plan(), shop.gift(25))
    first, second = shop.given(shop.ask(10)), shop.given(shop.ask(10))
    part = shop.given(shop.part(first, 2))
    shop.given(shop.correct(part, usage={"units": 5}))
    shop.leaves(available=0, held=18, spent=7)
    shop.when(shop.charge(second, 14))
    assert shop.types == ["reheld", "reheld", "charged"]
    assert reheld(shop) == [(first, ((lot, 4),)), (second, ((lot, 14),))]
    assert shop.wrote[-1].event.shortfall == 0
    ends(shop, first, 3)
    shop.leaves(available=1, held=0, spent=24)
