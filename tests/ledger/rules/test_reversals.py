"""Reversals: the payment turned out void (design.md, section 4; contract.md, fixed points)."""

import pytest

from ledger import Reason, Reinstate, Reverse


def test_a_payment_is_named_once(shop):
    """By its lot or by its id: two names could contradict each other."""
    lot = shop.given(shop.plan(), shop.buy(payment="p"))
    for command in (Reverse, Reinstate):
        shop.refuses(command(subscriber="ann", plan="pro", lot=lot, payment="p"), Reason.malformed)


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


def test_a_direct_charge_of_an_account_in_debt_is_short_by_all_that_may_not_be_owed(shop):
    """50 are owed: of 5, nothing is there."""
    lot = shop.given(shop.plan(), shop.buy())
    shop.given(shop.charge_directly(50), shop.reverse(lot))
    event = shop.event(shop.when(shop.charge_directly(5)))
    assert (event.draws, event.shortfall) == ((), 5)
    shop.leaves(available=-50, debt=50)


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


# -- other lots pay at once --------------------------------------------------------------------------------------------


def test_other_lots_pay_what_a_reversal_makes_owed(shop):
    """30 spent and 20 held of the lot are owed; another has 40: it pays the 30, and 10 of what is held."""
    lot = shop.given(shop.plan(), shop.buy())
    gift = shop.given(shop.gift(40, priority=1))
    shop.given(shop.charge_directly(30))
    request = shop.given(shop.ask(20))
    event = shop.event(shop.when(shop.reverse(lot)))
    assert (shop.types, event.credits, event.money, event.repaid) == (["reversed"], 100, 1000, ((gift, 40),))
    shop.leaves(available=-10, held=20, spent=30, withdrawn=100, debt=10)
    shop.lot_has(gift, left=0, held=10, spent=30)
    charged = shop.when(shop.charge(request, 20))
    assert sorted(shop.draws(charged)) == [(0, 10), (gift, 10)]


def test_the_reversed_lots_own_rest_pays_nothing(shop):
    lot = shop.given(shop.plan(), shop.buy())
    event = shop.event(shop.given(shop.charge_directly(30), shop.reverse(lot)))
    assert event.repaid == ()
    shop.leaves(available=-30, withdrawn=100, debt=30)


def test_a_request_that_holds_debt_then_credits_gives_the_debt_back_first(shop):
    """20 were held on a void lot; a gift has paid 5 of them. Released, 15 are owed no longer and 5 are the gift's."""
    lot = shop.given(shop.plan(), shop.buy())
    request = shop.given(shop.ask(20))
    gift = shop.given(shop.reverse(lot), shop.gift(5))
    shop.lot_has(gift, held=5)
    shop.given(shop.release(request))
    shop.leaves(available=5, held=0, debt=0)


# -- a part of a payment -----------------------------------------------------------------------------------------------


@pytest.fixture
def part_shop(shop):
    """100 credits for 1000: 30 are spent, 20 held, 50 left."""
    shop.lot = shop.given(shop.plan(), shop.buy(payment="card 1"))
    shop.charged = shop.given(shop.charge_directly(30))
    shop.open = shop.given(shop.ask(20))
    return shop


def test_a_part_of_a_payment_takes_as_large_a_part_of_the_credits_rounded_down(part_shop):
    """333 of 1000 are ⌊33.3⌋ of 100 credits: 17 are left. The 30 that are spent have earned 30/67 of 667."""
    event = part_shop.event(part_shop.when(part_shop.reverse(part_shop.lot, amount=333)))
    assert (event.credits, event.money, event.payment, event.repaid) == (33, 333, "card 1", ())
    part_shop.leaves(issued=100, available=17, held=20, spent=30, withdrawn=33, debt=0)
    part_shop.lot_has(part_shop.lot, left=17, held=20, spent=30, withdrawn=33, refunded=333, earned=667 * 30 // 67)
    assert part_shop.money("payer") == -667


def test_a_part_is_taken_from_what_is_left_then_spent_then_held(part_shop):
    """70 of 100: the 50 that are left, and 20 of what is spent. 95: also 15 of the 20 that are held."""
    part_shop.given(part_shop.reverse(part_shop.lot, amount=700))
    part_shop.leaves(available=-20, held=20, spent=30, withdrawn=70, debt=20)
    part_shop.lot_has(part_shop.lot, left=0, held=20, spent=10, withdrawn=70)
    # 30 credits stand for 300; 250 of 300 are 25 of them: 10 that are spent and 15 that are held
    event = part_shop.event(part_shop.when(part_shop.reverse(part_shop.lot, amount=250)))
    assert (event.credits, event.money) == (25, 250)
    part_shop.leaves(available=-45, held=20, spent=30, withdrawn=95, debt=45)
    part_shop.lot_has(part_shop.lot, left=0, held=5, spent=0, withdrawn=95, refunded=950, earned=0)
    charged = part_shop.when(part_shop.charge(part_shop.open, 20))
    assert part_shop.draws(charged) == [(part_shop.lot, 5), (0, 15)]


def test_what_is_held_is_owed_by_the_oldest_request_first(shop):
    """Two requests hold 40 and 60 of the lot; half of its payment was void: 40 of the first and 10 of the second."""
    lot = shop.given(shop.plan(), shop.buy())
    first, second = shop.given(shop.ask(40)), shop.given(shop.ask(60))
    shop.given(shop.reverse(lot, amount=500))
    shop.leaves(available=-50, held=100, debt=50)
    assert shop.draws(shop.when(shop.charge(first, 40))) == [(0, 40)]
    assert shop.draws(shop.when(shop.charge(second, 60))) == [(lot, 50), (0, 10)]


def test_other_lots_pay_what_a_part_makes_owed(part_shop):
    gift = part_shop.given(part_shop.gift(15))
    event = part_shop.event(part_shop.when(part_shop.reverse(part_shop.lot, amount=700)))
    assert event.repaid == ((gift, 15),)
    part_shop.leaves(available=-5, debt=5, spent=30)
    part_shop.lot_has(gift, left=0, spent=15)


def test_parts_come_to_the_whole(part_shop):
    """333, then 500 of the 667 that are left (⌊67 · 500/667⌋ = 50 credits), then what is left: all is as if the whole
    payment had been void at once."""
    credits = []
    for amount in (333, 500, 167):
        credits.append(part_shop.event(part_shop.when(part_shop.reverse(part_shop.lot, amount=amount))).credits)
    assert credits == [33, 50, 17]
    part_shop.leaves(available=-50, held=20, spent=30, withdrawn=100, debt=50)
    part_shop.lot_has(part_shop.lot, left=0, held=0, spent=0, withdrawn=100, refunded=1000, earned=0)
    assert part_shop.money("payer") == 0
    part_shop.refuses(part_shop.reverse(part_shop.lot, amount=1), Reason.malformed)


def test_all_of_the_money_is_the_whole_payment(part_shop):
    event = part_shop.event(part_shop.when(part_shop.reverse(payment="card 1", amount=1000)))
    assert (event.credits, event.money) == (100, 1000)
    part_shop.refuses(part_shop.reverse(part_shop.lot), Reason.malformed)
    part_shop.refuses(part_shop.buy(payment="card 1"), Reason.payment_reversed)


@pytest.mark.parametrize("amount", [1001, 10**30])
def test_more_than_the_money_that_is_left_is_malformed(part_shop, amount):
    part_shop.refuses(part_shop.reverse(part_shop.lot, amount=amount), Reason.malformed)


@pytest.mark.parametrize("amount", [0, -1])
def test_a_reversal_of_nothing_raises(part_shop, amount):
    part_shop.raises(part_shop.reverse(part_shop.lot, amount=amount), f"amount: {amount} is below 1")


def test_what_left_with_a_withdrawal_cannot_be_reversed(shop):
    """40 credits left with 400: 600 are the most, and half of that takes half of the 60."""
    lot = shop.given(shop.plan(), shop.buy())
    shop.given(shop.withdraw(credits=40))
    shop.refuses(shop.reverse(lot, amount=601), Reason.malformed)
    assert shop.event(shop.when(shop.reverse(lot, amount=300))).credits == 30
    shop.leaves(available=30, withdrawn=70)
    assert shop.money("payer") == -300


def test_what_lapsed_is_not_taken_back(shop):
    """50 were used and 50 lapsed, 1000 are earned. 800 of 1000 would be 80 credits; the 50 that were used are owed."""
    lot = shop.given(shop.plan(seconds=100), shop.buy())
    shop.given(shop.charge_directly(50))
    event = shop.event(shop.at(150).when(shop.reverse(lot, amount=800)))
    assert (event.credits, event.money) == (50, 800)
    shop.leaves(available=-50, spent=50, lapsed=50, withdrawn=50, debt=50)
    shop.lot_has(lot, earned=200, refunded=800)


@pytest.mark.parametrize("made", ["gift", "trial"])
def test_what_cost_nothing_has_no_part(shop, made):
    shop.given(shop.plan(trial=made == "trial", price={}))
    lot = shop.given(shop.gift(100) if made == "gift" else shop.buy())
    shop.refuses(shop.reverse(lot, amount=1), Reason.malformed)
    shop.given(shop.reverse(lot))
    shop.leaves(available=0, withdrawn=100)


def test_what_a_chain_holds_has_no_part(shop):
    lot = shop.given(shop.plan(), shop.deposit("1"))
    shop.refuses(shop.reverse(lot, amount=1), Reason.malformed)
    shop.given(shop.reverse(lot))


def test_a_give_back_after_a_part_lowers_the_debt_then_returns_to_the_lot(shop):
    """80 spent; half of the payment void: 20 that were left and 30 of the 80, which are owed. Of 40 that come back 30
    end the debt and 10 are the lot's; then nothing is owed, and 40 more are the lot's."""
    lot = shop.given(shop.plan(), shop.buy())
    charge = shop.given(shop.charge_directly(80))
    shop.given(shop.reverse(lot, amount=500))
    shop.lot_has(lot, left=0, spent=50, withdrawn=50)
    assert shop.draws(shop.when(shop.correct(charge, -40))) == [(0, 30), (lot, 10)]
    shop.leaves(available=10, debt=0, spent=40)
    shop.refuses(shop.correct(charge, -41), Reason.adjustment_exceeds, needed=41, available=40)
    assert shop.draws(shop.when(shop.correct(charge, -40))) == [(lot, 40)]
    shop.lot_has(lot, left=50, spent=0, withdrawn=50)


def test_a_give_back_after_a_part_returns_to_who_paid_before_the_lot(shop):
    lot = shop.given(shop.plan(), shop.buy())
    charge = shop.given(shop.charge_directly(80))
    gift = shop.given(shop.reverse(lot, amount=500), shop.gift(30))
    assert shop.draws(shop.when(shop.correct(charge, -40))) == [(gift, 30), (lot, 10)]
    shop.leaves(available=40, debt=0, spent=40)


def test_a_give_back_returns_to_who_paid_last_first(shop):
    """Two gifts paid 10 and 20 of the 30 that were owed."""
    lot = shop.given(shop.plan(), shop.buy())
    charge = shop.given(shop.charge_directly(30))
    first = shop.given(shop.reverse(lot), shop.gift(10))
    second = shop.given(shop.gift(20))
    assert shop.draws(shop.when(shop.correct(charge, -15))) == [(second, 15)]
    assert shop.draws(shop.when(shop.correct(charge, -15))) == [(second, 5), (first, 10)]


# -- a part of a window ------------------------------------------------------------------------------------------------


def test_a_part_of_a_windows_payment_shortens_it(shop):
    """A quarter of 100 seconds for 1000: it ends at 75, and has earned 10 a second."""
    lot = shop.given(shop.window(), shop.buy())
    event = shop.event(shop.when(shop.reverse(lot, amount=250)))
    assert (event.credits, event.money, event.expiry) == (0, 250, shop.moment(75))
    shop.at(20).lot_has(lot, earned=200, refunded=250, expiry=shop.moment(75))
    shop.at(75, microseconds=-1).when(shop.ask())
    shop.at(75).refuses(shop.ask(), Reason.expired)
    shop.lot_has(lot, earned=750)


def test_a_window_is_shortened_to_the_microsecond_rounded_down(shop):
    """1 of 3 was void: ⅔ of a second stand."""
    lot = shop.given(shop.window(seconds=1, price={"acme": 3}), shop.buy())
    event = shop.event(shop.when(shop.reverse(lot, amount=1)))
    assert event.expiry == shop.moment(0) + 666_666


def test_a_window_never_ends_in_the_past(shop):
    """Of 1000 for 100 seconds 700 were void: 30 seconds, and 40 have passed. It ends now, and has earned its 300."""
    lot = shop.given(shop.window(), shop.buy())
    event = shop.event(shop.at(40).when(shop.reverse(lot, amount=700)))
    assert event.expiry == shop.moment(40)
    shop.refuses(shop.ask(), Reason.expired)
    shop.lot_has(lot, earned=300, refunded=700)
    assert shop.money("payer") == -300


def test_a_window_is_shortened_twice(shop):
    lot = shop.given(shop.window(), shop.buy())
    for end in (75, 50):
        assert shop.event(shop.when(shop.reverse(lot, amount=250))).expiry == shop.moment(end)
    shop.at(25).lot_has(lot, earned=250)


def test_a_window_that_has_not_started_is_shortened_where_it_will_be(shop):
    """From 100 to 200; half of it is to 150, and what is bought then comes behind."""
    shop.given(shop.window(), shop.buy())
    lot = shop.given(shop.buy())
    assert shop.event(shop.when(shop.reverse(lot, amount=500))).expiry == shop.moment(150)
    third = shop.given(shop.buy())
    shop.lot_has(third, start=shop.moment(150), expiry=shop.moment(250))
    shop.at(125).lot_has(lot, earned=250, started=True)


def test_a_window_with_credits_keeps_its_time_and_loses_credits(shop):
    lot = shop.given(shop.plan(seconds=100), shop.buy())
    event = shop.event(shop.when(shop.reverse(lot, amount=400)))
    assert (event.credits, event.expiry) == (40, None)
    shop.at(99).leaves(available=60, withdrawn=40)
    shop.at(100).leaves(available=0, withdrawn=40, lapsed=60)
    shop.lot_has(lot, earned=600)


# -- a part of a lot that has not started ------------------------------------------------------------------------------


def test_a_part_of_a_lot_that_has_not_started_moves_nothing_until_it_starts(shop):
    """40 of 100, then 30 of the 60 that are left: it starts with 30."""
    lot = shop.given(shop.plan(), shop.buy(start=50))
    assert shop.event(shop.when(shop.reverse(lot, amount=400))).credits == 40
    assert shop.event(shop.when(shop.reverse(lot, amount=300))).credits == 30
    shop.leaves(issued=0, available=0, withdrawn=0)
    assert shop.money("payer") == -300
    shop.at(50).leaves(issued=100, available=30, withdrawn=70)
    shop.tick().lot_has(lot, left=30, withdrawn=70, refunded=700)
    shop.given(shop.charge_directly(30))
    shop.lot_has(lot, earned=300)


def test_what_is_left_of_it_pays_what_is_owed_as_it_starts(shop):
    owing = {"overrun": "debt", "debt_limit": 100}
    lot = shop.given(shop.plan(**owing), shop.gift(1), shop.buy(start=50))
    shop.given(shop.charge_directly(51), shop.reverse(lot, amount=600))
    shop.at(50).tick()
    assert shop.wrote[0].event.draws == ((0, 40),)
    shop.leaves(available=-10, debt=10)


def test_a_lot_that_was_reversed_before_its_start_never_starts(shop):
    lot = shop.given(shop.plan(), shop.buy(start=50))
    shop.given(shop.gift(1), shop.reverse(lot))
    assert shop.money("payer") == 0
    head = shop.ledger.head
    shop.at(500).tick()
    assert shop.ledger.head == head
    shop.lot_has(lot, started=False, left=0)
    shop.leaves(available=1)


# -- a dispute that was won --------------------------------------------------------------------------------------------


def test_a_reinstated_lot_stands_as_if_it_had_never_been_reversed(part_shop):
    """The 100 credits return to it, and 50 of them pay what is owed: 30 are spent of it again, 20 held."""
    part_shop.given(part_shop.reverse(part_shop.lot))
    event = part_shop.event(part_shop.when(part_shop.reinstate(part_shop.lot)))
    assert (event.credits, event.money, event.payment) == (100, 1000, "card 1")
    assert event.repaid == ((part_shop.lot, 50),)
    part_shop.leaves(issued=100, available=50, held=20, spent=30, withdrawn=0, debt=0)
    part_shop.lot_has(part_shop.lot, left=50, held=20, spent=30, withdrawn=0, refunded=0, earned=300)
    assert part_shop.money("payer") == -1000
    charged = part_shop.when(part_shop.charge(part_shop.open, 20))
    assert part_shop.draws(charged) == [(part_shop.lot, 20)]
    part_shop.given(part_shop.correct(part_shop.charged, -30))
    part_shop.leaves(available=80, spent=20)


def test_all_reversals_of_a_lot_are_undone_together(part_shop):
    part_shop.given(part_shop.reverse(part_shop.lot, amount=333), part_shop.reverse(part_shop.lot, amount=500))
    event = part_shop.event(part_shop.when(part_shop.reinstate(payment="card 1")))
    assert (event.credits, event.money, event.repaid) == (83, 833, ((part_shop.lot, 33),))
    part_shop.leaves(available=50, held=20, spent=30, withdrawn=0, debt=0)
    part_shop.lot_has(part_shop.lot, left=50, held=20, spent=30, refunded=0, earned=300)


def test_what_others_paid_meanwhile_stays_theirs(part_shop):
    """A gift of 40 has paid the 30, and 10 of what is held. The lot pays the other 10, and has 90 left."""
    part_shop.given(part_shop.reverse(part_shop.lot))
    gift = part_shop.given(part_shop.gift(40))
    event = part_shop.event(part_shop.when(part_shop.reinstate(part_shop.lot)))
    assert event.repaid == ((part_shop.lot, 10),)
    part_shop.leaves(available=90, held=20, spent=30, debt=0)
    part_shop.lot_has(gift, left=0, held=10, spent=30)
    part_shop.lot_has(part_shop.lot, left=90, held=10, spent=0, earned=0)
    assert part_shop.draws(part_shop.when(part_shop.correct(part_shop.charged, -30))) == [(gift, 30)]


def test_a_reinstated_lot_that_has_expired_pays_and_the_rest_lapses(shop):
    """30 were spent and are owed. The lot's time is over: 30 of its 100 pay, 70 lapse, and it has earned its cost."""
    lot = shop.given(shop.plan(seconds=100), shop.buy())
    shop.given(shop.charge_directly(30), shop.reverse(lot))
    event = shop.event(shop.at(150).when(shop.reinstate(lot)))
    assert (shop.types, event.repaid) == (["reinstated", "lapsed"], ((lot, 30),))
    shop.lot_has(lot, spent=30, lapsed=70, earned=1000)
    shop.leaves(available=0, debt=0)


def test_where_lapsed_credits_are_refunded_the_rest_leaves_with_its_money(shop):
    lot = shop.given(shop.plan(seconds=100, on_lapse="refund"), shop.buy())
    shop.given(shop.charge_directly(30), shop.reverse(lot))
    shop.at(150).when(shop.reinstate(lot))
    assert shop.types == ["reinstated", "withdrawn"]
    assert (shop.wrote[1].event.draws, shop.wrote[1].event.money) == (((lot, 70),), {lot: 700})
    shop.lot_has(lot, spent=30, withdrawn=70, earned=300)


@pytest.mark.parametrize("amounts", [[None], [250], [250, 250], [900]])
def test_a_reinstated_window_has_the_end_that_it_had(shop, amounts):
    lot = shop.given(shop.window(), shop.buy())
    for amount in amounts:
        shop.at(20).given(shop.reverse(lot, amount=amount))
    event = shop.event(shop.at(60).when(shop.reinstate(lot)))
    assert event.money == sum(amount or 1000 for amount in amounts)
    shop.lot_has(lot, expiry=shop.moment(100), refunded=0, earned=600)
    shop.at(99).when(shop.ask())
    shop.at(100).refuses(shop.ask(), Reason.expired)


def test_a_reinstated_lot_that_has_not_started_starts_when_it_would_have(shop):
    lot = shop.given(shop.plan(), shop.buy(start=50))
    shop.given(shop.reverse(lot, amount=400), shop.reverse(lot))
    event = shop.event(shop.at(30).when(shop.reinstate(lot)))
    assert (shop.types, event.credits, event.money) == (["reinstated"], 100, 1000)
    shop.at(49).leaves(issued=0)
    shop.at(50).leaves(issued=100, available=100, withdrawn=0)


def test_a_reinstated_lot_whose_start_has_passed_starts_at_once(shop):
    owing = {"overrun": "debt", "debt_limit": 100}
    lot = shop.given(shop.plan(**owing), shop.buy(start=50))
    shop.given(shop.reverse(lot), shop.gift(1), shop.charge_directly(31))
    shop.at(80).when(shop.reinstate(lot))
    assert shop.types == ["reinstated", "started"]
    assert (shop.wrote[1].event.draws, shop.wrote[1].event.instant) == (((0, 30),), shop.moment(80))
    shop.leaves(available=70, debt=0)


def test_only_what_was_reversed_is_reinstated_and_only_once(shop):
    lot = shop.given(shop.plan(), shop.buy())
    shop.refuses(shop.reinstate(lot), Reason.malformed)
    shop.refuses(shop.reinstate(999), Reason.malformed)
    shop.refuses(shop.reinstate(), Reason.malformed)
    shop.given(shop.reverse(lot), shop.reinstate(lot))
    shop.refuses(shop.reinstate(lot), Reason.malformed)


def test_what_was_reinstated_may_be_reversed_again(part_shop):
    part_shop.given(part_shop.reverse(part_shop.lot), part_shop.reinstate(part_shop.lot))
    event = part_shop.event(part_shop.when(part_shop.reverse(part_shop.lot, amount=100)))
    assert (event.credits, event.money) == (10, 100)
    part_shop.given(part_shop.reverse(part_shop.lot))
    part_shop.leaves(available=-50, withdrawn=100, debt=50)
    part_shop.given(part_shop.reinstate(part_shop.lot))
    part_shop.leaves(available=50, withdrawn=0, debt=0)


def test_what_a_chain_holds_is_not_reinstated(shop):
    lot = shop.given(shop.plan(), shop.deposit("1"))
    shop.given(shop.reverse(lot))
    shop.refuses(shop.reinstate(lot), Reason.malformed)


def test_a_gift_may_be_reinstated_too(shop):
    gift = shop.given(shop.plan(), shop.gift(100))
    shop.given(shop.charge_directly(30), shop.reverse(gift), shop.reinstate(gift))
    shop.leaves(available=70, spent=30, withdrawn=0, debt=0)


# -- the same payment again --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, "k"])
def test_the_same_payment_after_a_reversal_is_refused_with_the_reason(shop, key):
    """It is neither answered as if it were there, nor bought anew; however much later."""
    lot = shop.given(shop.plan(), shop.buy(payment="7", key=key))
    shop.given(shop.reverse(lot))
    for second in (0, 600, 40 * 86_400):
        shop.at(second).refuses(shop.buy(payment="7", key=key), Reason.payment_reversed)
        shop.refuses(shop.buy(payment="7", start=90 * 86_400), Reason.key_reused)
    shop.when(shop.buy(payment="8"))


@pytest.mark.parametrize("again", ["in part", "reinstated"])
def test_the_same_payment_of_what_still_stands_is_answered_as_a_repeat(shop, again):
    lot = shop.given(shop.plan(), shop.buy(payment="7"))
    shop.given(shop.reverse(lot, amount=400))
    if again == "reinstated":
        shop.given(shop.reverse(lot), shop.reinstate(lot))
    answer = shop.ledger.execute(shop.buy(payment="7"))
    assert (answer.seq, answer.repeated) == (lot, True)
