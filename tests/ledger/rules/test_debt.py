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
