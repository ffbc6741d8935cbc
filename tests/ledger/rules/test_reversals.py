"""Reversals: the payment turned out void (design.md, section 4; contract.md, fixed points)."""

import pytest

from ledger import Reason


@pytest.fixture
def reversed_shop(shop):
    """Of 100 credits 30 are spent and 20 are held when the payment turns out void. The plan's rule is `cap`."""
    shop.lot = shop.given(shop.plan(), shop.buy(payment="card 1"))
    shop.charged = shop.given(shop.charge_directly(30))
    shop.open = shop.given(shop.ask(20))
    shop.reversal = shop.given(shop.reverse(shop.lot))
    return shop


def test_the_rest_is_withdrawn_and_what_was_spent_or_held_becomes_debt(reversed_shop):
    """Whatever the plan's rule: 50 leave, 30 and 20 are owed. What was spent stays spent, what is held stays held."""
    reversed_shop.leaves(issued=100, available=-50, held=20, spent=30, lapsed=0, withdrawn=100, debt=50)
    reversed_shop.lot_has(reversed_shop.lot, left=0, held=0, spent=0, withdrawn=100)


def test_the_lots_cost_becomes_0(reversed_shop):
    """It has earned nothing, and all of the payer's money is his."""
    assert reversed_shop.earned == 0
    reversed_shop.lot_has(reversed_shop.lot, earned=0)
    assert (reversed_shop.money("payer"), reversed_shop.money("deferred")) == (0, 0)


def test_a_reversal_names_its_payment(reversed_shop):
    event = reversed_shop.event(reversed_shop.reversal)
    assert (event.lot, event.payment) == (reversed_shop.lot, "card 1")


def test_no_request_is_admitted_after_it(reversed_shop):
    reversed_shop.refuses(reversed_shop.ask(1), Reason.in_debt, available=-50, top_up=51)


def test_a_later_charge_on_credits_still_held_draws_on_lot_0(reversed_shop):
    """The 20 are charged: 50 are owed and spent, nothing is held."""
    charge = reversed_shop.when(reversed_shop.charge(reversed_shop.open, 20))
    assert reversed_shop.draws(charge) == [(0, 20)]
    assert reversed_shop.event(charge).shortfall == 0
    reversed_shop.leaves(available=-50, held=0, spent=50, debt=50)


def test_what_returns_of_the_hold_lowers_the_debt(reversed_shop):
    """5 of the 20 are charged: 15 are owed no longer."""
    reversed_shop.when(reversed_shop.charge(reversed_shop.open, 5))
    reversed_shop.leaves(available=-35, held=0, spent=35, debt=35)


def test_a_released_hold_is_no_longer_owed(reversed_shop):
    reversed_shop.when(reversed_shop.release(reversed_shop.open))
    reversed_shop.leaves(available=-30, held=0, spent=30, debt=30)


def test_a_charge_beyond_the_hold_follows_the_plans_rule(reversed_shop):
    """`cap`: nothing is available, so of 25 the held 20 are owed and 5 are missing."""
    event = reversed_shop.event(reversed_shop.when(reversed_shop.charge(reversed_shop.open, 25)))
    assert (event.credits, event.shortfall) == (20, 5)
    reversed_shop.leaves(debt=50)


def test_the_next_lot_pays_what_was_spent_and_what_is_held(reversed_shop):
    """100 more pay 50: 30 are spent of it and have earned 300, 20 are held of it and have not earned yet."""
    lot = reversed_shop.when(reversed_shop.buy())
    assert reversed_shop.wrote[1].event.draws == ((0, 50),)
    reversed_shop.leaves(issued=200, available=50, held=20, spent=30, withdrawn=100, debt=0)
    reversed_shop.lot_has(lot, left=50, held=20, spent=30, earned=300)
    assert reversed_shop.draws(reversed_shop.when(reversed_shop.charge(reversed_shop.open, 20))) == [(lot, 20)]
    reversed_shop.lot_has(lot, left=50, held=0, spent=50, earned=500)


def test_a_give_back_after_it_lowers_the_debt_first(reversed_shop):
    """10 of the 30 come back: they are owed no longer. The lot stays as it is."""
    correction = reversed_shop.when(reversed_shop.correct(reversed_shop.charged, -10))
    assert reversed_shop.draws(correction) == [(0, 10)]
    reversed_shop.leaves(available=-40, spent=20, debt=40)


def test_a_give_back_goes_to_the_debt_and_then_to_the_lot_that_paid(reversed_shop):
    """The hold is voided, a gift has paid 12 of the 30: of 25 that come back, 18 end the debt and 7 are the gift's."""
    reversed_shop.given(reversed_shop.release(reversed_shop.open))
    gift = reversed_shop.given(reversed_shop.gift(12))
    correction = reversed_shop.when(reversed_shop.correct(reversed_shop.charged, -25))
    assert reversed_shop.draws(correction) == [(0, 18), (gift, 7)]
    reversed_shop.leaves(available=7, spent=5, debt=0)
    reversed_shop.refuses(
        reversed_shop.correct(reversed_shop.charged, -6), Reason.adjustment_exceeds, needed=6, available=5
    )
    reversed_shop.given(reversed_shop.correct(reversed_shop.charged, -5))
    reversed_shop.lot_has(gift, left=12, spent=0)


def test_a_give_back_after_it_leaves_the_debt_of_other_charges(shop):
    """30 are owed for the reversed lot and 20 for a later charge. 10 of the 30 come back, a gift pays the other 20 and
    the 20: all of them are the gift's, and may return to it by the later charge."""
    lot = shop.given(shop.plan(overrun="debt", debt_limit=100), shop.buy())
    first = shop.given(shop.charge_directly(30))
    shop.given(shop.reverse(lot))
    second = shop.given(shop.charge_directly(20))
    shop.given(shop.correct(first, -10))
    gift = shop.given(shop.gift(40))
    shop.leaves(available=0, debt=0, spent=40)
    assert shop.draws(shop.when(shop.correct(second, -20))) == [(gift, 20)]


@pytest.mark.parametrize(("terms", "top_up"), [({}, 55), ({"overrun": "debt", "debt_limit": 20}, 35)])
def test_the_smallest_top_up_for_a_direct_charge_counts_the_debt(shop, terms, top_up):
    """50 are owed, a direct charge costs 5: 55 are missing; 35 where 20 may be owed."""
    lot = shop.given(shop.plan(**terms), shop.buy())
    shop.given(shop.charge_directly(50), shop.reverse(lot))
    shop.refuses(shop.charge_directly(5), Reason.insufficient_credits, needed=5, available=-50, top_up=top_up)
    shop.given(shop.gift(top_up - 1))
    shop.refuses(shop.charge_directly(5), Reason.insufficient_credits, top_up=1)
    shop.given(shop.gift(1), shop.charge_directly(5))


def test_what_lapsed_does_not_become_debt(shop):
    """30 are used, 70 lapsed at 100. Afterwards 30 are owed."""
    lot = shop.given(shop.plan(seconds=100), shop.buy())
    shop.given(shop.charge_directly(30))
    shop.at(150).when(shop.reverse(lot))
    assert shop.types == ["lapsed", "reversed"]
    shop.leaves(issued=100, available=-30, spent=30, lapsed=70, debt=30)
    assert (shop.earned, shop.money("payer")) == (0, 0)


def test_held_credits_of_an_expired_lot_become_debt_too(shop):
    lot = shop.given(shop.plan(seconds=100), shop.buy())
    request = shop.given(shop.ask(20))
    shop.at(150).given(shop.reverse(lot))
    shop.leaves(available=-20, held=20, lapsed=80, debt=20)
    shop.when(shop.charge(request, 20))
    shop.leaves(available=-20, held=0, spent=20, debt=20)


def test_the_other_lots_are_not_touched(shop):
    """20 of 50 were held of the gift, 30 of the sale. Only those 30 are owed; what the gift has left stays there."""
    gift = shop.given(shop.plan(), shop.gift(20, priority=-1))
    lot = shop.given(shop.buy())
    request = shop.given(shop.ask(50))
    shop.given(shop.reverse(lot))
    shop.leaves(available=-30, held=50, debt=30)
    assert shop.draws(shop.when(shop.charge(request, 45))) == [(gift, 20), (0, 25)]
    shop.leaves(available=-25, held=0, debt=25, spent=45)


def test_a_reversal_after_a_partial_withdrawal_returns_the_rest_of_the_money(shop):
    """40 left with 400; the other 600 return now."""
    lot = shop.given(shop.plan(), shop.buy())
    shop.given(shop.withdraw(credits=40), shop.charge_directly(10), shop.reverse(lot))
    assert (shop.money("payer"), shop.earned) == (0, 0)
    shop.leaves(issued=100, available=-10, spent=10, withdrawn=100, debt=10)


def test_a_reversal_names_a_lot_or_a_payment(shop):
    lot = shop.given(shop.plan(), shop.buy(payment="card 1"))
    assert shop.event(shop.when(shop.reverse(payment="card 1"))).lot == lot


def test_a_lot_is_reversed_once(reversed_shop):
    reversed_shop.refuses(reversed_shop.reverse(reversed_shop.lot), Reason.malformed)
    reversed_shop.refuses(reversed_shop.reverse(payment="card 1"), Reason.malformed)


def test_a_lot_that_has_not_started_is_reversed_whole(shop):
    shop.given(shop.window(), shop.buy())
    second = shop.given(shop.buy())
    shop.when(shop.reverse(second))
    assert shop.money("payer") == -1000
    shop.at(100).refuses(shop.ask(), Reason.expired)


def test_a_window_ends_when_its_payment_turns_out_void(shop):
    lot = shop.given(shop.window(), shop.buy())
    shop.at(40).given(shop.reverse(lot))
    assert (shop.earned, shop.money("payer")) == (0, 0)
    shop.refuses(shop.ask(), Reason.expired)


def test_a_debt_that_a_lot_has_paid_is_debt_again_when_that_lot_is_reversed(shop):
    """30 owed for a charge, paid by the second lot, whose payment turns out void: 30 are owed again."""
    shop.given(shop.plan(overrun="debt", debt_limit=50), shop.buy(), shop.charge_directly(130))
    second = shop.given(shop.buy())
    shop.leaves(debt=0)
    shop.when(shop.reverse(second))
    shop.leaves(available=-30, debt=30, spent=130)
    assert shop.earned == 1000
