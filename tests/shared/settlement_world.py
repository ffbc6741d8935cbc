"""A settlement contract on a machine of its own, with tokens, people and batches, ready in milliseconds."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils import keccak
from evm_machine import CHAIN_ID, COIN, Artifact, Contract, Machine, Receipt

import chains.evm
from chains.leaves import EVM_LEAF, abi_encode, leaf_hash
from chains.merkle import Tree
from ledger.events import Leaf

OURS = Path(os.environ.get("TOLLBOOK_ARTIFACTS", Path(chains.evm.__file__).parent / "artifacts"))
"""Where our contracts are; elsewhere where faults are planted in them."""

HOSTILE = Path(__file__).parent.parent / "chains" / "evm" / "artifacts"

DAY = 24 * 60 * 60
PURSE = 10**24
"""What everybody has of each token and of the coin, in the beginning."""

BALANCES = 0
"""The slot of the mapping of balances in OpenZeppelin's tokens: read past the contract, which takes a while."""

NO_DIGEST = bytes(32)
Shares = Sequence[tuple[str, int]]


@cache
def artifact(name: str, folder: Path = OURS) -> Artifact:
    """One of our contracts, or a hostile one."""
    return Artifact(folder / f"{name}.json")


class Person:
    """Somebody with a key."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.key = keccak(text=name)
        self.address: str = Account.from_key(self.key).address

    def __repr__(self) -> str:
        return self.name


OWNER, OPERATOR, GUARDIAN = Person("owner"), Person("operator"), Person("guardian")
ALICE, BOB, MALLORY, SELLER, PLATFORM = map(Person, ("alice", "bob", "mallory", "seller", "platform"))
EVERYBODY = (OWNER, OPERATOR, GUARDIAN, ALICE, BOB, MALLORY, SELLER, PLATFORM)


@dataclass(frozen=True)
class Batch:
    """A batch as the contract takes it, and what it was made of."""

    fields: tuple[Any, ...]
    leaves: tuple[Leaf, ...]
    payouts: tuple[tuple[str, int], ...]

    @property
    def number(self) -> int:
        """Its place in line."""
        return int(self.fields[0])

    def leaf(self, subscriber: str, plan: int) -> Leaf:
        """The account's leaf."""
        return next(each for each in self.leaves if (each.subscriber, each.plan) == (subscriber, str(plan)))

    def proof(self, leaf: Leaf) -> list[bytes]:
        """The leaf's siblings."""
        return tree_of(self.leaves).proof(leaf_hash(leaf, EVM_LEAF))


def tree_of(leaves: Iterable[Leaf]) -> Tree:
    """The tree over those leaves."""
    return Tree(leaf_hash(leaf, EVM_LEAF) for leaf in leaves)


def counted(leaf: Leaf) -> tuple[str, int, int, int]:
    """A leaf as the contract takes it."""
    return leaf.subscriber, int(leaf.plan), leaf.charged, leaf.credited


def hash_of(payouts: Sequence[tuple[str, int]]) -> bytes:
    """Keccak of `abi.encode(payouts)`."""
    words = b"".join(abi_encode(("address", "int96"), payout) for payout in payouts)
    return keccak((32).to_bytes(32, "big") + len(payouts).to_bytes(32, "big") + words)


@cache
def _pristine() -> tuple[Machine, Contract, Contract]:
    """A machine with rich people and two tokens, to be forked."""
    machine = Machine()
    for person in EVERYBODY:
        machine.give(person.address, PURSE)
    dollar = machine.deploy(artifact("TestToken"), by=OWNER.address)
    odd = machine.deploy(artifact("OddToken", HOSTILE), by=OWNER.address)
    for token in (dollar, odd):
        for person in EVERYBODY:
            token.do("mint", person.address, PURSE, by=OWNER.address)
            slot = keccak(abi_encode(("address", "uint256"), (person.address, BALANCES)))
            assert machine.slot(token.address, slot) == token.read("balanceOf", person.address) == PURSE
    return machine, dollar, odd


@cache
def _deployed(code: Artifact, window: int, freeze: int, delay: int) -> tuple[Machine, Contract]:
    pristine, dollar, odd = _pristine()
    machine = pristine.fork()
    terms = (OWNER.address, OPERATOR.address, GUARDIAN.address, window, freeze, delay)
    settlement = machine.deploy(code, *terms, by=OWNER.address)
    for token in (dollar, odd):
        for person in EVERYBODY:
            token.on(machine).do("approve", settlement.address, 2**256 - 1, by=person.address)
    return machine, settlement


class World:
    """A contract with that challenge window, freeze delay and exit delay, in seconds; a fresh one each time."""

    def __init__(self, window: int = 0, freeze: int = DAY, delay: int = 7 * DAY, code: Artifact | None = None) -> None:
        machine, settlement = _deployed(code or artifact("UsageSettlement"), window, freeze, delay)
        self.machine = machine.fork()
        self.settlement = settlement.on(self.machine)
        self.dollar, self.odd = (token.on(self.machine) for token in _pristine()[1:])
        self.window, self.freeze, self.delay = window, freeze, delay
        self.last = NO_DIGEST
        self.number = 0
        self._salts = itertools.count(1)

    # -- people -------------------------------------------------------------------------------------------------------

    def do(self, by: Person, function: str, *arguments: Any, value: int = 0) -> Receipt:
        """Let somebody call the settlement contract."""
        return self.settlement.do(function, *arguments, by=by.address, value=value)

    def read(self, function: str, *arguments: Any) -> Any:
        """Ask the settlement contract."""
        return self.settlement.read(function, *arguments)

    def puppet(self) -> Contract:
        """A contract that does what it is told, with a purse."""
        puppet = self.machine.deploy(artifact("Puppet", HOSTILE), by=OWNER.address)
        self.machine.give(puppet.address, PURSE)
        return puppet

    def calldata(self, function: str, *arguments: Any) -> bytes:
        """A call of the settlement contract, for somebody else to make."""
        return self.settlement.artifact.calldata(function, *arguments)

    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.machine.at(self.machine.time + seconds)

    # -- plans and purchases ------------------------------------------------------------------------------------------

    def salt(self) -> bytes:
        """A salt that was not used."""
        return next(self._salts).to_bytes(32, "big")

    def plan(self, token: str = COIN, shares: Shares = ((SELLER.address, 100),), credits: int = 1000) -> int:
        """A new plan of the seller's."""
        return int(self.do(SELLER, "setPlan", self.salt(), (token, credits, 0, shares)).value)

    def order(self, plan: int, subscriber: str) -> tuple[int, str, bytes]:
        """An order that nobody has bought yet."""
        return plan, subscriber, self.salt()

    def buy(self, plan: int, subscriber: Person | str = ALICE, by: Person = ALICE) -> bytes:
        """Buy with the coin, or with tokens that were approved; the purchase's id."""
        address = subscriber if isinstance(subscriber, str) else subscriber.address
        (token, *_), price, _ = self.read("getPlan", plan)
        value = price if token == COIN else 0
        return bytes(self.do(by, "purchase", self.order(plan, address), value=value).value)

    def authorization(
        self, order: tuple[int, str, bytes], payer: Person = ALICE, token: Contract | None = None, **changed: Any
    ) -> tuple[Any, ...]:
        """The payer's EIP-3009 authorization for that order, with fields changed before it is signed."""
        token = token or self.dollar
        _, price, _ = self.read("getPlan", order[0])
        message = {
            "from": payer.address,
            "to": self.settlement.address,
            "value": price,
            "validAfter": 0,
            "validBefore": 2**63,
            "nonce": self.read("purchaseId", order),
        } | changed
        kinds = ("address", "address", "uint256", "uint256", "uint256", "bytes32")
        fields = [{"name": name, "type": kind} for name, kind in zip(message, kinds, strict=True)]
        _, name, version, _, verifying, *_ = token.read("eip712Domain")
        domain = {"name": name, "version": version, "chainId": CHAIN_ID, "verifyingContract": verifying}
        signable = encode_typed_data(domain, {"ReceiveWithAuthorization": fields}, message)
        signed = Account.sign_message(signable, payer.key)
        r, s = (word.to_bytes(32, "big") for word in (signed.r, signed.s))
        return payer.address, message["validAfter"], message["validBefore"], signed.v, r, s

    # -- batches ------------------------------------------------------------------------------------------------------

    def batch(
        self,
        leaves: Iterable[tuple[Person | str, int, int, int]],
        /,
        payouts: Mapping[str, int] | Sequence[tuple[str, int]] = (),
        token: str = COIN,
        **changed: Any,
    ) -> Batch:
        """The next batch in line, of (subscriber, plan, charged, credited), with fields changed."""
        told = tuple(
            Leaf(each.address if isinstance(each, Person) else each, str(plan), charged, credited)
            for each, plan, charged, credited in leaves
        )
        pairs = tuple(payouts.items()) if isinstance(payouts, Mapping) else tuple(payouts)
        fields = {
            "seq": self.number + 1,
            "periodEnd": self.machine.time,
            "leaves": len(told),
            "token": token,
            "prevDigest": self.last,
            "usageRoot": tree_of(told).root if told else bytes(32),
            "dataHash": keccak(b"leaf file"),
            "payoutsHash": hash_of(pairs),
        } | changed
        return Batch(tuple(fields.values()), told, pairs)

    def commit(self, batch: Batch) -> Receipt:
        """Let the operator record it; the next batch follows it."""
        return self._recorded(batch, self.do(OPERATOR, "commitBatch", batch.fields, "ipfs://leaves"))

    def settle(self, batch: Batch) -> Receipt:
        """Let the operator record and execute it at once."""
        return self._recorded(batch, self.do(OPERATOR, "settleBatch", batch.fields, batch.payouts, "ipfs://leaves"))

    def execute(self, batch: Batch, by: Person = MALLORY) -> Receipt:
        """Execute it, as anyone may."""
        return self.do(by, "executeBatch", batch.fields, batch.payouts)

    def _recorded(self, batch: Batch, receipt: Receipt) -> Receipt:
        self.number, self.last = batch.number, receipt.logs[0].arguments["digest"]
        return receipt

    def exit(self, batch: Batch, plan: int, by: Person = ALICE) -> Receipt:
        """Leave by the caller's leaf in that batch."""
        leaf = batch.leaf(by.address, plan)
        return self.do(by, "exit", plan, leaf.charged, leaf.credited, batch.proof(leaf))

    # -- money --------------------------------------------------------------------------------------------------------

    def has(self, who: Person | str, token: str = COIN) -> int:
        """What somebody has of a token."""
        address = who if isinstance(who, str) else who.address
        if token == COIN:
            return self.machine.coins(address)
        return self.machine.slot(token, keccak(abi_encode(("address", "uint256"), (address, BALANCES))))

    def surplus(self, token: str, receivers: Iterable[str]) -> int:
        """What the contract holds above escrow and dues: 0, unless somebody forced money on it."""
        due = sum(max(0, self.read("due", token, receiver)) for receiver in set(receivers))
        return self.has(self.settlement.address, token) - self.read("escrow", token) - due
