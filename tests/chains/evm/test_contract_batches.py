"""Batches: recorded in order and chained, challenged and cancelled, executed by anyone; what is due is signed."""

import pytest
from eth_abi import encode
from eth_utils import keccak
from evm_machine import CHAIN_ID, COIN, refused
from settlement_world import (
    ALICE,
    DAY,
    GUARDIAN,
    MALLORY,
    OPERATOR,
    PLATFORM,
    SELLER,
    World,
    hash_of,
)

ABSENT, COMMITTED, EXECUTED, CANCELLED = range(4)
WINDOW = DAY


@pytest.fixture
def world() -> World:
    """Without a challenge window."""
    return World()


@pytest.fixture
def windowed() -> World:
    return World(window=WINDOW)


def sold(world: World, times: int = 1, token: str = COIN) -> int:
    """A plan for 100, bought by Alice so many times."""
    plan = world.plan(token)
    for _ in range(times):
        world.buy(plan)
    return plan


def due(world: World, receiver=SELLER, token: str = COIN) -> int:
    return world.read("due", token, receiver.address)


def stage(world: World, number: int) -> int:
    return world.read("getBatch", number)[4]


# -- order ------------------------------------------------------------------------------------------------------------


def test_settling_moves_the_payouts_from_escrow_to_what_is_due(world):
    plan = sold(world)
    receipt = world.settle(world.batch([(ALICE, plan, 40, 0)], {SELLER.address: 30, PLATFORM.address: 10}))
    assert [log.name for log in receipt.logs] == ["BatchCommitted", "BatchExecuted"]
    assert (due(world), due(world, PLATFORM)) == (30, 10)
    assert world.read("escrow", COIN) == 60
    assert world.has(world.settlement.address) == 100


def test_a_batch_is_recorded_with_its_digest_its_times_and_its_stage(windowed):
    batch = windowed.batch([(ALICE, 1, 0, 0)])
    time, block = windowed.machine.time, windowed.machine.block
    receipt = windowed.commit(batch)
    digest = windowed.read("digestOf", batch.fields)
    told = encode(["uint256", "address", "(uint64,uint64,uint32,address,bytes32,bytes32,bytes32,bytes32)"],
                  [CHAIN_ID, windowed.settlement.address, batch.fields])  # fmt: skip
    assert digest == keccak(told)
    assert receipt.logs[0].arguments == {
        "seq": 1,
        "digest": digest,
        "batch": batch.fields,
        "uri": "ipfs://leaves",
    }
    assert windowed.read("getBatch", 1) == (digest, time, block, block, COMMITTED)
    windowed.wait(WINDOW)
    executed = windowed.machine.block
    windowed.execute(batch)
    assert windowed.read("getBatch", 1) == (digest, time, block, executed, EXECUTED)
    assert windowed.read("getBatch", 2) == (bytes(32), 0, 0, 0, ABSENT)


def test_the_same_batch_again_says_that_it_is_done(world):
    batch = world.batch([(ALICE, sold(world), 40, 0)], {SELLER.address: 40})
    world.settle(batch)
    for function, arguments in (("settleBatch", (batch.payouts, "")), ("commitBatch", ("",))):
        with refused("BatchExists", 1, world.read("digestOf", batch.fields)):
            world.do(OPERATOR, function, batch.fields, *arguments)
    assert due(world) == 40


def test_a_forked_batch_is_refused_and_told_what_stands_there(world):
    """The same number with another digest: two senders, or a restored log."""
    plan = sold(world)
    batch = world.batch([(ALICE, plan, 40, 0)], {SELLER.address: 40})
    fork = world.batch([(ALICE, plan, 40, 0)], {MALLORY.address: 40})
    world.settle(batch)
    with refused("BatchExists", 1, world.read("digestOf", batch.fields)):
        world.do(OPERATOR, "settleBatch", fork.fields, fork.payouts, "")
    assert (due(world), due(world, MALLORY)) == (40, 0)


@pytest.mark.parametrize("changed", [{"usageRoot": bytes(32)}, {"leaves": 0}])
def test_a_batch_has_leaves_and_a_root(world, changed):
    with refused("EmptyRoot"):
        world.settle(world.batch([(ALICE, 1, 0, 0)], **changed))


def test_every_field_of_a_batch_is_in_its_digest(world):
    batch = world.batch([(ALICE, 1, 0, 0)])
    digests = {world.read("digestOf", batch.fields)}
    for place, value in enumerate((7, 7, 7, ALICE.address, b"\1" * 32, b"\1" * 32, b"\1" * 32, b"\1" * 32)):
        digests.add(world.read("digestOf", (*batch.fields[:place], value, *batch.fields[place + 1 :])))
    assert len(digests) == 9


def test_payouts_are_those_that_the_batch_committed_to(world):
    batch = world.batch([(ALICE, sold(world), 40, 0)], {SELLER.address: 40})
    for payouts in ((), ((SELLER.address, 41),), ((MALLORY.address, 40),), (*batch.payouts, (MALLORY.address, 1))):
        with refused("WrongPayouts", hash_of(batch.payouts)):
            world.do(OPERATOR, "settleBatch", batch.fields, payouts, "")
    world.settle(batch)


def test_a_batch_may_pay_nobody(world):
    world.settle(world.batch([(ALICE, sold(world), 0, 0)]))
    assert world.read("escrow", COIN) == 100
    assert world.read("settledSeq") == 1


# -- the window -------------------------------------------------------------------------------------------------------


def test_where_there_is_a_window_nothing_is_settled_at_once(windowed):
    with refused("WindowRequired", WINDOW):
        windowed.settle(windowed.batch([(ALICE, 1, 0, 0)]))


def test_a_batch_is_executed_by_anyone_once_its_window_is_over(windowed):
    batch = windowed.batch([(ALICE, sold(windowed), 40, 0)], {SELLER.address: 40})
    committed = windowed.machine.time
    windowed.commit(batch)
    with refused("WindowOpen", committed + WINDOW):
        windowed.execute(batch)
    windowed.wait(WINDOW - 1)
    with refused("WindowOpen", committed + WINDOW):
        windowed.execute(batch)
    assert due(windowed) == 0
    windowed.wait(1)
    windowed.execute(batch, by=MALLORY)
    assert due(windowed) == 40


def test_batches_that_were_cancelled_are_stepped_over_wherever_they_stand(windowed):
    batches = []
    for number in range(6):
        batches.append(windowed.batch([(ALICE, 1, number, 0)]))
        windowed.commit(batches[-1])
    for number, settled in ((5, 0), (3, 0), (1, 1), (2, 3)):
        windowed.do(GUARDIAN, "cancelBatch", number, "")
        assert windowed.read("settledSeq") == settled
    windowed.wait(WINDOW)
    with refused("BatchOutOfOrder", 6, 4):
        windowed.execute(batches[5])
    windowed.execute(batches[3])
    assert windowed.read("settledSeq") == 5
    windowed.execute(batches[5])
    assert (windowed.read("settledSeq"), windowed.read("waiting")) == (6, 0)
    assert [stage(windowed, number) for number in range(1, 7)] == [3, 3, 3, 2, 3, 2]


def test_without_a_window_a_committed_batch_is_executed_before_another_is_settled(world):
    waits = world.batch([(ALICE, sold(world), 10, 0)], {SELLER.address: 10})
    world.commit(waits)
    with refused("BatchAwaitsExecution", 1):
        world.settle(world.batch([(ALICE, 1, 0, 0)]))
    world.execute(waits)
    world.settle(world.batch([(ALICE, 1, 0, 0)]))
    assert world.read("settledSeq") == 2


# -- calling off ------------------------------------------------------------------------------------------------------


# -- what is due ------------------------------------------------------------------------------------------------------


def test_a_negative_payout_to_who_earned_nothing_moves_no_money(world):
    sold(world)
    world.settle(world.batch([(ALICE, 1, 0, 0)], {SELLER.address: -(2**95)}))
    assert (due(world), world.read("escrow", COIN)) == (-(2**95), 100)


def test_a_receiver_named_twice_gets_the_sum(world):
    plan = sold(world)
    world.settle(world.batch([(ALICE, plan, 40, 0)], [(SELLER.address, 70), (SELLER.address, -30)]))
    assert (due(world), world.read("escrow", COIN)) == (40, 60)


def test_what_is_due_to_nobody_or_to_the_contract_is_not_burnt_and_can_be_taken_back(world):
    plan = sold(world)
    nobodies = (COIN, world.settlement.address)
    world.settle(world.batch([(ALICE, plan, 40, 0)], dict.fromkeys(nobodies, 20)))
    for nobody in nobodies:
        with refused("CannotReceive", nobody.lower()):
            world.do(MALLORY, "claim", COIN, nobody)
    world.settle(world.batch([(ALICE, plan, 40, 0)], {COIN: -20, nobodies[1]: -20, SELLER.address: 40}))
    assert (due(world), world.read("escrow", COIN)) == (40, 60)
