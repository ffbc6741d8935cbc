"""The shop's money: a mock chain holds it in escrow, and what was earned of it is settled there in batches.

Whatever moves money is written to the chain first, so where a run is cut short the chain lacks nothing that the log
has; what the log lacks, `Watcher.sync` takes in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from chains import Outbox, Watcher, command_of, leaf_file, prove
from chains.leaves import TEXT_LEAF
from chains.mock import MockChain
from ledger import Command, CreatePlan, Ledger
from ledger.batches import ChainFact


class Order(NamedTuple):
    """A purchase that is not paid for yet."""

    subscriber: str
    plan: CreatePlan


class Till:
    """The customers' and the shop's side of the contract on the chain."""

    def __init__(self, ledger: Ledger, chain: MockChain) -> None:
        self._ledger, self._chain = ledger, chain
        self._outbox, self._watcher = Outbox(ledger, chain), Watcher(ledger, chain)
        self._leaving: list[tuple[str, CreatePlan]] = []

    def pay(self, commands: Sequence[Command | Order]) -> list[Command]:
        """The commands, each order paid for on the chain: all of them in one write, or none."""
        if not any(isinstance(command, Order) for command in commands):
            return [command for command in commands if isinstance(command, Command)]
        with self._chain.together():
            return [self._pay(command) if isinstance(command, Order) else command for command in commands]

    def leave(self, subscriber: str, plan: CreatePlan) -> None:
        """A customer asks to leave: the account is frozen, and paid what is left after the next batch."""
        self._take_in(self._chain.request_exit(subscriber, plan.plan))
        self._leaving.append((subscriber, plan))

    def settle(self) -> None:
        """Settle what was earned since the last batch; then those who leave take the rest, by proof."""
        if batches := self._outbox.settle():
            leaving, self._leaving = self._leaving, []
            for subscriber, plan in leaving:
                self._pay_out(subscriber, plan, batches[-1])

    def _pay(self, order: Order) -> Command:
        plan = order.plan
        bought = self._chain.purchase(
            order.subscriber, plan.plan, plan.asset, plan.price, credits=plan.credits, seconds=plan.seconds
        )
        return command_of(bought, plan.plan, self._chain.name, self._chain.contract)

    def _pay_out(self, subscriber: str, plan: CreatePlan, batch: int) -> None:
        """The customer needs nothing of ours for it: the leaf file is published with the batch."""
        published = self._chain.published(batch)
        assert published is not None
        proof = prove(leaf_file.decode(published), TEXT_LEAF, subscriber, plan.plan)
        paid = self._chain.exit(subscriber, plan.plan, plan.asset, proof.leaf, proof.proof)
        assert paid is not None
        self._take_in(paid)

    def _take_in(self, fact: ChainFact) -> None:
        """Wait until what the chain says is final, and bring it into the ledger."""
        while self._chain.final_block() < fact.block:
            self._chain.pause()
        self._watcher.sync()
