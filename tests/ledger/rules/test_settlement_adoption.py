"""Adoption: a batch that the chain has and a restored log lacks (chains.md, The outbox; contract.md).

The plan is 100 credits for 1000 USD, 900 to acme and 100 as a fee: a used credit earns 10. In every test the log that
was lost has opened batches that its backup, which `restored` plays, does not know of.
"""

import msgspec
import pytest

from ledger import AdoptSettlement, ContractRef, Leaf, Payout, Reason, plugins

ALICE, BOB = ("alice", "pro"), ("bob", "pro")


def begin(shop, credits=30):
    """What both logs have: a sale into escrow, and so much charged."""
    shop.charged = shop.given(shop.plan(), shop.deposit("1"), shop.charge_directly(credits))
    return shop


@pytest.fixture
def restored(shop):
    return begin(shop)


@pytest.fixture
def lost(open_shop):
    """The log that was lost."""
    lost = begin(open_shop())
    yield lost
    lost.close()


def adoption(reading, **changed):
    """The command that takes in a batch. What is changed in it is changed in its seal too, so that only it is wrong."""
    batch = msgspec.structs.replace(reading.batch, **changed)
    commitment = plugins.chain_plugin(batch.chain).commitment(batch)
    return AdoptSettlement(
        chain="mock:local", contract="tollbook", batch=batch, root=commitment.root, digest=commitment.digest
    )


def test_an_adopted_batch_counts_as_paid(restored, lost):
    """The chain has paid 300. Nothing is to settle here until 50 more are earned."""
    reading = lost.settles()
    seq = restored.when(adoption(reading))
    stored = restored.stored(seq)
    assert (stored["type"], stored["number"], stored["asset"]) == ("settlement_adopted", 1, "USD")
    assert (stored["root"], stored["digest"]) == (reading.root, reading.digest)
    assert stored["payouts"] == [{"receiver": "acme", "amount": 270}, {"receiver": "fee", "amount": 30}]
    restored.given(restored.commit(1))
    restored.opens_nothing()
    restored.given(restored.charge_directly(5), restored.confirm(1))
    opened = restored.opens()
    assert (opened.batch.number, opened.batch.previous) == (2, reading.digest)
    assert restored.payouts(opened) == {"acme": 45, "fee": 5}
    assert restored.counters(opened) == {ALICE: (350, 0)}


def test_an_adopted_batch_is_in_line_like_any_other(restored, lost):
    """It is due until it is confirmed; then it is settled."""
    restored.given(adoption(lost.opens()))
    (reading,) = restored.ledger.batches(ContractRef("mock:local", "tollbook"))
    assert (reading.batch.number, reading.batch.leaves) == (1, (Leaf("alice", "pro", 300, 0),))
    assert (restored.money("deferred"), restored.money("due"), restored.money("settled")) == (700, 300, 0)
    restored.given(restored.confirm(1))
    assert (restored.money("deferred"), restored.money("due"), restored.money("settled")) == (700, 0, 300)
    assert [(each.settled, each.outstanding) for each in restored.ledger.earned()] == [(300, 0)]


def test_its_leaves_are_the_counters_from_then_on(restored, lost):
    """The lost log had 20 credits more and told 500. Here are 300: the next batch credits 200 and takes them back."""
    lost.given(lost.charge_directly(20))
    restored.given(adoption(lost.settles()), restored.confirm(1))
    opened = restored.settles()
    assert restored.counters(opened) == {ALICE: (500, 200)}
    assert restored.payouts(opened) == {"acme": -180, "fee": -20}
    restored.given(restored.charge_directly(20))
    opened = restored.settles()
    assert restored.counters(opened) == {ALICE: (700, 200)}
    assert restored.payouts(opened) == {"acme": 180, "fee": 20}


def test_credited_counters_are_taken_over_too(restored, lost):
    """The lost log gave 10 credits back after its first batch: 300 and 100, which sums to 200; here are 300 still."""
    first = lost.settles()
    lost.given(lost.correct(lost.charged, -10))
    second = lost.settles()
    restored.given(adoption(first), restored.confirm(1), adoption(second), restored.confirm(2))
    opened = restored.opens()
    assert (opened.batch.number, restored.counters(opened)) == (3, {ALICE: (400, 100)})
    assert restored.payouts(opened) == {"acme": 90, "fee": 10}


def test_leaves_of_accounts_that_the_log_lacks_wait_for_them(restored, lost):
    """Bob's purchase was lost with the log, and is told again by the chain; what he used is not."""
    lost.given(lost.deposit("2", subscriber="bob"), lost.charge_directly(10, subscriber="bob"))
    restored.given(adoption(lost.settles()), restored.confirm(1), restored.deposit("2", subscriber="bob"))
    opened = restored.opens()
    assert restored.counters(opened) == {ALICE: (300, 0), BOB: (100, 100)}
    assert restored.payouts(opened) == {"acme": -90, "fee": -10}


def test_several_are_adopted_in_order(restored, lost):
    readings = []
    for _ in range(3):
        lost.given(lost.charge_directly(10))
        readings.append(lost.settles())
    restored.refuses(adoption(readings[1]), Reason.malformed)
    for number, reading in enumerate(readings, 1):
        restored.given(adoption(reading))
        restored.refuses(adoption(reading), Reason.malformed)
        restored.given(restored.confirm(number))
    opened = restored.opens()
    assert (opened.batch.number, restored.counters(opened)) == (4, {ALICE: (600, 300)})
    assert restored.payouts(opened) == {"acme": -270, "fee": -30}


def test_adoption_goes_on_from_the_batches_that_the_log_has(restored, lost):
    assert restored.settles().digest == lost.settles().digest
    lost.given(lost.charge_directly(10))
    second = lost.settles()
    restored.given(adoption(second), restored.confirm(2), restored.charge_directly(10))
    restored.opens_nothing()


@pytest.mark.parametrize(
    "changed",
    [
        {"ledger": "another"},
        {"contract": "other"},
        {"chain": "mock:away"},
        {"number": 0},
        {"number": 2},
        {"previous": "0x" + "11" * 32},
    ],
    ids=str,
)
def test_a_leaf_file_of_something_else_is_refused(restored, lost, changed):
    """Of another ledger, contract or chain; of a number that is not the next; of one that builds on another batch."""
    reading = lost.settles()
    restored.refuses(adoption(reading, **changed), Reason.malformed)
    restored.given(adoption(reading))


def test_a_leaf_file_that_does_not_build_on_the_last_batch_is_refused(restored, lost):
    restored.settles()
    lost.given(lost.charge_directly(1))
    lost.settles()
    lost.given(lost.charge_directly(1))
    restored.refuses(adoption(lost.settles()), Reason.malformed)


@pytest.mark.parametrize("name", ["root", "digest"])
def test_a_leaf_file_that_the_chain_did_not_commit_to_is_refused(restored, lost, name):
    command = adoption(lost.settles())
    restored.refuses(msgspec.structs.replace(command, **{name: "0x" + "22" * 32}), Reason.malformed)


@pytest.mark.parametrize(
    "changed",
    [
        {"leaves": (Leaf("alice", "pro", 299, 0),)},
        {"leaves": (Leaf("alice", "pro", 300, 0), Leaf("eve", "pro", 1, 0))},
        {"leaves": (Leaf("alice", "pro", 300, 0), Leaf("alice", "pro", 300, 0))},
        {"leaves": ()},
        {"payouts": (Payout("acme", 271), Payout("fee", 29))},
        {"covers": {"main": 3}},
        {"head_hash": "33" * 32},
    ],
    ids=str,
)
def test_a_leaf_file_that_was_tampered_with_is_refused(restored, lost, changed):
    """Root and digest are the chain's; the file is another."""
    command = adoption(lost.settles())
    batch = msgspec.structs.replace(command.batch, **changed)
    restored.refuses(msgspec.structs.replace(command, batch=batch), Reason.malformed)


def test_a_batch_is_not_adopted_beside_one_of_its_number_that_is_open(restored, lost):
    """What is open here under that number must have ended first; then the chain's takes its place."""
    restored.given(restored.charge_directly(1))
    restored.opens()
    command = adoption(lost.settles())
    assert not restored.ledger.execute(command)
    restored.given(restored.fail(1), command, restored.confirm(1))
    opened = restored.opens()
    assert (opened.batch.number, restored.payouts(opened)) == (2, {"acme": 9, "fee": 1})


def test_an_adopted_batch_may_fail_on_its_chain(restored, lost):
    """It was cancelled there: its number stays used, its payouts are in the next, its counters stay."""
    restored.given(adoption(lost.opens()), restored.fail(1, used=True))
    opened = restored.opens()
    assert (opened.batch.number, restored.payouts(opened)) == (2, {"acme": 270, "fee": 30})
    assert restored.counters(opened) == {ALICE: (300, 0)}
