"""The contract of a `World` as a chain, and as a harness: the real contract, without blocks and signatures around it.

All is final at once, and nothing is ever lost; facts are what the contract's events say.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evm_machine import CHAIN_ID, COIN, Artifact, Log, Receipt, Reverted
from settlement_world import ALICE, BOB, GUARDIAN, MALLORY, OPERATOR, OWNER, PLATFORM, SELLER, Person, World

from chains import leaf_file
from chains.commitment import to_hex
from chains.evm import addresses, commitment
from chains.evm.plugin import EvmPlugin
from chains.testing import Elsewhere, Harness
from ledger.amounts import SECOND
from ledger.events import Leaf, Payout, Share
from ledger.plugins import Chain
from ledger.settlement.messages import Attempt, Batch, ChainFact, ExitPaid, ExitRequested, Found, PurchaseMade, Standing

HOUR = 60 * 60
STAGES = ("absent", "committed", "executed", "cancelled")
NAME = addresses.chain_name(CHAIN_ID)


class WorldChain:
    """A world's contract as outbox and watcher ask a chain."""

    name = NAME

    def __init__(self, world: World) -> None:
        self.world, self.contract = world, world.settlement.address
        self.plans: dict[int, tuple[str, tuple[Share, ...], int, int]] = {}
        self.known: list[ChainFact] = []
        self.files: dict[int, bytes] = {}
        self.sent: set[str] = set()
        self.claims: dict[tuple[str, str], int] = {}

    def do(self, by: Person, function: str, *arguments: Any, value: int = 0) -> Receipt:
        """Let somebody call the contract, and hear what it says. Raises Reverted."""
        receipt = self.world.do(by, function, *arguments, value=value)
        for log in receipt.logs:
            self._hear(log)
        return receipt

    def publish(self, asset: str, shares: Mapping[str, int], credits: int, seconds: int) -> str:
        """A new plan of the seller's; its id."""
        parted = [(name, amount) for name, amount in shares.items() if amount]
        terms = (addresses.token(asset), credits, seconds, parted)
        plan = self.do(SELLER, "setPlan", self.world.salt(), terms).value
        self.plans[plan] = (asset, tuple(Share(*each) for each in parted), credits, seconds)
        return addresses.plan_name(plan)

    def buy(self, by: Person, order: tuple[int, str, bytes]) -> Receipt:
        """Buy an order, with the coin or with tokens that were approved."""
        (token, *_), price, _ = self.world.read("getPlan", order[0])
        return self.do(by, "purchase", order, value=price if token == COIN else 0)

    def _hear(self, log: Log) -> None:
        told = log.arguments
        if log.name == "Claimed":
            key = addresses.address(told["receiver"]), addresses.asset_name(NAME, addresses.address(told["token"]))
            self.claims[key] = self.claims.get(key, 0) + told["amount"]
        if log.name not in ("Purchased", "ExitRequested", "Exited"):
            return
        subscriber, plan = addresses.address(told["subscriber"]), told["planId"]
        where = {"block": self.world.machine.block, "subscriber": subscriber, "plan": addresses.plan_name(plan)}
        asset, shares, credits, seconds = self.plans[plan]
        if log.name == "Purchased":
            money = {"asset": asset, "shares": shares, "credits": credits, "seconds": seconds}
            self.known.append(PurchaseMade(id=to_hex(told["purchaseId"]), **where, **money))
        elif log.name == "ExitRequested":
            self.known.append(ExitRequested(id=f"requested {subscriber} {plan}", **where))
        else:
            self.known.append(ExitPaid(id=f"paid {subscriber} {plan}", **where, asset=asset, amount=told["amount"]))

    def facts(self, after: int = 0, confirmations: int | None = None) -> Iterable[ChainFact]:
        return [fact for fact in self.known if fact.block > after]

    def final_block(self) -> int:
        return self.world.machine.block

    def simulate(self, batch: Batch) -> str | None:
        """Batches before it that wait count as paid out."""
        escrow, due = self.escrow(batch.asset), dict[str, int]()
        settled = self.world.read("settledSeq")
        waiting = [
            self.files[number] for number in range(settled + 1, batch.number) if self.find(number).stage == "committed"
        ]
        for each in (*map(leaf_file.decode, waiting), batch):
            for payout in each.payouts:
                before = due.get(payout.receiver, self.due(payout.receiver, batch.asset))
                due[payout.receiver] = before + payout.amount
                escrow -= max(before + payout.amount, 0) - max(before, 0)
        return None if escrow >= 0 else "EscrowShort"

    def prepare(self, batch: Batch, attempts: Sequence[Attempt]) -> Attempt:
        self.files[batch.number] = leaf_file.encode(batch)
        stage = self.find(batch.number).stage
        call = "executeBatch" if stage == "committed" else "commitBatch" if self.world.window else "settleBatch"
        number = 1 + sum(attempt.number == batch.number for attempt in attempts)
        return Attempt(batch.number, number, json.dumps([call, batch.number]), f"{call} {batch.number} {number}")

    def send(self, attempt: Attempt) -> None:
        call, number = json.loads(attempt.raw)
        self.sent.add(attempt.transaction)
        try:
            self.bring(OPERATOR, call, leaf_file.decode(self.files[number]))
        except Reverted as error:
            if error.error not in ("EscrowShort", "BatchNotOpen"):
                raise

    def bring(self, by: Person, call: str, batch: Batch, payouts: Sequence[Payout] | None = None) -> None:
        """Record a batch, execute it, or both."""
        made = tuple(commitment.contract_batch(batch))
        paid = [(each.receiver, each.amount) for each in (batch.payouts if payouts is None else payouts)]
        arguments = {"commitBatch": (made, ""), "settleBatch": (made, paid, ""), "executeBatch": (made, paid)}
        self.do(by, call, *arguments[call])

    def find(self, number: int) -> Found:
        digest, committed_at, _, moved, stage = self.world.read("getBatch", number)
        if not stage:
            return Found(stage="absent")
        waits = (
            committed_at + self.world.window > self.world.machine.time or number != self.world.read("settledSeq") + 1
        )
        return Found(stage=STAGES[stage], digest=to_hex(digest), block=moved, final=True, ready=not waits)

    def confirm(self, attempt: Attempt) -> Standing:
        return "final" if attempt.transaction in self.sent else "gone"

    def published(self, number: int) -> bytes | None:
        return self.files[number]

    def due(self, receiver: str, asset: str) -> int:
        return self.world.read("due", addresses.token(asset), receiver)

    def claimed(self, receiver: str, asset: str) -> int:
        return self.claims.get((receiver, asset), 0)

    def escrow(self, asset: str) -> int:
        return self.world.read("escrow", addresses.token(asset))

    def holdings(self, asset: str) -> int:
        return self.world.has(self.contract, addresses.token(asset))

    def pause(self) -> None:
        self.world.wait(HOUR)

    def close(self) -> None:
        pass


class WorldHarness(Harness):
    """Contracts on machines of their own, made of this code. The first plan is sold for a token, the second for the
    coin. `wait_for_exit` is years."""

    plugin = EvmPlugin()
    subscribers = (ALICE.address, BOB.address, MALLORY.address, OWNER.address)
    receivers = (PLATFORM.address, SELLER.address)
    plans = ("small", "large")
    purse = 10**23
    years = 10 * 365 * 24 * HOUR

    def __init__(self, *, window: bool = False, code: Artifact | None = None) -> None:
        self.window, self._code = window, code
        token = self._world().dollar.address
        self.asset = addresses.asset_name(NAME, token)
        self.elsewhere = Elsewhere("eip155:1", GUARDIAN.address, addresses.asset_name(NAME, COIN))
        self._people = {person.address: person for person in (ALICE, BOB, MALLORY, OWNER)}
        self._orders: dict[str, tuple[Person, tuple[int, str, bytes]]] = {}

    def _world(self) -> World:
        return World(window=HOUR if self.window else 0, freeze=HOUR, delay=self.years, code=self._code)

    def fresh(self) -> Chain:
        chain = WorldChain(self._world())
        first, second = ({self.receivers[0]: amounts[0], self.receivers[1]: amounts[1]} for amounts in PRICES)
        self.plans = (
            chain.publish(self.asset, first, 100, 0),
            chain.publish(self.elsewhere.asset, second, 7, 0),
        )
        self._had = {
            (token, receiver): chain.world.has(receiver, token)
            for token in (COIN, chain.world.dollar.address)
            for receiver in self.receivers
        }
        return chain

    def again(self, chain: Chain) -> Chain:
        return chain

    def now(self, chain: Chain) -> int:
        return world(chain).machine.time * SECOND

    def purchase(self, chain: Chain, subscriber: str, plan: str, shares: Mapping[str, int], credits: int) -> str:
        order = self._people[subscriber], world(chain).order(int(plan, 16), subscriber)
        id = to_hex(of(chain).buy(*order).value)
        self._orders[id] = order
        return id

    purchase_elsewhere = purchase

    def purchase_again(self, chain: Chain, id: str) -> None:
        of(chain).buy(*self._orders[id])

    def mine(self, chain: Chain) -> None:
        world(chain).wait(1)

    def pass_time(self, chain: Chain) -> None:
        world(chain).wait(HOUR + 1)

    def wait_for_exit(self, chain: Chain) -> None:
        world(chain).wait(self.years)

    def paid(self, chain: Chain, receiver: str, asset: str) -> int:
        token = addresses.token(asset)
        return world(chain).has(receiver, token) - self._had[token, receiver] + chain.due(receiver, asset)

    def claim(self, chain: Chain, receiver: str) -> None:
        of(chain).do(MALLORY, "claim", addresses.token(self.asset), receiver)

    def request_exit(self, chain: Chain, subscriber: str, plan: str) -> None:
        of(chain).do(self._people[subscriber], "requestExit", int(plan, 16))

    def leave(self, chain: Chain, subscriber: str, plan: str, leaf: Leaf, proof: Sequence[str]) -> None:
        counters = int(plan, 16), leaf.charged, leaf.credited
        of(chain).do(self._people[subscriber], "exit", *counters, siblings(proof))

    def leave_without_leaf(self, chain: Chain, subscriber: str, plan: str) -> None:
        claimed = world(chain).read("getAccount", subscriber, int(plan, 16))[2]
        of(chain).do(self._people[subscriber], "exitUncharged" if claimed else "claimUncharged", int(plan, 16))

    def refute(self, chain: Chain, leaf: Leaf, proof: Sequence[str]) -> None:
        of(chain).do(MALLORY, "refuteUncharged", counters(leaf), siblings(proof))

    def record(self, chain: Chain, batch: Batch, *, stranger: bool = False) -> None:
        of(chain).bring(MALLORY if stranger else OPERATOR, "commitBatch" if self.window else "settleBatch", batch)

    def execute(self, chain: Chain, batch: Batch, payouts: Sequence[Payout]) -> None:
        of(chain).bring(MALLORY, "executeBatch", batch, payouts)

    def cancel(self, chain: Chain, number: int) -> None:
        of(chain).do(GUARDIAN if number % 2 else OWNER, "cancelBatch", number, "")

    def cancel_as_stranger(self, chain: Chain, number: int) -> None:
        of(chain).do(OPERATOR, "cancelBatch", number, "")

    def challenge(self, chain: Chain, batch: Batch, leaf: Leaf, proof: Sequence[str]) -> None:
        made = tuple(commitment.contract_batch(batch))
        of(chain).do(MALLORY, "challengeOverdraw", made, counters(leaf), siblings(proof))

    def reason(self, error: Exception) -> str:
        return error.error if isinstance(error, Reverted) else ""


PRICES = ((900, 100), (70, 7))
"""Of the two plans, by receiver: the differential test's."""


def of(chain: Chain) -> WorldChain:
    """The chain as what it is."""
    assert isinstance(chain, WorldChain)
    return chain


def world(chain: Chain) -> World:
    """Where its contract is."""
    return of(chain).world


def counters(leaf: Leaf) -> tuple[str, int, int, int]:
    """A leaf as the contract takes it."""
    return leaf.subscriber, int(leaf.plan, 16), leaf.charged, leaf.credited


def siblings(proof: Sequence[str]) -> list[bytes]:
    """A proof as the contract takes it."""
    return [bytes.fromhex(each[2:]) for each in proof]
