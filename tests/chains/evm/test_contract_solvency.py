"""Escrow has what subscribers have not spent, and the last of them can leave: on the real contract, on which a ledger,
outbox and watcher settle as on any chain. See settlement_honest; that the contract does what the mock's does, on which
the law is tried in every run, is the differential test's."""

import pytest
from evm_machine import COIN, Reverted
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from settlement_honest import HonestSteps
from settlement_till import the_last_customer_leaves, what_does_not_fit_is_in_the_next_batch
from settlement_world import ALICE, BOB, GUARDIAN, MALLORY, World
from world_chain import HOUR, WorldChain, siblings

from chains.evm import addresses
from ledger.amounts import SECOND

PEOPLE = {person.address: person for person in (ALICE, BOB, MALLORY)}


class ContractPlace:
    """The contract, with a challenge window of an hour or none, sold for the chain's coin."""

    subscribers = tuple(PEOPLE)
    receivers = tuple(sorted(addresses.address(f"0x{number:040x}") for number in range(0xFEE1, 0xFEE8)))
    refusals = (Reverted,)

    def __init__(self, window):
        self.world = World(window=HOUR if window else 0, freeze=HOUR, delay=12 * HOUR)
        self.chain = WorldChain(self.world)
        self.asset = addresses.asset_name(self.chain.name, COIN)

    def now(self):
        return self.world.machine.time * SECOND

    def wait(self, long):
        self.world.wait(13 * HOUR if long else 5)

    def publish(self, number, shares, credits, seconds):
        return self.chain.publish(self.asset, shares, credits, seconds)

    def buy(self, subscriber, plan):
        self.chain.buy(PEOPLE[subscriber], self.world.order(int(plan, 16), subscriber))

    def claim(self, receiver):
        self.chain.do(MALLORY, "claim", COIN, receiver)

    def ask(self, subscriber, plan):
        self.chain.do(PEOPLE[subscriber], "requestExit", int(plan, 16))

    def leave(self, subscriber, plan, leaf, proof):
        person, number = PEOPLE[subscriber], int(plan, 16)
        if leaf is not None:
            self.chain.do(person, "exit", number, leaf.charged, leaf.credited, siblings(proof))
        elif not self.world.read("getAccount", subscriber, number)[2]:
            self.chain.do(person, "claimUncharged", number)
        else:
            self.chain.do(person, "exitUncharged", number)

    def cancel(self, number):
        self.chain.do(GUARDIAN, "cancelBatch", number, "")


class OnTheContract(HonestSteps):
    place = ContractPlace


@pytest.mark.parametrize("window", [False, True])
def test_the_last_customer_leaves_though_shares_were_rounded(window):
    the_last_customer_leaves(ContractPlace(window))


def test_a_payout_beyond_int96_is_in_several_batches():
    """2^95 + 4 of a token's smallest unit for each of three customers."""
    place = ContractPlace(False)
    for person in PEOPLE.values():
        place.world.machine.give(person.address, 2**100)
    what_does_not_fit_is_in_the_next_batch(place, 2**95 - 1)


@pytest.mark.sweep
def test_escrow_has_it_over_many_more_steps():
    run_state_machine_as_test(OnTheContract, settings=settings(max_examples=40, stateful_step_count=40, deadline=None))
