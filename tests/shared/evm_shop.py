"""A shop on a local chain: a contract, a ledger in a file, an outbox and a watcher, through a node that may fail.

Alice has bought 100 credits for 1,000 of the chain's coin; 950 of them are for acme, 50 for a fee. Blocks come when the
shop mines them, or once for each pause of the outbox.
"""

from collections.abc import Iterator
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Any

from eth_abi.abi import decode, encode
from eth_account import Account
from eth_utils.abi import get_abi_output_types
from faulty_node import FaultyNode
from patience import PATIENCE
from shop import ChainShop, copy_commits

from chains import leaf_file
from chains.evm import addresses
from chains.evm.artifacts import load
from chains.evm.chain import EvmChain
from chains.evm.contract import SettlementContract
from chains.evm.local import DEV_ACCOUNTS, local_chain
from chains.evm.node import Node
from chains.evm.publishing import LeafFiles
from chains.evm.transactions import Sent, read
from chains.leaves import abi_encode, keccak
from ledger import CreatePlan, Ledger
from ledger.events import SettlementSubmitted
from ledger.plugins import contract_of
from ledger.stores.sqlite import SQLiteStore
from replay.audit.run import audit

AT = 1_700_000_000_000_000
OWNER, OPERATOR, ALICE, BOB, OTHER = DEV_ACCOUNTS[:5]
ACME, FEE = (addresses.address("0x" + f"{number:040x}") for number in (0xACE1, 0xFEE1))
SHARES = {ACME: 950, FEE: 50}
COIN = "eip155:31337/slip44:60"


class Shop(ChainShop):
    """A log and a chain. `crash` forgets everything else, as a process does that dies."""

    asset, customer = COIN, ALICE.address

    def __init__(self, folder: Path, *, window: int = 0, finality: int = 2, confirmations: int | None = None) -> None:
        self.folder = folder
        self.local = local_chain(automine=False, slots=finality // 2)
        self.faulty = FaultyNode(self.local.url)
        self.confirmations, self._salts = confirmations, iter(range(1, 1_000_000))
        self._open: list[Ledger] = []
        self._chains: list[EvmChain] = []
        self.contract = self._deploy(window)
        self.plan = self._publish()
        super().__init__(self.connect(), folder / "log.db", id="toll", now=AT)
        plan = CreatePlan(
            plan="pro",
            owner="acme",
            onchain_id=self.plan,
            asset=COIN,
            price=SHARES,
            credits=100,
            policy="complexity",
            parameters={"weights": {"units": 1}},
        )
        self.do(plan)
        self.buy()
        self.sync(finality)

    def close(self) -> None:
        """End all that was begun."""
        for each in (*self._open, *self._chains, self.faulty):
            each.down() if isinstance(each, FaultyNode) else each.close()
        self.local.close()

    # -- processes -----------------------------------------------------------------------------------------------------

    def another(self) -> Ledger:
        """One more process's ledger over the same file."""
        ledger = super().another()
        self._open.append(ledger)
        return ledger

    def connect(self, key: str = OPERATOR.key, node: dict[str, Any] | None = None, **options: Any) -> EvmChain:
        """One more process's connection, through the node that may fail; `node` are options of `Node`."""
        asked = Node(self.faulty.url, timeout=PATIENCE, tries=1, **(node or {}))
        files = LeafFiles(self.folder / "leaves")
        contract = SettlementContract(asked, self.contract)
        account = Account.from_key(key)
        chain = EvmChain(
            asked, contract, files, chain_id=self.local.chain_id, account=account, pause_seconds=0, **options
        )
        self._chains.append(chain)
        return chain

    def crash(self, **options: Any) -> None:
        """The process is gone, and another begins."""
        self.ledger.close()
        self.ledger, self.chain = self.another(), self.connect(**options)
        self.carriers()

    def restored(self, upto: int) -> None:
        """The log as it was in a backup that ends with the event of that sequence."""
        self.ledger.close()
        backup = self.folder / f"restored {upto}.db"
        with closing(SQLiteStore(self.location)) as old, closing(SQLiteStore(backup, id="toll")) as new:
            copy_commits(old, new, upto)
        self.location = backup
        self.ledger, self.chain = self.another(), self.connect()
        self.carriers()

    # -- the chain, past the plugin ------------------------------------------------------------------------------------

    def mine(self, blocks: int = 1) -> None:
        """Blocks come."""
        self.local.mine(blocks)

    def send(self, sender: str, data: bytes | str, *, to: str | None = None, value: int = 0, **fields: Any) -> str:
        """A transaction of anybody's into the pool; its hash."""
        data = data if isinstance(data, str) else "0x" + data.hex()
        call = {"from": sender, "data": data, "value": hex(value), "gas": hex(8_000_000), **fields}
        return self.local.ask("eth_sendTransaction", call | ({} if to is None else {"to": to}))

    def transact(self, sender: str, name: str, *arguments: Any, value: int = 0) -> str:
        """Call the contract, in a block of its own; the transaction."""
        done = self.send(sender, self.functions.encode(name, *arguments), to=self.contract, value=value)
        self.mine()
        assert self.local.mined(done)["status"] == "0x1"
        return done

    @cached_property
    def functions(self) -> SettlementContract:
        """The contract's functions as bytes; it is not asked this way."""
        node = Node(self.local.url, timeout=PATIENCE)
        node.close()
        return SettlementContract(node, self.contract)

    def _deploy(self, window: int) -> str:
        kinds = ["address", "address", "address", "uint48", "uint48", "uint48"]
        given = encode(kinds, [OWNER.address, OPERATOR.address, OWNER.address, window, 0, 10**9])
        done = self.send(OWNER.address, load("UsageSettlement").bytecode + given.hex())
        self.mine()
        return addresses.address(self.local.mined(done)["contractAddress"])

    def _publish(self) -> str:
        salt = bytes(32)
        self.transact(OWNER.address, "setPlan", salt, (addresses.COIN, 100, 0, [*SHARES.items()]))
        return "0x" + encode_and_hash(OWNER.address, salt).hex()

    def buy(self, subscriber: str = ALICE.address, *, mine: bool = True) -> str:
        """A subscriber buys 100 credits; the transaction."""
        order = (addresses.plan_id(self.plan), subscriber, next(self._salts).to_bytes(32))
        done = self.send(
            subscriber, self.functions.encode("purchase", order), to=self.contract, value=sum(SHARES.values())
        )
        if mine:
            self.mine()
            assert self.local.mined(done)["status"] == "0x1"
        return done

    def steal_nonce(self, *, mine: bool = True) -> str:
        """Another program with the operator's key sends a transaction of no use with its next nonce."""
        nonce = self.local.ask("eth_getTransactionCount", OPERATOR.address, "latest")
        fees = {"maxFeePerGas": hex(10**12), "maxPriorityFeePerGas": hex(10**11)}
        done = self.send(OPERATOR.address, b"", to=OTHER.address, value=next(self._salts), nonce=nonce, **fees)
        if mine:
            self.mine()
        return done

    def again(self, transactions: list[str]) -> None:
        """Put transactions that a reorganisation lost into the pool again."""
        for raw in transactions:
            self.local.ask("eth_sendRawTransaction", raw)

    # -- the ledger and the outbox -------------------------------------------------------------------------------------

    def blocks(self, most: int = 40) -> Iterator[int]:
        """As many pauses, with a block and a second in each."""
        for number in range(most):
            self.local.advance(1)
            yield number

    def settle(self, most: int = 40) -> list[int]:
        """Carry all that is open, and all that was earned, to its end."""
        return self.outbox.settle(pauses=self.blocks(most))

    def submit(self) -> Sent:
        """Step until the next transaction is stored, unsent."""
        self.until("submitted", mine=False)
        return self.attempts()[-1]

    def attempts(self) -> list[Sent]:
        """All transactions that the log has stored."""
        return [read(event.raw) for event in self.events() if isinstance(event, SettlementSubmitted)]

    def batches(self) -> dict[int, str]:
        """The stage of each batch that the chain has."""
        numbers = range(1, self.functions_now("lastSeq") + 1)
        return {number: self.chain.find(number).stage for number in numbers}

    # -- money ---------------------------------------------------------------------------------------------------------

    def functions_now(self, name: str, *arguments: Any) -> Any:
        """What the contract says now, asked past the plugin."""
        contract = self.functions
        data = "0x" + contract.encode(name, *arguments).hex()
        told = self.local.ask("eth_call", {"to": self.contract, "data": data}, "latest")
        function = next(each for each in contract.artifact.abi if each.get("name") == name)
        return decode(get_abi_output_types(function), bytes.fromhex(told[2:]))[0]

    def has(self, address: str) -> int:
        """What an address has of the chain's coin."""
        return int(self.local.ask("eth_getBalance", address, "latest"), 16)

    def receives(self, acme: int, fee: int) -> None:
        """What receivers have on the chain and in the log, claimed or due; and nothing is lost or made up anywhere."""
        amounts = {ACME: acme, FEE: fee}
        due = {name: self.functions_now("due", addresses.COIN, name) for name in SHARES}
        settled = self.ledger.settling(contract_of(self.chain)).settled.get(COIN, {})
        assert {name: due[name] + self.has(name) for name in SHARES} == amounts, self.story()
        assert {name: settled.get(name, 0) for name in SHARES} == amounts, self.story()
        owed = sum(max(amount, 0) for amount in due.values())
        assert self.has(self.contract) == self.functions_now("escrow", addresses.COIN) + owed
        assert not self.ledger.settling(contract_of(self.chain)).open
        report = audit(self.location)
        assert report.clean, report.findings

    @staticmethod
    def parts(units: int) -> dict[str, int]:
        """What receivers get for so many units that alice used: each is rounded down."""
        return {"acme": 950 * units // 100, "fee": 50 * units // 100}

    def leaves(self, number: int) -> Any:
        """The leaf file of a batch, as it was published."""
        return leaf_file.decode(self.chain.published(number) or b"")


def encode_and_hash(owner: str, salt: bytes) -> bytes:
    """The id of a plan."""
    return keccak(abi_encode(("address", "bytes32"), (owner, salt)))
