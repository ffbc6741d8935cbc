"""Withdrawals: unused credits leave with their unearned money (design.md, section 4)."""

from ledger import Reason


def test_unused_credits_leave_with_their_unearned_money(shop):
    """25 of 100 for 1000 are used: 75 leave with 750, and what is left of the lot has earned exactly its 250."""
    lot = shop.given(shop.plan(), shop.buy())
    shop.given(shop.charge_directly(25))
    seq = shop.when(shop.withdraw(reason="exit"))
    assert (shop.draws(seq), shop.event(seq).money, shop.event(seq).reason) == ([(lot, 75)], {lot: 750}, "exit")
    shop.leaves(available=0, spent=25, withdrawn=75, issued=100)
    shop.lot_has(lot, earned=250, refunded=750)
    assert (shop.money("payer"), shop.money("deferred")) == (-250, 250)


def test_what_is_held_stays(shop):
    """30 are held: 70 leave with 700; the 30 are charged afterwards, and earn 300."""
    lot = shop.given(shop.plan(), shop.buy())
    request = shop.given(shop.ask(30))
    assert shop.event(shop.when(shop.withdraw())).money == {lot: 700}
    shop.leaves(available=0, held=30, withdrawn=70)
    shop.when(shop.charge(request, 30))
    shop.lot_has(lot, earned=300, spent=30)


def test_no_more_leaves_than_is_available(shop):
    shop.given(shop.plan(), shop.buy(), shop.ask(30))
    shop.refuses(shop.withdraw(credits=71), Reason.insufficient_credits, needed=71, available=70)
    shop.when(shop.withdraw(credits=70))


def test_after_a_partial_withdrawal_a_lot_earns_what_is_left_of_its_cost(shop):
    """50 leave with 500. 25 of the other 50 earn 250 of the 500 that are left, all of them 500."""
    lot = shop.given(shop.plan(), shop.buy())
    shop.given(shop.withdraw(credits=50), shop.charge_directly(25))
    shop.lot_has(lot, earned=250, refunded=500)
    shop.when(shop.charge_directly(25))
    shop.lot_has(lot, earned=500)


def test_what_was_earned_stays(shop):
    """10 credits for 7, of which 3 are used: ⌊21/10⌋ = 2 are earned. 3 more leave, with a part of the other 5: what was
    earned before is still earned."""
    lot = shop.given(shop.plan(credits=10, price={"acme": 7}), shop.buy())
    shop.given(shop.charge_directly(3))
    shop.lot_has(lot, earned=2)
    shop.when(shop.withdraw(credits=3))
    shop.lot_has(lot, earned=2)


def test_a_withdrawal_takes_in_burn_order(shop):
    first = shop.given(shop.plan(), shop.gift(10, expiry=900))
    second = shop.given(shop.gift(20))
    assert shop.draws(shop.when(shop.withdraw(credits=15))) == [(first, 10), (second, 5)]


def test_a_withdrawal_of_one_lot_takes_from_that_lot(shop):
    """The other one burns first, and stays."""
    first = shop.given(shop.plan(), shop.gift(10, expiry=900))
    second = shop.given(shop.buy())
    seq = shop.when(shop.withdraw(lot=second))
    assert (shop.draws(seq), shop.event(seq).money) == ([(second, 100)], {second: 1000})
    shop.lot_has(first, left=10)


def test_a_gift_leaves_without_money(shop):
    shop.given(shop.plan(), shop.gift(10))
    assert shop.event(shop.when(shop.withdraw())).money == {}
    shop.leaves(available=0, withdrawn=10)


def test_a_time_plan_is_cut_short(shop):
    """100 seconds for 1000; at 25 the rest leaves with 750. Access ends there, and nothing more is earned."""
    lot = shop.given(shop.window(), shop.buy())
    seq = shop.at(25).when(shop.withdraw())
    assert (shop.draws(seq), shop.event(seq).money) == ([], {lot: 750})
    shop.refuses(shop.ask(), Reason.expired)
    shop.lot_has(lot, earned=250, expiry=shop.moment(25))
    shop.at(100).lot_has(lot, earned=250)


def test_a_window_that_is_bought_after_one_was_cut_short_starts_at_once(shop):
    shop.given(shop.window(), shop.buy())
    shop.at(25).given(shop.withdraw())
    lot = shop.at(30).when(shop.buy())
    shop.lot_has(lot, start=shop.moment(30), expiry=shop.moment(130), started=True)


def test_a_cancelled_purchase_leaves_whole(shop):
    """The second window has not started: its 1000 return, and the window that runs is not touched."""
    first = shop.given(shop.window(), shop.buy())
    second = shop.given(shop.buy())
    assert shop.event(shop.at(25).when(shop.withdraw(lot=second))).money == {second: 1000}
    assert shop.money("payer") == -1000
    shop.at(99).when(shop.ask())
    shop.lot_has(first, expiry=shop.moment(100))
    shop.at(100).refuses(shop.ask(), Reason.expired)


def test_what_leaves_at_an_expiry_takes_none_of_what_was_earned(shop):
    """With `on_lapse: refund`: 10 credits for 7, 3 used, 4 held, 3 lapse: they leave, and 2 stay earned."""
    lot = shop.given(shop.plan(credits=10, seconds=100, price={"acme": 7}, on_lapse="refund"), shop.buy())
    shop.given(shop.charge_directly(3), shop.ask(4))
    shop.at(99).lot_has(lot, earned=2)
    shop.at(100).lot_has(lot, earned=2, spent=3, held=4, withdrawn=3)


def test_nothing_to_withdraw_is_refused(shop):
    shop.given(shop.plan(), shop.buy(), shop.charge_directly(100))
    shop.refuses(shop.withdraw(), Reason.insufficient_credits)


def test_what_has_paid_a_debt_is_not_withdrawn(shop):
    """50 are owed after a reversal, and another lot pays them of its 60 at once: the 10 that it has left may leave."""
    lot = shop.given(shop.plan(), shop.buy())
    shop.given(shop.gift(60, priority=1), shop.charge_directly(50), shop.reverse(lot))
    shop.leaves(available=10, debt=0, spent=50, withdrawn=100)
    shop.refuses(shop.withdraw(credits=11), Reason.insufficient_credits, needed=11, available=10)
    shop.when(shop.withdraw())
    shop.leaves(available=0, debt=0, spent=50, withdrawn=110)


def test_nothing_is_not_withdrawn(shop):
    """Without an amount all is withdrawn, so that 0 is no way to say it."""
    shop.given(shop.plan(), shop.buy())
    shop.refuses(shop.withdraw(credits=0), Reason.malformed)
