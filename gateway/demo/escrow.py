"""The demo's money: held in escrow by a contract on a chain, and paid out by batches and exits.

Money moves on the chain before the ledger records it. Where a run is cut short, `Watcher.sync` finds on the chain what
the log lacks; the log never has more than the chain.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from chains import Outbox, Proof, Watcher, command_of, leaf_file, prove
from chains.mock import MockChain
from ledger import Command, CreatePlan, Ledger
from ledger.plugins import Chain, chain_plugin, contract_of
from ledger.settlement.messages import PurchaseMade

from .shop import ASSET, CENTS, Shop, price_of
from .summary import OnChain


class Order(NamedTuple):
    """A purchase that is not paid for yet."""

    subscriber: str
    plan: CreatePlan


class Escrow(ABC):
    """The settlement contract as the demo uses it, for its customers and its operator alike."""

    max_pauses: int = 100
    """The number of times that a settlement pauses for the chain before it leaves its batches open."""

    def __init__(self, ledger: Ledger, chain: Chain) -> None:
        self.ledger, self.chain = ledger, chain
        self._outbox, self._watcher = Outbox(ledger, chain), Watcher(ledger, chain)
        self._exiting: list[tuple[str, CreatePlan]] = []

    @abstractmethod
    def publish(self, shop: Shop) -> Shop:
        """Return the shop as it is on this chain: plans with prices in the chain's asset, customers by their names
        there."""

    @abstractmethod
    def _buy(self, order: Order) -> PurchaseMade:
        """Pay for an order on the chain."""

    @abstractmethod
    def _request_exit(self, subscriber: str, plan: CreatePlan) -> int:
        """Request a customer's exit from the contract; return its block."""

    @abstractmethod
    def _exit(self, subscriber: str, plan: CreatePlan, proof: Proof) -> int:
        """Pay a customer's unspent remainder out of the contract; return its block."""

    def onchain(self) -> OnChain | None:
        """Return the summary of an EVM chain; None for a mock chain."""
        return None

    def pay(self, commands: Sequence[Command | Order]) -> list[Command]:
        """Return the commands, with each order paid for on the chain and replaced by its purchase."""
        return [self._pay(command) if isinstance(command, Order) else command for command in commands]

    def request_exit(self, subscriber: str, plan: CreatePlan) -> None:
        """Request a customer's exit: the ledger freezes the account, and a later batch allows the payout."""
        self._sync(self._request_exit(subscriber, plan))
        self._exiting.append((subscriber, plan))

    def settle(self) -> None:
        """Settle what was earned since the last batch; then pay out the exits that it allows, by proof."""
        if batches := self._outbox.settle(pauses=range(self.max_pauses)):
            self._pay_exits(batches[-1])

    def _pay(self, order: Order) -> Command:
        return command_of(self._buy(order), order.plan.plan, contract_of(self.chain))

    def _pay_exits(self, batch: int) -> None:
        """Exit with a proof from the published leaf file alone: a customer needs nothing from the operator."""
        for subscriber, plan in [pair for pair in self._exiting if self._may_exit(*pair)]:
            published = self.chain.published(batch)
            assert published is not None
            types = chain_plugin(self.chain.name).leaf_types
            proof = prove(leaf_file.decode(published), types, subscriber, plan.onchain_id or plan.plan)
            self._sync(self._exit(subscriber, plan, proof))
            self._exiting.remove((subscriber, plan))

    def _may_exit(self, subscriber: str, plan: CreatePlan) -> bool:
        """True if the batch that was just settled has all that the customer was charged."""
        return True

    def _sync(self, block: int) -> None:
        """Wait until a block is final, and import the chain's new facts into the ledger."""
        while self.chain.final_block() < block:
            self.chain.pause()
        self._watcher.sync()


class MockEscrow(Escrow):
    """The contract of a mock chain, which has the shop's own names and money."""

    def __init__(self, ledger: Ledger, chain: MockChain) -> None:
        super().__init__(ledger, chain)
        self._mock = chain
        chain.set_decimals(ASSET, CENTS)

    def publish(self, shop: Shop) -> Shop:
        return shop

    def pay(self, commands: Sequence[Command | Order]) -> list[Command]:
        """Return the commands, with all orders paid for in one write."""
        if not any(isinstance(command, Order) for command in commands):
            return super().pay(commands)
        with self._mock.together():
            return super().pay(commands)

    def _buy(self, order: Order) -> PurchaseMade:
        plan = order.plan
        return self._mock.purchase(
            order.subscriber, plan.plan, plan.asset, price_of(plan), credits=int(plan.credits), seconds=plan.seconds
        )

    def _request_exit(self, subscriber: str, plan: CreatePlan) -> int:
        return self._mock.request_exit(subscriber, plan.plan).block

    def _exit(self, subscriber: str, plan: CreatePlan, proof: Proof) -> int:
        paid = self._mock.exit(subscriber, plan.plan, plan.asset, proof.leaf, proof.proof)
        assert paid is not None
        return paid.block
