"""Leaving with the unspent rest, in three ways, also when the operator is gone."""

import pytest
from evm_machine import COIN, refused
from settlement_world import ALICE, BOB, DAY, MALLORY, SELLER, Batch, World

PRICE = 100


@pytest.fixture
def world() -> World:
    """No window; a day to freeze, a week to wait."""
    return World()


@pytest.fixture
def windowed() -> World:
    return World(window=DAY)


def bought(world: World, token: str = COIN) -> int:
    plan = world.plan(token)
    world.buy(plan)
    return plan


def settled(world: World, plan: int, charged: int, token: str = COIN, **changed) -> Batch:
    """The last final root says that Alice was charged so much, and Bob nothing."""
    batch = world.batch([(ALICE, plan, charged, 0), (BOB, plan, 0, 0)], {SELLER.address: 0}, token=token, **changed)
    world.settle(batch)
    return batch


def asked(world: World, plan: int) -> int:
    """Alice asks to leave; the time of it."""
    now = world.machine.time
    world.do(ALICE, "requestExit", plan)
    return now


# -- asking -----------------------------------------------------------------------------------------------------------


def test_a_request_to_leave_is_told_and_remembered(world):
    plan = bought(world)
    now = world.machine.time
    (told,) = world.do(ALICE, "requestExit", plan).logs
    assert (told.name, told.arguments) == ("ExitRequested", {"subscriber": ALICE.address.lower(), "planId": plan})
    assert world.read("getAccount", ALICE.address, plan) == (PRICE, now, 0, False)
    with refused("ExitAlreadyRequested", now):
        world.do(ALICE, "requestExit", plan)


# -- first way: a period that ends after the freeze -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["coin", "dollar"])
def test_by_a_root_from_after_the_freeze_a_subscriber_leaves_at_once(world, kind):
    token = COIN if kind == "coin" else world.dollar.address
    plan = bought(world, token)
    asked(world, plan)
    world.wait(world.freeze)
    batch = settled(world, plan, 30, token)
    before = world.has(ALICE, token)
    receipt = world.exit(batch, plan)
    assert receipt.value == 70
    assert receipt.logs[0].arguments == {
        "subscriber": ALICE.address.lower(),
        "planId": plan,
        "token": token.lower(),
        "amount": 70,
    }
    assert world.has(ALICE, token) == before + 70
    assert world.read("escrow", token) == 30
    assert world.read("getAccount", ALICE.address, plan)[3]


@pytest.mark.parametrize("early", [1, DAY])
def test_a_root_from_before_the_freeze_is_not_the_last_word(world, early):
    plan = bought(world)
    now = asked(world, plan)
    world.wait(world.freeze)
    batch = settled(world, plan, 30, periodEnd=now + world.freeze - early)
    with refused("ExitDelay", now + world.delay):
        world.exit(batch, plan)


def test_a_root_from_after_the_freeze_does_whatever_waits_behind_it(windowed):
    plan = bought(windowed)
    asked(windowed, plan)
    windowed.wait(windowed.freeze)
    batch = windowed.batch([(ALICE, plan, 30, 0)])
    windowed.commit(batch)
    windowed.wait(windowed.window)
    windowed.execute(batch)
    windowed.commit(windowed.batch([(ALICE, plan, 100, 0)]))
    assert windowed.exit(batch, plan).value == 70


def test_a_claimed_period_in_the_future_opens_no_way_out(world):
    plan = bought(world)
    now = asked(world, plan)
    batch = settled(world, plan, 30, periodEnd=2**64 - 1)
    with refused("ExitDelay", now + world.delay):
        world.exit(batch, plan)


# -- second way: the operator is late, or gone ------------------------------------------------------------------------


def test_by_an_old_root_a_subscriber_leaves_after_the_exit_delay(world):
    plan = bought(world)
    batch = settled(world, plan, 30)
    now = asked(world, plan)
    world.wait(world.delay - 1)
    with refused("ExitDelay", now + world.delay):
        world.exit(batch, plan)
    world.wait(1)
    assert world.exit(batch, plan).value == 70


def test_while_a_batch_awaits_execution_an_old_root_is_not_the_last_word(windowed):
    plan = bought(windowed)
    old = windowed.batch([(ALICE, plan, 30, 0)])
    windowed.commit(old)
    windowed.wait(windowed.window)
    windowed.execute(old)
    asked(windowed, plan)
    windowed.wait(windowed.delay)
    new = windowed.batch([(ALICE, plan, 90, 0)])
    windowed.commit(new)
    with refused("BatchAwaitsExecution", 1):
        windowed.exit(old, plan)
    windowed.wait(windowed.window)
    windowed.execute(new)
    with refused("ProofInvalid"):
        windowed.exit(old, plan)
    assert windowed.exit(new, plan).value == 10


def test_a_batch_that_nobody_can_execute_keeps_no_money_here_for_ever(windowed):
    """Its payouts are secret, or escrow is too short for them; and owner and guardian do not call it off."""
    plan = bought(windowed)
    old = windowed.batch([(ALICE, plan, 30, 0)])
    windowed.commit(old)
    windowed.wait(windowed.window)
    windowed.execute(old)
    asked(windowed, plan)
    windowed.commit(windowed.batch([(ALICE, plan, 90, 0)], payoutsHash=b"\1" * 32))
    windowed.wait(2 * windowed.delay + windowed.window - 1)
    windowed.commit(windowed.batch([(ALICE, plan, 95, 0)]))  # nor do ever new ones
    with refused("BatchAwaitsExecution", 2):
        windowed.exit(old, plan)
    windowed.wait(1)
    assert windowed.exit(old, plan).value == 70


# -- third way: no leaf -----------------------------------------------------------------------------------------------


def test_without_any_root_a_subscriber_leaves_with_all_after_two_exit_delays(world):
    plan = bought(world)
    now = asked(world, plan)
    world.wait(world.delay - 1)
    with refused("ExitDelay", now + world.delay):
        world.do(ALICE, "claimUncharged", plan)
    world.wait(1)
    (told,) = world.do(ALICE, "claimUncharged", plan).logs
    assert told.name == "UnchargedClaimed"
    assert world.read("getAccount", ALICE.address, plan) == (PRICE, now, now + world.delay, False)
    world.wait(world.delay - 1)
    with refused("ExitDelay", now + 2 * world.delay):
        world.do(ALICE, "exitUncharged", plan)
    world.wait(1)
    before = world.has(ALICE)
    assert world.do(ALICE, "exitUncharged", plan).value == PRICE
    assert world.has(ALICE) == before + PRICE
    assert world.read("escrow", COIN) == 0


# -- in every way -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("charged", "credited", "rest"),
    [(0, 0, 100), (100, 0, 0), (130, 30, 0), (130, 90, 60), (2**128 - 1, 0, 0), (0, 2**128 - 1, 100)],
)
def test_the_rest_is_what_was_paid_in_less_what_was_charged_and_not_given_back(world, charged, credited, rest):
    """However much an operator credits, no one takes out more than it paid in."""
    plan = bought(world)
    world.buy(plan, subscriber=BOB, by=BOB)
    asked(world, plan)
    world.wait(world.freeze)
    batch = world.batch([(ALICE, plan, charged, credited)])
    world.settle(batch)
    assert world.read("spendable", ALICE.address, plan, charged, credited, []) == rest
    assert world.exit(batch, plan).value == rest
    assert world.read("spendable", ALICE.address, plan, charged, credited, []) == 0
    assert world.has(world.settlement.address) == world.read("escrow", COIN) == 200 - rest


def test_spendable_needs_a_leaf_of_the_last_final_root(world):
    plan = bought(world)
    with refused("ProofInvalid"):
        world.read("spendable", ALICE.address, plan, 0, 0, [])
    batch = settled(world, plan, 30)
    leaf = batch.leaf(ALICE.address, plan)
    assert world.read("spendable", ALICE.address, plan, 30, 0, batch.proof(leaf)) == 70
    with refused("ProofInvalid"):
        world.read("spendable", ALICE.address, plan, 29, 0, batch.proof(leaf))


def test_a_wallet_that_takes_no_coin_cannot_leave_and_blocks_nobody(world):
    puppet, plan = world.puppet(), world.plan()
    world.buy(plan, subscriber=puppet.address)
    world.buy(plan, subscriber=BOB, by=BOB)

    def act(function: str, *arguments) -> None:
        calldata = world.calldata(function, *arguments)
        puppet.do("act", world.settlement.address, 0, calldata, by=MALLORY.address)

    act("requestExit", plan)
    world.do(BOB, "requestExit", plan)
    world.wait(world.freeze)
    batch = world.batch([(puppet.address, plan, 30, 0), (BOB, plan, 30, 0)])
    world.settle(batch)
    leaf = batch.leaf(puppet.address, plan)
    puppet.do("setRefusing", True, by=MALLORY.address)
    with refused("CoinNotSent", puppet.address.lower(), 70):
        act("exit", plan, 30, 0, batch.proof(leaf))
    assert world.exit(batch, plan, by=BOB).value == 70
    puppet.do("setRefusing", False, by=MALLORY.address)
    act("exit", plan, 30, 0, batch.proof(leaf))
    assert world.read("escrow", COIN) == 60
