"""Escrow has what subscribers have not spent, and the last of them can leave: on the real contract, on which a ledger,
outbox and watcher settle as on any chain. See settlement_honest."""

import json

import pytest
from evm_machine import CHAIN_ID, COIN, Reverted
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test
from settlement_honest import HonestSteps, the_last_customer_leaves, what_does_not_fit_is_in_the_next_batch
from settlement_world import ALICE, BOB, GUARDIAN, MALLORY, OPERATOR, SELLER, World

from chains import leaf_file
from chains.commitment import to_hex
from chains.evm import addresses, commitment
from ledger.amounts import SECOND
from ledger.events import Share
from ledger.settlement.messages import Attempt, ExitPaid, ExitRequested, Found, PurchaseMade

PEOPLE = {person.address: person for person in (ALICE, BOB, MALLORY)}
HOUR = 60 * 60
STAGES = ("absent", "committed", "executed", "cancelled")


class WorldChain:
    """The contract of a `World` as outbox and watcher ask a chain: all is final at once, nothing is ever lost."""

    name = addresses.chain_name(CHAIN_ID)

    def __init__(self, world):
        self.world, self.contract = world, world.settlement.address
        self.asset = addresses.asset_name(self.name, COIN)
        self.told, self.files, self.sent, self.claims = [], {}, set(), {}

    def facts(self, after=0, confirmations=None):
        return [fact for fact in self.told if fact.block > after]

    def final_block(self):
        return self.world.machine.block

    def simulate(self, batch):
        """Batches in line before it count as paid out."""
        escrow, due = self.escrow(batch.asset), {}
        settled = self.world.read("settledSeq")
        line = [
            self.files[number] for number in range(settled + 1, batch.number) if self.find(number).stage == "committed"
        ]
        for each in (*map(leaf_file.decode, line), batch):
            for payout in each.payouts:
                before = due.get(payout.receiver, self.due(payout.receiver, batch.asset))
                due[payout.receiver] = before + payout.amount
                escrow -= max(before + payout.amount, 0) - max(before, 0)
        return None if escrow >= 0 else "EscrowShort"

    def prepare(self, batch, attempts):
        self.files[batch.number] = leaf_file.encode(batch)
        stage = self.find(batch.number).stage
        call = "executeBatch" if stage == "committed" else "commitBatch" if self.world.window else "settleBatch"
        number = 1 + sum(attempt.number == batch.number for attempt in attempts)
        return Attempt(batch.number, number, json.dumps([call, batch.number]), f"{call} {batch.number} {number}")

    def send(self, attempt):
        call, number = json.loads(attempt.raw)
        batch = leaf_file.decode(self.files[number])
        made, payouts = (
            tuple(commitment.contract_batch(batch)),
            [(each.receiver, each.amount) for each in batch.payouts],
        )
        told = {"commitBatch": (made, ""), "settleBatch": (made, payouts, ""), "executeBatch": (made, payouts)}[call]
        self.sent.add(attempt.transaction)
        try:
            self.world.do(OPERATOR, call, *told)
        except Reverted as error:
            if error.error not in ("EscrowShort", "BatchNotOpen"):
                raise

    def find(self, number):
        digest, committed_at, _, moved, stage = self.world.read("getBatch", number)
        if not stage:
            return Found(stage="absent")
        waits = (
            committed_at + self.world.window > self.world.machine.time or number != self.world.read("settledSeq") + 1
        )
        return Found(stage=STAGES[stage], digest=to_hex(digest), block=moved, final=True, ready=not waits)

    def confirm(self, attempt):
        return "final" if attempt.transaction in self.sent else "gone"

    def published(self, number):
        return self.files[number]

    def due(self, receiver, asset):
        return self.world.read("due", addresses.token(asset), receiver)

    def claimed(self, receiver, asset):
        return self.claims.get(receiver, 0)

    def escrow(self, asset):
        return self.world.read("escrow", addresses.token(asset))

    def holdings(self, asset):
        return self.world.has(self.contract)

    def access(self, subscriber, plan):
        return self.world.read("hasAccess", subscriber, int(plan, 16))

    def pause(self):
        self.world.wait(HOUR)

    def close(self):
        pass


class ContractPlace:
    """The contract, with a challenge window of an hour or none, sold for the chain's coin."""

    subscribers = tuple(PEOPLE)
    receivers = tuple(sorted(addresses.address(f"0x{number:040x}") for number in range(0xFEE1, 0xFEE8)))
    refusals = (Reverted,)

    def __init__(self, window):
        self.world = World(window=HOUR if window else 0, freeze=HOUR, delay=12 * HOUR)
        self.chain = WorldChain(self.world)
        self.asset = self.chain.asset
        self.plans = {}

    def now(self):
        return self.world.machine.time * SECOND

    def wait(self, long):
        self.world.wait(13 * HOUR if long else 5)

    def publish(self, number, shares, credits, seconds):
        parted = [(name, amount) for name, amount in shares.items() if amount]
        terms = (COIN, credits, seconds, parted)
        id = f"0x{self.world.do(SELLER, 'setPlan', self.world.salt(), terms).value:064x}"
        self.plans[id] = (tuple(Share(*each) for each in parted), credits, seconds)
        return id

    def buy(self, subscriber, plan):
        purchase = self.world.buy(int(plan, 16), PEOPLE[subscriber], by=PEOPLE[subscriber])
        shares, credits, seconds = self.plans[plan]
        money = {"asset": self.asset, "shares": shares, "credits": credits, "seconds": seconds}
        self.chain.told.append(PurchaseMade(**self.where(subscriber, plan, to_hex(purchase)), **money))

    def where(self, subscriber, plan, id):
        return {"id": id, "block": self.world.machine.block, "subscriber": subscriber, "plan": plan}

    def claim(self, receiver):
        due = self.chain.due(receiver, self.asset)
        self.world.do(MALLORY, "claim", COIN, receiver)
        self.chain.claims[receiver] = self.chain.claimed(receiver, self.asset) + due

    def ask(self, subscriber, plan):
        self.world.do(PEOPLE[subscriber], "requestExit", int(plan, 16))
        self.chain.told.append(ExitRequested(**self.where(subscriber, plan, f"asked {subscriber} {plan}")))

    def leave(self, subscriber, plan, leaf, proof):
        person, number = PEOPLE[subscriber], int(plan, 16)
        if leaf is not None:
            siblings = [bytes.fromhex(each[2:]) for each in proof]
            amount = self.world.do(person, "exit", number, leaf.charged, leaf.credited, siblings).value
        elif not self.world.read("getAccount", subscriber, number)[2]:
            self.world.do(person, "claimUncharged", number)
            return
        else:
            amount = self.world.do(person, "exitUncharged", number).value
        told = self.where(subscriber, plan, f"left {subscriber} {plan}")
        self.chain.told.append(ExitPaid(**told, asset=self.asset, amount=amount))

    def cancel(self, number):
        self.world.do(GUARDIAN, "cancelBatch", number, "")


class OnTheContract(HonestSteps):
    place = ContractPlace


TestSolvency = OnTheContract.TestCase
TestSolvency.settings = settings(max_examples=8, stateful_step_count=25, deadline=None)


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
