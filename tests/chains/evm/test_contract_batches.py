"""Batches: recorded in order and chained, challenged and cancelled, executed by anyone; what is due is signed."""

import pytest
from eth_abi import encode
from eth_utils import keccak
from evm_machine import CHAIN_ID, COIN, refused
from settlement_world import (
    ALICE,
    BOB,
    DAY,
    GUARDIAN,
    MALLORY,
    OPERATOR,
    OWNER,
    PLATFORM,
    SELLER,
    World,
    counted,
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


@pytest.mark.parametrize("number", [0, 2, 3, 2**64 - 1])
def test_a_batch_out_of_order_is_refused(world, number):
    with refused("BatchOutOfOrder", number, 1):
        world.settle(world.batch([(ALICE, 1, 0, 0)], seq=number))
    assert world.read("lastSeq") == 0


def test_the_same_batch_again_says_that_it_is_done(world):
    batch = world.batch([(ALICE, sold(world), 40, 0)], {SELLER.address: 40})
    world.settle(batch)
    for function, arguments in (("settleBatch", (batch.payouts, "")), ("commitBatch", ("",))):
        with refused("BatchExists", 1, world.read("digestOf", batch.fields)):
            world.do(OPERATOR, function, batch.fields, *arguments)
    assert due(world) == 40


def test_the_same_batch_again_says_so_also_while_another_waits(world):
    """The sender of a lost answer must not take "wait" for an answer."""
    first = world.batch([(ALICE, 1, 0, 0)])
    world.settle(first)
    world.commit(world.batch([(ALICE, 1, 0, 0)]))
    with refused("BatchExists", 1, world.read("digestOf", first.fields)):
        world.do(OPERATOR, "settleBatch", first.fields, first.payouts, "")


def test_a_forked_batch_is_refused_and_told_what_stands_there(world):
    """The same number with another digest: two senders, or a restored log."""
    plan = sold(world)
    batch = world.batch([(ALICE, plan, 40, 0)], {SELLER.address: 40})
    fork = world.batch([(ALICE, plan, 40, 0)], {MALLORY.address: 40})
    world.settle(batch)
    with refused("BatchExists", 1, world.read("digestOf", batch.fields)):
        world.do(OPERATOR, "settleBatch", fork.fields, fork.payouts, "")
    assert (due(world), due(world, MALLORY)) == (40, 0)


def test_a_batch_names_the_digest_of_the_one_before_it(world):
    first = world.batch([(ALICE, 1, 0, 0)])
    with refused("WrongPrevious", b"\1" * 32, bytes(32)):
        world.settle(world.batch([(ALICE, 1, 0, 0)], prevDigest=b"\1" * 32))
    world.settle(first)
    with refused("WrongPrevious", bytes(32), world.last):
        world.settle(world.batch([(ALICE, 1, 0, 0)], prevDigest=bytes(32)))


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


def test_each_token_has_its_own_final_root(world):
    coin, dollar = sold(world), sold(world, token=world.dollar.address)
    one = world.batch([(ALICE, coin, 1, 0)])
    world.settle(one)
    two = world.batch([(ALICE, dollar, 2, 0)], token=world.dollar.address)
    world.settle(two)
    now = world.machine.time
    assert world.read("finalRoot", COIN) == (one.fields[5], now, 1)
    assert world.read("finalRoot", world.dollar.address) == (two.fields[5], now, 2)


def test_a_period_that_ends_after_its_batch_ends_with_it(world):
    """Else an operator that counts in other units opens the first way out to everybody, against any root."""
    now = world.machine.time
    world.settle(world.batch([(ALICE, 1, 0, 0)], periodEnd=now * 10**6))
    assert world.read("finalRoot", COIN)[1] == now
    world.settle(world.batch([(ALICE, 1, 0, 0)], periodEnd=now - 5))
    assert world.read("finalRoot", COIN)[1] == now - 5


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


def test_a_batch_is_executed_once(windowed):
    batch = windowed.batch([(ALICE, sold(windowed), 40, 0)], {SELLER.address: 40})
    windowed.commit(batch)
    windowed.wait(WINDOW)
    windowed.execute(batch)
    with refused("BatchNotOpen", 1):
        windowed.execute(batch)
    assert due(windowed) == 40


def test_only_what_was_recorded_is_executed(windowed):
    batch = windowed.batch([(ALICE, sold(windowed), 40, 0)], {SELLER.address: 40})
    with refused("BatchUnknown", 1, windowed.read("digestOf", batch.fields)):
        windowed.execute(batch)
    windowed.commit(batch)
    windowed.wait(WINDOW)
    other = windowed.batch([(ALICE, 1, 40, 0)], {MALLORY.address: 40}, seq=1, prevDigest=bytes(32))
    with refused("BatchUnknown", 1, windowed.read("digestOf", other.fields)):
        windowed.execute(other)


def test_batches_are_executed_in_order(windowed):
    plan = sold(windowed)
    first = windowed.batch([(ALICE, plan, 10, 0)], {SELLER.address: 10})
    windowed.commit(first)
    second = windowed.batch([(ALICE, plan, 30, 0)], {SELLER.address: 20})
    windowed.commit(second)
    windowed.wait(WINDOW)
    with refused("BatchOutOfOrder", 2, 1):
        windowed.execute(second)
    windowed.execute(first)
    windowed.execute(second)
    assert due(windowed) == 30


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


@pytest.mark.parametrize("caller", [OWNER, GUARDIAN])
def test_a_batch_that_was_cancelled_pays_nobody_and_keeps_its_number(windowed, caller):
    batch = windowed.batch([(ALICE, sold(windowed), 40, 0)], {MALLORY.address: 40})
    windowed.commit(batch)
    digest = windowed.last
    (told,) = windowed.do(caller, "cancelBatch", 1, "pays a stranger").logs
    assert (told.name, told.arguments) == (
        "BatchCancelled",
        {"seq": 1, "digest": digest, "reason": "pays a stranger"},
    )
    windowed.wait(WINDOW)
    with refused("BatchNotOpen", 1):
        windowed.execute(batch)
    assert due(windowed, MALLORY) == 0
    assert windowed.read("finalRoot", COIN) == (bytes(32), 0, 0)
    after = windowed.batch([(ALICE, 1, 0, 0)])
    assert (after.number, after.fields[4]) == (2, digest)
    windowed.commit(after)


def test_a_batch_is_cancelled_after_its_window_as_long_as_nobody_executed_it(windowed):
    batch = windowed.batch([(ALICE, sold(windowed), 40, 0)], {SELLER.address: 40})
    windowed.commit(batch)
    windowed.wait(WINDOW)
    windowed.do(GUARDIAN, "cancelBatch", 1, "")
    with refused("BatchNotOpen", 1):
        windowed.do(GUARDIAN, "cancelBatch", 1, "")


def test_what_was_executed_cannot_be_called_off(world):
    world.settle(world.batch([(ALICE, sold(world), 40, 0)], {SELLER.address: 40}))
    with refused("BatchNotOpen", 1):
        world.do(GUARDIAN, "cancelBatch", 1, "")


@pytest.mark.parametrize("number", [0, 1, 7])
def test_what_is_not_there_cannot_be_called_off(world, number):
    with refused("BatchUnknown", number, bytes(32)):
        world.do(GUARDIAN, "cancelBatch", number, "")


def test_anyone_calls_off_a_batch_that_charges_more_than_was_paid_in(windowed):
    plan = sold(windowed)
    batch = windowed.batch([(ALICE, plan, 101, 0), (BOB, plan, 0, 0)], {SELLER.address: 100})
    windowed.commit(batch)
    leaf = batch.leaf(ALICE.address, plan)
    (told,) = windowed.do(MALLORY, "challengeOverdraw", batch.fields, counted(leaf), batch.proof(leaf)).logs
    assert (told.name, told.arguments["seq"]) == ("BatchCancelled", 1)
    assert stage(windowed, 1) == CANCELLED


@pytest.mark.parametrize(("charged", "credited"), [(0, 0), (100, 0), (150, 50), (5, 500)])
def test_a_batch_that_charges_no_more_than_was_paid_in_stands(windowed, charged, credited):
    plan = sold(windowed)
    batch = windowed.batch([(ALICE, plan, charged, credited), (BOB, plan, 0, 0)])
    windowed.commit(batch)
    leaf = batch.leaf(ALICE.address, plan)
    with refused("NotOverdrawn", max(0, charged - credited), 100):
        windowed.do(MALLORY, "challengeOverdraw", batch.fields, counted(leaf), batch.proof(leaf))


def test_charging_who_never_bought_is_overdrawn(windowed):
    plan = sold(windowed)
    for subscriber, of in ((BOB, plan), (ALICE, 12345)):
        batch = windowed.batch([(subscriber, of, 1, 0)])
        windowed.commit(batch)
        leaf = batch.leaf(subscriber.address, of)
        windowed.do(MALLORY, "challengeOverdraw", batch.fields, counted(leaf), batch.proof(leaf))
        assert stage(windowed, batch.number) == CANCELLED


def test_what_was_paid_in_another_token_is_not_there_for_this_one(windowed):
    plan = sold(windowed, token=windowed.dollar.address)
    batch = windowed.batch([(ALICE, plan, 1, 0)], token=COIN)
    windowed.commit(batch)
    leaf = batch.leaf(ALICE.address, plan)
    windowed.do(MALLORY, "challengeOverdraw", batch.fields, counted(leaf), batch.proof(leaf))


def test_a_challenge_needs_a_leaf_of_that_batch(windowed):
    plan = sold(windowed)
    batch = windowed.batch([(ALICE, plan, 10, 0), (BOB, plan, 0, 0)])
    windowed.commit(batch)
    leaf = batch.leaf(ALICE.address, plan)
    for forged in ((ALICE.address, plan, 1000, 0), (BOB.address, plan, 1000, 0), (ALICE.address, plan + 1, 10, 0)):
        with refused("ProofInvalid"):
            windowed.do(MALLORY, "challengeOverdraw", batch.fields, forged, batch.proof(leaf))
    with refused("ProofInvalid"):
        windowed.do(MALLORY, "challengeOverdraw", batch.fields, counted(leaf), [])


def test_a_challenge_comes_too_late_for_what_is_executed(world):
    plan = sold(world)
    batch = world.batch([(ALICE, plan, 1000, 0)], {SELLER.address: 100})
    world.settle(batch)
    with refused("BatchNotOpen", 1):
        world.do(MALLORY, "challengeOverdraw", batch.fields, counted(batch.leaves[0]), [])


def test_a_challenge_of_what_is_not_recorded_is_refused(windowed):
    plan = sold(windowed)
    windowed.commit(windowed.batch([(ALICE, plan, 10, 0)]))
    made_up = windowed.batch([(ALICE, plan, 1000, 0)], seq=1, prevDigest=bytes(32))
    with refused("BatchUnknown"):
        windowed.do(MALLORY, "challengeOverdraw", made_up.fields, counted(made_up.leaves[0]), [])


# -- what is due ------------------------------------------------------------------------------------------------------


def test_an_overspending_batch_is_refused_and_leaves_all_as_it_was(world):
    plan = sold(world)
    with refused("EscrowShort", COIN, 101, 100):
        world.settle(world.batch([(ALICE, plan, 100, 0)], {SELLER.address: 60, PLATFORM.address: 41}))
    assert (world.read("lastSeq"), world.read("escrow", COIN), due(world)) == (0, 100, 0)
    world.settle(world.batch([(ALICE, plan, 100, 0)], {SELLER.address: 60, PLATFORM.address: 40}))
    assert world.read("escrow", COIN) == 0


def test_a_batch_of_one_token_cannot_spend_the_escrow_of_another(world):
    sold(world, token=world.dollar.address)
    with refused("EscrowShort", COIN, 1, 0):
        world.settle(world.batch([(ALICE, 1, 1, 0)], {SELLER.address: 1}, token=COIN))


def test_a_negative_payout_goes_back_to_escrow_as_far_as_it_was_due(world):
    plan = sold(world)
    world.settle(world.batch([(ALICE, plan, 60, 0)], {SELLER.address: 60}))
    world.settle(world.batch([(ALICE, plan, 60, 20)], {SELLER.address: -20}))
    assert (due(world), world.read("escrow", COIN)) == (40, 60)


def test_what_was_claimed_already_is_a_receivable_that_later_payouts_fill_first(world):
    plan = sold(world)
    world.settle(world.batch([(ALICE, plan, 60, 0)], {SELLER.address: 60}))
    world.do(MALLORY, "claim", COIN, SELLER.address)
    world.settle(world.batch([(ALICE, plan, 60, 20)], {SELLER.address: -20}))
    assert (due(world), world.read("escrow", COIN)) == (-20, 40)
    with refused("NothingDue", -20):
        world.do(SELLER, "claim", COIN, SELLER.address)
    world.settle(world.batch([(ALICE, plan, 75, 20)], {SELLER.address: 15}))
    assert (due(world), world.read("escrow", COIN)) == (-5, 40)
    world.settle(world.batch([(ALICE, plan, 90, 20)], {SELLER.address: 15}))
    assert (due(world), world.read("escrow", COIN)) == (10, 30)
    assert world.surplus(COIN, [SELLER.address]) == 0


def test_a_negative_payout_to_who_earned_nothing_moves_no_money(world):
    sold(world)
    world.settle(world.batch([(ALICE, 1, 0, 0)], {SELLER.address: -(2**95)}))
    assert (due(world), world.read("escrow", COIN)) == (-(2**95), 100)


def test_a_receiver_named_twice_gets_the_sum(world):
    plan = sold(world)
    world.settle(world.batch([(ALICE, plan, 40, 0)], [(SELLER.address, 70), (SELLER.address, -30)]))
    assert (due(world), world.read("escrow", COIN)) == (40, 60)


def test_one_receivers_receivable_pays_no_other(world):
    """Escrow is short only by what the receivable is, and the batch is refused rather than paid by halves."""
    plan = sold(world)
    world.settle(world.batch([(ALICE, plan, 100, 0)], {SELLER.address: 100}))
    world.do(SELLER, "claim", COIN, SELLER.address)
    with refused("EscrowShort", COIN, 30, 0):
        world.settle(world.batch([(ALICE, plan, 100, 0)], {SELLER.address: -30, PLATFORM.address: 30}))


def test_a_claim_pays_all_that_is_due_to_the_receiver_whoever_asks(world):
    for token in (COIN, world.dollar.address):
        plan, before = sold(world, token=token), world.has(SELLER, token)
        world.settle(world.batch([(ALICE, plan, 40, 0)], {SELLER.address: 40}, token=token))
        (told,) = world.do(MALLORY, "claim", token, SELLER.address).logs
        assert told.arguments == {"token": token.lower(), "receiver": SELLER.address.lower(), "amount": 40}
        assert world.has(SELLER, token) == before + 40
        assert due(world, token=token) == 0
        with refused("NothingDue", 0):
            world.do(SELLER, "claim", token, SELLER.address)


def test_what_is_due_to_nobody_or_to_the_contract_is_not_burnt_and_can_be_taken_back(world):
    plan = sold(world)
    nobodies = (COIN, world.settlement.address)
    world.settle(world.batch([(ALICE, plan, 40, 0)], dict.fromkeys(nobodies, 20)))
    for nobody in nobodies:
        with refused("CannotReceive", nobody.lower()):
            world.do(MALLORY, "claim", COIN, nobody)
    world.settle(world.batch([(ALICE, plan, 40, 0)], {COIN: -20, nobodies[1]: -20, SELLER.address: 40}))
    assert (due(world), world.read("escrow", COIN)) == (40, 60)
