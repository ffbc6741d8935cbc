"""Gas used by the settlement contract on eth-tester: the same on every machine, and at every price of gas.

`python -m benchmarks gas` takes half a minute. Beside each batch is the gas of one token transfer for each account.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from chains.evm.artifacts import load
from chains.leaves import EVM_LEAF, abi_encode, keccak, leaf_hash
from chains.merkle import Tree
from ledger.events import Leaf

from . import pages

GAS = "gas"
"""The name of the table in docs/performance.md."""

COIN = "0x" + "0" * 40
PRICE = 50_000_000
EARNED = 100_000
"""Tokens that each receiver is paid in a batch, in the smallest unit."""

PERIOD_END = 2**32 - 1
"""A time with as many bytes as a present one, and the same in every run; the contract uses the batch's own time."""

SIZES = (10, 100, 1_000, 10_000)
TRANSFERS = 10
"""Number of transfers sent; each costs the same, except for the zero bytes in an address."""


@dataclass(frozen=True)
class Figure:
    """Gas of one transaction for so many accounts. `most` is the aim, `transfers` the gas of a transfer for each."""

    title: str
    gas: int
    accounts: int = 1
    most: int | None = None
    transfers: int | None = None

    @property
    def reached(self) -> bool:
        """True if the gas is not more than the aim."""
        return self.most is None or self.gas <= self.most

    def cells(self) -> tuple[str, ...]:
        """Return the cells of the row, in the order of the headings."""
        each = f"{self.gas / self.accounts:,.0f}" if self.accounts > 1 else ""
        beside = f"{self.transfers:,}" if self.transfers is not None else ""
        less = f"{self.transfers / self.gas:,.0f}" if self.transfers is not None else ""
        aim = f"{self.most:,} or less" if self.most is not None else ""
        reached = "" if self.most is None else "yes" if self.reached else "no"
        return self.title, f"{self.gas:,}", each, beside, less, aim, reached


HEADINGS = ("what", "gas", "an account", "a transfer for each account", "times less", "aim", "reached")


def markdown(figures: Sequence[Figure]) -> str:
    """Return the figures as a Markdown table."""
    rows = [HEADINGS, ("---",) * len(HEADINGS), *(figure.cells() for figure in figures)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def run(write_docs: bool) -> int:
    """Measure and print all figures; return 1 if one is more than its aim."""
    figures = measured()
    print(table := markdown(figures))
    if write_docs:
        pages.fill(pages.PAGE, GAS, table)
    return 0 if all(figure.reached for figure in figures) else 1


def measured() -> list[Figure]:
    """Measure all figures on one chain."""
    shop = Shop()
    transfer = shop.transfer()
    ends = Figure("a transfer of tokens to a receiver that has some", transfer)
    return [*_purchases(shop), *_batches(shop, transfer), *_ways_out(shop), ends]


def _purchases(shop: Shop) -> Iterator[Figure]:
    ways = (
        ("approved tokens", shop.approved, 168_000, 96_000),
        ("an authorization, relayed", shop.authorized, 162_000, 125_000),
        ("the coin", shop.coin, 130_000, 76_000),
    )
    for name, buy, first, again in ways:
        subscriber = shop.person()
        yield Figure(f"purchase with {name}, a subscriber's first", buy(subscriber), most=first)
        yield Figure(f"purchase with {name}, again", buy(subscriber), most=again)


def _batches(shop: Shop, transfer: int) -> Iterator[Figure]:
    for accounts in SIZES:
        for receivers in sorted({1, max(1, accounts // 50)}):
            names = [shop.address() for _ in range(receivers)]
            most = {1: 128_000, 20: 315_000}.get(receivers)
            batch_name = f"batch of {accounts:,} accounts with {receivers:,} receiver{'s' if receivers > 1 else ''}"
            first = shop.settle(names, accounts)
            again = shop.settle(names, accounts)
            beside = transfer * accounts
            yield Figure(f"{batch_name}, the first time", first, accounts, transfers=beside)
            yield Figure(f"{batch_name}, again", again, accounts, most, beside)


def _ways_out(shop: Shop) -> Iterator[Figure]:
    receiver = shop.address()
    shop.settle([receiver], 10)
    yield Figure("claim, a receiver's first tokens", shop.claim(receiver), most=58_000)
    shop.settle([receiver], 10)
    yield Figure("claim, again", shop.claim(receiver), most=58_000)
    for accounts in SIZES:
        yield Figure(f"exit by proof, one of {accounts:,} accounts", shop.leave(accounts), most=76_000)


class Shop:
    """A settlement contract and a token on eth-tester. Its methods return the gas that they used."""

    def __init__(self) -> None:
        from eth_account import Account
        from web3 import EthereumTesterProvider, Web3

        self.accounts = Account
        self.web3 = Web3(EthereumTesterProvider())
        self.operator = self.web3.eth.accounts[0]
        self.made = self.number = 0
        self.last = bytes(32)
        self.token = self._deploy("TestToken")
        self.contract = self._deploy("UsageSettlement", *[self.operator] * 3, 0, 0, 0)
        calls = self.contract.functions
        self.plans = {}
        for token in (COIN, self.token.address):
            salt = self._bytes()
            self.send(calls.setPlan(salt, (token, 1_000, 0, [(self.address(), PRICE)])))
            self.plans[token] = calls.planIdOf(self.operator, salt).call()
        for _ in range(2):  # whose money pays all receivers
            self.approved(self.person())

    def _deploy(self, name: str, *arguments: Any) -> Any:
        artifact = load(name)
        made = self.web3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode).constructor(*arguments)
        receipt = self.web3.eth.wait_for_transaction_receipt(made.transact({"from": self.operator}))
        return self.web3.eth.contract(receipt["contractAddress"], abi=artifact.abi)

    def send(self, call: Any, **fields: Any) -> int:
        """Send a call in a block of its own."""
        sent = call.transact({"from": self.operator, "gas": 16_777_216} | fields)
        receipt = self.web3.eth.wait_for_transaction_receipt(sent)
        assert receipt["status"] == 1
        return int(receipt["gasUsed"])

    def _bytes(self) -> bytes:
        self.made += 1
        return keccak(self.made.to_bytes(32, "big"))

    def address(self) -> str:
        """Return a new address."""
        return str(self.web3.to_checksum_address(self._bytes()[:20]))

    def person(self) -> Any:
        """Return a new subscriber: a key, coins for gas, and tokens that the contract may take."""
        person = self.accounts.from_key(self._bytes())
        self.web3.eth.send_transaction({"from": self.operator, "to": person.address, "value": 10**16})
        self.send(self.token.functions.mint(person.address, 100 * PRICE))
        self._signed(person, self.token.functions.approve(self.contract.address, 2**255))
        return person

    def _signed(self, person: Any, call: Any, value: int = 0) -> int:
        """Send a call that a subscriber signs."""
        nonce = self.web3.eth.get_transaction_count(person.address)
        fields = {"from": person.address, "nonce": nonce, "gas": 1_000_000, "gasPrice": 10**9, "value": value}
        raw = person.sign_transaction(call.build_transaction(fields)).raw_transaction
        receipt = self.web3.eth.wait_for_transaction_receipt(self.web3.eth.send_raw_transaction(raw))
        assert receipt["status"] == 1
        return int(receipt["gasUsed"])

    def _order(self, token: str, person: Any) -> tuple[int, str, bytes]:
        return self.plans[token], person.address, self._bytes()

    def approved(self, person: Any) -> int:
        """Buy with tokens that were approved."""
        return self._signed(person, self.contract.functions.purchase(self._order(self.token.address, person)))

    def coin(self, person: Any) -> int:
        """Buy with the chain's own coin."""
        return self._signed(person, self.contract.functions.purchase(self._order(COIN, person)), PRICE)

    def authorized(self, person: Any) -> int:
        """Buy with an authorization that the operator relays."""
        order = self._order(self.token.address, person)
        _, name, version, chain, verifying, *_ = self.token.functions.eip712Domain().call()
        kinds = {"from": "address", "to": "address", "value": "uint256", "validAfter": "uint256"}
        kinds |= {"validBefore": "uint256", "nonce": "bytes32"}
        nonce = self.contract.functions.purchaseId(order).call()
        values = (person.address, self.contract.address, PRICE, 0, 2**40, nonce)
        signed = person.sign_typed_data(
            {"name": name, "version": version, "chainId": chain, "verifyingContract": verifying},
            {"ReceiveWithAuthorization": [{"name": field, "type": kind} for field, kind in kinds.items()]},
            dict(zip(kinds, values, strict=True)),
        )
        r, s = (word.to_bytes(32, "big") for word in (signed.r, signed.s))
        authorization = (person.address, 0, 2**40, signed.v, r, s)
        return self.send(self.contract.functions.purchaseWithAuthorization(order, authorization))

    def settle(self, receivers: Sequence[str], accounts: int, root: bytes | None = None) -> int:
        """Settle a batch of so many accounts that pays each receiver."""
        payouts = [(receiver, EARNED) for receiver in receivers]
        words = b"".join(abi_encode(("address", "int96"), payout) for payout in payouts)
        hashed = keccak(abi_encode(("uint256", "uint256"), (32, len(payouts))) + words)
        head = (self.number + 1, PERIOD_END, accounts, self.token.address, self.last)
        batch = (*head, root or self._bytes(), self._bytes(), hashed)
        gas = self.send(self.contract.functions.settleBatch(batch, payouts, f"ipfs://{self._bytes().hex()[:46]}"))
        self.number, self.last = self.number + 1, self.contract.functions.digestOf(batch).call()
        return gas

    def claim(self, receiver: str) -> int:
        """Pay a receiver what is due to it."""
        return self.send(self.contract.functions.claim(self.token.address, receiver))

    def leave(self, accounts: int) -> int:
        """Exit as a subscriber, by proof, from a batch of so many accounts."""
        person = self.person()
        self.approved(person)
        plan = self.plans[self.token.address]
        self._signed(person, self.contract.functions.requestExit(plan))
        leaf = Leaf(person.address, str(plan), PRICE // 2, 0)
        others = [Leaf(self.address(), str(plan), PRICE // 2, 0) for _ in range(accounts - 1)]
        tree = Tree(leaf_hash(each, EVM_LEAF) for each in (leaf, *others))
        self.settle([self.operator], accounts, tree.root)
        proof = tree.proof(leaf_hash(leaf, EVM_LEAF))
        return self._signed(person, self.contract.functions.exit(plan, leaf.charged, leaf.credited, proof))

    def transfer(self) -> int:
        """Transfer to a receiver that has tokens already; return the mean of several transfers, rounded up."""
        receiver = self.address()
        people = [self.person() for _ in range(TRANSFERS + 1)]
        first, *rest = (self._signed(each, self.token.functions.transfer(receiver, PRICE)) for each in people)
        assert first > max(rest)
        return -(-sum(rest) // len(rest))
