"""A log and its mock chain with one of everything that the two can have from each other."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from shop import ChainShop

from chains import Watcher, prove
from chains.leaves import TEXT_LEAF
from chains.mock import MockChain, Refuse
from ledger import Adjust, CreatePlan
from ledger.events import Event, Leaf, Payout
from ledger.log import decode_commit, encode_commit
from ledger.plugins import Store, contract_of, stores
from ledger.settlement.messages import Batch
from ledger.stores.sqlite import SQLiteStore

SECOND = 1_000_000
BEGIN = 1_701_388_680 * SECOND
ID = "shop"
PRO = {"acme": 900, "fee": 100}


class SettledShop(ChainShop):
    """A ledger with a clock, and its chain, in files of one folder. The chain has a challenge window of a block."""

    dimension = "calls"

    def __init__(self, folder: Path) -> None:
        self.log, self.mock = folder / "shop.db", folder / "shop.db.mock"
        super().__init__(MockChain(self.mock, window=1, finality=2), self.log, id=ID, now=BEGIN)

    def close(self) -> None:
        super().close()
        self.chain.close()

    def do(self, command: Any) -> int:
        """Execute a command a second after the one before."""
        self.now += SECOND
        return super().do(command)

    def buys(self, *subscribers: str, plan: str = "7", asset: str = "USD", **terms: Any) -> list[str]:
        shares = {"acme": 500} if asset == "EUR" else PRO
        terms = terms or {"credits": 100}
        return [self.chain.purchase(each, plan, asset, shares, **terms).id for each in subscribers]

    def payout(self, number: int, *payouts: Payout) -> None:
        """A batch on the chain that no log has, which pays these receivers, executed and final."""
        batch = self.unknown_batch(number, *payouts)
        for _ in range(2):
            attempt = self.chain.prepare(batch, [])
            assert attempt is not None
            self.chain.send(attempt)
            self.chain.mine(3)
        assert self.chain.find(number).stage == "executed"

    def unknown_batch(self, number: int, *payouts: Payout) -> Batch:
        """A batch for the chain that no log has."""
        return Batch(
            ledger="another",
            chain=self.chain.name,
            contract=self.chain.contract,
            number=number,
            asset="USD",
            at=self.now,
            covers={"main": 1},
            head_seq=1,
            head_hash="00" * 32,
            previous=self.chain.find(number - 1).digest,
            leaves=(Leaf("alice", "7", 1, 0),),
            payouts=payouts,
        )


def tell(folder: Path) -> None:
    """Purchases in two assets, claims, a refund, a cancelled batch, a number given back, an exit, a reversal; at the
    end a purchase that was granted early, and a batch on its way."""
    with SettledShop(folder) as shop:
        _settled_twice(shop)
        _leaves(shop)
        _taken_back(shop)
        shop.use(5)
        assert shop.settle("USD") == [8]
        _on_its_way(shop)


def _settled_twice(shop: SettledShop) -> None:
    terms: dict[str, Any] = {"owner": "acme", "policy": "per_credit", "parameters": {"credits": 1, "per": "call"}}
    shop.do(CreatePlan(plan="pro", price=PRO, credits=100, onchain_id="7", **terms))
    shop.do(CreatePlan(plan="hours", owner="acme", price={"acme": 500}, seconds=3600, asset="EUR", policy="time"))
    shop.buys("alice", "bob", "dave")
    shop.buys("carol", plan="hours", asset="EUR", seconds=3600)
    shop.sync(2)
    charge = shop.use(30)
    shop.use(10, "bob")
    shop.now += 600 * SECOND
    assert shop.settle() == [1, 2]
    shop.chain.claim("acme", "USD")
    shop.do(Adjust(charge=charge, credits=-20))
    assert shop.settle("USD") == [3]  # acme owes now


def _leaves(shop: SettledShop) -> None:
    shop.use(20)
    shop.outbox.open("USD")
    while shop.chain.find(4).stage != "committed":
        shop.outbox.step()
    shop.chain.cancel(4, "for a trial")
    shop.chain.mine(2)
    assert shop.settle("USD") == [4, 5]
    shop.chain.request_exit("dave", "7")
    shop.sync(2)
    shop.use(5)
    shop.outbox.open("USD")
    batch = shop.ledger.batches(contract_of(shop.chain))[-1].batch
    assert shop.settle("USD") == [6]
    proof = prove(batch, TEXT_LEAF, "dave", "7")
    shop.chain.exit("dave", "7", "USD", proof.leaf, proof.proof)
    shop.sync(2)


def _taken_back(shop: SettledShop) -> None:
    """A batch that the chain refuses gives its number back; a purchase that was granted early is lost."""
    shop.use(5)
    shop.chain.script(Refuse())
    assert shop.settle("USD") == [7]
    assert shop.settle("USD") == [7]
    shop.buys("frank")
    early = Watcher(shop.ledger, shop.chain, confirmations=0)
    early.sync()
    shop.chain.reorganise(1)
    shop.chain.mine(3)
    early.sync()


def _on_its_way(shop: SettledShop) -> None:
    shop.buys("erin")
    Watcher(shop.ledger, shop.chain, confirmations=0).sync()
    shop.use(5)
    shop.outbox.open("USD")
    while shop.chain.find(9).stage == "absent":
        shop.outbox.step()


def copied(told: Path, folder: Path) -> SettledShop:
    """A copy of a told shop, open."""
    for file in told.iterdir():
        shutil.copy(file, folder / file.name)
    return SettledShop(folder)


def changed(log: Path, change: Callable[[int, Any], Event | Iterable[Event] | None]) -> Store:
    """The log with some events changed, and every commit sealed again; None leaves an event as it is."""
    store = stores.get("memory")(None, id=ID)
    file = SQLiteStore(log, read_only=True)
    try:
        for commit in file.read(0):
            events = [change(seq, event) or event for seq, event in enumerate(decode_commit(commit), commit.first_seq)]
            store.append(store.head(), encode_commit(store.head(), commit.at, events))
    finally:
        file.close()
    return store
