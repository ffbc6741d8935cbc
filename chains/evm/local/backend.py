"""eth-tester's chain with the answers of a node.

By itself it differs from a node: it keeps the bytes that a call reverted with as a printed string, wants the caller of
a call to own the gas, accepts transactions that were signed for another chain, and searches all blocks for a
transaction.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from typing import Any

import eth_tester.backends.pyevm.main as pyevm
from eth.estimators import get_gas_estimator
from eth.exceptions import Revert, VMError
from eth.exceptions import TransactionNotFound as NotIndexed
from eth.vm.spoof import SpoofTransaction
from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_tester.exceptions import TransactionNotFound
from eth_utils.exceptions import ValidationError
from rlp.exceptions import DecodingError as NotATransaction

from .chain import DERIVATION, MNEMONIC
from .pool import Pool

_ERROR = bytes.fromhex("08c379a0")  # Error(string), what `require` and `revert("...")` give

_STIPEND = 2_300  # gas that the EVM adds to a call with value; it must be available before the call

_REFUSALS = (
    ("max fee per gas", "max fee per gas less than block base fee"),
    ("enough balance|cannot afford", "insufficient funds for gas * price + value"),
    ("exceeds gas limit", "exceeds block gas limit"),
    ("[Ii]nsufficient gas|intrinsic|gas cannot be negative", "intrinsic gas too low"),
)
"""Patterns of py-evm's messages for rejected transactions, and the messages that nodes give instead."""


class RpcError(Exception):
    """The error of a JSON-RPC answer."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data


def reverted(data: bytes) -> RpcError:
    """Return the error of a call that the contract reverted with these bytes."""
    why = ""
    if data[:4] == _ERROR:
        try:
            why = f": {decode(['string'], data[4:])[0]}"
        except DecodingError:
            why = ""
    return RpcError(3, f"execution reverted{why}", f"0x{data.hex()}")


class _AnyBaseFee(pyevm.PragueVM):  # type: ignore[misc]
    """Prague's rules without the check of the base fee, which tests set."""

    @classmethod
    def validate_gas(cls, header: Any, parent_header: Any) -> None:  # noqa: ANN401 - py-evm has no types
        pass


class Backend(pyevm.PyEVMBackend):  # type: ignore[misc]  # eth-tester has no types
    """A chain in memory: the accounts of the development mnemonic, Prague's rules, any chain id."""

    def __init__(self, chain_id: int, timestamp: int | None = None) -> None:
        parameters = {} if timestamp is None else {"timestamp": timestamp}
        state = self.generate_genesis_state(mnemonic=MNEMONIC, hd_path=DERIVATION)
        genesis = self.generate_genesis_params(parameters)
        super().__init__(genesis, state, mnemonic=MNEMONIC, hd_path=DERIVATION)
        type(self.chain).chain_id = chain_id  # the class is made anew for each chain
        type(self.chain).vm_configuration = ((0, _AnyBaseFee),)
        self.chain.gas_estimator = _gas_needed
        self.pool = Pool()

    def call(self, transaction: dict[str, Any], block_number: int | str = "latest") -> bytes:
        """Return the output of a call on the state after that block, and discard the changes."""
        header = pyevm._get_block_by_number(self.chain, block_number).header
        if block_number == "latest":  # with the balances that `set_balance` has set
            header = header.copy(state_root=self.chain.header.state_root)
        state = self.chain.get_vm(header.copy(base_fee_per_gas=0)).state
        try:
            computation = state.apply_transaction(
                self._without_fees({"gas": state.gas_limit, **transaction}, block_number)
            )
        except ValidationError as error:
            raise refusal(error) from error
        if computation.is_error:
            raise _failure(computation.error)
        return bytes(computation.output)

    def estimate_gas(self, transaction: dict[str, Any], block_number: int | str = "latest") -> int:
        """Return the gas limit with which a transaction does not run out of gas."""
        free = self._without_fees({**transaction, "gas": 21_000}, block_number)
        try:
            header = pyevm._get_block_by_number(self.chain, block_number).header
            return int(self.chain.estimate_gas(free, header))
        except VMError as error:
            raise _failure(error) from error
        except ValidationError as error:
            raise refusal(error) from error

    def _without_fees(self, transaction: dict[str, Any], block_number: int | str) -> SpoofTransaction:
        fee_fields = {"gas_price", "max_fee_per_gas", "max_priority_fee_per_gas", "nonce"}
        fields = {name: value for name, value in transaction.items() if name not in fee_fields}
        fields |= {"max_fee_per_gas": 0, "max_priority_fee_per_gas": 0}
        unsigned = self._get_normalized_and_unsigned_evm_transaction(fields, block_number)
        return SpoofTransaction(unsigned, from_=transaction["from"])

    def send_raw_transaction(self, raw_transaction: bytes) -> bytes:
        """Apply a signed transaction to the block in the making."""
        transaction = self._decoded(raw_transaction)
        try:
            self.chain.apply_transaction(transaction)
        except ValidationError as error:
            raise refusal(error) from error
        return bytes(transaction.hash)

    def _decoded(self, raw: bytes) -> Any:  # noqa: ANN401 - py-evm has no types
        builder = self.chain.get_vm().get_transaction_builder()
        try:
            transaction = builder.decode(raw)
            transaction.check_signature_validity()
        except (NotATransaction, ValidationError, IndexError, TypeError, ValueError) as error:
            raise RpcError(-32602, "Failed to decode transaction") from error
        if transaction.chain_id is not None and transaction.chain_id != self.chain.chain_id:
            raise RpcError(-32000, "invalid chain id for signer")
        return transaction

    def get_transaction_by_hash(self, transaction_hash: bytes) -> Any:  # noqa: ANN401 - eth-tester's own shape
        """Return a transaction of the pool, or a mined one by the chain's index."""
        if pending := self.pool.find(transaction_hash):
            return pyevm.serialize_transaction(None, pending, None, is_pending=True)
        block, transaction, index = self._mined(transaction_hash)
        return pyevm.serialize_transaction(block, transaction, index, is_pending=False)

    def raw_transaction(self, hash: bytes) -> bytes | None:
        """Return the signed bytes of a pending or mined transaction; None if it is neither."""
        try:
            return bytes((self.pool.find(hash) or self._mined(hash)[1]).encode())
        except TransactionNotFound:
            return None

    def get_transaction_receipt(self, transaction_hash: bytes) -> Any:  # noqa: ANN401
        """Return a mined transaction's receipt, by the chain's index."""
        block, transaction, index = self._mined(transaction_hash)
        receipts = block.get_receipts(self.chain.chaindb)
        return pyevm.serialize_transaction_receipt(block, receipts, transaction, index, False, self.chain.get_vm())

    def _mined(self, hash: bytes) -> tuple[Any, Any, int]:
        try:
            number, index = self.chain.get_canonical_transaction_index(hash)
        except NotIndexed as error:
            raise TransactionNotFound(f"no transaction {hash.hex()}") from error
        if number < self.chain.get_block().number:
            block = self.chain.get_canonical_block_by_number(number)
            # The index still has transactions that a reorganisation removed.
            if index < len(block.transactions) and block.transactions[index].hash == hash:
                return block, block.transactions[index], index
        raise TransactionNotFound(f"no transaction {hash.hex()}")

    # -- blocks on request, from the pool ------------------------------------------------------------------------------

    def add_to_pool(self, raw: bytes) -> bytes:
        """Add a signed transaction to the pool, until a block is mined. Return its hash."""
        transaction = self._decoded(raw)
        state = self.chain.get_vm().state
        if transaction.nonce < state.get_nonce(transaction.sender):
            raise RpcError(-32000, "nonce too low")
        if transaction.max_fee_per_gas < self.chain.header.base_fee_per_gas:
            raise RpcError(-32000, "max fee per gas less than block base fee")
        if transaction.gas < transaction.intrinsic_gas:
            raise RpcError(-32000, "intrinsic gas too low")
        if transaction.gas > self.chain.header.gas_limit:
            raise RpcError(-32000, "exceeds block gas limit")
        max_cost = transaction.gas * transaction.max_fee_per_gas + transaction.value
        if max_cost > state.get_balance(transaction.sender):
            raise RpcError(-32000, "insufficient funds for gas * price + value")
        if refused := self.pool.add(transaction):
            raise RpcError(-32000, refused)
        return bytes(transaction.hash)

    def mine_blocks(self, num_blocks: int = 1, coinbase: bytes = pyevm.ZERO_ADDRESS) -> Iterable[bytes]:
        """Mine blocks, each with the transactions of the pool that fit into it."""
        hashes: list[bytes] = []
        for _ in range(num_blocks):
            self._fill()
            hashes += super().mine_blocks(1, coinbase)
        return tuple(hashes)

    def _fill(self) -> None:
        """Apply the pool to the next block. Transactions that are invalid there leave the pool, as anvil's do."""
        base_fee = self.chain.header.base_fee_per_gas
        while best := self.pool.best(self._nonce, base_fee):
            if self.chain.header.gas_used + best.gas > self.chain.header.gas_limit:
                return
            self.pool.remove(best)
            with contextlib.suppress(ValidationError):
                self.chain.apply_transaction(best)

    def _nonce(self, address: bytes) -> int:
        return int(self.chain.get_vm().state.get_nonce(address))

    def next_nonce(self, address: bytes) -> int:
        """Return the nonce after a sender's mined and pending transactions."""
        return self.pool.following(address, self._nonce(address))

    # -- state that tests set ------------------------------------------------------------------------------------------

    def set_base_fee(self, wei: int) -> None:
        """Set the base fee of the next block."""
        self.chain.header = self.chain.header.copy(base_fee_per_gas=wei)

    def set_balance(self, address: bytes, wei: int) -> None:
        """Set an address's balance, in wei."""
        state = self.chain.get_vm().state
        state.set_balance(address, wei)
        state.persist()
        self.chain.header = self.chain.header.copy(state_root=state.state_root)

    def get_balance(self, account: bytes, block_number: int | str = "latest") -> int:
        """Return an address's balance, in wei; the latest is that of the next block, which `set_balance` changes."""
        return int(super().get_balance(account, "pending" if block_number == "latest" else block_number))

    # -- time and reorganisations -------------------------------------------------------------------------------------

    def set_next_time(self, timestamp: int) -> None:
        """Set the timestamp of the next block, in seconds."""
        parent = pyevm._get_block_by_number(self.chain, "latest").header
        if timestamp <= parent.timestamp:
            raise RpcError(-32602, f"Timestamp error: {timestamp} is not later than the previous block's timestamp")
        self.chain.header = self.chain.header.copy(timestamp=timestamp)

    def reorganise(self, depth: int) -> None:
        """Replace the last blocks by empty ones."""
        height = self.chain.get_block().number - 1
        if not 0 < depth <= height:
            raise RpcError(-32602, f"Reorg depth must be from 1 to the height, {height}")
        self.revert_to_snapshot(self.chain.get_canonical_block_by_number(height - depth).hash)
        for _ in super().mine_blocks(depth):  # their prevrandao is new, and so are their hashes
            pass


def refusal(error: ValidationError) -> RpcError:
    """Return the error with which a node rejects a transaction."""
    message = str(error)
    if nonces := re.search(r"Expected (\d+), but got (\d+)", message):
        expected, got = map(int, nonces.groups())
        return RpcError(-32000, "nonce too low" if got < expected else "nonce too high")
    return RpcError(-32000, next((words for pattern, words in _REFUSALS if re.search(pattern, message)), message))


def _failure(error: VMError) -> RpcError:
    if isinstance(error, Revert):
        data = error.args[0] if error.args else b""
        return reverted(data if isinstance(data, bytes) else b"")
    return RpcError(-32603, f"EVM error {type(error).__name__}")


def _gas_needed(state: Any, transaction: Any) -> int:  # noqa: ANN401 - py-evm's shapes
    """Return the gas limit with which a transaction does not run out of gas: the gas that it uses when it has the whole
    block's, plus the 64th that each call withholds.

    py-evm's own estimator tries a dozen limits, one run each; it is used only where this guess is too low. Raises
    VMError for a transaction that fails with all the gas of a block.
    """
    unlimited = _run(state, transaction, state.gas_limit)
    unlimited.raise_if_error()
    guess = (state.gas_limit - unlimited.get_gas_remaining() + _STIPEND) * 64 // 63
    for limit in (transaction.intrinsic_gas, guess):
        if not _run(state, transaction, limit).is_error:
            return int(limit)
    return int(get_gas_estimator()(state, transaction))


def _run(state: Any, transaction: Any, limit: int) -> Any:  # noqa: ANN401
    """Return the computation of a transaction with that gas limit, and restore the state."""
    before = state.snapshot()
    try:
        return state.apply_transaction(SpoofTransaction(transaction, gas=limit))
    finally:
        state.revert(before)
