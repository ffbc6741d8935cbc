"""One node of an EVM chain, over JSON-RPC. All that this room asks of a chain goes through here.

A `Node` is synchronous and may be used by many threads; callers in an event loop use `asyncio.to_thread`. Reads are
tried again where that is safe: a connection that breaks, a node that is busy. Sending is not: nobody can tell from a
broken connection whether the node has the transaction, and the one who sent it has to read the chain first.

What is raised is from `ledger.errors`, with the node's address but never the secret parts of its URL:

ChainUnavailable      it could not be asked, or gave no usable answer; nothing was sent
├── Contradiction     its answers do not go together: it lies, or several nodes answer by turns
├── RangeTooWide      it will not look through so many blocks at once
└── NotTaken          it refuses a transaction for good: `reason` says why
SendUnknown           a transaction was sent, and no usable answer came
Reverted              a contract refused a call; `data` has the bytes it gave
BadData               what was handed in is wrong, or the node is on another chain
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self, TypeAlias, cast
from urllib.parse import unquote, urlsplit

from ledger.errors import BadData, ChainUnavailable, LedgerError, SendUnknown

from .extra import keep_depth, missing

try:
    from eth_hash.auto import keccak
    from web3 import Web3
    from web3.exceptions import ContractLogicError, InvalidAddress, TransactionNotFound, Web3Exception, Web3RPCError
    from web3.middleware import AttributeDictMiddleware
    from web3.types import FilterParams, LogReceipt, RPCResponse, TxData, TxParams, TxReceipt

    from .transport import Transport
except ModuleNotFoundError as error:
    raise missing(error) from error
keep_depth()

BlockId: TypeAlias = int | Literal["latest", "safe", "finalized", "earliest", "pending"]
"""A block: its number, or a tag."""

Reason: TypeAlias = Literal["funds", "fee", "nonce", "other"]
"""Why a transaction is not taken: too little money for it; fees too low; its nonce is spent by another; all else."""

_RATE = re.compile(r"rate.?limit|too many requests|requests? (count|limit)|throughput|capacity|quota")
_KNOWN = re.compile(r"already ?(known|imported|exists|in )|known transaction")
_NONCE = re.compile(r"nonce (is )?too low|old ?nonce|nonce.*(less|lower) than")
_REFUSED: tuple[tuple[Reason, re.Pattern[str]], ...] = (
    ("funds", re.compile(r"insufficient ?(funds|balance)|upfront cost|not enough (funds|balance)")),
    ("fee", re.compile(r"underpriced|fee ?cap|base ?fee|fee ?too ?low|(gas price|max fee|\btip\b).*(low|less|below)")),
    (
        "other",
        re.compile(
            r"nonce (is )?too (high|far)|nonce ?gap|intrinsic|gas ?limit|gas too|chain ?id|invalid (sender|signature)"
            r"|decod|\brlp\b|revert|not supported|unsupported|oversized|initcode|pool is full|configured cap"
        ),
    ),
)
_UNDERSTOOD = (-32700, -32600, -32601, -32602)
"""JSON-RPC's codes of a request that was not even begun."""


class RangeTooWide(ChainUnavailable):
    """The node will not look for logs in so many blocks at once: ask for half."""

    hint = "ask for fewer blocks at once"


class Contradiction(ChainUnavailable):
    """Two answers of the node cannot both be right."""


class NotTaken(ChainUnavailable):
    """The node refuses a transaction, so that it is not on its way. `reason` says why, the message in whose words."""

    def __init__(self, message: str, reason: Reason, hint: str | None = None) -> None:
        super().__init__(message, hint or _HINTS[reason])
        self.reason = reason


_HINTS: dict[Reason, str] = {
    "funds": "give the account more of the chain's native coin",
    "fee": "send it with higher fees",
    "nonce": "look who else sends with this key",
    "other": "correct the transaction",
}


class Reverted(LedgerError):
    """A contract refused a call. `data` has the bytes it gave: an ABI-encoded error, or none."""

    code = "refused"
    hint = "see what the contract says"

    def __init__(self, message: str, data: bytes) -> None:
        super().__init__(message)
        self.data = data


class Header(NamedTuple):
    """A block: its number, its hash (0x hex), its timestamp in seconds, its base fee in wei (None before London)."""

    number: int
    hash: str
    timestamp: int
    base_fee: int | None


class Fees(NamedTuple):
    """The last block's base fee, and what the node suggests to give on top, both in wei a gas."""

    base: int
    priority: int


class Node:
    """A connection to one node.

    `finality` is the chain's rule: the tag `finalized`, or how many blocks must be on top. `fallback` is that number
    for a node that has no such tag. `max_head_age` (seconds; 0 for any) is how old the last block may be when the node
    is checked. `timeout` (seconds) is for each try, `tries` for reads alone, `backoff` (seconds)
    the first pause between them, which doubles. Raises BadData for a URL that is none. `web3` is for contracts'
    encodings; what is asked through it raises web3's own errors where the node answers by one.
    """

    def __init__(
        self,
        url: str,
        *,
        finality: Literal["finalized"] | int = "finalized",
        fallback: int | None = None,
        max_head_age: int = 600,
        timeout: float = 10,
        tries: int = 5,
        backoff: float = 0.25,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadData("the node's URL is not one of http or https", "give it as https://host or https://host/path")
        self.shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self._secrets = [
            secret
            for part in (parts.username, parts.password, *parts.path.split("/"), *re.split("[=&]", parts.query))
            for secret in (part or "", unquote(part or ""))
            if len(secret) > 5
        ]
        self._finality, self._fallback, self._max_head_age = finality, fallback, max_head_age
        self._final = 0
        self._lock = threading.Lock()
        self._transport = Transport(
            url, self.shown, secrets=self._secrets, timeout=timeout, tries=tries, backoff=backoff
        )
        self.web3 = Web3(self._transport, middleware=[(AttributeDictMiddleware, "attrdict")])

    def __repr__(self) -> str:
        return f"Node({self.shown!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection. A second call does nothing; whatever is asked afterwards raises ChainUnavailable."""
        self._transport.close()

    # -- is this the node that we want ---------------------------------------------------------------------------------

    def check(self, chain_id: int, now: int) -> None:
        """Check, before money moves, that the node is on that chain and up to date at the time `now` (UTC seconds).

        Raises BadData for a node of another chain; ChainUnavailable for one that is syncing, contradicts itself, or has
        a last block that is more than `max_head_age` seconds old.
        """
        told = self.chain_id()
        if told != chain_id:
            hint = f"set TOLLBOOK_EVM_URL_{chain_id} to a node of that chain"
            raise BadData(f"the node at {self.shown} is on chain {told}, not on {chain_id}", hint)
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
        """The id of the chain that the node is on."""
        return self._quantity("eth_chainId")

    def _syncing(self) -> str:
        try:
            told = self._result("eth_syncing")
        except _Answered:  # it does not know the question
            return ""
        if isinstance(told, dict):
            current, highest = (_integer(told.get(name)) for name in ("currentBlock", "highestBlock"))
            return f"at block {current} of {highest}" if current is not None and highest else "it does not say how far"
        return "it does not say how far" if told else ""

    def _contradiction(self, what: str) -> Contradiction:
        return Contradiction(f"the node at {self.shown} contradicts itself: {what}", "use another node")

    # -- blocks --------------------------------------------------------------------------------------------------------

    def head(self) -> Header:
        """The last block. Raises ChainUnavailable for one before a block that this node has called final."""
        head = self.block("latest")
        if head is None:
            raise self._unusable("eth_getBlockByNumber")
        if head.number < self._final:
            raise self._contradiction(f"its head is block {head.number}, and it has called block {self._final} final")
        return head

    def block(self, block: BlockId) -> Header | None:
        """A block; None where there is none yet."""
        with self._answering("eth_getBlockByNumber"):
            told = self._result("eth_getBlockByNumber", _block(block), False)
            header = None if told is None else self._header(told)
        if header is not None and isinstance(block, int) and header.number != block:
            raise self._contradiction(f"asked for block {block}, it tells of block {header.number}")
        return header

    def final_block(self) -> int:
        """The number of the last block that nothing can undo. It never goes back."""
        if self._finality == "finalized":
            number = self._finalized()
        else:
            number = max(self.head().number - self._finality, 0)
        with self._lock:
            self._final = max(self._final, number)
            return self._final

    def _finalized(self) -> int:
        try:
            told = self._result("eth_getBlockByNumber", "finalized", False)
        except _Answered as error:
            if error.rate_limited:
                raise self._refused("eth_getBlockByNumber", error) from None
            told = None
        if told is not None:
            return self._header(told).number
        if self._fallback is None:
            message = f"the node at {self.shown} does not say which block is final"
            raise ChainUnavailable(message, "set TOLLBOOK_EVM_FINALITY to a number of blocks, or use another node")
        return max(self.head().number - self._fallback, 0)

    def _header(self, told: object) -> Header:
        if isinstance(told, dict):
            number, timestamp, base_fee = (
                _integer(told.get(name)) for name in ("number", "timestamp", "baseFeePerGas")
            )
            hash = told.get("hash")
            if number is not None and timestamp is not None and isinstance(hash, str) and _HASH.fullmatch(hash):
                return Header(number, hash.lower(), timestamp, base_fee)
        raise self._unusable("eth_getBlockByNumber")

    # -- state, at a block ---------------------------------------------------------------------------------------------

    def balance(self, address: str, block: BlockId = "latest") -> int:
        """What an address has of the native coin, in wei."""
        return self._quantity("eth_getBalance", address, _block(block))

    def nonce(self, address: str, block: BlockId = "latest") -> int:
        """The nonce of an address's next transaction: as of mined blocks, or with `pending` of the pool as well."""
        return self._quantity("eth_getTransactionCount", address, _block(block))

    def code(self, address: str, block: BlockId = "latest") -> bytes:
        """The code at an address; empty where no contract is."""
        with self._answering("eth_getCode"):
            return bytes.fromhex(_hex(self._result("eth_getCode", address, _block(block))))

    def call(self, transaction: TxParams, block: BlockId = "latest") -> bytes:
        """What a contract answers. Raises Reverted."""
        with self._answering("eth_call"):
            return bytes(self.web3.eth.call(transaction, block))

    def estimate_gas(self, transaction: TxParams) -> int:
        """The gas that a transaction would use now. Raises Reverted, or NotTaken where there is no money for it."""
        with self._answering("eth_estimateGas"):
            return int(self.web3.eth.estimate_gas(transaction))

    def fees(self) -> Fees:
        """What gas costs now. Raises BadData on a chain that has no base fee."""
        head = self.head()
        if head.base_fee is None:
            raise BadData(f"the chain of the node at {self.shown} has no base fee", "use a chain that has EIP-1559")
        try:
            return Fees(head.base_fee, self._priority())
        except _Answered as error:
            raise self._refused("eth_maxPriorityFeePerGas", error) from None

    def _priority(self) -> int:
        try:
            return self._natural(self._result("eth_maxPriorityFeePerGas"), "eth_maxPriorityFeePerGas")
        except _Answered as error:
            if error.rate_limited:
                raise
        told = self._result("eth_feeHistory", hex(5), "latest", [50])
        rewards = told.get("reward") if isinstance(told, dict) else None
        if not isinstance(rewards, list) or not rewards or not all(isinstance(each, list) and each for each in rewards):
            raise self._unusable("eth_feeHistory")
        given = sorted(self._natural(each[0], "eth_feeHistory") for each in rewards)
        return given[len(given) // 2]

    # -- transactions and logs -----------------------------------------------------------------------------------------

    def receipt(self, transaction: str) -> TxReceipt | None:
        """The receipt of a mined transaction, by its hash; None where it is not in the chain.

        Blocks come and go: compare its block's hash before money rests on it.
        """
        with self._answering("eth_getTransactionReceipt"):
            try:
                told = self.web3.eth.get_transaction_receipt(cast(Any, transaction))
            except TransactionNotFound:
                return None
            _whole(told, "blockHash", "blockNumber", "logs", "status", "transactionHash")
            self._same(transaction, told["transactionHash"])
            return told

    def transaction(self, transaction: str) -> TxData | None:
        """A transaction that is mined, or in the node's pool (then without a blockNumber); None where it is neither."""
        with self._answering("eth_getTransactionByHash"):
            try:
                told = self.web3.eth.get_transaction(cast(Any, transaction))
            except TransactionNotFound:
                return None
            _whole(told, "hash")
            self._same(transaction, told["hash"])
            return told

    def _same(self, asked: str, told: bytes) -> None:
        if bytes.fromhex(_hex(asked)) != bytes(told):
            raise self._contradiction(f"asked for the transaction {asked}, it tells of another")

    def logs(
        self,
        first: int,
        last: int,
        address: str | Sequence[str] | None = None,
        topics: Sequence[str | Sequence[str] | None] = (),
    ) -> list[LogReceipt]:
        """The logs in blocks `first` to `last`, both included, in the chain's order.

        Raises RangeTooWide where the node refuses, and fewer blocks can be asked for.
        """
        asked: dict[str, Any] = {"fromBlock": hex(first), "toBlock": hex(last), "topics": list(topics)}
        if address is not None:
            asked["address"] = address if isinstance(address, str) else list(address)
        with self._answering("eth_getLogs", RangeTooWide if last > first else ChainUnavailable):
            found = self.web3.eth.get_logs(cast(FilterParams, asked))
            if not isinstance(found, list):
                raise self._unusable("eth_getLogs")
            for log in found:
                _whole(log, "address", "blockHash", "blockNumber", "data", "logIndex", "topics", "transactionHash")
                self._asked_for(log, first, last, address)
            return found

    def _asked_for(self, log: LogReceipt, first: int, last: int, address: str | Sequence[str] | None) -> None:
        """A node that overlooks the filter must not pass off another contract's logs."""
        wanted = [address] if isinstance(address, str) else address
        if wanted is not None and log["address"].lower() not in {each.lower() for each in wanted}:
            raise self._contradiction(f"asked for the logs of {wanted}, it tells one of {log['address']}")
        if not first <= log["blockNumber"] <= last:
            raise self._contradiction(f"asked for the logs of blocks {first} to {last}, it tells one of another")

    def send(self, raw: str | bytes) -> str:
        """Broadcast a signed transaction, and give its hash. One that the chain has already is done.

        Raises NotTaken where the node refuses it, ChainUnavailable where it surely never got there, SendUnknown where
        the node may have it or not.
        """
        signed = raw if isinstance(raw, bytes) else bytes.fromhex(raw.removeprefix("0x"))
        hash = f"0x{keccak(signed).hex()}"
        try:
            told = self._result("eth_sendRawTransaction", f"0x{signed.hex()}")
        except _Answered as error:
            self._not_sent(hash, error)
            return hash
        if not isinstance(told, str) or told.lower() != hash:
            raise SendUnknown(f"the node at {self.shown} took {hash}, and answers with another hash")
        return hash

    def _not_sent(self, hash: str, error: _Answered) -> None:
        """What the node's refusal of a transaction means: nothing, where it has it already."""
        said = error.message.lower()
        words = f"the node at {self.shown} does not take a transaction: {self._clean(error.message)}"
        if _KNOWN.search(said):
            return
        if error.rate_limited:
            raise self._refused("eth_sendRawTransaction", error)
        if _NONCE.search(said):
            if not self._has(hash):
                raise NotTaken(words, "nonce")
            return
        for reason, pattern in _REFUSED:
            if pattern.search(said):
                raise NotTaken(words, reason)
        if error.code in _UNDERSTOOD:
            raise NotTaken(words, "other")
        raise SendUnknown(f"the node at {self.shown} may have {hash} or not: {self._clean(error.message)}")

    def _has(self, hash: str) -> bool:
        try:
            return self.transaction(hash) is not None
        except ChainUnavailable:
            pass
        raise SendUnknown(f"the nonce of {hash} is spent, and the node at {self.shown} does not say whether by it")

    # -- asking --------------------------------------------------------------------------------------------------------

    def _result(self, method: str, *params: object) -> object:
        """The result of one request. Raises _Answered where the node answers by an error."""
        told = self._transport.make_request(cast(Any, method), params)
        if "error" in told:
            raise _Answered(told)
        return told.get("result")

    def _quantity(self, method: str, *params: object) -> int:
        with self._answering(method):
            return self._natural(self._result(method, *params), method)

    def _natural(self, told: object, method: str) -> int:
        number = _integer(told)
        if number is None:
            raise self._unusable(method)
        return number

    @contextmanager
    def _answering(self, method: str, refusal: type[ChainUnavailable] = ChainUnavailable) -> Iterator[None]:
        """Turns what web3 and bad answers raise into errors of ours; an error answer becomes a `refusal`."""
        try:
            yield
            return
        except ContractLogicError as error:
            raised: LedgerError = Reverted(
                self._clean(error.message or "the call was reverted"), _revert_data(error.data)
            )
        except Web3RPCError as error:
            raised = self._refused(method, _Answered(cast(RPCResponse, error.rpc_response)), refusal)
        except _Answered as error:
            raised = self._refused(method, error, refusal)
        except InvalidAddress as error:
            raised = BadData(f"not an address: {error}", "give it as 0x and 40 hex digits, in EIP-55 capitals")
        except (Web3Exception, ValueError, TypeError, KeyError, AttributeError):
            raised = self._unusable(method)
        raise raised from None  # the library's own error has the node's words unwashed

    def _refused(
        self, method: str, error: _Answered, refusal: type[ChainUnavailable] = ChainUnavailable
    ) -> ChainUnavailable:
        said = self._clean(error.message)
        if error.rate_limited:
            return ChainUnavailable(f"the node at {self.shown} is asked too much: {said}", "wait, or use another node")
        message = f"the node at {self.shown} refuses {method}: {said}"
        if method == "eth_estimateGas" and _REFUSED[0][1].search(said.lower()):
            return NotTaken(message, "funds")
        if refusal is RangeTooWide and error.code != -32601:
            return RangeTooWide(message)
        return ChainUnavailable(message, "use a node that answers this")

    def _unusable(self, method: str) -> ChainUnavailable:
        message = f"the node at {self.shown} gives no usable answer to {method}"
        return ChainUnavailable(message, "check the node's URL, or use another node")

    def _clean(self, words: str) -> str:
        """A node's own words, on one line, without what must not be shown."""
        for secret in self._secrets:
            words = words.replace(secret, "…")
        return " ".join("".join(each if each.isprintable() else " " for each in words).split())[:200].rstrip(".")


class _Answered(Exception):
    """A node's answer that is an error."""

    def __init__(self, told: RPCResponse) -> None:
        error = cast(dict[str, Any], told["error"])
        self.code, self.message = error.get("code"), str(error.get("message") or "no reason given")
        super().__init__(self.message)

    @property
    def rate_limited(self) -> bool:
        """Whether the same question may be answered later."""
        return self.code == 429 or bool(_RATE.search(self.message.lower()))


_HASH = re.compile("0x[0-9a-fA-F]{64}")


def _block(block: BlockId) -> str:
    return hex(block) if isinstance(block, int) else block


def _integer(told: object) -> int | None:
    return int(told, 16) if isinstance(told, str) and re.fullmatch("0x[0-9a-fA-F]+", told) else None


def _hex(told: object) -> str:
    if not isinstance(told, str) or not told.startswith("0x"):
        raise ValueError("no hex")
    return told[2:]


def _whole(told: object, *fields: str) -> None:
    if not isinstance(told, Mapping) or any(told.get(field) is None for field in fields):
        raise ValueError("not whole")


def _revert_data(data: object) -> bytes:
    try:
        return bytes.fromhex(_hex(data))
    except ValueError:
        return b""
