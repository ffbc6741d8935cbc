"""Whatever happens to a mock chain, its money adds up, and it is what its blocks make of it."""

from collections import Counter

import pytest
from examples import examples
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from chains import leaf_file
from chains.leaves import TEXT_LEAF
from chains.mock import MockChain, Reverted
from chains.mock.contract import apply
from chains.mock.state import State
from chains.proofs import prove
from ledger.events import Leaf, Payout
from ledger.settlement.messages import Batch, ExitPaid, PurchaseMade

SUBSCRIBERS = ("alice", "carol", "dave")
RECEIVERS = ("bob", "fee")
ASSETS = ("usd", "eur")

subscribers, receivers = st.sampled_from(SUBSCRIBERS), st.sampled_from(RECEIVERS)
assets = st.sampled_from(("usd", "usd", "usd", "eur"))
money = st.integers(0, 1000) | st.integers(0, 10**30)
charges = st.fixed_dictionaries({name: st.integers(0, 100) for name in SUBSCRIBERS})
payouts = st.integers(-50, 100) | st.integers(-(10**30), 10**30)


def told(state):
    """What a state says; an asset that was only asked for is no difference."""
    return {
        name: {key: each for key, each in value.items() if each} if isinstance(value, dict) else value
        for name, value in vars(state).items()
    }


class Life(RuleBasedStateMachine):
    """A chain with users, an operator of any honesty, a guardian, and miners who change their minds."""

    @initialize(window=st.sampled_from([0, 2]), automine=st.booleans())
    def deploy(self, window, automine):
        self.chain = MockChain(window=window, exit_delay=3, automine=automine)
        self.attempts = []
        for name in SUBSCRIBERS:
            self.chain.purchase(name, "gold", "usd", {"bob": 300})
        self.chain.mine(2)

    def teardown(self):
        if hasattr(self, "chain"):
            self.chain.close()

    @rule(subscriber=subscribers, asset=assets, bob=money, fee=money, id=st.sampled_from([None, "x", "y"]))
    def purchase(self, subscriber, asset, bob, fee, id):
        self.attempted(self.chain.purchase, subscriber, "gold", asset, {"bob": bob, "fee": fee}, id=id)

    @rule(asset=assets, charged=charges, paid=payouts, fee=payouts, honest=st.booleans(), ahead=st.integers(-1, 1))
    def settle(self, asset, charged, paid, fee, honest, ahead):
        """Send a batch: the next one if simulation would take it, or any."""
        if honest:
            self.send_lost_ones()
        number = max(len(self.chain.batches()) + 1 + (0 if honest else ahead), 1)
        batch = self.batch(number, asset, charged, (Payout("bob", paid), Payout("fee", fee)))
        refused = self.chain.simulate(batch)
        if honest and refused:
            return
        attempt = self.step(batch)
        if refused is None and attempt:
            assert not self.chain.reverted(attempt.transaction)

    @rule()
    def execute(self):
        for number, found in self.chain.batches().items():
            if found.stage == "committed":
                self.step(leaf_file.decode(self.chain.published(number)))

    @rule()
    def send_lost_ones(self):
        """What an outbox does: it forgets what is finally decided, and sends again what is gone."""
        standings = [(attempt, self.chain.confirm(attempt)) for attempt in self.attempts]
        self.attempts = [attempt for attempt, standing in standings if standing in ("pending", "gone")]
        for attempt, standing in standings:
            if standing == "gone":
                self.chain.send(attempt)

    @rule(subscriber=subscribers, charged=charges)
    def leave_in_order(self, subscriber, charged):
        """Ask to leave, be counted once more, wait out the window, and take the rest."""
        self.attempted(self.chain.request_exit, subscriber, "gold")
        self.settle("usd", charged, 1, 1, True, 0)
        self.chain.mine(3)
        self.execute()
        self.chain.mine()
        self.exit_by_proof(subscriber, subscriber, "usd")

    @rule(receiver=receivers, asset=assets)
    def claim(self, receiver, asset):
        self.attempted(self.chain.claim, receiver, asset)

    @rule(subscriber=subscribers)
    def request_exit(self, subscriber):
        self.attempted(self.chain.request_exit, subscriber, "gold")

    @rule(subscriber=subscribers, other=subscribers, asset=assets)
    def exit_by_proof(self, subscriber, other, asset):
        """By the leaf of the last root, or by somebody else's."""
        for number in sorted(self.chain.batches())[:-3:-1]:
            proof = prove(leaf_file.decode(self.chain.published(number)), TEXT_LEAF, other, "gold")
            self.attempted(self.chain.exit, subscriber, "gold", asset, proof.leaf, proof.proof)
            self.attempted(self.chain.challenge, number, proof.leaf, proof.proof)
            self.attempted(self.chain.refute, proof.leaf, proof.proof)

    @rule(subscriber=subscribers, asset=assets)
    def exit_without_a_leaf(self, subscriber, asset):
        self.attempted(self.chain.exit, subscriber, "gold", asset)

    @rule(number=st.integers(1, 5))
    def cancel(self, number):
        self.attempted(self.chain.cancel, number, "no")

    @rule(depth=st.integers(1, 2), keep=st.booleans())
    def reorganise(self, depth, keep):
        if depth <= self.chain.height:
            self.chain.reorganise(depth, keep=keep)

    @rule(blocks=st.integers(1, 4))
    def mine(self, blocks):
        self.chain.mine(blocks)

    @rule()
    def steal_nonce(self):
        self.chain.steal_nonce()

    @rule(fee=st.integers(1, 3))
    def set_fee(self, fee):
        self.chain.base_fee = fee

    @invariant()
    def money_adds_up(self):
        """What came in is in the contract or was paid out; what the contract has is in escrow or due."""
        if not hasattr(self, "chain"):
            return
        chain, facts = self.chain, list(self.chain.facts(confirmations=0))
        for asset in ASSETS:
            came = sum(
                share.amount for fact in facts if isinstance(fact, PurchaseMade) and fact.asset == asset
                for share in fact.shares
            )  # fmt: skip
            paid = sum(chain.balance(holder, asset) for holder in (*SUBSCRIBERS, *RECEIVERS))
            due = sum(max(chain.due(receiver, asset), 0) for receiver in RECEIVERS)
            assert chain.holdings(asset) == came - paid == chain.escrow(asset) + due
            assert chain.escrow(asset) >= 0

    @invariant()
    def receivers_are_owed_what_executed_batches_say(self):
        if not hasattr(self, "chain"):
            return
        owed = Counter()
        for number, found in self.chain.batches().items():
            if found.stage == "executed":
                batch = leaf_file.decode(self.chain.published(number))
                owed.update({(one.receiver, batch.asset): one.amount for one in batch.payouts})
        for receiver in RECEIVERS:
            for asset in ASSETS:
                had = self.chain.due(receiver, asset) + self.chain.balance(receiver, asset)
                assert had == owed[receiver, asset]

    @invariant()
    def nobody_leaves_twice_or_with_more_than_was_paid_in(self):
        if not hasattr(self, "chain"):
            return
        facts = list(self.chain.facts(confirmations=0))
        assert len({fact.id for fact in facts}) == len(facts)
        for fact in facts:
            if isinstance(fact, ExitPaid):
                paid_in = sum(
                    share.amount for one in facts
                    if isinstance(one, PurchaseMade) and (one.subscriber, one.asset) == (fact.subscriber, fact.asset)
                    for share in one.shares
                )  # fmt: skip
                assert 0 <= fact.amount <= paid_in

    @invariant()
    def the_chain_is_what_its_blocks_make_of_it(self):
        if not hasattr(self, "chain"):
            return
        node, state = self.chain._node, State()
        for block in node.blocks:
            for transaction in block.transactions:
                apply(state, node.deployment, transaction, block.number)
        assert told(state) == told(node.state)

    def batch(self, number, asset, charged, paid):
        batches = self.chain.batches()
        return Batch(
            ledger="log",
            chain=self.chain.name,
            contract=self.chain.contract,
            number=number,
            asset=asset,
            at=number,
            covers={"main": number},
            head_seq=number,
            head_hash="00",
            previous=batches[number - 1].digest if number - 1 in batches else "",
            leaves=tuple(Leaf(name, "gold", amount, 0) for name, amount in sorted(charged.items())),
            payouts=paid,
        )

    def step(self, batch):
        """Prepare and send what the chain waits for."""
        attempt = self.chain.prepare(batch, self.attempts)
        if attempt:
            self.attempts.append(attempt)
            self.chain.send(attempt)
        return attempt

    def attempted(self, call, *arguments, **options):
        """Do it if the contract takes it; a refusal makes no block."""
        height = self.chain.height
        try:
            call(*arguments, **options)
        except Reverted:
            assert self.chain.height == height


TestLife = Life.TestCase
TestLife.settings = examples(50, stateful_step_count=40)


@pytest.mark.sweep
def test_many_more_lives_keep_the_laws():
    run_state_machine_as_test(Life, settings=settings(max_examples=400, stateful_step_count=60, deadline=None))
