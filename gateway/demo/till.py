"""The shop's money: a chain holds it in escrow, and what was earned of it is settled there in batches.

Whatever moves money is written to the chain first, so where a run is cut short the chain lacks nothing that the log
has; what the log lacks, `Watcher.sync` takes in.
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

from .shop import Shop
from .summary import OnChain


class Order(NamedTuple):
    """A purchase that is not paid for yet."""

    subscriber: str
    plan: CreatePlan


class Till(ABC):
    """The customers' and the shop's side of the contract on a chain."""

    pauses: range = range(100)
    """How often a settlement lets the chain pause before it leaves its batches open."""

    def __init__(self, ledger: Ledger, chain: Chain) -> None:
        self.ledger, self.chain = ledger, chain
        self._outbox, self._watcher = Outbox(ledger, chain), Watcher(ledger, chain)
        self._leaving: list[tuple[str, CreatePlan]] = []

    @abstractmethod
    def open(self, shop: Shop) -> Shop:
        """The shop as it is on this chain: plans with prices in the chain's money, customers by their names there."""

    @abstractmethod
    def _buy(self, order: Order) -> PurchaseMade:
        """Pay for an order on the chain."""

    @abstractmethod
    def _request_exit(self, subscriber: str, plan: CreatePlan) -> int:
        """Ask the contract to let a customer leave; the block that has it."""

    @abstractmethod
    def _exit(self, subscriber: str, plan: CreatePlan, proof: Proof) -> int:
        """Take the unspent rest out of the contract; the block that has it."""

    def told(self) -> OnChain | None:
        """What there is to tell of the chain, where it is more than a file beside the log."""
        return None

    def pay(self, commands: Sequence[Command | Order]) -> list[Command]:
        """The commands, each order paid for on the chain."""
        return [self._pay(command) if isinstance(command, Order) else command for command in commands]

    def leave(self, subscriber: str, plan: CreatePlan) -> None:
        """A customer asks to leave: the account is frozen, and paid what is left after a later batch."""
        self._take_in(self._request_exit(subscriber, plan))
        self._leaving.append((subscriber, plan))

    def settle(self) -> None:
        """Settle what was earned since the last batch; then those who leave take the rest, by proof."""
        if batches := self._outbox.settle(pauses=self.pauses):
            self._pay_out(batches[-1])

    def _pay(self, order: Order) -> Command:
        return command_of(self._buy(order), order.plan.plan, contract_of(self.chain))

    def _pay_out(self, batch: int) -> None:
        """A customer needs nothing of ours for it: the leaf file is published with the batch."""
        leaving = [each for each in self._leaving if self._may_leave(*each, batch)]
        for subscriber, plan in leaving:
            published = self.chain.published(batch)
            assert published is not None
            types = chain_plugin(self.chain.name).leaf_types
            proof = prove(leaf_file.decode(published), types, subscriber, plan.onchain_id or plan.plan)
            self._take_in(self._exit(subscriber, plan, proof))
            self._leaving.remove((subscriber, plan))

    def _may_leave(self, subscriber: str, plan: CreatePlan, batch: int) -> bool:
        """Whether that batch says all that the customer was charged."""
        return True

    def _take_in(self, block: int) -> None:
        """Wait until a block is final, and bring into the ledger what the chain says."""
        while self.chain.final_block() < block:
            self.chain.pause()
        self._watcher.sync()


class MockTill(Till):
    """A till at a mock chain, where names and money are the shop's own."""

    def __init__(self, ledger: Ledger, chain: MockChain) -> None:
        super().__init__(ledger, chain)
        self._mock = chain

    def open(self, shop: Shop) -> Shop:
        """As it is."""
        return shop

    def pay(self, commands: Sequence[Command | Order]) -> list[Command]:
        """The commands, each order paid for on the chain: all of them in one write, or none."""
        if not any(isinstance(command, Order) for command in commands):
            return super().pay(commands)
        with self._mock.together():
            return super().pay(commands)

    def _buy(self, order: Order) -> PurchaseMade:
        plan = order.plan
        return self._mock.purchase(
            order.subscriber, plan.plan, plan.asset, plan.price, credits=plan.credits, seconds=plan.seconds
        )

    def _request_exit(self, subscriber: str, plan: CreatePlan) -> int:
        return self._mock.request_exit(subscriber, plan.plan).block

    def _exit(self, subscriber: str, plan: CreatePlan, proof: Proof) -> int:
        paid = self._mock.exit(subscriber, plan.plan, plan.asset, proof.leaf, proof.proof)
        assert paid is not None
        return paid.block
