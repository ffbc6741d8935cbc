"""The mock's blocks, its operator's nonces and fees, and what became of a transaction."""

import pytest
from mock_batches import batch

from chains.commitment import commitment_of
from chains.leaves import TEXT_LEAF
from chains.mock import MockChain, Reorganise
from ledger.errors import BadData
from ledger.settlement.messages import Attempt, Batch


@pytest.fixture
def chain():
    """Alice has paid 100, in block 1."""
    with MockChain() as chain:
        chain.purchase("alice", "gold", "usd", {"bob": 100})
        yield chain


@pytest.fixture
def slow(chain):
    """The same, where nothing is mined by itself."""
    chain.automine = False
    return chain


# -- what it tells of its assets


def test_it_says_the_decimals_that_it_was_told(chain):
    assert chain.decimals("usd") is None
    chain.set_decimals("usd", 6)
    assert chain.decimals("usd") == 6
    with pytest.raises(BadData):
        chain.set_decimals("usd", 256)


# -- blocks


def test_each_transaction_has_a_block_of_its_own_when_mined_at_once(chain):
    chain.purchase("carol", "gold", "usd", {"bob": 1})
    chain.purchase("dave", "gold", "usd", {"bob": 1})
    assert [fact.block for fact in chain.facts(confirmations=0)] == [1, 2, 3]


def test_without_automine_a_block_takes_all_that_waits(slow):
    for name in ("carol", "dave"):
        assert slow.purchase(name, "gold", "usd", {"bob": 1}).block == 0
    assert slow.height == 1
    slow.mine()
    assert [fact.block for fact in slow.facts(confirmations=0)] == [1, 2, 2]


def test_what_waited_gets_a_block_each_once_automine_is_on(slow):
    for name in ("carol", "dave"):
        slow.purchase(name, "gold", "usd", {"bob": 1})
    slow.automine = True
    slow.purchase("erin", "gold", "usd", {"bob": 1})
    assert [fact.block for fact in slow.facts(confirmations=0)] == [1, 2, 3, 4]


def test_a_block_is_final_with_so_many_on_top(chain):
    assert chain.final_block() == 0
    chain.pause()
    chain.pause()
    assert (chain.height, chain.final_block()) == (3, 1)


def test_with_finality_0_a_block_is_final_at_once():
    with MockChain(finality=0) as chain:
        chain.purchase("alice", "gold", "usd", {"bob": 100})
        assert [fact.final for fact in chain.facts()] == [True]


def test_the_same_calls_make_the_same_hashes():
    hashes = []
    for _ in range(2):
        with MockChain() as chain:
            chain.purchase("alice", "gold", "usd", {"bob": 100})
            chain.reorganise(1)
            hashes.append([chain.block_hash(number) for number in range(chain.height + 1)])
    assert hashes[0] == hashes[1]


def test_there_is_no_hash_of_a_block_that_is_not(chain):
    for number in (-1, 2):
        with pytest.raises(LookupError):
            chain.block_hash(number)


# -- reorganisations


def test_a_reorganisation_loses_the_last_blocks_and_keeps_the_height(chain):
    before = chain.block_hash(1)
    chain.reorganise(1)
    assert chain.height == 1
    assert chain.block_hash(1) != before
    assert chain.escrow("usd") == 0


def test_an_empty_block_that_replaces_an_empty_one_is_another(chain):
    chain.mine()
    before = chain.block_hash(2)
    chain.reorganise(1)
    assert chain.block_hash(2) != before


def test_a_reorganisation_that_keeps_puts_transactions_back_in_the_pool(chain):
    chain.reorganise(1, keep=True)
    assert (chain.escrow("usd"), len(chain.pool)) == (0, 1)
    chain.mine()
    assert chain.escrow("usd") == 100


def test_a_batch_of_a_lost_block_comes_back_only_when_it_is_sent_again(chain):
    chain.mine(2)
    attempt = chain.prepare(batch(chain, 1), [])
    chain.send(attempt)
    chain.reorganise(1)
    chain.mine(3)
    assert (chain.find(1).stage, chain.confirm(attempt)) == ("absent", "gone")
    chain.send(attempt)
    assert (chain.find(1).stage, chain.confirm(attempt)) == ("executed", "pending")


def test_what_is_final_is_re_organised_only_by_force(chain):
    chain.mine(5)
    with pytest.raises(ValueError, match="final"):
        chain.reorganise(3)
    chain.reorganise(3, force=True)
    assert chain.height == 6


@pytest.mark.parametrize("depth", [0, -1, 2])
def test_there_must_be_so_many_blocks_to_re_organise(chain, depth):
    with pytest.raises(ValueError, match="blocks to reorganise"):
        chain.reorganise(depth)


# -- attempts


def test_the_first_attempt_has_nonce_0_and_the_base_fee(chain):
    chain.base_fee = 7
    attempt = chain.prepare(batch(chain, 1), [])
    assert (attempt.number, attempt.attempt) == (1, 1)
    assert '"nonce":0,"fee":7' in attempt.raw


def test_preparing_sends_nothing_and_is_repeatable(chain):
    assert chain.prepare(batch(chain, 1), []) == chain.prepare(batch(chain, 1), [])
    assert (chain.height, chain.pool) == (1, ())


def test_nonces_of_other_batches_attempts_are_taken(slow):
    first = slow.prepare(batch(slow, 1), [])
    slow.send(first)
    second = slow.prepare(batch(slow, 2, previous=slow.find(1).digest), [first])
    assert '"nonce":1' in second.raw
    slow.send(second)
    slow.mine()
    assert [slow.find(number).stage for number in (1, 2)] == ["executed", "executed"]


def test_ten_batches_may_be_in_line(slow):
    attempts, previous = [], ""
    for number in range(1, 11):
        one = batch(slow, number, previous, charged=number * 10)
        assert slow.simulate(one) is None
        attempts.append(slow.prepare(one, attempts))
        slow.send(attempts[-1])
        previous = commitment_of(one, TEXT_LEAF).digest
    slow.mine()
    assert [found.stage for found in slow.batches().values()] == ["executed"] * 10
    assert slow.due("bob", "usd") == 100


def test_transactions_that_are_sent_in_the_wrong_order_are_mined_in_that_of_their_nonces(slow):
    first = slow.prepare(batch(slow, 1), [])
    second = slow.prepare(batch(slow, 2, commitment_of(batch(slow, 1), TEXT_LEAF).digest), [first])
    slow.send(second)
    slow.mine()
    assert slow.confirm(second) == "pending"
    slow.send(first)
    slow.mine()
    assert len(slow.batches()) == 2


def test_while_an_attempt_waits_and_pays_enough_there_is_nothing_to_prepare(slow):
    attempt = slow.prepare(batch(slow, 1), [])
    slow.send(attempt)
    assert slow.prepare(batch(slow, 1), [attempt]) is None


def test_what_pays_less_than_the_base_fee_stays_in_the_pool_until_the_fee_falls(chain):
    attempt = chain.prepare(batch(chain, 1), [])
    chain.base_fee = 2
    chain.send(attempt)
    chain.mine(3)
    assert chain.find(1).stage == "pending"
    chain.base_fee = 1
    chain.mine()
    assert chain.find(1).stage == "executed"


def test_a_stuck_attempt_is_replaced_with_its_nonce_and_an_eighth_more(chain):
    chain.base_fee = 1000
    stuck = chain.prepare(batch(chain, 1), [])
    chain.base_fee = 1001
    chain.send(stuck)
    better = chain.prepare(batch(chain, 1), [stuck])
    assert '"nonce":0,"fee":1125' in better.raw
    assert better.attempt == 2
    chain.send(better)
    assert chain.find(1).transaction == better.transaction
    assert chain.confirm(stuck) == "gone"
    chain.mine(2)
    assert (chain.confirm(stuck), chain.confirm(better)) == ("replaced", "final")


@pytest.mark.parametrize(("fee", "more"), [(1, 2), (7, 8), (8, 9), (9, 11), (100, 113)])
def test_the_eighth_more_is_rounded_up(chain, fee, more):
    chain.base_fee = fee
    stuck = chain.prepare(batch(chain, 1), [])
    chain.base_fee = fee + 1
    chain.send(stuck)
    assert f'"fee":{more}' in chain.prepare(batch(chain, 1), [stuck]).raw


def test_a_replacement_that_pays_too_little_more_is_not_taken_in(slow):
    slow.base_fee = 1000
    first = slow.prepare(batch(slow, 1), [])
    slow.send(first)
    for fee, taken in ((1124, False), (1125, True)):
        slow.base_fee = fee
        other = slow.prepare(batch(slow, 1), [])
        slow.send(other)
        assert (other.transaction in slow.pool) is taken


def test_only_the_lowest_open_nonce_is_raised(chain):
    first = chain.prepare(batch(chain, 1), [])
    two = batch(chain, 2, commitment_of(batch(chain, 1), TEXT_LEAF).digest)
    second = chain.prepare(two, [first])
    chain.base_fee = 5
    chain.send(first)
    chain.send(second)
    assert chain.prepare(two, [first, second]) is None
    assert chain.prepare(batch(chain, 1), [first, second]) is not None


def test_a_lost_attempt_is_replaced_under_its_own_nonce_where_it_pays_too_little_to_come_in(chain):
    lost = chain.prepare(batch(chain, 1), [])
    assert chain.prepare(batch(chain, 1), [lost]) is None, "sending the same one again will do"
    chain.base_fee = 7
    again = chain.prepare(batch(chain, 1), [lost])
    assert '"nonce":0,"fee":7' in again.raw


def test_a_lost_attempt_whose_nonce_another_waits_with_pays_more_than_that(chain):
    lost = chain.prepare(batch(chain, 1), [])
    chain.base_fee = 20
    rival = chain.prepare(batch(chain, 1), [])
    chain.automine = False
    chain.send(rival)
    assert chain.confirm(lost) == "gone"
    assert '"nonce":0,"fee":23' in chain.prepare(batch(chain, 1), [lost]).raw


def test_a_reverted_transaction_spends_its_nonce_and_its_fee_and_is_final_in_its_block(chain):
    overspent = batch(chain, 1, charged=101, paid=101)
    attempt = chain.prepare(overspent, [])
    chain.send(attempt)
    assert (chain.fees_paid, chain.confirm(attempt)) == (1, "pending")
    assert chain.prepare(overspent, [attempt]) is None
    chain.mine(2)
    assert (chain.confirm(attempt), chain.find(1).stage) == ("final", "absent")
    assert '"nonce":1' in chain.prepare(batch(chain, 1), [attempt]).raw


def test_a_stolen_nonce_replaces_the_attempt_once_it_is_final(chain):
    attempt = chain.prepare(batch(chain, 1), [])
    chain.steal_nonce()
    chain.send(attempt)
    assert (chain.confirm(attempt), chain.pool) == ("gone", ())
    chain.mine(2)
    assert chain.confirm(attempt) == "replaced"
    again = chain.prepare(batch(chain, 1), [attempt])
    chain.send(again)
    assert (chain.find(1).stage, chain.due("bob", "usd")) == ("executed", 10)


def test_a_stolen_nonce_takes_what_waited_with_it_out_of_the_pool(slow):
    slow.send(slow.prepare(batch(slow, 1), []))
    slow.steal_nonce()
    assert slow.pool == ()


def test_an_attempt_whose_nonce_was_stolen_comes_back_if_the_theft_is_re_organised(chain):
    chain.mine(2)
    attempt = chain.prepare(batch(chain, 1), [])
    chain.steal_nonce()
    chain.reorganise(1)
    chain.send(attempt)
    assert chain.find(1).stage == "executed"


def test_there_is_nothing_to_prepare_for_a_batch_that_is_executed_or_not_the_chains(chain):
    chain.send(chain.prepare(batch(chain, 1), []))
    assert chain.prepare(batch(chain, 1), []) is None
    assert chain.prepare(batch(chain, 1, charged=11), []) is None


def test_recording_and_paying_out_are_two_attempts_where_there_is_a_window():
    with MockChain(window=1) as chain:
        chain.purchase("alice", "gold", "usd", {"bob": 100})
        one = batch(chain, 1)
        first = chain.prepare(one, [])
        chain.send(first)
        assert chain.prepare(one, [first]) is None
        chain.mine()
        second = chain.prepare(one, [first])
        assert (second.attempt, '"nonce":1' in second.raw) == (2, True)
        chain.send(second)
        assert (chain.find(1).stage, chain.find(1).transaction) == ("executed", second.transaction)
        assert chain.prepare(one, [first, second]) is None


def test_a_step_after_an_attempt_that_was_outbid_does_not_take_its_nonce():
    """As where the log was restored from before the replacement was stored."""
    with MockChain(window=1) as chain:
        chain.purchase("alice", "gold", "usd", {"bob": 100})
        one = batch(chain, 1)
        outbid = chain.prepare(one, [])
        chain.base_fee = 2
        chain.send(chain.prepare(one, [outbid]))
        chain.mine()
        assert chain.confirm(outbid) == "gone"
        chain.send(chain.prepare(one, [outbid]))
        assert chain.find(1).stage == "executed"


def test_a_batch_is_not_executed_on_behalf_of_another_of_its_number():
    with MockChain(window=1) as chain:
        chain.purchase("alice", "gold", "usd", {"bob": 100})
        chain.send(chain.prepare(batch(chain, 1), []))
        chain.mine()
        assert chain.find(1).ready
        assert chain.prepare(batch(chain, 1, charged=11), []) is None
        assert chain.simulate(batch(chain, 1, charged=11)).startswith("BatchExists")


def test_a_step_of_another_contract_is_bad_data():
    with MockChain(window=1) as chain, MockChain(window=1, contract="other") as other:
        other.purchase("alice", "gold", "usd", {"bob": 100})
        other.send(other.prepare(batch(other, 1), []))
        other.mine()
        with pytest.raises(BadData):
            chain.send(other.prepare(batch(other, 1), []))


def test_sending_the_same_again_is_harmless_at_any_time(slow):
    attempt = slow.prepare(batch(slow, 1), [])
    for _ in range(2):
        slow.send(attempt)
    assert len(slow.pool) == 1
    slow.mine()
    slow.send(attempt)
    slow.mine(3)
    assert (slow.pool, slow.fees_paid, slow.due("bob", "usd")) == ((), 1, 10)


def test_reads_say_what_is_final_only_when_it_is(chain):
    attempt = chain.prepare(batch(chain, 1), [])
    chain.send(attempt)
    seen = []
    for _ in range(3):
        seen.append((chain.find(1).final, chain.confirm(attempt)))
        chain.mine()
    assert seen == [(False, "pending"), (False, "pending"), (True, "final")]


def test_a_transaction_that_the_operator_cannot_have_prepared_is_bad_data(chain):
    good = chain.prepare(batch(chain, 1), [])
    with MockChain(contract="other") as other:
        foreign = other.prepare(batch(other, 1), [])
    forged = good.raw.replace('"amount":10', '"amount":99')
    theft = (
        '{"chain":"mock:local","contract":"tollbook","nonce":0,"call":{"call":"claim","receiver":"bob","asset":"usd"}}'
    )
    for raw in ("", "{}", foreign.raw, forged, theft, good.raw.replace('"nonce":0,', "")):
        with pytest.raises(BadData):
            chain.send(Attempt(1, 1, raw, ""))
    assert chain.height == 1


def test_a_batch_that_cannot_be_committed_to_cannot_be_prepared(chain):
    empty = Batch(**{name: getattr(batch(chain, 1), name) for name in Batch.__struct_fields__} | {"leaves": ()})
    with pytest.raises(ValueError, match="leaves"):
        chain.prepare(empty, [])


@pytest.mark.parametrize(
    "wrong", [{"finality": -1}, {"window": 1.5}, {"name": "eip155:1"}, {"name": "mock:"}, {"contract": ""}]
)
def test_a_chain_is_made_with_proper_settings(wrong):
    with pytest.raises(BadData):
        MockChain(**wrong)


def test_a_fee_is_a_whole_number(chain):
    with pytest.raises(BadData):
        chain.base_fee = -1


def test_a_script_that_no_honest_chain_can_play_is_refused():
    with pytest.raises(BadData, match="final"):
        MockChain(finality=2, script=[Reorganise(3)])
