"""Buying: with the coin, with tokens that were approved, with an authorization that somebody relays."""

import pytest
from evm_machine import COIN, refused
from settlement_world import ALICE, BOB, MALLORY, SELLER, World

PRICE = 100


@pytest.fixture
def world() -> World:
    return World()


def test_a_purchase_with_the_coin_puts_the_price_in_escrow(world):
    plan, before = world.plan(), world.has(ALICE)
    purchase = world.buy(plan)
    assert world.has(ALICE) == before - PRICE
    assert world.has(world.settlement.address) == world.read("escrow", COIN) == PRICE
    assert world.read("purchased", purchase)
    assert world.read("getAccount", ALICE.address, plan) == (PRICE, 0, 0, False)


def test_a_purchase_with_approved_tokens_puts_the_price_in_escrow(world):
    token = world.dollar.address
    plan, before = world.plan(token), world.has(ALICE, token)
    world.buy(plan)
    assert world.has(ALICE, token) == before - PRICE
    assert world.has(world.settlement.address, token) == world.read("escrow", token) == PRICE
    assert world.read("escrow", COIN) == 0


def test_a_purchase_with_an_authorization_is_paid_by_who_signed_and_not_by_who_relays(world):
    token = world.dollar.address
    plan = world.plan(token)
    payer, relayer = world.has(ALICE, token), world.has(MALLORY, token)
    order = world.order(plan, BOB.address)
    world.do(MALLORY, "purchaseWithAuthorization", order, world.authorization(order))
    assert (world.has(ALICE, token), world.has(MALLORY, token)) == (payer - PRICE, relayer)
    assert world.read("escrow", token) == PRICE
    assert world.read("getAccount", BOB.address, plan)[0] == PRICE
    assert world.read("getAccount", ALICE.address, plan)[0] == 0


def test_a_purchase_is_told_with_its_id_the_subscriber_the_plan_and_the_money(world):
    plan = world.plan()
    order = world.order(plan, BOB.address)
    (told,) = world.do(ALICE, "purchase", order, value=PRICE).logs
    assert told.name == "Purchased"
    assert told.arguments == {
        "purchaseId": world.read("purchaseId", order),
        "subscriber": BOB.address.lower(),
        "planId": plan,
        "token": COIN,
        "amount": PRICE,
    }


def test_whoever_pays_may_buy_for_another(world):
    plan = world.plan()
    world.buy(plan, subscriber=BOB, by=MALLORY)
    assert world.read("hasAccess", BOB.address, plan)
    assert not world.read("hasAccess", MALLORY.address, plan)


def test_purchases_of_one_plan_add_up(world):
    plan = world.plan()
    assert len({world.buy(plan) for _ in range(3)}) == 3
    assert world.read("getAccount", ALICE.address, plan)[0] == 3 * PRICE


@pytest.mark.parametrize("way", ["coin", "approved", "authorized"])
def test_the_same_order_buys_once(world, way):
    plan = world.plan(COIN if way == "coin" else world.dollar.address)
    order, value = world.order(plan, ALICE.address), PRICE if way == "coin" else 0
    world.do(ALICE, "purchase", order, value=value)
    before = world.has(ALICE)
    with refused("PurchaseExists", world.read("purchaseId", order)):
        if way == "authorized":
            world.do(ALICE, "purchaseWithAuthorization", order, world.authorization(order))
        else:
            world.do(ALICE, "purchase", order, value=value)
    assert world.has(ALICE) == before


@pytest.mark.parametrize("sent", [0, PRICE - 1, PRICE + 1])
def test_the_coin_must_be_the_price_exactly(world, sent):
    with refused("WrongValue", sent, PRICE):
        world.do(ALICE, "purchase", world.order(world.plan(), ALICE.address), value=sent)


def test_no_coin_is_sent_along_with_tokens(world):
    with refused("WrongValue", 1, 0):
        world.do(ALICE, "purchase", world.order(world.plan(world.dollar.address), ALICE.address), value=1)


def test_an_unknown_plan_is_not_sold(world):
    with refused("PlanUnknown", 7):
        world.do(ALICE, "purchase", world.order(7, ALICE.address), value=PRICE)


def test_a_purchase_is_for_somebody(world):
    with refused("ZeroAddress"):
        world.do(ALICE, "purchase", world.order(world.plan(), COIN), value=PRICE)


def test_who_asked_to_leave_cannot_be_sold_more(world):
    plan = world.plan()
    world.buy(plan)
    world.do(ALICE, "requestExit", plan)
    with refused("Leaving", ALICE.address.lower(), plan):
        world.buy(plan, by=MALLORY, subscriber=ALICE)
    assert world.read("escrow", COIN) == PRICE


def test_without_an_allowance_or_the_money_nothing_is_bought(world):
    token = world.dollar
    plan = world.plan(token.address)
    token.do("approve", world.settlement.address, PRICE - 1, by=ALICE.address)
    with refused("ERC20InsufficientAllowance"):
        world.buy(plan)
    token.do("approve", world.settlement.address, PRICE, by=ALICE.address)
    token.do("transfer", MALLORY.address, world.has(ALICE, token.address) - PRICE + 1, by=ALICE.address)
    with refused("ERC20InsufficientBalance"):
        world.buy(plan)
    assert world.read("escrow", token.address) == 0


def test_access_is_bought_and_ends_with_the_request_to_leave(world):
    plan, other = world.plan(), world.plan()
    assert not world.read("hasAccess", ALICE.address, plan)
    world.buy(plan)
    assert world.read("hasAccess", ALICE.address, plan)
    assert not world.read("hasAccess", ALICE.address, other)
    world.do(ALICE, "requestExit", plan)
    assert not world.read("hasAccess", ALICE.address, plan)


def test_coins_that_nobody_bought_with_are_refused(world):
    with refused("Revert"):
        world.machine.send(ALICE.address, world.settlement.address, b"", PRICE)


# -- authorizations ---------------------------------------------------------------------------------------------------


def test_a_coin_cannot_be_authorized(world):
    order = world.order(world.plan(), ALICE.address)
    with refused("CoinCannotBeAuthorized"):
        world.do(ALICE, "purchaseWithAuthorization", order, world.authorization(order))


def test_a_replayed_authorization_moves_nothing(world):
    order = world.order(world.plan(world.dollar.address), ALICE.address)
    signed = world.authorization(order)
    world.do(MALLORY, "purchaseWithAuthorization", order, signed)
    before = world.has(ALICE, world.dollar.address)
    with refused("PurchaseExists", world.read("purchaseId", order)):
        world.do(MALLORY, "purchaseWithAuthorization", order, signed)
    assert world.has(ALICE, world.dollar.address) == before


def test_a_front_runner_who_relays_an_authorization_only_pays_the_gas(world):
    plan = world.plan(world.dollar.address)
    order = world.order(plan, ALICE.address)
    signed = world.authorization(order)
    world.do(MALLORY, "purchaseWithAuthorization", order, signed)
    with refused("PurchaseExists"):
        world.do(BOB, "purchaseWithAuthorization", order, signed)
    assert world.read("getAccount", ALICE.address, plan)[0] == PRICE


def test_a_front_runner_cannot_use_an_authorization_for_another_order(world):
    token = world.dollar.address
    plan, mine = world.plan(token), world.plan(token, ((MALLORY.address, PRICE),))
    order = world.order(plan, ALICE.address)
    signed = world.authorization(order)
    for other in ((plan, MALLORY.address, order[2]), (mine, ALICE.address, order[2]), world.order(*order[:2])):
        with refused("ERC3009InvalidSignature"):
            world.do(MALLORY, "purchaseWithAuthorization", other, signed)
    assert world.read("escrow", token) == 0
    world.do(MALLORY, "purchaseWithAuthorization", order, signed)


def test_a_front_runner_cannot_take_an_authorization_to_the_token(world):
    token = world.dollar
    order = world.order(world.plan(token.address), ALICE.address)
    payer, after, before, *signature = world.authorization(order)
    told = (payer, world.settlement.address, PRICE, after, before, world.read("purchaseId", order), *signature)
    with refused("ERC20InvalidReceiver", world.settlement.address.lower()):
        token.do("receiveWithAuthorization", *told, by=MALLORY.address)
    with refused("ERC3009InvalidSignature"):
        token.do("transferWithAuthorization", *told, by=MALLORY.address)
    with refused("ERC3009InvalidSignature"):
        token.do("receiveWithAuthorization", payer, MALLORY.address, *told[2:], by=MALLORY.address)
    world.do(BOB, "purchaseWithAuthorization", order, (payer, after, before, *signature))
    assert world.read("escrow", token.address) == PRICE


def test_a_front_runner_who_buys_the_same_order_pays_for_it_himself(world):
    token = world.dollar.address
    plan = world.plan(token)
    order = world.order(plan, ALICE.address)
    signed = world.authorization(order)
    before = world.has(ALICE, token)
    world.do(MALLORY, "purchase", order)
    with refused("PurchaseExists"):
        world.do(ALICE, "purchaseWithAuthorization", order, signed)
    assert world.has(ALICE, token) == before
    assert world.read("getAccount", ALICE.address, plan)[0] == PRICE


@pytest.mark.parametrize("changed", [{"value": PRICE - 1}, {"value": PRICE + 1}, {"to": MALLORY.address}])
def test_an_authorization_is_for_exactly_the_price_and_for_this_contract(world, changed):
    order = world.order(world.plan(world.dollar.address), ALICE.address)
    with refused("ERC3009InvalidSignature"):
        world.do(ALICE, "purchaseWithAuthorization", order, world.authorization(order, **changed))


def test_an_authorization_of_another_payer_is_refused(world):
    order = world.order(world.plan(world.dollar.address), ALICE.address)
    _, *rest = world.authorization(order, payer=MALLORY)
    with refused("ERC3009InvalidSignature"):
        world.do(MALLORY, "purchaseWithAuthorization", order, (ALICE.address, *rest))


def test_an_authorization_that_is_over_or_not_yet_valid_is_refused(world):
    order = world.order(world.plan(world.dollar.address), ALICE.address)
    now = world.machine.time
    for changed in ({"validBefore": now}, {"validAfter": now + 60}):
        with refused("ERC3009InvalidAuthorizationTime"):
            world.do(ALICE, "purchaseWithAuthorization", order, world.authorization(order, **changed))


def test_an_authorization_whose_nonce_was_used_at_the_token_buys_nothing(world):
    token = world.dollar
    order = world.order(world.plan(token.address), ALICE.address)
    signed = world.authorization(order)
    elsewhere = (ALICE.address, MALLORY.address, PRICE, *signed[1:3], world.read("purchaseId", order))
    own = world.authorization(order, to=MALLORY.address)
    token.do("receiveWithAuthorization", *elsewhere, *own[3:], by=MALLORY.address)
    with refused("ERC3009UsedAuthorization"):
        world.do(ALICE, "purchaseWithAuthorization", order, signed)
    assert not world.read("purchased", world.read("purchaseId", order))


def test_an_order_has_another_id_on_another_contract(world):
    order = world.order(world.plan(), SELLER.address)
    other = world.machine.deploy(
        world.settlement.artifact, *[person.address for person in (ALICE, BOB, SELLER)], 0, 0, 0, by=ALICE.address
    )
    assert other.read("purchaseId", order) != world.read("purchaseId", order)
