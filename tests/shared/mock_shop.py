"""A shop on a mock chain: a log, a chain, and what carries one to the other, to settle in every kind of trouble.

Alice has bought 100 credits for 1,000 USD, which the chain holds; 950 of them are for acme, 50 for a fee.
"""

from __future__ import annotations

from chains import Outbox, Step, Watcher
from chains.mock import MockChain
from ledger import Charge, CreatePlan, Ledger
from ledger.events import SettlementOpened, tag
from ledger.plugins import contract_of
from ledger.stores.memory import MemoryStore
from replay.audit.run import audit

AT = 1_700_000_000_000_000
SHARES = {"acme": 950, "platform": 50}


class Shop:
    """A log, a chain, and what carries one to the other. `crash` forgets everything but log and chain."""

    def __init__(self, chain: MockChain) -> None:
        self.store, self.chain = MemoryStore(id="toll"), chain
        self.crash()
        plan = CreatePlan(
            plan="pro",
            owner="acme",
            price=SHARES,
            credits=100,
            policy="complexity",
            parameters={"weights": {"units": 1}},
        )
        self.ledger.execute(plan).unwrap()
        self.sell("alice")

    def crash(self) -> None:
        self.ledger = Ledger(self.store, clock=lambda: AT)
        self.outbox, self.watcher = Outbox(self.ledger, self.chain), Watcher(self.ledger, self.chain)

    def sell(self, subscriber: str) -> None:
        self.chain.purchase(subscriber, "pro", "USD", SHARES, credits=100)
        self.chain.mine(6)
        assert self.watcher.sync() == []

    def use(self, units: int, subscriber: str = "alice") -> int:
        return self.ledger.execute(Charge(subscriber=subscriber, plan="pro", usage={"units": units})).unwrap().seq

    def open(self) -> int | None:
        return self.outbox.open("USD")

    def finish(self, pauses: int = 40) -> None:
        assert self.outbox.carry(range(pauses))

    def until(self, *tags: str) -> None:
        """Step until the log's last event is one of these."""
        for _ in range(30):
            if self.story()[-1] in tags:
                return
            if self.outbox.step() is not Step.wrote:
                self.chain.mine()
        raise AssertionError(f"never {tags}: {self.story()}")

    def story(self) -> list[str]:
        words = [tag(entry.event) for entry in self.ledger.events()]
        return [word.removeprefix("settlement_") for word in words if word.startswith("settlement_")]

    def opened(self) -> list[SettlementOpened]:
        return [entry.event for entry in self.ledger.events() if isinstance(entry.event, SettlementOpened)]

    def receives(self, **amounts: int) -> None:
        """What receivers have on the chain, and what the log says they have; and the books are in order."""
        on_chain = {name: self.chain.due(name, "USD") + self.chain.balance(name, "USD") for name in SHARES}
        settled = self.ledger.settling(contract_of(self.chain)).settled.get("USD", {})
        assert on_chain == amounts
        assert {name: settled.get(name, 0) for name in SHARES} == amounts
        assert self.chain.holdings("USD") == self.chain.escrow("USD") + sum(
            max(0, self.chain.due(name, "USD")) for name in SHARES
        )
        report = audit(self.store)
        assert report.clean, report.findings

    def sent(self) -> int:
        """How many batches the chain has."""
        return len(self.chain.batches())

    def restored(self, upto: int) -> None:
        """The log as it was in a backup that ends with the event of that sequence."""
        backup = MemoryStore(id="toll")
        for commit in self.store.read():
            if commit.last_seq <= upto:
                backup.append(backup.head(), commit)
        self.store = backup
        self.crash()
