"""The mock's contract: purchases, exits, dues, batches and their windows."""

import msgspec
import pytest

from chains import leaf_file
from chains.leaves import TEXT_LEAF
from chains.mock import MockChain, Reverted
from chains.proofs import prove
from ledger.errors import BadData
from ledger.events import Leaf, Payout
from ledger.settlement.messages import Attempt, Batch, ExitPaid


@pytest.fixture
def chain():
    with MockChain(exit_delay=5) as chain:
        yield chain


@pytest.fixture
def windowed():
    with MockChain(window=3, exit_delay=5) as chain:
        yield chain


def batch(chain, number, charged, payouts, previous="", asset="usd"):
    """A batch with one leaf an account of plan gold: {subscriber: charged}."""
    return Batch(
        ledger="log",
        chain=chain.name,
        contract=chain.contract,
        number=number,
        asset=asset,
        at=number,
        covers={"main": number},
        head_seq=number,
        head_hash="00",
        previous=previous,
        leaves=tuple(Leaf(name, "gold", money, 0) for name, money in sorted(charged.items())),
        payouts=tuple(Payout(name, money) for name, money in sorted(payouts.items())),
    )


def send(chain, batch):
    attempt = chain.prepare(batch, [])
    chain.send(attempt)
    return attempt


def proof(batch, subscriber):
    found = prove(batch, TEXT_LEAF, subscriber, "gold")
    return found.leaf, found.proof


def finish_window(chain, batch):
    chain.mine(3)
    return send(chain, batch)


# -- purchases


def test_a_purchase_puts_its_shares_into_escrow(chain):
    made = chain.purchase("alice", "gold", "usd", {"bob": 90, "fee": 10}, credits=7, seconds=8)
    assert (made.block, made.credits, made.seconds, made.final) == (1, 7, 8, False)
    assert (chain.escrow("usd"), chain.holdings("usd")) == (100, 100)


def test_the_same_order_buys_once(chain):
    first = chain.purchase("alice", "gold", "usd", {"bob": 100}, id="x")
    assert chain.purchase("alice", "gold", "usd", {"bob": 100}, id="x") == first
    assert chain.escrow("usd") == 100


def test_another_order_under_an_id_is_refused_for_ever(chain):
    chain.purchase("alice", "gold", "usd", {"bob": 100}, id="x")
    with pytest.raises(Reverted, match="PurchaseIdTaken"):
        chain.purchase("alice", "gold", "usd", {"bob": 99}, id="x")
    assert chain.height == 1


def test_the_same_order_twice_in_the_pool_buys_once(chain):
    chain.automine = False
    for _ in range(2):
        assert chain.purchase("alice", "gold", "usd", {"bob": 100}, id="x").block == 0
    chain.mine()
    assert chain.escrow("usd") == 100
    assert len(list(chain.facts(confirmations=0))) == 1


def test_purchases_without_an_id_never_share_one_even_over_a_reorganisation(chain):
    first = chain.purchase("alice", "gold", "usd", {"bob": 100})
    chain.reorganise(1)
    assert chain.purchase("alice", "gold", "usd", {"bob": 100}).id != first.id


def test_an_id_of_its_own_steps_over_one_that_was_given(chain):
    chain.purchase("alice", "gold", "usd", {"bob": 1}, id="purchase-1")
    assert chain.purchase("alice", "gold", "usd", {"bob": 1}).id == "purchase-2"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"subscriber": ""}, "name"),
        ({"shares": {"bob": -1}}, "share"),
        ({"shares": {"bob": 1.5}}, "share"),
        ({"shares": {"": 1}}, "name"),
        ({"credits": -1}, "credits"),
        ({"id": "exit:paid:1"}, "id"),
    ],
)
def test_a_malformed_purchase_is_bad_data(chain, changes, words):
    order = {"subscriber": "alice", "plan": "gold", "asset": "usd", "shares": {"bob": 1}} | changes
    with pytest.raises(BadData, match=words):
        chain.purchase(**order)
    assert chain.height == 0


def test_money_has_no_upper_bound(chain):
    chain.purchase("alice", "gold", "wei", {"bob": 10**40})
    assert chain.escrow("wei") == 10**40


# -- facts and access


def test_facts_come_when_they_are_final(chain):
    made = chain.purchase("alice", "gold", "usd", {"bob": 1})
    assert list(chain.facts()) == []
    chain.mine(2)
    assert [fact.id for fact in chain.facts()] == [made.id]


def test_facts_come_earlier_with_fewer_confirmations_and_say_that_they_are_not_final(chain):
    chain.purchase("alice", "gold", "usd", {"bob": 1})
    assert [fact.final for fact in chain.facts(confirmations=0)] == [False]
    assert list(chain.facts(confirmations=1)) == []


def test_facts_after_a_block_leave_out_that_block(chain):
    for name in ("alice", "carol"):
        chain.purchase(name, "gold", "usd", {"bob": 1})
    assert [fact.subscriber for fact in chain.facts(after=1, confirmations=0)] == ["carol"]


def test_an_exit_that_is_requested_again_after_a_reorganisation_has_the_same_id(chain):
    chain.purchase("alice", "gold", "usd", {"bob": 1})
    first = chain.request_exit("alice", "gold")
    chain.reorganise(1)
    assert chain.request_exit("alice", "gold").id == first.id


# -- batches and dues


def test_without_a_window_one_transaction_records_and_pays_out(chain):
    chain.purchase("alice", "gold", "usd", {"bob": 100})
    send(chain, batch(chain, 1, {"alice": 60}, {"bob": 60}))
    assert chain.find(1).stage == "executed"
    assert (chain.due("bob", "usd"), chain.escrow("usd"), chain.holdings("usd")) == (60, 40, 100)


def test_with_a_window_a_batch_is_recorded_then_waits_then_is_paid_out(windowed):
    windowed.purchase("alice", "gold", "usd", {"bob": 100})
    one = batch(windowed, 1, {"alice": 60}, {"bob": 60})
    send(windowed, one)
    seen = []
    for _ in range(4):
        seen.append((windowed.find(1).stage, windowed.find(1).ready))
        windowed.mine()
    assert seen == [("committed", False)] * 3 + [("committed", True)]
    send(windowed, one)
    assert (windowed.find(1).stage, windowed.due("bob", "usd")) == ("executed", 60)


def test_nothing_is_executed_inside_the_window(windowed):
    windowed.purchase("alice", "gold", "usd", {"bob": 100})
    one = batch(windowed, 1, {"alice": 60}, {"bob": 60})
    send(windowed, one)
    windowed.mine(2)
    assert windowed.simulate(one) == "WindowOpen(5)"
    assert windowed.prepare(one, []) is None
    windowed.mine()
    assert windowed.simulate(one) is None


def test_a_step_that_was_signed_for_a_batch_does_not_execute_another_under_its_number():
    with MockChain(window=1, finality=9) as chain:
        chain.purchase("alice", "gold", "usd", {"bob": 100})
        one, other = batch(chain, 1, {"alice": 60}, {"bob": 60}), batch(chain, 1, {"alice": 61}, {"bob": 61})
        send(chain, one)
        chain.mine()
        step = chain.prepare(one, [])
        chain.reorganise(2)
        commit = chain.prepare(other, [])
        chain.send(commit)
        chain.mine()
        chain.send(step)
        assert chain.reverted(step.transaction).startswith("BatchUnknown")
        assert chain.find(1).stage == "committed"


def test_batches_come_strictly_in_order(chain):
    chain.purchase("alice", "gold", "usd", {"bob": 100})
    assert chain.simulate(batch(chain, 2, {"alice": 1}, {"bob": 1})) == "BatchOutOfOrder(2, 1)"


def test_a_batch_names_the_one_before_it(chain):
    chain.purchase("alice", "gold", "usd", {"bob": 100})
    send(chain, batch(chain, 1, {"alice": 1}, {"bob": 1}))
    assert chain.simulate(batch(chain, 2, {"alice": 2}, {"bob": 1}, previous="0x00")).startswith("WrongPrevious")
    assert chain.simulate(batch(chain, 2, {"alice": 2}, {"bob": 1}, previous=chain.find(1).digest)) is None


def test_a_second_batch_is_not_executed_before_the_first(windowed):
    windowed.purchase("alice", "gold", "usd", {"bob": 100})
    one = batch(windowed, 1, {"alice": 1}, {"bob": 1})
    send(windowed, one)
    two = batch(windowed, 2, {"alice": 2}, {"bob": 1}, previous=windowed.find(1).digest)
    send(windowed, two)
    windowed.mine(4)
    assert windowed.simulate(two) == "BatchNotNext(2, 1)"
    assert not windowed.find(2).ready
    send(windowed, one)
    assert windowed.find(2).ready
    send(windowed, two)
    assert windowed.find(2).stage == "executed"


def test_a_batch_that_overspends_is_refused_by_simulation_and_reverted_when_it_is_mined(chain):
    chain.purchase("alice", "gold", "usd", {"bob": 100})
    one = batch(chain, 1, {"alice": 101}, {"bob": 101})
    assert chain.simulate(one) == "EscrowShort(usd, 101, 100)"
    attempt = send(chain, one)
    assert chain.find(1).stage == "absent"
    assert chain.reverted(attempt.transaction) == "EscrowShort(usd, 101, 100)"


def test_overspending_is_foreseen_over_batches_that_are_still_in_their_window(windowed):
    windowed.purchase("alice", "gold", "usd", {"bob": 100})
    send(windowed, batch(windowed, 1, {"alice": 60}, {"bob": 60}))
    two = batch(windowed, 2, {"alice": 110}, {"bob": 50}, previous=windowed.find(1).digest)
    assert windowed.simulate(two) == "EscrowShort(usd, 50, 40)"


def test_a_batch_may_be_simulated_behind_one_that_waits_in_the_pool(chain):
    chain.purchase("alice", "gold", "usd", {"bob": 100})
    chain.automine = False
    send(chain, batch(chain, 1, {"alice": 60}, {"bob": 60}))
    found = chain.find(1)
    assert found.stage == "pending"
    assert chain.simulate(batch(chain, 2, {"alice": 100}, {"bob": 40}, previous=found.digest)) is None
    assert chain.simulate(batch(chain, 2, {"alice": 101}, {"bob": 41}, previous=found.digest)).startswith("EscrowShort")


def test_a_batch_of_another_contract_or_without_leaves_is_refused(chain):
    with MockChain(contract="other") as other:
        assert chain.simulate(batch(other, 1, {"alice": 1}, {})).startswith("WrongContract")
    assert chain.simulate(batch(chain, 1, {}, {})).startswith("BatchMalformed")


def test_the_same_batch_again_is_reverted_as_existing_and_changes_nothing(chain):
    chain.purchase("alice", "gold", "usd", {"bob": 100})
    one = batch(chain, 1, {"alice": 60}, {"bob": 60})
    chain.automine = False
    first = chain.prepare(one, [])
    other = chain.prepare(one, [Attempt(9, 1, first.raw, first.transaction)])  # so it has the next nonce
    chain.send(first)
    chain.send(other)
    chain.mine()
    assert chain.reverted(other.transaction) == f"BatchExists(1, {chain.find(1).digest})"
    assert chain.due("bob", "usd") == 60


def test_a_refund_makes_a_due_negative_and_later_payouts_fill_it_first(chain):
    chain.purchase("alice", "gold", "usd", {"bob": 100})
    send(chain, batch(chain, 1, {"alice": 50}, {"bob": 50}))
    assert chain.claim("bob", "usd") == 50
    send(chain, batch(chain, 2, {"alice": 20}, {"bob": -30}, previous=chain.find(1).digest))
    assert (chain.due("bob", "usd"), chain.escrow("usd"), chain.holdings("usd")) == (-30, 50, 50)
    with pytest.raises(Reverted, match="NothingDue"):
        chain.claim("bob", "usd")
    send(chain, batch(chain, 3, {"alice": 60}, {"bob": 40}, previous=chain.find(2).digest))
    assert (chain.due("bob", "usd"), chain.escrow("usd")) == (10, 40)


def test_a_refund_of_what_was_not_claimed_goes_back_into_escrow(chain):
    chain.purchase("alice", "gold", "usd", {"bob": 100})
    send(chain, batch(chain, 1, {"alice": 50}, {"bob": 50}))
    send(chain, batch(chain, 2, {"alice": 20}, {"bob": -30}, previous=chain.find(1).digest))
    assert (chain.due("bob", "usd"), chain.escrow("usd")) == (20, 80)


def test_a_claim_pays_once(chain):
    chain.purchase("alice", "gold", "usd", {"bob": 100})
    send(chain, batch(chain, 1, {"alice": 50}, {"bob": 50}))
    assert (chain.claim("bob", "usd"), chain.balance("bob", "usd"), chain.holdings("usd")) == (50, 50, 50)
    with pytest.raises(Reverted, match="NothingDue"):
        chain.claim("bob", "usd")


def test_the_leaf_file_is_published_with_the_batch(chain):
    chain.purchase("alice", "gold", "usd", {"bob": 100})
    assert chain.published(1) is None
    one = batch(chain, 1, {"alice": 50}, {"bob": 50})
    send(chain, one)
    assert leaf_file.decode(chain.published(1)) == one


# -- cancelling and challenging


def test_the_guardian_cancels_before_execution_and_the_number_stays_used(windowed):
    windowed.purchase("alice", "gold", "usd", {"bob": 100})
    one = batch(windowed, 1, {"alice": 60}, {"bob": 60})
    send(windowed, one)
    windowed.cancel(1, "wrong price")
    assert windowed.find(1).stage == "cancelled"
    assert windowed.simulate(one).startswith("BatchExists")
    two = batch(windowed, 2, {"alice": 60}, {"bob": 60}, previous=windowed.find(1).digest)
    send(windowed, two)
    finish_window(windowed, two)
    assert (windowed.find(2).stage, windowed.due("bob", "usd")) == ("executed", 60)


def test_what_is_executed_cannot_be_cancelled(chain):
    chain.purchase("alice", "gold", "usd", {"bob": 100})
    send(chain, batch(chain, 1, {"alice": 60}, {"bob": 60}))
    with pytest.raises(Reverted, match="BatchNotOpen"):
        chain.cancel(1, "too late")


def test_a_leaf_that_charges_more_than_was_paid_in_cancels_its_batch(windowed):
    windowed.purchase("alice", "gold", "usd", {"bob": 100})
    windowed.purchase("carol", "gold", "usd", {"bob": 100})
    one = batch(windowed, 1, {"alice": 101, "carol": 5}, {"bob": 106})
    send(windowed, one)
    windowed.challenge(1, *proof(one, "alice"))
    assert windowed.find(1).stage == "cancelled"


def test_an_honest_leaf_or_a_false_proof_challenges_nothing(windowed):
    windowed.purchase("alice", "gold", "usd", {"bob": 100})
    windowed.purchase("carol", "gold", "usd", {"bob": 100})
    one = batch(windowed, 1, {"alice": 100, "carol": 5}, {"bob": 105})
    send(windowed, one)
    leaf, siblings = proof(one, "alice")
    with pytest.raises(Reverted, match="NotOverdrawn"):
        windowed.challenge(1, leaf, siblings)
    with pytest.raises(Reverted, match="ProofInvalid"):
        windowed.challenge(1, Leaf("alice", "gold", 101, 0), siblings)


# -- exits


def two_buy(chain):
    for name in ("alice", "carol"):
        chain.purchase(name, "gold", "usd", {"bob": 100})


def test_an_exit_by_proof_pays_the_unspent_rest_at_most_once(chain):
    two_buy(chain)
    chain.request_exit("alice", "gold")
    one = batch(chain, 1, {"alice": 30, "carol": 5}, {"bob": 35})
    send(chain, one)
    paid = chain.exit("alice", "gold", "usd", *proof(one, "alice"))
    assert isinstance(paid, ExitPaid)
    assert (paid.amount, chain.balance("alice", "usd"), chain.escrow("usd")) == (70, 70, 95)
    with pytest.raises(Reverted, match="ExitAlreadyPaid"):
        chain.exit("alice", "gold", "usd", *proof(one, "alice"))


def test_an_exit_gives_back_what_was_credited(chain):
    two_buy(chain)
    chain.request_exit("alice", "gold")
    leaf = Leaf("alice", "gold", 130, 50)
    one = msgspec.structs.replace(batch(chain, 1, {}, {"bob": 35}), leaves=(leaf,))
    send(chain, one)
    assert chain.exit("alice", "gold", "usd", leaf).amount == 20


def test_a_batch_that_was_committed_before_the_request_counts_as_older_even_if_executed_after_it(windowed):
    two_buy(windowed)
    one = batch(windowed, 1, {"alice": 30, "carol": 5}, {"bob": 35})
    send(windowed, one)
    windowed.request_exit("alice", "gold")
    windowed.mine(2)
    send(windowed, one)
    assert windowed.find(1).stage == "executed"
    with pytest.raises(Reverted, match="ExitDelay"):
        windowed.exit("alice", "gold", "usd", *proof(one, "alice"))


def test_no_exit_without_a_request(chain):
    two_buy(chain)
    one = batch(chain, 1, {"alice": 30, "carol": 5}, {"bob": 35})
    send(chain, one)
    with pytest.raises(Reverted, match="ExitNotRequested"):
        chain.exit("alice", "gold", "usd", *proof(one, "alice"))


def test_a_root_from_before_the_request_pays_only_after_the_delay_and_with_no_batch_open(windowed):
    two_buy(windowed)
    one = batch(windowed, 1, {"alice": 30, "carol": 5}, {"bob": 35})
    send(windowed, one)
    finish_window(windowed, one)
    windowed.request_exit("alice", "gold")
    with pytest.raises(Reverted, match="ExitDelay"):
        windowed.exit("alice", "gold", "usd", *proof(one, "alice"))
    windowed.mine(3)
    two = batch(windowed, 2, {"alice": 40, "carol": 5}, {"bob": 10}, previous=windowed.find(1).digest)
    send(windowed, two)
    windowed.mine(1)
    with pytest.raises(Reverted, match=r"BatchAwaitsExecution\(1\)"):
        windowed.exit("alice", "gold", "usd", *proof(one, "alice"))
    windowed.cancel(2, "no")
    assert windowed.exit("alice", "gold", "usd", *proof(one, "alice")).amount == 70


def test_a_batch_that_nobody_executes_keeps_no_money_after_two_delays_and_a_window(windowed):
    two_buy(windowed)
    one = batch(windowed, 1, {"alice": 30, "carol": 5}, {"bob": 35})
    send(windowed, one)
    finish_window(windowed, one)
    requested = windowed.request_exit("alice", "gold").block
    send(windowed, batch(windowed, 2, {"alice": 40, "carol": 5}, {"bob": 10}, previous=windowed.find(1).digest))
    windowed.mine(requested + 2 * 5 + 3 - windowed.height - 2)
    with pytest.raises(Reverted, match=r"BatchAwaitsExecution\(1\)"):
        windowed.exit("alice", "gold", "usd", *proof(one, "alice"))
    windowed.mine()
    assert windowed.exit("alice", "gold", "usd", *proof(one, "alice")).amount == 70


def test_a_leaf_that_is_not_in_the_final_root_or_of_someone_else_pays_nothing(chain):
    two_buy(chain)
    chain.request_exit("alice", "gold")
    one = batch(chain, 1, {"alice": 30, "carol": 5}, {"bob": 35})
    send(chain, one)
    leaf, siblings = proof(one, "alice")
    for shown in ((Leaf("alice", "gold", 0, 0), siblings), proof(one, "carol"), (leaf, ())):
        with pytest.raises(Reverted, match="ProofInvalid"):
            chain.exit("alice", "gold", "usd", *shown)


def test_an_account_that_is_charged_all_or_more_leaves_with_nothing(windowed):
    two_buy(windowed)
    windowed.request_exit("alice", "gold")
    one = batch(windowed, 1, {"alice": 130, "carol": 5}, {"bob": 35})
    send(windowed, one)
    finish_window(windowed, one)
    assert windowed.exit("alice", "gold", "usd", *proof(one, "alice")).amount == 0


def test_an_exit_without_a_leaf_waits_out_two_delays(chain):
    two_buy(chain)
    requested = chain.request_exit("alice", "gold")
    with pytest.raises(Reverted, match=rf"ExitDelay\({requested.block + 5}\)"):
        chain.exit("alice", "gold", "usd")
    chain.mine(3)
    with pytest.raises(Reverted, match="ExitDelay"):
        chain.exit("alice", "gold", "usd")
    chain.mine()
    assert chain.exit("alice", "gold", "usd") is None
    with pytest.raises(Reverted, match="ExitDelay"):
        chain.exit("alice", "gold", "usd")
    chain.mine(4)
    assert chain.exit("alice", "gold", "usd").amount == 100
    assert chain.balance("alice", "usd") == 100


def test_an_exit_without_a_leaf_is_refuted_by_the_leaf(chain):
    two_buy(chain)
    one = batch(chain, 1, {"alice": 30, "carol": 0}, {"bob": 30})
    send(chain, one)
    for name in ("alice", "carol"):
        chain.request_exit(name, "gold")
    chain.mine(5)
    with pytest.raises(Reverted, match="UnchargedNotClaimed"):
        chain.refute(*proof(one, "alice"))
    for name in ("alice", "carol"):
        chain.exit(name, "gold", "usd")
    with pytest.raises(Reverted, match="ProofInvalid"):
        chain.refute(Leaf("alice", "gold", 31, 0), proof(one, "alice")[1])
    chain.refute(*proof(one, "alice"))
    with pytest.raises(Reverted, match="NothingRefuted"):
        chain.refute(*proof(one, "carol"))
    chain.mine(5)
    assert chain.exit("alice", "gold", "usd") is None
    assert chain.exit("carol", "gold", "usd").amount == 100


def test_who_leaves_buys_no_more(chain):
    chain.purchase("alice", "gold", "usd", {"bob": 1})
    chain.request_exit("alice", "gold")
    with pytest.raises(Reverted, match="Leaving"):
        chain.purchase("alice", "gold", "usd", {"bob": 1})


@pytest.mark.parametrize("call", ["request_exit", "exit", "claim", "cancel"])
def test_what_the_contract_refuses_makes_no_block(chain, call):
    arguments = {"request_exit": ("x", "y"), "exit": ("x", "y", "z"), "claim": ("x", "y"), "cancel": (1, "")}
    with pytest.raises(Reverted):
        getattr(chain, call)(*arguments[call])
    assert chain.height == 0


def test_an_exit_fails_while_a_receivable_keeps_escrow_short(chain):
    chain.purchase("alice", "gold", "usd", {"bob": 100})
    send(chain, batch(chain, 1, {"alice": 90}, {"bob": 90}))
    chain.claim("bob", "usd")
    chain.request_exit("alice", "gold")
    two = batch(chain, 2, {"alice": 20}, {"bob": -70}, previous=chain.find(1).digest)
    send(chain, two)
    with pytest.raises(Reverted, match=r"EscrowShort\(usd, 80, 10\)"):
        chain.exit("alice", "gold", "usd", *proof(two, "alice"))
