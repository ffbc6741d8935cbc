"""Debt: a draw on lot 0 that earns nothing until a lot pays it (design.md, section 6)."""

import pytest

from ledger import Reason

OWING = {"overrun": "debt", "debt_limit": 50}


def test_debt_earns_nothing_yet(shop):
    """130 are spent of 100: the lot has earned its 1000, and the 30 nothing."""
    shop.given(shop.plan(**OWING), shop.buy(), shop.charge_directly(130))
    shop.leaves(available=-30, debt=30, spent=130, issued=100)
    assert shop.earned == 1000


def test_a_lot_that_starts_pays_debt_first_and_only_then_it_earns(shop):
    """The next 100 pay the 30; its event carries those draws, and they earn at that lot's cost: 300 of 1000."""
    shop.given(shop.plan(**OWING), shop.buy(), shop.charge_directly(130))
    lot = shop.when(shop.buy())
    assert shop.types == ["purchased", "started"]
    assert shop.wrote[1].event.draws == ((0, 30),)
    shop.leaves(available=70, debt=0, spent=130, issued=200)
    shop.lot_has(lot, left=70, spent=30, earned=300)
    assert shop.earned == 1300


def test_debt_earns_at_the_cost_of_the_lot_that_pays_it(shop):
    """A gift pays the 30: they earn nothing, now and for ever."""
    shop.given(shop.plan(**OWING), shop.buy(), shop.charge_directly(130), shop.gift(30), shop.buy())
    shop.leaves(available=100, debt=0, spent=130)
    assert shop.earned == 1000


def test_a_lot_smaller_than_the_debt_pays_what_it_has(shop):
    shop.given(shop.plan(**OWING), shop.buy(), shop.charge_directly(150))
    lot = shop.when(shop.gift(20))
    assert shop.wrote[1].event.draws == ((0, 20),)
    shop.lot_has(lot, left=0, spent=20)
    shop.leaves(available=-30, debt=30, spent=150)


def test_the_oldest_debt_is_paid_first(shop):
    """Debts of 20, then of 30. A gift of 25 pays the 20 and 5 of the 30, as shown by where refunds go: those of the
    first charge to the gift, where they pay 20 of what is owed for the second; those of the second to the debt of 5
    that is left, and to the gift."""
    shop.given(shop.plan(**OWING), shop.gift(1))
    first, second = shop.given(shop.charge_directly(21)), shop.given(shop.charge_directly(30))
    gift = shop.given(shop.gift(25))
    shop.leaves(debt=25)
    back = shop.when(shop.correct(first, -20))
    assert (shop.draws(back), shop.event(back).repaid) == ([(gift, 20)], ((gift, 20),))
    shop.leaves(available=-5, debt=5)
    back = shop.when(shop.correct(second, -30))
    assert (sorted(shop.draws(back)), shop.event(back).repaid) == ([(0, 5), (gift, 25)], ())
    shop.leaves(available=25, debt=0)


def test_a_lot_that_starts_later_pays_when_it_starts(shop):
    shop.given(shop.plan(**OWING), shop.gift(10), shop.charge_directly(40))
    lot = shop.given(shop.gift(100, start=50))
    shop.at(49).leaves(available=-30, debt=30)
    shop.at(50).leaves(available=70, debt=0)
    shop.tick()
    assert (shop.wrote[0].event.lot, shop.wrote[0].event.draws) == (lot, ((0, 30),))


def test_debt_that_comes_after_a_lot_was_bought_is_paid_when_that_lot_starts(shop):
    shop.given(shop.plan(**OWING), shop.gift(10), shop.gift(100, start=50), shop.charge_directly(40))
    shop.at(50).leaves(available=70, debt=0, spent=40)


def test_while_there_is_debt_no_request_is_admitted(shop):
    """In debt by 30, a request of 10 passes after a top-up of 40 and not one less."""
    shop.given(shop.plan(**OWING), shop.buy(), shop.charge_directly(130))
    shop.refuses(shop.ask(10), Reason.in_debt, available=-30, top_up=40)
    shop.given(shop.gift(39))
    shop.refuses(shop.ask(10), Reason.insufficient_credits, needed=10, available=9)
    shop.given(shop.gift(1), shop.ask(10))


@pytest.mark.parametrize(("units", "top_up"), [(5, 25), (None, 21), ({"units": 0}, 21)])
def test_the_smallest_top_up_pays_the_whole_debt(shop, units, top_up):
    """20 are owed: a request of 5 waits until a lot has paid the 20 and has 5 left, one of nothing for one of 1."""
    shop.given(shop.plan(**OWING), shop.gift(100), shop.charge_directly(120))
    shop.refuses(shop.ask(units), Reason.in_debt, available=-20, top_up=top_up)
    shop.given(shop.gift(19))
    shop.refuses(shop.ask(units), Reason.in_debt, available=-1, top_up=top_up - 19)
    shop.given(shop.gift(top_up - 20))
    shop.refuses(shop.ask(units), Reason.insufficient_credits, top_up=1)
    shop.given(shop.gift(1), shop.ask(units))


def test_a_request_that_is_free_still_waits_until_the_debt_is_paid(shop):
    free = {"policy": "per_credit", "credits": 0}
    shop.given(shop.plan(**OWING), shop.gift(100), shop.charge_directly(120), shop.reprice(**free))
    shop.refuses(shop.ask({"calls": 1}), Reason.in_debt, available=-20, top_up=20)
    shop.given(shop.gift(20), shop.ask({"calls": 1}))


def test_open_requests_end_as_usual_in_debt(shop):
    """20 are held when the account goes into debt; they are charged, and the hold is not touched by the debt."""
    lot = shop.given(shop.plan(**OWING), shop.gift(100))
    request = shop.given(shop.ask(20))
    shop.given(shop.charge_directly(90))
    shop.leaves(available=-10, held=20, debt=10)
    assert shop.draws(shop.when(shop.charge(request, 20))) == [(lot, 20)]
    shop.leaves(available=-10, held=0, debt=10, spent=110)


def test_available_is_what_the_lots_have_left_less_the_debt(shop):
    """A hold of 30 returns to a lot while 10 are owed: it pays them, and the 20 are all that a charge can take."""
    shop.given(shop.plan(**OWING), shop.gift(100))
    request = shop.given(shop.ask(30))
    shop.given(shop.charge_directly(80))
    shop.leaves(available=-10, held=30, debt=10)
    shop.given(shop.release(request))
    shop.leaves(available=20, held=0, debt=0, spent=80)
    shop.when(shop.charge_directly(60))  # 20, and a debt of 40
    shop.leaves(available=-40, debt=40, spent=140)


def test_the_limit_is_of_all_debt_together(shop):
    """40 of 50 are owed: a charge of 20 comes to 10, and 10 are missing."""
    shop.given(shop.plan(**OWING), shop.gift(100))
    request = shop.given(shop.ask(100))
    shop.given(shop.charge_directly(40))
    event = shop.event(shop.when(shop.charge(request, 120)))
    assert (event.credits, event.shortfall) == (110, 10)
    shop.leaves(debt=50)


@pytest.mark.parametrize("limit", [0, 1])
def test_a_debt_limit_of_0_is_no_debt(shop, limit):
    shop.given(shop.plan(overrun="debt", debt_limit=limit), shop.gift(10))
    shop.when(shop.charge(shop.given(shop.ask(10)), 12))
    shop.leaves(debt=limit, spent=10 + limit)


# -- what returns pays first -------------------------------------------------------------------------------------------


def repaid(shop):
    """What the last command's events paid of the debt: [(type, draws), …]."""
    events = [(kind, getattr(entry.event, "repaid", ())) for kind, entry in zip(shop.types, shop.wrote, strict=True)]
    return [(kind, draws) for kind, draws in events if draws]


def test_what_a_release_returns_pays(shop):
    """70 of 100 at 10 each are spent and 10 owed. The 30 that return pay the 10, which earn at that lot's cost now."""
    lot = shop.given(shop.plan(**OWING), shop.buy())
    request = shop.given(shop.ask(30))
    shop.given(shop.charge_directly(80))
    assert shop.earned == 700
    shop.given(shop.release(request))
    assert repaid(shop) == [("released", ((lot, 10),))]
    shop.leaves(available=20, held=0, spent=80, debt=0)
    assert shop.earned == 800


def test_what_a_smaller_final_charge_returns_pays(shop):
    lot = shop.given(shop.plan(**OWING), shop.gift(100))
    request = shop.given(shop.ask(30))
    shop.given(shop.charge_directly(80), shop.charge(request, 5))
    assert repaid(shop) == [("charged", ((lot, 10),))]
    shop.leaves(available=15, held=0, spent=85, debt=0)


def test_a_partial_charge_returns_nothing_and_so_pays_nothing(shop):
    shop.given(shop.plan(**OWING), shop.gift(100))
    request = shop.given(shop.ask(30))
    shop.given(shop.charge_directly(80), shop.part(request, 5))
    assert repaid(shop) == []
    shop.leaves(available=-10, held=25, spent=85, debt=10)


@pytest.mark.parametrize("said", [{"credits": -15}, {"usage": {"units": -15}}], ids=["credits", "usage"])
def test_what_a_refund_returns_pays(shop, said):
    """Two charges of 40 and 30: 50 are there, 20 are owed for the second. 15 return by the first and pay of the 20."""
    lot = shop.given(shop.plan(**OWING), shop.gift(50))
    first, second = shop.given(shop.charge_directly(40)), shop.given(shop.charge_directly(30))
    seq = shop.when(shop.correct(first, **said))
    assert (shop.draws(seq), repaid(shop)) == ([(lot, 15)], [("adjusted", ((lot, 15),))])
    shop.leaves(available=-5, spent=55, debt=5)
    seq = shop.when(shop.correct(second, -30))
    assert (sorted(shop.draws(seq)), repaid(shop)) == ([(0, 5), (lot, 25)], [])
    shop.leaves(available=25, spent=25, debt=0)


def test_what_a_refund_of_a_period_returns_pays(shop):
    """The period drew 50 on the lot and 20 on debt: of 30 that return 20 end the debt, and 10 are available."""
    lot = shop.given(shop.plan(**OWING), shop.gift(50))
    shop.given(shop.charge_directly(70))
    seq = shop.when(shop.correct_period("2023-11", -30))
    assert shop.draws(seq) == [(0, 20), (lot, 10)]
    shop.leaves(available=10, spent=40, debt=0)


def test_what_a_lower_tier_gives_back_pays(shop):
    """10 units at 3, all at 1 beyond: 20 of 30 are paid and 10 owed; the eleventh unit brings all to 11."""
    lot = shop.given(shop.tiers((10, 3), (None, 1), policy="volume", **OWING), shop.gift(20))
    shop.given(shop.charge_directly(10))
    shop.leaves(available=-10, debt=10)
    shop.given(shop.charge_directly(1))
    assert shop.types == ["charged", "adjusted"]
    assert sorted(shop.wrote[1].event.draws) == [(0, 10), (lot, 9)]
    shop.leaves(available=9, spent=11, debt=0)


def test_what_returns_to_an_expired_lot_pays_before_the_rest_lapses(shop):
    """40 of 50 were used and 10 lapsed; work that came late is owed, 20. Of 30 that return, 20 pay and 10 lapse."""
    lot = shop.given(shop.plan(**OWING), shop.gift(50, expiry=100))
    charge = shop.given(shop.charge_directly(40))
    shop.at(150).given(shop.charge_directly(20))
    shop.leaves(available=-20, debt=20, lapsed=10)
    shop.given(shop.correct(charge, -30))
    assert shop.types == ["adjusted", "lapsed"]
    assert repaid(shop) == [("adjusted", ((lot, 20),))]
    assert shop.wrote[1].event.credits == 10
    shop.leaves(available=0, spent=30, lapsed=20, debt=0)


def test_where_lapsed_credits_are_refunded_money_goes_back_only_for_what_paid_nothing(shop):
    """100 for 1000: 40 are used, and 60 leave with 600. Of 30 that return 20 pay and stay earned, 10 leave with 100."""
    lot = shop.given(shop.plan(seconds=100, on_lapse="refund", **OWING), shop.buy())
    charge = shop.given(shop.charge_directly(40))
    shop.at(150).given(shop.charge_directly(20), shop.correct(charge, -30))
    assert shop.types == ["adjusted", "withdrawn"]
    assert repaid(shop) == [("adjusted", ((lot, 20),))]
    assert (shop.wrote[1].event.draws, shop.wrote[1].event.money) == (((lot, 10),), {lot: 100})
    shop.lot_has(lot, spent=30, withdrawn=70, refunded=700, earned=300)
    shop.leaves(available=0, debt=0)


def test_a_longer_expiry_pays_first(shop):
    """Of 30 that return to live on, 20 pay what is owed; 10 live on."""
    lot = shop.given(shop.plan(**OWING), shop.gift(50, expiry=100))
    charge = shop.given(shop.charge_directly(40))
    shop.at(150).given(shop.charge_directly(20), shop.correct(charge, -30, expiry=300))
    assert (shop.types, repaid(shop)) == (["adjusted"], [("adjusted", ((lot, 20),))])
    shop.lot_has(lot, left=10, spent=30, lapsed=10, expiry=shop.moment(300))
    shop.at(299).leaves(available=10, debt=0)


def two_lots_are_held(shop, **terms):
    """10 of a lot that expires at 100 and 20 of one that does not, and burns first, are held, and 15 are owed."""
    early = shop.given(shop.plan(**OWING, **terms), shop.gift(10, expiry=100, priority=1))
    late = shop.given(shop.gift(20, priority=0))
    request = shop.given(shop.ask(30))
    shop.given(shop.charge_directly(15))
    return early, late, request


def test_of_what_returns_the_expired_lots_pay_first_since_they_would_lapse(shop):
    early, late, request = two_lots_are_held(shop)
    shop.at(150).given(shop.release(request))
    assert (shop.types, repaid(shop)) == (["released"], [("released", ((early, 10), (late, 5)))])
    shop.leaves(available=15, spent=15, lapsed=0, debt=0)


def test_a_request_that_expires_pays_too(shop):
    """At its own instant, though it is written later."""
    early, late, _ = two_lots_are_held(shop, hold_seconds=150)
    shop.at(400).leaves(available=15, lapsed=0, debt=0)
    shop.tick()
    assert (shop.types, repaid(shop)) == (["released"], [("released", ((early, 10), (late, 5)))])
    assert shop.wrote[0].event.instant == shop.moment(150)


def test_before_its_expiry_a_lot_pays_in_its_turn(shop):
    """At 99 both live, and the other burns first."""
    _, late, request = two_lots_are_held(shop)
    shop.at(99).given(shop.release(request))
    assert repaid(shop) == [("released", ((late, 15),))]


def test_a_request_that_expired_before_its_lots_paid_in_their_turn_however_late_it_is_written(shop):
    """It expired at 50, when both lived: the other lot paid, and the 10 lapsed at 100."""
    early, late, _ = two_lots_are_held(shop, hold_seconds=50)
    shop.at(400).tick()
    assert shop.types == ["released", "lapsed"]
    assert repaid(shop) == [("released", ((late, 15),))]
    assert (shop.wrote[1].event.lot, shop.wrote[1].event.credits) == (early, 10)


def test_a_lot_that_expires_at_that_instant_is_past_its_expiry(shop):
    """Half-open: hold and lot end at 100, the hold first, and the lot's credits pay rather than lapse."""
    early, late, _ = two_lots_are_held(shop, hold_seconds=100)
    shop.at(100).tick()
    assert repaid(shop) == [("released", ((early, 10), (late, 5)))]
    shop.leaves(available=15, lapsed=0, debt=0)


def test_otherwise_lots_pay_in_burn_order(shop):
    """The lot that burns first is the younger one here."""
    older = shop.given(shop.plan(**OWING), shop.gift(10, priority=1))
    younger = shop.given(shop.gift(20, priority=0))
    request = shop.given(shop.ask(30))
    shop.given(shop.charge_directly(25), shop.release(request))
    assert repaid(shop) == [("released", ((younger, 20), (older, 5)))]


def test_the_lot_that_pays_takes_over_the_draws_of_the_charge_and_of_its_period(shop):
    """20 were owed for a charge in November, and are paid in December: a refund of either goes to the lot."""
    december = 17 * 86_400
    lot = shop.given(shop.plan(hold_seconds=30 * 86_400, longest_seconds=30 * 86_400, **OWING), shop.gift(30))
    request = shop.given(shop.ask(30))
    charge = shop.given(shop.charge_directly(20))
    shop.at(december).given(shop.release(request))
    shop.leaves(available=10, debt=0, spent=20)
    assert shop.draws(shop.when(shop.correct(charge, -5))) == [(lot, 5)]
    assert shop.draws(shop.when(shop.correct_period("2023-11", -15))) == [(lot, 15)]
    shop.leaves(available=30, spent=0)


def test_its_own_hold_on_debt_is_given_back_before_anything_is_paid(shop):
    """20 of the request's 30 are held on debt since their lot was reversed. Of the 30 that return, those 20 are owed no
    longer; the 10 of the other lot pay nothing, since nothing is owed."""
    void = shop.given(shop.plan(**OWING), shop.buy(payment="void"))
    gift = shop.given(shop.charge_directly(80), shop.gift(10, priority=1))
    request = shop.given(shop.ask(30))
    assert shop.draws(request) == [(void, 20), (gift, 10)]
    shop.given(shop.reverse(payment="void"), shop.gift(80))
    shop.leaves(available=-20, held=30, debt=20, spent=80)
    shop.given(shop.release(request))
    assert repaid(shop) == []
    shop.leaves(available=10, held=0, debt=0, spent=80)
