"""Money: what a lot has earned, whose it is, and where it lies (design.md, sections 3 and 4)."""

from decimal import Decimal

import pytest

from ledger import CreatePlan, Escrow, EscrowFunding, Reason, split


def test_an_amount_becomes_parts_by_its_prefix_sums():
    """split(total, weights)[i] = ⌊total·Sᵢ/S⌋ − ⌊total·Sᵢ₋₁/S⌋: 10 by 1, 1, 1 is 3, 6−3, 10−6."""
    assert split(10, [1, 1, 1]) == [3, 3, 4]
    assert split(1, [1, 1, 1]) == [0, 0, 1]
    assert split(7, [3, 0, 4]) == [3, 0, 4]
    assert split(0, [2, 5]) == [0, 0]
    with pytest.raises(ValueError, match="-1"):
        split(-1, [1])


def test_a_lot_of_credits_earns_as_its_credits_are_used(shop):
    """3 credits for 10: one used has earned ⌊10/3⌋ = 3, two 6, three 10."""
    lot = shop.given(shop.plan(credits=3, price={"acme": 10}), shop.buy())
    for earned in (0, 3, 6, 10):
        shop.lot_has(lot, earned=earned)
        if earned < 10:
            shop.when(shop.charge_directly(1))


def test_what_is_held_has_not_earned(shop):
    shop.given(shop.plan(), shop.buy())
    request = shop.given(shop.ask(100))
    assert shop.earned == 0
    shop.when(shop.charge(request, 40))
    assert shop.earned == 400


def test_what_lapsed_has_earned(shop):
    """25 of 100 are used and 75 lapse: the lot has earned exactly its cost."""
    lot = shop.given(shop.plan(seconds=100), shop.buy())
    shop.given(shop.charge_directly(25))
    shop.at(99).lot_has(lot, earned=250)
    shop.at(100).lot_has(lot, earned=1000, lapsed=75)


def test_on_lapse_refund_withdraws_the_lapsed_part_with_its_money(shop):
    """25 of 100 are used; the 75 leave with 750, and 250 remain earned."""
    lot = shop.given(shop.plan(seconds=100, on_lapse="refund"), shop.buy())
    shop.given(shop.charge_directly(25))
    shop.at(100).tick()
    assert shop.types == ["withdrawn"]
    assert (shop.wrote[0].event.money, shop.wrote[0].event.draws) == ({lot: 750}, ((lot, 75),))
    assert shop.wrote[0].event.instant == shop.moment(100)
    shop.lot_has(lot, earned=250, withdrawn=75, lapsed=0)
    assert (shop.money("payer"), shop.money("deferred")) == (-250, 250)


def test_a_window_earns_as_its_time_passes(shop):
    """10 for 3 seconds: ⌊10/3⌋ after one, 6 after two, 10 after three and ever after."""
    lot = shop.given(shop.window(seconds=3, price={"acme": 10}), shop.buy())
    for second, earned in ((0, 0), (1, 3), (2, 6), (3, 10), (100, 10)):
        shop.at(second).lot_has(lot, earned=earned)


def test_a_hybrid_is_a_lot_of_credits_whose_start_and_expiry_are_the_window(shop):
    """Half of the time and a quarter of the credits are gone: it has earned a quarter."""
    lot = shop.given(shop.plan(seconds=100), shop.buy())
    shop.given(shop.charge_directly(25))
    shop.at(50).lot_has(lot, earned=250, start=shop.moment(0), expiry=shop.moment(100))


def test_a_bought_window_starts_where_the_accounts_last_one_ends(shop):
    """Bought at 0, 30 and 40: to 100, 200 and 300. Bought at 350, after a gap: from 350."""
    first = shop.given(shop.window(), shop.buy())
    second = shop.at(30).given(shop.buy())
    third = shop.at(40).given(shop.buy())
    shop.lot_has(first, start=shop.moment(0), expiry=shop.moment(100))
    shop.lot_has(second, start=shop.moment(100), expiry=shop.moment(200), started=False)
    shop.lot_has(third, start=shop.moment(200), expiry=shop.moment(300))
    fourth = shop.at(350).given(shop.buy())
    shop.lot_has(fourth, start=shop.moment(350), expiry=shop.moment(450))


def test_a_window_that_waits_has_earned_nothing(shop):
    """At 150 the first of two windows has earned all of its cost, the second half."""
    first = shop.given(shop.window(), shop.buy())
    second = shop.given(shop.buy())
    shop.at(60).lot_has(first, earned=600)
    shop.lot_has(second, earned=0)
    shop.at(150).lot_has(first, earned=1000)
    shop.lot_has(second, earned=500)


def test_every_lot_carries_its_own_money(shop):
    """A gift of 100 burns first and earns nothing; of the 100 that were bought 10 are used, which earn 100."""
    sale = shop.given(shop.plan(), shop.buy())
    gift = shop.given(shop.gift(100, expiry=900))
    shop.when(shop.charge_directly(110))
    shop.lot_has(gift, spent=100, cost=0, earned=0)
    shop.lot_has(sale, spent=10, cost=1000, earned=100)


def test_the_money_of_a_lot_is_fixed_when_it_is_made(shop):
    """Asset, cost and shares, the fee among them; the shares sum to the cost."""
    lot = shop.event(shop.given(shop.plan(asset="eip155:8453/erc20:0xA"), shop.buy()))
    assert (lot.asset, lot.cost) == ("eip155:8453/erc20:0xA", 1000)
    assert [(share.receiver, share.amount) for share in lot.shares] == [("acme", 900), ("fee", 100)]


def test_shares_are_floors_of_the_running_total_until_the_lot_is_used_up(shop):
    """3 for three receivers, one credit after the other: a third of 1 and of 2 is no whole unit, so it stays deferred;
    after three each has what the price says."""
    lot = shop.given(shop.plan(credits=3, price={"a": 1, "b": 1, "c": 1}), shop.buy())
    for parts in ([0, 0, 0], [0, 0, 0], [1, 1, 1]):
        shop.when(shop.charge_directly(1))
        shop.lot_has(lot, shares_earned=dict(zip("abc", parts, strict=True)))


def test_a_receiver_has_a_share_of_what_was_earned(shop):
    shop.given(shop.plan(), shop.buy(), shop.charge_directly(25))
    assert (shop.earned_by("acme"), shop.earned_by("fee")) == (225, 25)


def test_money_is_of_any_size(shop):
    """10³⁰ for 7 credits: one has earned ⌊10³⁰/7⌋, all have earned exactly 10³⁰."""
    lot = shop.given(shop.plan(credits=7, price={"acme": 10**30}, asset_decimals=18), shop.buy())
    shop.given(shop.charge_directly(1))
    shop.lot_has(lot, earned=10**30 // 7)
    shop.when(shop.charge_directly(6))
    shop.lot_has(lot, earned=10**30)
    assert shop.stored(lot)["cost"] == 10**30


@pytest.mark.parametrize("amount", [9.0, 9.5, float("nan"), float("inf"), True, Decimal(9), "9", None, -9, b"9"])
def test_a_float_raises_at_the_door(shop, amount):
    """And so does whatever else is not a whole number, as money, as credits and as usage; amounts of credits
    and money may be written as text or Decimal, and usage may not."""
    shop.given(shop.plan("free", price={}))
    if not isinstance(amount, Decimal | str):
        shop.raises(shop.plan(price={"acme": amount}), r'price\["acme"\]')
        shop.raises(shop.gift(amount, plan="free"), "credits: ")
    shop.raises(shop.charge_directly({"units": amount}, plan="free"), r'usage\["units"\]')
    shop.raises(shop.ask({"units": amount}, plan="free"), r'estimate\["units"\]')


@pytest.mark.parametrize(
    ("funding", "place"),
    [("none", "deferred"), ("direct", "settled"), (EscrowFunding(Escrow("other:1", "0xE", "7")), "deferred")],
    ids=["none", "direct", "escrow"],
)
def test_a_sales_money_lies_where_its_funding_says(shop, funding, place):
    """With the receivers already where it is direct, else deferred until it is settled."""
    shop.given(shop.plan(), shop.buy(funding=funding))
    assert (shop.money("payer"), shop.money(place)) == (-1000, 1000)


@pytest.mark.parametrize("funding", ["none", "direct"])
def test_withdrawn_money_returns_from_where_it_lay(shop, funding):
    """25 of 100 are used, the rest leaves: 750 return to the payer."""
    shop.given(shop.plan(), shop.buy(funding=funding), shop.charge_directly(25), shop.withdraw())
    assert (shop.money("payer"), shop.money("deferred") + shop.money("settled")) == (-250, 250)


def test_earned_is_a_reading_not_an_event(shop):
    shop.given(shop.window(), shop.buy())
    head = shop.ledger.head
    assert [shop.at(second).earned for second in (10, 20, 90)] == [100, 200, 900]
    assert shop.ledger.head == head


def test_assets_are_never_added(shop):
    """Two plans, two assets, two sums."""
    shop.given(shop.plan(), shop.buy(), shop.charge_directly(10))
    shop.given(shop.plan("euro", asset="EUR"), shop.buy(plan="euro"), shop.charge_directly(20, plan="euro"))
    assert [(each.asset, each.sold, each.earned) for each in shop.ledger.earned()] == [
        ("EUR", 1000, 200),
        ("USD", 1000, 100),
    ]


# -- which windows a window queues behind ------------------------------------------------------------------------------


def starts(shop, lot, at):
    shop.lot_has(lot, start=shop.moment(at), started=at <= (shop.now - shop.moment(0)) // 1_000_000)


def test_a_window_does_not_queue_behind_one_that_was_reversed(shop):
    """To 100; the next, to 200, was void. The third starts at 100."""
    shop.given(shop.window(), shop.buy())
    void = shop.given(shop.buy())
    shop.given(shop.reverse(void))
    starts(shop, shop.given(shop.buy()), 100)


def test_a_window_starts_now_where_the_running_one_was_reversed(shop):
    void = shop.given(shop.window(), shop.buy())
    shop.at(40).given(shop.reverse(void))
    starts(shop, shop.given(shop.buy()), 40)


def test_a_window_queues_behind_one_that_was_reinstated(shop):
    lot = shop.given(shop.window(), shop.buy())
    shop.given(shop.reverse(lot), shop.reinstate(lot))
    starts(shop, shop.given(shop.buy()), 100)


@pytest.mark.parametrize(("which", "at"), [(0, 40), (1, 100)])
def test_a_window_does_not_queue_behind_one_that_was_withdrawn(shop, which, at):
    """The running one ends by a withdrawal; the next, which has not started, is gone by one."""
    lots = [shop.given(shop.window(), shop.buy())]
    lots += [shop.given(shop.buy())] if which else []
    shop.at(40).given(shop.withdraw(lot=lots[which]))
    starts(shop, shop.given(shop.buy()), at)


def test_a_window_does_not_queue_behind_one_that_a_chain_took_away(shop):
    """By a reorganisation: the purchase is reversed and forgotten."""
    shop.given(shop.window(), shop.buy())
    lot = shop.given(shop.deposit("7", block=5))
    shop.given(shop.reverse(lot))
    starts(shop, shop.given(shop.buy()), 100)


def test_a_window_does_not_queue_behind_one_that_a_subscriber_left(shop):
    """An exit ends the windows of its contract at once."""
    shop.given(shop.window(), shop.deposit("7"))
    shop.at(40).given(shop.exit(600))
    starts(shop, shop.given(shop.deposit("8")), 40)


def test_a_window_does_not_queue_behind_an_expiry_that_a_refund_brought(shop):
    """Over at 100; 10 come back at 150, and live until 1000."""
    shop.given(shop.plan(seconds=100), shop.buy())
    charge = shop.given(shop.charge_directly(50))
    shop.at(150).given(shop.correct(charge, -10, expiry=1000))
    lot = shop.at(160).given(shop.buy())
    starts(shop, lot, 160)
    shop.leaves(available=110)


def test_a_window_does_not_queue_behind_credits_that_are_gone(shop):
    """All 100 are used at 10: another 100 may be bought, and used, now."""
    shop.given(shop.plan(seconds=100), shop.buy())
    shop.at(10).given(shop.charge_directly(100))
    shop.refuses(shop.ask(5), Reason.insufficient_credits, top_up=5)
    lot = shop.given(shop.buy())
    shop.lot_has(lot, start=shop.moment(10), expiry=shop.moment(110))
    shop.given(shop.ask(5))


def test_a_window_queues_behind_credits_that_are_held(shop):
    """99 are used and 1 is held, so the window gives access still; what is bought starts then, and no top-up helps."""
    shop.given(shop.plan(seconds=100), shop.buy(), shop.charge_directly(99), shop.ask(1))
    refused = shop.at(10).refuses(shop.ask(5), Reason.insufficient_credits, top_up=None)
    assert "top_up" not in refused.facts
    starts(shop, shop.given(shop.buy()), 100)


def test_a_window_of_credits_that_has_not_started_is_not_gone(shop):
    """To 100, to 200, and the third to 300, whatever is used of the first."""
    shop.given(shop.plan(seconds=100), shop.buy(), shop.buy(), shop.charge_directly(100))
    starts(shop, shop.given(shop.buy()), 200)


def test_a_gift_with_an_expiry_is_a_window(shop):
    """30 days are given until their end, and 30 are bought: 60."""
    day = 86_400
    shop.given(shop.window(seconds=30 * day), shop.gift(expiry=30 * day))
    lot = shop.given(shop.buy())
    shop.lot_has(lot, start=shop.moment(30 * day), expiry=shop.moment(60 * day))
    shop.at(60 * day, microseconds=-1).when(shop.ask())
    shop.at(60 * day).refuses(shop.ask(), Reason.expired)


def test_given_seconds_queue_behind_a_gift_with_an_expiry(shop):
    shop.given(shop.window(), shop.gift(expiry=40))
    starts(shop, shop.given(shop.gift(seconds=10)), 40)


def test_a_gift_with_an_expiry_starts_when_it_is_given(shop):
    """It has no seconds that could wait."""
    shop.given(shop.window(), shop.buy())
    starts(shop, shop.given(shop.gift(expiry=400)), 0)


def test_credits_without_an_end_are_no_window(shop):
    shop.given(shop.plan(seconds=100), shop.gift(10))
    starts(shop, shop.given(shop.buy()), 0)


def test_a_start_that_was_asked_for_counts_where_it_is_later(shop):
    shop.given(shop.window(), shop.buy())
    starts(shop, shop.given(shop.buy(start=50)), 100)
    starts(shop, shop.given(shop.buy(start=500)), 500)


def test_credits_give_no_access_to_a_plan_that_sells_only_time(shop):
    """A gift of them is refused, and says what to give."""
    shop.given(shop.window())
    for gift in (shop.gift(1), shop.gift(1, seconds=10), shop.gift(1, expiry=900)):
        refused = shop.refuses(gift, Reason.malformed)
        assert "give seconds" in refused.facts["detail"]


def test_a_plan_that_sells_only_time_is_priced_0_by_default(shop):
    """And a plan of credits by the request."""
    shop.given(CreatePlan(plan="pro", owner="acme", seconds=100), CreatePlan(plan="units", owner="acme", credits=10))
    shop.given(shop.buy(), shop.buy(plan="units"))
    assert [shop.event(seq).tariff.policy for seq in (1, 2)] == ["time", "per_credit"]
    event = shop.event(shop.when(shop.charge_directly({"seconds": 50, "calls": 1})))
    assert (event.credits, event.shortfall, event.unpriced) == (0, 0, {})
    shop.given(shop.ask({"calls": 3}))
    assert shop.event(shop.when(shop.charge_directly({"calls": 3}, plan="units"))).credits == 1
