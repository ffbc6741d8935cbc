"""A contract in everybody's hands, and a ledger that sells one plan there: on the mock chain or the real contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from chains import Outbox, Watcher, leaf_file, prove
from ledger import (
    Adjust,
    Charge,
    CreatePlan,
    Ledger,
)
from ledger.events import Leaf
from ledger.plugins import Chain, chain_plugin, contract_of
from ledger.settlement.messages import ExitPaid
from ledger.stores.memory import MemoryStore

Shares = Mapping[str, int]


class Place(Protocol):
    """A contract, and what everybody but the operator does there. What it refuses raises one of `refusals`."""

    chain: Chain
    asset: str
    subscribers: Sequence[str]
    receivers: Sequence[str]
    refusals: tuple[type[Exception], ...]

    def now(self) -> int: ...
    def wait(self, long: bool) -> None:
        """Time passes: a while, or as long as somebody waits who leaves without the operator's help."""
        ...

    def publish(self, number: int, shares: Shares, credits: int, seconds: int) -> str:
        """A plan on those terms; its id."""
        ...

    def buy(self, subscriber: str, plan: str) -> None: ...
    def claim(self, receiver: str) -> None: ...
    def ask(self, subscriber: str, plan: str) -> None: ...
    def leave(self, subscriber: str, plan: str, leaf: Leaf | None, proof: Sequence[str]) -> None:
        """By a leaf; without one, claim to have been charged nothing, or leave by an earlier claim."""
        ...

    def cancel(self, number: int) -> None: ...


class Till:
    """A ledger that sells one plan at a place, with what carries its money."""

    def __init__(self, place: Place, shares: Shares, credits: int) -> None:
        self.place = place
        self.ledger = Ledger(MemoryStore(id="till"), clock=place.now)
        self.plan = place.publish(0, shares, credits, 0)
        terms: dict[str, Any] = {"asset": place.asset, "price": shares, "credits": credits, "policy": "complexity"}
        plan = CreatePlan(plan="pro", owner="acme", onchain_id=self.plan, parameters={"weights": {"units": 1}}, **terms)
        self.ledger.execute(plan).unwrap()
        self.outbox, self.watcher = Outbox(self.ledger, place.chain), Watcher(self.ledger, place.chain)
        for subscriber in place.subscribers:
            place.buy(subscriber, self.plan)
        self.pass_time()

    def pass_time(self) -> None:
        """As long as who leaves waits at most."""
        self.place.wait(True)
        assert self.watcher.sync() == []

    def use(self, units: int) -> list[int]:
        """By every subscriber; the charges' sequences."""
        charges = [
            Charge(subscriber=name, plan="pro", usage={"units": units}) for name in self.place.subscribers if units
        ]
        return [self.ledger.execute(charge).unwrap().seq for charge in charges]

    def settle(self) -> list[int]:
        """All there is; the numbers of the batches."""
        return self.outbox.settle()

    def claim(self) -> None:
        """For every receiver, what is due to it."""
        for receiver in self.place.receivers:
            if self.place.chain.due(receiver, self.place.asset) > 0:
                self.place.claim(receiver)

    def all_leave(self) -> int:
        """By their leaves in the last batch, one after the other; what they take out in all."""
        for subscriber in self.place.subscribers:
            self.place.ask(subscriber, self.plan)
        self.pass_time()
        self.settle()
        numbers = range(self.ledger.settling(contract_of(self.place.chain)).number, 0, -1)
        data = self.place.chain.published(numbers[0])
        assert data is not None
        types = chain_plugin(self.place.chain.name).leaf_types
        for subscriber in self.place.subscribers:
            proof = prove(leaf_file.decode(data), types, subscriber, self.plan)
            self.place.leave(subscriber, self.plan, proof.leaf, proof.proof)
        return sum(fact.amount for fact in self.place.chain.facts() if isinstance(fact, ExitPaid))


def the_last_customer_leaves(place: Place) -> None:
    """Three receivers, 950, 30 and 20 of 1000 for 1000 credits: of 50 and of 51 credits, ⌊51 · 30 / 1000⌋ = 1 is the
    second one's, and not 1 and then 0. Everybody claims in between, and then everybody leaves."""
    shares = dict(zip(place.receivers, (950, 30, 20), strict=False))
    till = Till(place, shares, 1000)
    many = len(place.subscribers)
    for units, upto in ((50, 50), (1, 51)):
        till.use(units)
        till.settle()
        due = {name: place.chain.due(name, place.asset) + place.chain.claimed(name, place.asset) for name in shares}
        assert due == {name: many * (upto * share // 1000) for name, share in shares.items()}
        assert min(place.chain.due(name, place.asset) for name in shares) >= 0
        till.claim()
    assert place.chain.escrow(place.asset) >= many * 949
    assert till.all_leave() == many * 949


def what_does_not_fit_is_in_the_next_batch(place: Place, most: int) -> None:
    """A share beyond what one batch can pay, of each of the subscribers: several batches pay it, and take it back."""
    one, other = place.receivers[:2]
    till = Till(place, {one: most + 5, other: 7}, 1)
    many = len(place.subscribers)
    charges = till.use(1)
    paid = till.settle()
    assert len(paid) == many + 1
    assert [place.chain.due(name, place.asset) for name in (one, other)] == [many * (most + 5), many * 7]
    for charge in charges:
        till.ledger.execute(Adjust(charge=charge, credits=-1)).unwrap()
    assert len(till.settle()) == many + 1
    assert [place.chain.due(name, place.asset) for name in (one, other)] == [0, 0]
    assert place.chain.escrow(place.asset) == many * (most + 12)
