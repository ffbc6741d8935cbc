"""A shop on a mock chain: a log, a chain, and what carries one to the other, to settle in every kind of trouble.

Alice has bought 100 credits for 1,000 USD, which the chain holds; 950 of them are for acme, 50 for a fee.
"""

from __future__ import annotations

from shop import ChainShop, copy_commits

from chains.mock import MockChain
from ledger import CreatePlan
from ledger.plugins import contract_of
from ledger.stores.memory import MemoryStore
from replay.audit.run import audit

SHARES = {"acme": 950, "platform": 50}


class MockShop(ChainShop):
    """A log in memory, a mock chain, and what carries one to the other."""

    def __init__(self, chain: MockChain) -> None:
        super().__init__(chain, MemoryStore(id="toll"))
        plan = CreatePlan(
            plan="pro",
            owner="acme",
            price=SHARES,
            credits=100,
            policy="complexity",
            parameters={"weights": {"units": 1}},
        )
        self.do(plan)
        self.sell("alice")

    def sell(self, subscriber: str) -> None:
        self.chain.purchase(subscriber, "pro", "USD", SHARES, credits=100)
        self.mine(6)
        self.sync()

    def receives(self, **amounts: int) -> None:
        """What receivers have on the chain, and what the log says they have; and the books are in order."""
        on_chain = {name: self.chain.due(name, "USD") + self.chain.balance(name, "USD") for name in SHARES}
        settled = self.ledger.settling(contract_of(self.chain)).settled.get("USD", {})
        assert on_chain == amounts
        assert {name: settled.get(name, 0) for name in SHARES} == amounts
        assert self.chain.holdings("USD") == self.chain.escrow("USD") + sum(
            max(0, self.chain.due(name, "USD")) for name in SHARES
        )
        report = audit(self.location)
        assert report.clean, report.findings

    def sent(self) -> int:
        """How many batches the chain has."""
        return len(self.chain.batches())

    def restored(self, upto: int) -> None:
        """The log as it was in a backup that ends with the event of that sequence."""
        self.location = copy_commits(self.location, MemoryStore(id="toll"), upto)
        self.crash()
