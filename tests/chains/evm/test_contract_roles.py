"""Who may do what, and that strangers may do nothing but what pays whom it must."""

import pytest
from evm_machine import COIN, refused
from settlement_world import (
    ALICE,
    BOB,
    GUARDIAN,
    MALLORY,
    OPERATOR,
    OWNER,
    SELLER,
    World,
)


@pytest.fixture
def world() -> World:
    return World()


def test_a_contract_says_who_and_what_it_is(world):
    assert world.read("VERSION") == "tollbook-usage-settlement-1"
    assert [world.read(role) for role in ("owner", "operator", "guardian")] == [
        each.address.lower() for each in (OWNER, OPERATOR, GUARDIAN)
    ]
    delays = [world.read(delay) for delay in ("challengeWindow", "freezeDelay", "exitDelay")]
    assert delays == [world.window, world.freeze, world.delay]
    assert 0 < world.read("deployedBlock") < world.machine.block


def test_a_contract_has_an_owner_and_an_operator_and_may_have_no_guardian(world):
    def made(owner: str, operator: str, guardian: str):
        return world.machine.deploy(world.settlement.artifact, owner, operator, guardian, 0, 0, 0, by=MALLORY.address)

    with refused("OwnableInvalidOwner", COIN):
        made(COIN, OPERATOR.address, GUARDIAN.address)
    with refused("ZeroAddress"):
        made(OWNER.address, COIN, GUARDIAN.address)
    assert made(OWNER.address, OPERATOR.address, COIN).read("guardian") == COIN


@pytest.mark.parametrize("caller", [OWNER, GUARDIAN, ALICE, MALLORY])
def test_only_the_operator_records_batches(world, caller):
    batch = world.batch([(ALICE, 1, 0, 0)])
    with refused("NotOperator", caller.address.lower()):
        world.do(caller, "commitBatch", batch.fields, "")
    with refused("NotOperator", caller.address.lower()):
        world.do(caller, "settleBatch", batch.fields, batch.payouts, "")


@pytest.mark.parametrize("caller", [OPERATOR, ALICE, MALLORY])
def test_only_owner_and_guardian_call_batches_off(world, caller):
    world.commit(world.batch([(ALICE, 1, 0, 0)]))
    with refused("NotGuardian", caller.address.lower()):
        world.do(caller, "cancelBatch", 1, "")


@pytest.mark.parametrize("caller", [OPERATOR, GUARDIAN, MALLORY])
@pytest.mark.parametrize("function", ["setOperator", "setGuardian", "transferOwnership"])
def test_only_the_owner_names_others(world, caller, function):
    with refused("OwnableUnauthorizedAccount", caller.address.lower()):
        world.do(caller, function, MALLORY.address)


def test_another_operator_goes_on_where_the_last_one_stopped(world):
    world.settle(world.batch([(ALICE, 1, 0, 0)]))
    (told,) = world.do(OWNER, "setOperator", BOB.address).logs
    assert (told.name, told.arguments) == ("OperatorSet", {"operator": BOB.address.lower()})
    batch = world.batch([(ALICE, 1, 1, 0)])
    with refused("NotOperator", OPERATOR.address.lower()):
        world.settle(batch)
    world.do(BOB, "settleBatch", batch.fields, batch.payouts, "")
    assert world.read("lastSeq") == 2


def test_there_is_always_an_operator(world):
    with refused("ZeroAddress"):
        world.do(OWNER, "setOperator", COIN)


def test_without_a_guardian_the_owner_still_calls_batches_off(world):
    (told,) = world.do(OWNER, "setGuardian", COIN).logs
    assert (told.name, told.arguments) == ("GuardianSet", {"guardian": COIN})
    world.commit(world.batch([(ALICE, 1, 0, 0)]))
    with refused("NotGuardian", GUARDIAN.address.lower()):
        world.do(GUARDIAN, "cancelBatch", 1, "")
    world.do(OWNER, "cancelBatch", 1, "")


def test_ownership_is_handed_over_in_two_steps(world):
    world.do(OWNER, "transferOwnership", BOB.address)
    assert world.read("owner") == OWNER.address.lower()
    with refused("OwnableUnauthorizedAccount", MALLORY.address.lower()):
        world.do(MALLORY, "acceptOwnership")
    world.do(BOB, "acceptOwnership")
    assert world.read("owner") == BOB.address.lower()


def test_no_role_takes_money_out(world):
    """Not the owner, not the guardian, and the operator by nothing but a batch's payouts."""
    plan = world.plan()
    world.buy(plan)
    for caller in (OWNER, OPERATOR, GUARDIAN):
        with refused("NothingBought"):
            world.do(caller, "requestExit", plan)
        with refused("NothingDue", 0):
            world.do(caller, "claim", COIN, caller.address)
    assert world.read("escrow", COIN) == 100


def test_a_stranger_moves_no_money_but_to_whom_it_is_due(world):
    plan = world.plan()
    world.buy(plan)
    world.settle(world.batch([(ALICE, plan, 40, 0)], {SELLER.address: 40}))
    mallory, seller = world.has(MALLORY), world.has(SELLER)
    world.do(MALLORY, "claim", COIN, SELLER.address)
    assert (world.has(MALLORY), world.has(SELLER)) == (mallory, seller + 40)
