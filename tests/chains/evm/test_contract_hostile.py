"""Tokens and receivers that mean harm: they call back, keep a fee, answer no, take nothing, lose what they had."""

import pytest
from eth_utils import keccak
from evm_machine import COIN, Contract, refused
from settlement_world import ALICE, BOB, MALLORY, SELLER, World

PRICE = 100


@pytest.fixture
def world() -> World:
    return World()


def owed_to(world: World, receiver: str, token: str = COIN) -> None:
    """Alice bought for 100, Bob for 100; 40 is due to that receiver."""
    plan = world.plan(token)
    world.buy(plan)
    world.buy(plan, subscriber=BOB, by=BOB)
    world.settle(world.batch([(ALICE, plan, 40, 0)], {receiver: 40}, token=token))


def was_turned_away(hooked: Contract) -> bool:
    """Whether the contract called back, once, and was refused by the guard."""
    assert hooked.read("hookCalls") == 1
    guard = keccak(text="ReentrancyGuardReentrantCall()")[:4]
    return not hooked.read("hookPassed") and hooked.read("hookReturned") == guard


# -- calling back -----------------------------------------------------------------------------------------------------


def test_a_receiver_that_claims_again_while_it_is_paid_is_paid_once(world):
    puppet = world.puppet()
    owed_to(world, puppet.address)
    again = world.calldata("claim", COIN, puppet.address)
    puppet.do("setHook", world.settlement.address, again, by=MALLORY.address)
    before = world.has(puppet.address)
    world.do(MALLORY, "claim", COIN, puppet.address)
    assert was_turned_away(puppet)
    assert world.has(puppet.address) == before + 40
    assert world.has(world.settlement.address) == world.read("escrow", COIN) == 160


def test_a_receiver_that_calls_another_paying_function_while_it_is_paid_is_turned_away(world):
    for function, arguments in (
        ("exitUncharged", (1,)),
        ("exit", (1, 0, 0, [])),
        ("purchase", ((1, ALICE.address, bytes(32)),)),
    ):
        puppet = world.puppet()
        owed_to(world, puppet.address)
        puppet.do("setHook", world.settlement.address, world.calldata(function, *arguments), by=MALLORY.address)
        world.do(MALLORY, "claim", COIN, puppet.address)
        assert was_turned_away(puppet), function


def test_a_subscriber_that_leaves_again_while_it_leaves_is_paid_once(world):
    puppet, plan = world.puppet(), world.plan()
    world.buy(plan, subscriber=puppet.address)
    world.buy(plan, subscriber=BOB, by=BOB)
    settlement = world.settlement.address
    puppet.do("act", settlement, 0, world.calldata("requestExit", plan), by=MALLORY.address)
    world.wait(world.freeze)
    batch = world.batch([(puppet.address, plan, 30, 0)])
    world.settle(batch)
    leave = world.calldata("exit", plan, 30, 0, batch.proof(batch.leaves[0]))
    puppet.do("setHook", settlement, leave, by=MALLORY.address)
    before = world.has(puppet.address)
    puppet.do("act", settlement, 0, leave, by=MALLORY.address)
    assert was_turned_away(puppet)
    assert world.has(puppet.address) == before + 70
    assert world.has(settlement) == world.read("escrow", COIN) == 130


@pytest.mark.parametrize("function", ["purchase", "claim"])
def test_a_token_that_calls_back_while_it_moves_is_turned_away(world, function):
    token = world.odd
    owed_to(world, SELLER.address, token.address)
    plan = world.plan(token.address)
    arguments = {
        "purchase": (world.order(plan, MALLORY.address),),
        "claim": (token.address, SELLER.address),
    }
    token.do("setHook", world.settlement.address, world.calldata(function, *arguments[function]), by=MALLORY.address)
    world.buy(plan)
    assert was_turned_away(token)
    assert world.has(world.settlement.address, token.address) == world.read("escrow", token.address) + 40
    assert world.read("getAccount", MALLORY.address, plan)[0] == 0


def test_a_token_that_executes_a_batch_while_a_purchase_is_under_way_gains_nothing():
    """Executing moves nothing out, so it needs no guard; what it takes from escrow must still come in, or all ends."""
    world = World(window=1)
    token = world.odd
    plan = world.plan(token.address)
    batch = world.batch([(ALICE, plan, 100, 0)], {MALLORY.address: 100}, token=token.address)
    world.commit(batch)
    world.wait(1)
    execute = world.calldata("executeBatch", batch.fields, batch.payouts)
    token.do("setHook", world.settlement.address, execute, by=MALLORY.address)
    token.do("setAnswer", False, by=MALLORY.address)
    with refused("SafeERC20FailedOperation"):
        world.buy(plan)
    assert world.read("due", token.address, MALLORY.address) == 0
    token.do("setAnswer", True, by=MALLORY.address)
    world.buy(plan)
    assert token.read("hookPassed")
    assert world.surplus(token.address, [MALLORY.address]) == 0
    assert world.read("due", token.address, MALLORY.address) == 100


def test_money_that_comes_in_beside_the_price_is_not_taken_for_it(world):
    """Sent from inside of the transfer: what comes in must be the price, neither less nor more."""
    token = world.odd
    plan = world.plan(token.address)
    puppet = world.puppet()
    token.do("mint", puppet.address, PRICE, by=MALLORY.address)
    send = token.artifact.calldata("transfer", world.settlement.address, PRICE)
    inner = puppet.artifact.calldata("act", token.address, 0, send)
    token.do("setHook", puppet.address, inner, by=MALLORY.address)
    with refused("NotExact", token.address.lower(), 2 * PRICE, PRICE):
        world.buy(plan)


# -- tokens -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["approved", "authorized"])
def test_a_token_that_takes_a_fee_on_transfer_is_refused(world, way):
    token = world.odd
    token.do("setFee", 1, by=MALLORY.address)
    order = world.order(world.plan(token.address), ALICE.address)
    before = world.has(ALICE, token.address)
    with refused("NotExact", token.address.lower(), PRICE - 1, PRICE):
        if way == "approved":
            world.do(ALICE, "purchase", order)
        else:
            world.do(ALICE, "purchaseWithAuthorization", order, world.authorization(order, token=token))
    assert world.has(ALICE, token.address) == before
    assert world.read("escrow", token.address) == 0
    assert not world.read("purchased", world.read("purchaseId", order))


def test_a_token_that_answers_no_and_moves_nothing_sells_nothing(world):
    token = world.odd
    plan = world.plan(token.address)
    token.do("setAnswer", False, by=MALLORY.address)
    with refused("SafeERC20FailedOperation", token.address.lower()):
        world.buy(plan)


def test_a_token_that_answers_no_at_a_claim_leaves_what_is_due(world):
    token = world.odd
    owed_to(world, SELLER.address, token.address)
    token.do("setAnswer", False, by=MALLORY.address)
    with refused("SafeERC20FailedOperation", token.address.lower()):
        world.do(MALLORY, "claim", token.address, SELLER.address)
    assert world.read("due", token.address, SELLER.address) == 40


def test_a_token_that_loses_what_is_here_while_it_is_bought_with_is_refused(world):
    token = world.odd
    owed_to(world, SELLER.address, token.address)
    lose = token.artifact.calldata("burn", world.settlement.address, 150)
    token.do("setHook", token.address, lose, by=MALLORY.address)
    with refused("NotExact", token.address.lower(), 0, PRICE):
        world.buy(world.plan(token.address))


def test_a_token_that_is_no_contract_sells_nothing(world):
    with refused("Revert"):
        world.buy(world.plan(MALLORY.address))
    assert world.read("escrow", MALLORY.address) == 0


def test_what_a_hostile_token_does_touches_no_other_tokens_money(world):
    owed_to(world, SELLER.address, world.dollar.address)
    token = world.odd
    owed_to(world, SELLER.address, token.address)
    token.do("burn", world.settlement.address, 200, by=MALLORY.address)
    with refused("ERC20InsufficientBalance"):
        world.do(SELLER, "claim", token.address, SELLER.address)
    world.do(SELLER, "claim", world.dollar.address, SELLER.address)
    assert world.surplus(world.dollar.address, [SELLER.address]) == 0


# -- receivers --------------------------------------------------------------------------------------------------------


def test_a_receiver_that_reverts_blocks_nobody(world):
    puppet, plan = world.puppet(), world.plan()
    puppet.do("setRefusing", True, by=MALLORY.address)
    world.buy(plan)
    world.settle(world.batch([(ALICE, plan, 40, 0)], {puppet.address: 10, SELLER.address: 30}))
    with refused("CoinNotSent", puppet.address.lower(), 10):
        world.do(MALLORY, "claim", COIN, puppet.address)
    world.do(MALLORY, "claim", COIN, SELLER.address)
    world.settle(world.batch([(ALICE, plan, 80, 0)], {puppet.address: 10, SELLER.address: 30}))
    assert world.read("due", COIN, puppet.address) == 20
    puppet.do("setRefusing", False, by=MALLORY.address)
    world.do(MALLORY, "claim", COIN, puppet.address)
    assert world.surplus(COIN, [puppet.address, SELLER.address]) == 0


def test_a_receiver_that_claims_within_the_window_cannot_stop_a_refund():
    """A prototype that took back from a receiver's balance could be blocked for ever by one claim."""
    world = World(window=60)
    plan = world.plan()
    world.buy(plan)
    first = world.batch([(ALICE, plan, 60, 0)], {SELLER.address: 60})
    world.commit(first)
    world.wait(60)
    world.execute(first)
    refund = world.batch([(ALICE, plan, 60, 60)], {SELLER.address: -60})
    world.commit(refund)
    world.do(SELLER, "claim", COIN, SELLER.address)
    world.wait(60)
    world.execute(refund)
    assert world.read("due", COIN, SELLER.address) == -60
    assert world.surplus(COIN, [SELLER.address]) == 0


def test_money_that_is_forced_on_the_contract_belongs_to_nobody(world):
    plan = world.plan(world.dollar.address)
    world.buy(plan)
    world.dollar.do("transfer", world.settlement.address, 7, by=MALLORY.address)
    assert world.surplus(world.dollar.address, []) == 7
    world.buy(plan)
    assert world.read("escrow", world.dollar.address) == 200
