"""One node of an EVM chain, over JSON-RPC. All reads and sends of this room go through here.

A `Node` is synchronous and may be used by many threads; callers in an event loop use `asyncio.to_thread`. Reads are
retried where that is safe: a connection that breaks, a node that is busy. Sending is not retried: a broken connection
does not show whether the node has the transaction, so the sender has to read the chain first.

What is raised is from `ledger.errors`, with the node's address but never the secret parts of its URL:

ChainUnavailable      it could not be asked, or gave no usable answer; nothing was sent
├── Contradiction         its answers contradict each other: it lies, or several nodes answer in turn
├── RangeTooWide          it refuses to search that many blocks for logs in one request
└── TransactionRejected   it rejects a transaction: `reason` says why
SendUnknown           a transaction was sent, and no usable answer came
CallReverted          a contract refused a call; `data` has the bytes that it reverted with
BadData               an argument is wrong, or the node is on another chain
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any, Literal, NamedTuple, TypeAlias, cast

from ledger.errors import BadData, ChainUnavailable, SendUnknown

from .extra import keep_depth, missing
from .node_errors import ALREADY_KNOWN, NONCE_SPENT, NOT_BEGUN, REJECTED, ErrorAnswer, RangeTooWide, TransactionRejected
from .rpc import Rpc, hex_digits, integer

try:
    from eth_hash.auto import keccak
    from web3.exceptions import TransactionNotFound
    from web3.types import FilterParams, LogReceipt, TxData, TxParams, TxReceipt

    from .transport import During
except ModuleNotFoundError as error:
    raise missing(error) from error
keep_depth()

BlockId: TypeAlias = int | Literal["latest", "safe", "finalized", "earliest", "pending"]
"""A block: its number, or a tag."""


class Header(NamedTuple):
    """A block: its number, its hash (0x hex), its timestamp in seconds, its base fee in wei (None before London)."""

    number: int
    hash: str
    timestamp: int
    base_fee: int | None


class GasPrice(NamedTuple):
    """The last block's base fee and the node's suggested priority fee, both in wei per unit of gas."""

    base: int
    priority: int


class Node(Rpc):
    """A connection to one node.

    `finality` is the chain's rule: the tag `finalized`, or the number of blocks on top. `fallback` is that number for a
    node without the tag. `max_head_age` (seconds; 0 for any) is the maximum age of the last block when the node is
    checked. `timeout` (seconds; None for any) is for each try. `tries` is for reads only, `backoff` (seconds) the first
    pause between them, which doubles. `during` is entered for each request. Raises BadData for an invalid URL.
    """

    def __init__(
        self,
        url: str,
        *,
        finality: Literal["finalized"] | int = "finalized",
        fallback: int | None = None,
        max_head_age: int = 600,
        timeout: float | None = 10,
        tries: int = 5,
        backoff: float = 0.25,
        during: During = nullcontext,
    ) -> None:
        super().__init__(url, timeout=timeout, tries=tries, backoff=backoff, during=during)
        self._finality, self._fallback, self._max_head_age = finality, fallback, max_head_age
        self._final = 0
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Node({self.shown!r})"

    # -- checking the node ---------------------------------------------------------------------------------------------

    def check(self, chain_id: int, now: int) -> None:
        """Check, before money moves, that the node is on that chain and up to date at the time `now` (UTC seconds).

        Raises BadData for a node of another chain; ChainUnavailable for one that is syncing, contradicts itself, or has
        a last block that is more than `max_head_age` seconds old.
        """
        answer = self.chain_id()
        if answer != chain_id:
            hint = f"set TOLLBOOK_EVM_URL_{chain_id} to a node of that chain"
            raise BadData(f"the node at {self.shown} is on chain {answer}, not on {chain_id}", hint)
        if syncing := self._syncing():
            raise ChainUnavailable(f"the node at {self.shown} is syncing: {syncing}", "wait until it has caught up")
        final = self.final_block()
        head = self.head()
        if head.number < final:
            raise self._contradiction(f"its head is block {head.number}, and block {final} is final")
        if self._max_head_age and head.timestamp < now - self._max_head_age:
            message = (
                f"the last block of the node at {self.shown} is {now - head.timestamp} seconds old: it lags behind its "
                f"chain (at most {self._max_head_age} seconds are allowed)"
            )
            hint = "wait until it has caught up, use another node, or set TOLLBOOK_EVM_MAX_HEAD_AGE"
            raise ChainUnavailable(message, hint)

    def chain_id(self) -> int:
        """Return the id of the chain that the node is on."""
        return self._quantity("eth_chainId")

    def _syncing(self) -> str:
        try:
            answer = self._result("eth_syncing")
        except ErrorAnswer:  # the node lacks the method
            return ""
        if isinstance(answer, dict):
            current, highest = (integer(answer.get(name)) for name in ("currentBlock", "highestBlock"))
            return f"at block {current} of {highest}" if current is not None and highest else "progress unknown"
        return "progress unknown" if answer else ""

    # -- blocks --------------------------------------------------------------------------------------------------------

    def head(self) -> Header:
        """Return the last block. Raises ChainUnavailable if it is before a block that this node has called final."""
        head = self.block("latest")
        if head is None:
            raise self._unusable("eth_getBlockByNumber")
        if head.number < self._final:
            raise self._contradiction(f"its head is block {head.number}, and it has called block {self._final} final")
        return head

    def block(self, block: BlockId) -> Header | None:
        """Return a block; None if the chain has none there yet."""
        with self._answering("eth_getBlockByNumber"):
            answer = self._result("eth_getBlockByNumber", _block(block), False)
            header = None if answer is None else self._header(answer)
        if header is not None and isinstance(block, int) and header.number != block:
            raise self._contradiction(f"asked for block {block}, it answers with block {header.number}")
        return header

    def final_block(self) -> int:
        """Return the number of the last final block. It never goes back."""
        if self._finality == "finalized":
            number = self._finalized()
        else:
            number = max(self.head().number - self._finality, 0)
        with self._lock:
            self._final = max(self._final, number)
            return self._final

    def _finalized(self) -> int:
        try:
            answer = self._result("eth_getBlockByNumber", "finalized", False)
        except ErrorAnswer as error:
            if error.rate_limited:
                raise self._refused("eth_getBlockByNumber", error) from None
            answer = None
        if answer is not None:
            return self._header(answer).number
        if self._fallback is None:
            message = f"the node at {self.shown} does not say which block is final"
            raise ChainUnavailable(message, "set TOLLBOOK_EVM_FINALITY to a number of blocks, or use another node")
        return max(self.head().number - self._fallback, 0)

    def _header(self, answer: object) -> Header:
        if isinstance(answer, dict):
            number, timestamp, base_fee = (
                integer(answer.get(name)) for name in ("number", "timestamp", "baseFeePerGas")
            )
            hash = answer.get("hash")
            if number is not None and timestamp is not None and isinstance(hash, str) and _HASH.fullmatch(hash):
                return Header(number, hash.lower(), timestamp, base_fee)
        raise self._unusable("eth_getBlockByNumber")

    # -- state as of a block -------------------------------------------------------------------------------------------

    def balance(self, address: str, block: BlockId = "latest") -> int:
        """Return an address's balance of the native coin, in wei."""
        return self._quantity("eth_getBalance", address, _block(block))

    def nonce(self, address: str, block: BlockId = "latest") -> int:
        """Return the nonce of an address's next transaction: as of mined blocks, or with `pending` including the
        mempool."""
        return self._quantity("eth_getTransactionCount", address, _block(block))

    def code(self, address: str, block: BlockId = "latest") -> bytes:
        """Return the code at an address; empty if there is no contract."""
        with self._answering("eth_getCode"):
            return bytes.fromhex(hex_digits(self._result("eth_getCode", address, _block(block))))

    def call(self, transaction: TxParams, block: BlockId = "latest") -> bytes:
        """Return the output of a call of a contract. Raises CallReverted."""
        with self._answering("eth_call"):
            return bytes(self.web3.eth.call(transaction, block))

    def estimate_gas(self, transaction: TxParams) -> int:
        """Return the gas that a transaction would use now.

        Raises CallReverted, and TransactionRejected if the sender has too little money.
        """
        with self._answering("eth_estimateGas"):
            return int(self.web3.eth.estimate_gas(transaction))

    def fees(self) -> GasPrice:
        """Return the current gas price. Raises BadData on a chain that has no base fee."""
        head = self.head()
        if head.base_fee is None:
            raise BadData(f"the chain of the node at {self.shown} has no base fee", "use a chain that has EIP-1559")
        try:
            return GasPrice(head.base_fee, self._priority())
        except ErrorAnswer as error:
            raise self._refused("eth_maxPriorityFeePerGas", error) from None

    def _priority(self) -> int:
        try:
            return self._natural(self._result("eth_maxPriorityFeePerGas"), "eth_maxPriorityFeePerGas")
        except ErrorAnswer as error:
            if error.rate_limited:
                raise
        answer = self._result("eth_feeHistory", hex(5), "latest", [50])
        rewards = answer.get("reward") if isinstance(answer, dict) else None
        if (
            not isinstance(rewards, list)
            or not rewards
            or not all(isinstance(reward, list) and reward for reward in rewards)
        ):
            raise self._unusable("eth_feeHistory")
        fees = sorted(self._natural(reward[0], "eth_feeHistory") for reward in rewards)
        return fees[len(fees) // 2]

    # -- transactions and logs -----------------------------------------------------------------------------------------

    def receipt(self, transaction: str) -> TxReceipt | None:
        """Return the receipt of a mined transaction, by its hash; None if the node has none.

        A reorganisation may have replaced its block: compare the block's hash before relying on it.
        """
        with self._answering("eth_getTransactionReceipt"):
            try:
                answer = self.web3.eth.get_transaction_receipt(cast(Any, transaction))
            except TransactionNotFound:
                return None
            _check_fields(answer, "blockHash", "blockNumber", "logs", "status", "transactionHash")
            self._same(transaction, answer["transactionHash"])
            return answer

    def transaction(self, transaction: str) -> TxData | None:
        """Return a transaction that is mined, or in the node's pool (then without a blockNumber); None if it is
        neither."""
        with self._answering("eth_getTransactionByHash"):
            try:
                answer = self.web3.eth.get_transaction(cast(Any, transaction))
            except TransactionNotFound:
                return None
            _check_fields(answer, "hash")
            self._same(transaction, answer["hash"])
            return answer

    def _same(self, asked: str, answer: bytes) -> None:
        if bytes.fromhex(hex_digits(asked)) != bytes(answer):
            raise self._contradiction(f"asked for the transaction {asked}, it answers with another")

    def logs(
        self,
        first: int,
        last: int,
        address: str | Sequence[str] | None = None,
        topics: Sequence[str | Sequence[str] | None] = (),
    ) -> list[LogReceipt]:
        """Return the logs in blocks `first` to `last`, both included, in the chain's order.

        Raises RangeTooWide if the node refuses a range of several blocks.
        """
        filter: dict[str, Any] = {"fromBlock": hex(first), "toBlock": hex(last), "topics": list(topics)}
        if address is not None:
            filter["address"] = address if isinstance(address, str) else list(address)
        with self._answering("eth_getLogs", RangeTooWide if last > first else ChainUnavailable):
            logs = self.web3.eth.get_logs(cast(FilterParams, filter))
            if not isinstance(logs, list):
                raise self._unusable("eth_getLogs")
            for log in logs:
                _check_fields(
                    log, "address", "blockHash", "blockNumber", "data", "logIndex", "topics", "transactionHash"
                )
                self._check_matches(log, first, last, address)
            return logs

    def _check_matches(self, log: LogReceipt, first: int, last: int, address: str | Sequence[str] | None) -> None:
        """Raise Contradiction for a log outside the filter, such as another contract's."""
        wanted = [address] if isinstance(address, str) else address
        if wanted is not None and log["address"].lower() not in {item.lower() for item in wanted}:
            raise self._contradiction(f"asked for the logs of {wanted}, it answers with one of {log['address']}")
        if not first <= log["blockNumber"] <= last:
            raise self._contradiction(f"asked for the logs of blocks {first} to {last}, it answers with one of another")

    def send(self, raw: str | bytes) -> str:
        """Broadcast a signed transaction, and return its hash. Sending one that the chain already has is no error.

        Raises TransactionRejected if the node rejects it, ChainUnavailable if the node cannot have received it, and
        SendUnknown if the node may have it.
        """
        signed = raw if isinstance(raw, bytes) else bytes.fromhex(raw.removeprefix("0x"))
        hash = f"0x{keccak(signed).hex()}"
        try:
            answer = self._result("eth_sendRawTransaction", f"0x{signed.hex()}")
        except ErrorAnswer as error:
            self._check_rejection(hash, error)
            return hash
        if not isinstance(answer, str) or answer.lower() != hash:
            raise SendUnknown(f"the node at {self.shown} received {hash}, and answers with another hash")
        return hash

    def _check_rejection(self, hash: str, error: ErrorAnswer) -> None:
        """Raise the error that the node's rejection of a transaction means; nothing if the node has it already."""
        lowered = error.message.lower()
        message = f"the node at {self.shown} rejects a transaction: {self._clean(error.message)}"
        if ALREADY_KNOWN.search(lowered):
            return
        if error.rate_limited:
            raise self._refused("eth_sendRawTransaction", error)
        if NONCE_SPENT.search(lowered):
            if not self._has(hash):
                raise TransactionRejected(message, "nonce")
            return
        for reason, pattern in REJECTED:
            if pattern.search(lowered):
                raise TransactionRejected(message, reason)
        if error.code in NOT_BEGUN:
            raise TransactionRejected(message, "other")
        raise SendUnknown(f"the node at {self.shown} may have {hash} or not: {self._clean(error.message)}")

    def _has(self, hash: str) -> bool:
        try:
            return self.transaction(hash) is not None
        except ChainUnavailable:
            pass
        raise SendUnknown(
            f"the nonce of {hash} is spent, and the node at {self.shown} does not say by which transaction"
        )


_HASH = re.compile("0x[0-9a-fA-F]{64}")


def _block(block: BlockId) -> str:
    return hex(block) if isinstance(block, int) else block


def _check_fields(answer: object, *fields: str) -> None:
    if not isinstance(answer, Mapping) or any(answer.get(field) is None for field in fields):
        raise ValueError("fields are missing")
