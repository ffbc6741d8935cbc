"""Escrow has what subscribers have not spent, and the last of them can leave: on the mock. See settlement_honest."""

import pytest
from examples import examples
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from settlement_honest import HonestSteps
from settlement_till import the_last_customer_leaves, what_does_not_fit_is_in_the_next_batch

from chains.mock import MockChain, Reverted
from ledger.plugins import chain_plugin

BEGIN = 1_700_000_000_000_000
SECOND = 1_000_000


class MockPlace:
    """A mock chain whose blocks are final at once, five seconds apart."""

    asset = "USD"
    subscribers = ("ann", "ben", "cat")
    receivers = ("acme", "bea", "fee", "kim", "mia", "sue", "zoe")
    refusals = (Reverted,)

    def __init__(self, window: bool) -> None:
        self.chain = MockChain(finality=0, window=2 if window else 0, exit_delay=10)
        self.terms = {}

    def now(self):
        return BEGIN + self.chain.height * 5 * SECOND

    def wait(self, long):
        self.chain.mine(12 if long else 1)

    def publish(self, number, shares, credits, seconds):
        self.terms[str(number)] = shares, credits, seconds
        return str(number)

    def buy(self, subscriber, plan):
        shares, credits, seconds = self.terms[plan]
        self.chain.purchase(subscriber, plan, self.asset, shares, credits=credits, seconds=seconds)

    def claim(self, receiver):
        self.chain.claim(receiver, self.asset)

    def ask(self, subscriber, plan):
        self.chain.request_exit(subscriber, plan)

    def leave(self, subscriber, plan, leaf, proof):
        self.chain.exit(subscriber, plan, self.asset, leaf, proof)

    def cancel(self, number):
        self.chain.cancel(number, "the guardian says so")


class OnTheMock(HonestSteps):
    place = MockPlace


TestSolvency = OnTheMock.TestCase
TestSolvency.settings = examples(20, stateful_step_count=40)


@pytest.mark.parametrize("window", [False, True])
def test_the_last_customer_leaves_though_shares_were_rounded(window):
    the_last_customer_leaves(MockPlace(window))


def test_a_payout_beyond_what_one_batch_can_pay_is_in_several(monkeypatch):
    monkeypatch.setattr(type(chain_plugin("mock:local")), "max_payout", 1000)
    what_does_not_fit_is_in_the_next_batch(MockPlace(False), 1000)


@pytest.mark.sweep
def test_escrow_has_it_over_many_more_steps():
    run_state_machine_as_test(OnTheMock, settings=settings(max_examples=400, stateful_step_count=60, deadline=None))
