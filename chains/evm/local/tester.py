"""A local chain that runs eth-tester (py-evm) in this process, and answers over HTTP as a node does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, cast

from ledger.errors import ChainUnavailable

from ..extra import keep_depth, missing
from .chain import CHAIN_ID, DEV_ACCOUNTS, LocalChain
from .serving import Server

try:
    from eth_account import Account
    from eth_tester import EthereumTester
    from eth_tester.exceptions import BlockNotFound, SnapshotNotFound
    from eth_tester.exceptions import ValidationError as BadRequest
    from eth_utils.conversions import to_bytes
    from web3 import EthereumTesterProvider, Web3
    from web3.exceptions import Web3Exception
    from web3.types import RPCEndpoint

    from .backend import Backend, RpcError
except ModuleNotFoundError as error:
    raise missing(error) from error
keep_depth()

_ZERO_ADDRESS = "0x" + "00" * 20


class Tester(LocalChain):
    """A chain in this process's memory, at a port of this machine (0: a free one), by Prague's rules.

    With `automine=False` transactions stay in a pool until `mine`; otherwise each is mined when it arrives.

    Raises MissingExtra if the packages of the extra `evm` are not installed.
    """

    kind = "eth-tester"

    def __init__(
        self,
        *,
        chain_id: int = CHAIN_ID,
        automine: bool = True,
        slots: int = 1,
        timestamp: int | None = None,
        port: int = 0,
    ) -> None:
        super().__init__()
        self.chain_id, self.slots = chain_id, slots
        try:
            self._server = Server(_Rpc(Backend(chain_id, timestamp), slots, automine).answer, port)
        except OSError as error:
            message = f"eth-tester did not start at port {port}: {error.strerror}"
            raise ChainUnavailable(message, "choose another port") from error
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering, and discard the chain."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    def ended(self) -> str:
        return "" if self._thread.is_alive() else "it was closed"


class _Rpc:
    """JSON-RPC methods over eth-tester: one request at a time."""

    def __init__(self, backend: Backend, slots: int, automine: bool) -> None:
        self._backend, self._slots, self._automine = backend, slots, automine
        self._tester = EthereumTester(backend)
        provider = EthereumTesterProvider(self._tester)
        web3 = Web3(provider, middleware=[])
        self._request = provider.request_func(web3, web3.middleware_onion)
        self._lock = threading.Lock()
        self._methods: dict[str, Callable[..., object]] = {
            "eth_chainId": lambda: hex(backend.chain.chain_id),
            "net_version": lambda: str(backend.chain.chain_id),
            "eth_feeHistory": self._fee_history,
            "eth_getLogs": self._logs,
            "evm_mine": self._mine,
            "anvil_mine": self._mine,
            "evm_setNextBlockTimestamp": lambda timestamp: backend.set_next_time(_integer(timestamp)),
            "evm_revert": self._revert,
            "anvil_reorg": lambda depth, _: backend.reorganise(_integer(depth)),
            "evm_setAutomine": self._set_automine,
            "eth_sendRawTransaction": self._send_raw,
            "eth_sendTransaction": self._send,
            "eth_getTransactionCount": self._count,
            "eth_getRawTransactionByHash": lambda hash: backend.raw_transaction(to_bytes(hexstr=hash)),
            "anvil_dropTransaction": lambda hash: hash if backend.pool.drop(to_bytes(hexstr=hash)) else None,
            "anvil_dropAllTransactions": backend.pool.clear,
            "anvil_setNextBlockBaseFeePerGas": lambda wei: backend.set_base_fee(_integer(wei)),
            "anvil_setBalance": lambda address, wei: backend.set_balance(to_bytes(hexstr=address), _integer(wei)),
        }

    def answer(self, request: object) -> dict[str, Any]:
        """Return the answer to one request."""
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            return {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "Invalid request"}}
        head = {"jsonrpc": "2.0", "id": request.get("id")}
        try:
            with self._lock:
                return {**head, "result": _plain(self._result(request["method"], request.get("params") or []))}
        except RpcError as error:
            data = {} if error.data is None else {"data": error.data}
            return {**head, "error": {"code": error.code, "message": error.message, **data}}

    def _result(self, method: str, params: list[Any]) -> object:
        if method != "eth_getTransactionCount":
            params = [self._block(param) for param in params]
        if method in ("eth_call", "eth_estimateGas") and params:
            params[0] = {"from": _ZERO_ADDRESS, **params[0]}
        try:
            handler = self._methods.get(method)
            return handler(*params) if handler else self._ask_eth_tester(method, *params)
        except BlockNotFound as error:
            raise RpcError(-32602, f"BlockOutOfRangeError: {error}") from error
        except (BadRequest, Web3Exception, TypeError, ValueError, KeyError, IndexError) as error:
            raise RpcError(-32602, f"invalid params: {error}") from error

    def _ask_eth_tester(self, method: str, *params: object) -> Any:  # noqa: ANN401 - JSON, of any shape
        answer = cast(dict[str, Any], self._request(cast(RPCEndpoint, method), params))
        if "error" in answer:
            raise RpcError(answer["error"]["code"], answer["error"]["message"])
        return _as_node_answer(answer["result"])

    def _block(self, param: object) -> object:
        """Return a parameter with its block tags replaced: `pending` is the last block, `safe` and `finalized` lag by
        slots."""
        if isinstance(param, dict):
            return {name: self._block(value) for name, value in param.items()}
        lag = {"pending": 0, "safe": self._slots, "finalized": 2 * self._slots}
        if isinstance(param, str) and param in lag:
            return "latest" if param == "pending" else hex(max(self._height() - lag[param], 0))
        return param

    def _height(self) -> int:
        return int(self._backend.chain.get_block().number) - 1

    def _logs(self, filter: dict[str, Any]) -> list[Any]:
        """Return logs. Only blocks with a bloom are searched: eth-tester would read every transaction of every
        block."""
        filter = dict(filter)
        if hash := filter.pop("blockHash", None):
            block = self._ask_eth_tester("eth_getBlockByHash", hash)
            if block is None:
                raise RpcError(-32000, "unknown block")
            first = last = block["number"]
        else:
            first, last = (self._number(filter.pop(name, "latest")) for name in ("fromBlock", "toBlock"))
        headers = map(
            self._backend.chain.get_canonical_block_header_by_number, range(first, min(last, self._height()) + 1)
        )
        numbers = [header.block_number for header in headers if header.bloom]
        ranges = ({**filter, "fromBlock": hex(number), "toBlock": hex(number)} for number in numbers)
        return [log for range in ranges for log in self._ask_eth_tester("eth_getLogs", range)]

    def _number(self, block: object) -> int:
        if block == "latest":
            return self._height()
        return 0 if block == "earliest" else _integer(block)

    def _count(self, address: str, block: object = "latest") -> object:
        if block == "pending":
            return self._backend.next_nonce(to_bytes(hexstr=address))
        return self._ask_eth_tester("eth_getTransactionCount", address, self._block(block))

    def _set_automine(self, on: bool) -> None:
        self._automine = on

    def _send_raw(self, raw: str) -> object:
        if self._automine:
            return self._ask_eth_tester("eth_sendRawTransaction", raw)
        return self._backend.add_to_pool(to_bytes(hexstr=raw))

    def _send(self, asked: dict[str, Any]) -> object:
        """Send a transaction, signed with the key of a development account."""
        if self._automine:
            return self._ask_eth_tester("eth_sendTransaction", asked)
        key = next(account.key for account in DEV_ACCOUNTS if account.address.lower() == asked["from"].lower())
        priority = 10**9
        fields = {
            "chainId": self._backend.chain.chain_id,
            "nonce": self._backend.next_nonce(to_bytes(hexstr=asked["from"])),
            "value": 0,
            "maxPriorityFeePerGas": priority,
            "maxFeePerGas": 2 * self._backend.chain.header.base_fee_per_gas + priority,
            **{name: value for name, value in asked.items() if name != "from"},
        }
        return self._backend.add_to_pool(Account.sign_transaction(fields, key).raw_transaction)

    def _mine(self, blocks: object = 1) -> None:
        self._tester.mine_blocks(_integer(blocks))

    def _revert(self, snapshot: object) -> bool:
        try:
            self._tester.revert_to_snapshot(_integer(snapshot))
        except SnapshotNotFound:
            return False
        kept = self._tester._snapshots
        for later in [name for name in kept if name >= _integer(snapshot)]:
            del kept[later]
        return True

    def _fee_history(self, blocks: object, newest: object, percentiles: object = None) -> dict[str, Any]:
        last = self._number(newest)
        chain = self._backend.chain
        headers = [
            chain.get_canonical_block_header_by_number(number)
            for number in range(max(last - _integer(blocks) + 1, 0), last + 1)
        ]
        following = chain.create_header_from_parent(headers[-1]).base_fee_per_gas
        history = {
            "oldestBlock": headers[0].block_number,
            "baseFeePerGas": [*(header.base_fee_per_gas for header in headers), following],
            "gasUsedRatio": [header.gas_used / header.gas_limit for header in headers],
        }
        if isinstance(percentiles, list):
            history["reward"] = [[10**9] * len(percentiles) for _ in headers]
        return history


def _integer(value: object) -> int:
    return int(value, 16) if isinstance(value, str) else int(cast(int, value))


def _as_node_answer(result: object) -> object:
    if isinstance(result, dict):
        answer = {name: _as_node_answer(value) for name, value in result.items() if name != "state_root"}
        if isinstance(answer.get("logsBloom"), int):
            answer["logsBloom"] = f"0x{answer['logsBloom']:0512x}"
        if answer.get("to") == "":  # a transaction that creates a contract
            answer["to"] = None
        if "logIndex" in answer:
            answer.pop("type", None)
            answer["removed"] = False
        return answer
    return [_as_node_answer(item) for item in result] if isinstance(result, list | tuple) else result


def _plain(value: object) -> object:
    """Return a value as JSON-RPC has it: numbers and bytes as 0x hex."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    return hex(value) if isinstance(value, int) and not isinstance(value, bool) else value
