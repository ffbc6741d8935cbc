"""The conformance harnesses of EVM chains: contracts on one local chain.

python -m chains.testing chains.testing.evm_harness:TesterHarness        # eth-tester: from PyPI alone
python -m chains.testing chains.testing.evm_harness:AnvilHarness         # anvil, which mines on request
"""

from __future__ import annotations

import tempfile
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

from ..evm import extra  # first: it reads the recursion limit before Ethereum packages raise it

# isort: split
from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_utils.address import to_checksum_address
from hexbytes import HexBytes

from ledger import ContractRef
from ledger.amounts import SECOND
from ledger.events import Leaf, Payout
from ledger.plugins import Chain, contract_of
from ledger.settlement.messages import Attempt, Batch

from ..commitment import to_hex
from ..evm import addresses, reverts, transactions
from ..evm.commitment import contract_batch
from ..evm.contract import SettlementContract
from ..evm.deploying import Delays, Roles, deploy_settlement, deploy_token, plan_id, publish_plan
from ..evm.local import CHAIN_ID, DEV_ACCOUNTS, DevAccount, LocalChain
from ..evm.local.anvil import Anvil
from ..evm.local.tester import Tester
from ..evm.node import Node
from ..evm.node_errors import CallReverted
from ..evm.plugin import EvmPlugin
from ..evm.sending import Sender
from ..evm.tokens import Token
from ..evm.transactions import Fees
from ..evm.wallet import PurchaseOrder, Wallet
from ..leaves import abi_encode, keccak
from . import Elsewhere, Harness
from .gate import Gate

extra.keep_depth()

OPERATOR, GUARDIAN, PUBLISHER, FUNDER, ALICE, BOB, SELLER, PLATFORM, *_ = DEV_ACCOUNTS

BLOCK_TIME, WINDOW, FREEZE_DELAY, EXIT_DELAY = 5, 60, 30, 10**9
"""In seconds. Only `wait_for_exit` waits for the exit delay."""

_CONNECTION = {"tries": 1, "timeout": 600, "max_head_age": 0}
_NAMES = {plan_id(PUBLISHER.address, name): name for name in ("small", "large")}
_ELSEWHERE = CHAIN_ID + 1
_FINALITY = 2
_CONTRACTS = 1 << 20
"""The number of contracts for which subscribers have money."""

_DEAR = Fees(max_fee=10**11, priority=10**10)
_TRANSFER = to_hex(keccak(b"Transfer(address,address,uint256)"))


class LocalHarness(Harness):
    """Contracts on one local chain, each deployed by a new account, so that another chain can have one of the same
    address. The plugin reads the node through a `Gate`, the harness directly. Closing the harness ends the chain."""

    plugin = EvmPlugin()
    subscribers: Sequence[str] = (ALICE.address, BOB.address)
    plans: Sequence[str] = tuple(_NAMES)
    receivers: Sequence[str] = (SELLER.address, PLATFORM.address)
    elsewhere = Elsewhere(
        addresses.chain_name(_ELSEWHERE), GUARDIAN.address, addresses.asset_name(addresses.chain_name(CHAIN_ID), "0x0")
    )
    purse = 2**94
    depth = _FINALITY

    def __init__(self, *, window: bool = False, window_seconds: int = WINDOW) -> None:
        self.window, self._window_seconds = window, window_seconds if window else 0
        self._stack = ExitStack()
        self._deployers: dict[str, str] = {}
        self._wallets: dict[tuple[str, str], Wallet] = {}
        self._orders: dict[str, PurchaseOrder] = {}
        self._time = 0
        self._keys = {account.address: account.key for account in DEV_ACCOUNTS}

    def close(self) -> None:
        """End the chain. A second call does nothing."""
        self._stack.close()

    # -- the kind of local chain ---------------------------------------------------------------------------------------

    @abstractmethod
    def start(self, chain_id: int) -> LocalChain:
        """Start a new local chain."""

    def automining(self) -> AbstractContextManager[object]:
        """Mine transactions immediately while the context lasts."""
        return nullcontext()

    # -- the chain and its contracts -----------------------------------------------------------------------------------

    @cached_property
    def _local(self) -> LocalChain:
        return self._stack.enter_context(self.start(CHAIN_ID))

    @cached_property
    def _gate(self) -> Gate:
        gate = Gate(self._local.url)
        self._stack.callback(gate.close)
        return gate

    @cached_property
    def _node(self) -> Node:
        return self._asking(self._local)

    def _asking(self, local: LocalChain) -> Node:
        return self._stack.enter_context(closing(local.node()))

    @cached_property
    def _leaves(self) -> Path:
        return Path(self._stack.enter_context(tempfile.TemporaryDirectory()))

    @cached_property
    def _token(self) -> str:
        sender = self._sender(FUNDER)
        with self.automining():
            token = Token(self._node, deploy_token(sender).contract)
            for subscriber in self.subscribers:
                sender.send(*token.mint(subscriber, _CONTRACTS * self.purse))
        return token.address

    @cached_property
    def asset(self) -> str:  # type: ignore[override]  # the token is made when the chain is
        return addresses.asset_name(addresses.chain_name(CHAIN_ID), self._token)

    def _sender(self, account: DevAccount | str, node: Node | None = None, chain_id: int = CHAIN_ID) -> Sender:
        key = account if isinstance(account, str) else account.key
        return Sender(node or self._node, key, chain_id=chain_id)

    def _wallet(self, contract: str, address: str) -> Wallet:
        if (contract, address) not in self._wallets:
            wallet = Wallet(self._node, self._keys[address], contract, chain_id=CHAIN_ID)
            self._wallets[contract, address] = wallet
        return self._wallets[contract, address]

    def _deploy(self, deployer: str, node: Node, chain_id: int) -> str:
        """Deploy a contract by an unused account, so that its address follows from the account."""
        self._sender(FUNDER, node, chain_id).send(Account.from_key(deployer).address, b"", 10**18)
        roles = Roles(FUNDER.address, OPERATOR.address, GUARDIAN.address)
        delays = Delays(self._window_seconds, FREEZE_DELAY, EXIT_DELAY)
        return deploy_settlement(self._sender(deployer, node, chain_id), roles, delays).contract

    def fresh(self) -> Chain:
        """Return a connection to a new contract, for which subscribers have approved their money."""
        deployer, asset = to_hex(bytes(Account.create().key)), self.asset
        with self.automining():
            contract = self._deploy(deployer, self._node, CHAIN_ID)
            for subscriber in self.subscribers:
                self._wallet(contract, subscriber).approve(asset, self.purse)
        self._deployers[contract] = deployer
        return self._connect(ContractRef(addresses.chain_name(CHAIN_ID), contract), self._gate.url)

    def again(self, chain: Chain) -> Chain:
        return self._connect(contract_of(chain), self._gate.url)

    def _connect(self, contract_ref: ContractRef, url: str) -> Chain:
        return self.plugin.connect(contract_ref, url=url, key=OPERATOR.key, leaves=self._leaves, **_CONNECTION)

    # -- blocks and time -----------------------------------------------------------------------------------------------

    def now(self, chain: Chain) -> int:
        """Return the last block's time, or a later one from before a reorganisation."""
        self._time = max(self._time, self._local.now)
        return self._time * SECOND

    def mine(self, chain: Chain) -> None:
        """Mine one block; with a window, some seconds after the last one, so that the window ends."""
        if self.window:
            self._local.advance(BLOCK_TIME)
        else:
            self._local.mine()

    def pass_time(self, chain: Chain) -> None:
        """Mine a block, let the delays pass, and mine until both are final."""
        self._local.mine()
        self._local.advance(max(self._window_seconds, FREEZE_DELAY) + 1)
        self._local.mine(_FINALITY)

    # -- purchases, exits and claims -----------------------------------------------------------------------------------

    def purchase(self, chain: Chain, subscriber: str, plan: str, shares: Mapping[str, int], credits: int) -> str:
        return self._buy(chain, subscriber, plan, asset=self.asset, price=shares, credits=credits)

    def purchase_window(self, chain: Chain, subscriber: str, plan: str, shares: Mapping[str, int], seconds: int) -> str:
        return self._buy(chain, subscriber, plan, asset=self.asset, price=shares, seconds=seconds)

    def purchase_elsewhere(
        self, chain: Chain, subscriber: str, plan: str, shares: Mapping[str, int], credits: int
    ) -> str:
        return self._buy(chain, subscriber, plan, asset=self.elsewhere.asset, price=shares, credits=credits)

    def _buy(self, chain: Chain, subscriber: str, plan: str, **terms: Any) -> str:  # noqa: ANN401
        with self.automining():  # a reorganisation may have removed the plan, so it is checked each time
            contract = self._wallet(chain.contract, subscriber).contract
            publish_plan(self._sender(PUBLISHER), contract, _NAMES[plan], **terms)
        wallet = self._wallet(chain.contract, subscriber)
        order = wallet.order(plan)
        bought = wallet.purchase(order, wait=False)
        self._orders[bought.id] = order
        return bought.id

    def paid(self, chain: Chain, receiver: str, asset: str) -> int:
        """Return the sum of the token's transfers from the contract to the receiver (for the coin: of the contract's
        logs), and the due."""
        contract, token = self._wallet(chain.contract, FUNDER.address).contract, addresses.token(asset)
        return self._moved(contract, token, receiver) + contract.due(token, receiver)

    def _moved(self, contract: SettlementContract, token: str, receiver: str) -> int:
        if token == addresses.COIN:
            address, topics = contract.address, [contract.topic("Claimed"), _topic(token), _topic(receiver)]
        else:
            address, topics = token, [_TRANSFER, _topic(contract.address), _topic(receiver)]
        logs = self._node.logs(contract.deployed_block, self._local.height, address, topics)
        return sum(int.from_bytes(log["data"]) for log in logs)

    def claim(self, chain: Chain, receiver: str) -> None:
        self._wallet(chain.contract, FUNDER.address).claim(self.asset, receiver, wait=False)

    def request_exit(self, chain: Chain, subscriber: str, plan: str) -> None:
        self._wallet(chain.contract, subscriber).request_exit(plan, wait=False)

    def leave(self, chain: Chain, subscriber: str, plan: str, leaf: Leaf, proof: Sequence[str]) -> None:
        """Leave by a leaf's counters: the contract takes its names from the caller and the plan."""
        own = Leaf(subscriber, plan, leaf.charged, leaf.credited)
        self._wallet(chain.contract, subscriber).exit(own, proof, wait=False)

    def cancel(self, chain: Chain, number: int) -> None:
        self._wallet(chain.contract, GUARDIAN.address).cancel(number, "for a test", wait=False)

    # -- calls of the contract that no plugin makes --------------------------------------------------------------------

    def reason(self, error: Exception) -> str:
        found = reverts.read(error.data) if isinstance(error, CallReverted) else None
        return found.name if found else ""

    def purchase_again(self, chain: Chain, id: str) -> None:
        order = self._orders[id]
        self._wallet(chain.contract, order.subscriber).purchase(order, wait=False)

    def record(self, chain: Chain, batch: Batch, *, stranger: bool = False) -> None:
        contract = self._wallet(chain.contract, FUNDER.address).contract
        self._call(chain, GUARDIAN if stranger else OPERATOR, contract.settle_data(batch, ""))

    def execute(self, chain: Chain, batch: Batch, payouts: Sequence[Payout]) -> None:
        contract = self._wallet(chain.contract, FUNDER.address).contract
        paid = [(payout.receiver, payout.amount) for payout in payouts]
        self._call(chain, FUNDER, contract.encode("executeBatch", tuple(contract_batch(batch)), paid))

    def _call(self, chain: Chain, account: DevAccount, data: bytes) -> None:
        self._sender(account).send(chain.contract, data, wait=False)

    def cancel_as_stranger(self, chain: Chain, number: int) -> None:
        self._wallet(chain.contract, OPERATOR.address).cancel(number, "for a test", wait=False)

    def challenge(self, chain: Chain, batch: Batch, leaf: Leaf, proof: Sequence[str]) -> None:
        self._wallet(chain.contract, FUNDER.address).challenge(batch, leaf, proof, wait=False)

    def leave_without_leaf(self, chain: Chain, subscriber: str, plan: str) -> None:
        """Ask for payment, or make the claim if there is none: the contract has two calls for this."""
        wallet = self._wallet(chain.contract, subscriber)
        try:
            wallet.exit_uncharged(plan, wait=False)
        except CallReverted as error:
            if self.reason(error) != "UnchargedNotClaimed":
                raise
            wallet.claim_uncharged(plan, wait=False)

    def refute(self, chain: Chain, leaf: Leaf, proof: Sequence[str]) -> None:
        self._wallet(chain.contract, FUNDER.address).refute(leaf, proof, wait=False)

    def wait_for_exit(self, chain: Chain) -> None:
        self._local.advance(EXIT_DELAY + 1)

    # -- outages -------------------------------------------------------------------------------------------------------

    def namesake(self, chain: Chain) -> Chain:
        """Deploy the contract by the same account on another chain, where it gets the same address."""
        contract = self._deploy(self._deployers[chain.contract], self._asking(self._far), _ELSEWHERE)
        assert contract == chain.contract
        return self._connect(ContractRef(self.elsewhere.chain, contract), self._far.url)

    @cached_property
    def _far(self) -> LocalChain:
        return self._stack.enter_context(self.start(_ELSEWHERE))

    def cut_off(self, chain: Chain) -> AbstractContextManager[object]:
        """Shut the gate, so that the plugin's connections are refused."""
        return self._gate.shut()

    def reorganise(self, chain: Chain, depth: int, keep: bool) -> None:
        """Replace the last blocks by empty ones; with `keep` their transactions are sent again."""
        taken = list(self._raw(depth)) if keep else []
        self._local.reorganise(depth)
        for raw in taken:
            self._local.ask("eth_sendRawTransaction", raw)
        self._local.mine()

    def _raw(self, depth: int) -> Iterator[str]:
        """Yield the signed transactions of the last blocks, in order."""
        height = self._local.height
        for number in range(height - depth + 1, height + 1):
            for hash in self._local.ask("eth_getBlockByNumber", hex(number), False)["transactions"]:
                yield _signed(self._local.ask("eth_getTransactionByHash", hash))

    def lose(self, chain: Chain, attempt: Attempt) -> None:
        """Send an attempt, and restore the chain's state from before."""
        before = self._local.snapshot()
        chain.send(attempt)
        self._local.restore(before)

    def steal_nonce(self, chain: Chain) -> None:
        """Mine a transfer of 0 by the operator's key."""
        operator = Account.from_key(OPERATOR.key)
        nonce = self._node.nonce(operator.address)
        raw, _ = transactions.sign(
            operator, chain_id=CHAIN_ID, to=operator.address, data=b"", nonce=nonce, gas=30_000, fees=_DEAR
        )
        with self.automining():
            self._node.send(raw)


class TesterHarness(LocalHarness):
    """eth-tester: every transaction is mined when it arrives."""

    def start(self, chain_id: int) -> LocalChain:
        return Tester(chain_id=chain_id)


class AnvilHarness(LocalHarness):
    """anvil, which mines on request: sent transactions stay in the pool."""

    def start(self, chain_id: int) -> LocalChain:
        """Start a process. Raises ChainUnavailable if anvil is not installed."""
        return Anvil(chain_id=chain_id, automine=chain_id != CHAIN_ID)

    @contextmanager
    def automining(self) -> Iterator[None]:
        """Mine immediately while the context lasts; transactions in the pool are mined as well."""
        local = self._anvil
        local.set_automine(True)
        try:
            yield
        finally:
            local.set_automine(False)

    @property
    def _anvil(self) -> Anvil:
        assert isinstance(self._local, Anvil)
        return self._local

    def lose(self, chain: Chain, attempt: Attempt) -> None:
        """Send an attempt, and drop it from the pool."""
        chain.send(attempt)
        self._anvil.drop(attempt.transaction)


def _topic(address: str) -> str:
    return to_hex(abi_encode(("address",), (address,)))


def _signed(reported: Mapping[str, Any]) -> str:
    """Return the signed bytes (0x hex) of a mined EIP-1559 transaction, from a node's description of it."""
    numbers = ("nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas", "value", "v", "r", "s")
    fields: dict[str, Any] = {name: int(reported[name], 16) for name in numbers}
    to = to_checksum_address(reported["to"]) if reported["to"] else b""
    fields |= {"type": 2, "chainId": CHAIN_ID, "to": to, "data": reported["input"], "accessList": ()}
    return HexBytes(TypedTransaction.from_dict(fields).encode()).to_0x_hex()
