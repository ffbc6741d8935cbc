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

_STIPEND = 2_300  # what a call that sends coins is given on top, and must be there before it

_REFUSALS = (
    ("max fee per gas", "max fee per gas less than block base fee"),
    ("enough balance|cannot afford", "insufficient funds for gas * price + value"),
    ("exceeds gas limit", "exceeds block gas limit"),
    ("[Ii]nsufficient gas|intrinsic|gas cannot be negative", "intrinsic gas too low"),
)
"""By py-evm's words for a transaction that it rejects, those of nodes."""


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
    """Prague's rules, but for the base fee, which tests may set."""

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
        self.chain.gas_estimator = _needed
        self.pool = Pool()

    def call(self, transaction: dict[str, Any], block_number: int | str = "latest") -> bytes:
        """Run a call on the state after that block, and forget it."""
        header = pyevm._get_block_by_number(self.chain, block_number).header
        if block_number == "latest":  # with balances that were set since
            header = header.copy(state_root=self.chain.header.state_root)
        state = self.chain.get_vm(header.copy(base_fee_per_gas=0)).state
        try:
            done = state.apply_transaction(self._unpaid({"gas": state.gas_limit, **transaction}, block_number))
        except ValidationError as error:
            raise refusal(error) from error
        if done.is_error:
            raise _failure(done.error)
        return bytes(done.output)

    def estimate_gas(self, transaction: dict[str, Any], block_number: int | str = "latest") -> int:
        """Return the gas that a transaction needs, with some to spare."""
        unpaid = self._unpaid({**transaction, "gas": 21_000}, block_number)
        try:
            header = pyevm._get_block_by_number(self.chain, block_number).header
            return int(self.chain.estimate_gas(unpaid, header))
        except VMError as error:
            raise _failure(error) from error
        except ValidationError as error:
            raise refusal(error) from error

    def _unpaid(self, transaction: dict[str, Any], block_number: int | str) -> SpoofTransaction:
        paid = {"gas_price", "max_fee_per_gas", "max_priority_fee_per_gas", "nonce"}
        fields = {name: value for name, value in transaction.items() if name not in paid}
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
        """Return a transaction that waits in the pool, or a mined one by the chain's index."""
        if waiting := self.pool.find(transaction_hash):
            return pyevm.serialize_transaction(None, waiting, None, is_pending=True)
        block, transaction, index = self._mined(transaction_hash)
        return pyevm.serialize_transaction(block, transaction, index, is_pending=False)

    def raw_transaction(self, hash: bytes) -> bytes | None:
        """Return a transaction as its sender signed it, waiting or mined."""
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
            # The index still holds what a re-organisation took away.
            if index < len(block.transactions) and block.transactions[index].hash == hash:
                return block, block.transactions[index], index
        raise TransactionNotFound(f"no transaction {hash.hex()}")

    # -- blocks on request ---------------------------------------------------------------------------------------------

    def wait_in_pool(self, raw: bytes) -> bytes:
        """Put a signed transaction into the pool, where it stays until a block is mined."""
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
        most = transaction.gas * transaction.max_fee_per_gas + transaction.value
        if most > state.get_balance(transaction.sender):
            raise RpcError(-32000, "insufficient funds for gas * price + value")
        if why_not := self.pool.add(transaction):
            raise RpcError(-32000, why_not)
        return bytes(transaction.hash)

    def mine_blocks(self, num_blocks: int = 1, coinbase: bytes = pyevm.ZERO_ADDRESS) -> Iterable[bytes]:
        """Mine so many blocks, the first with all that waits in the pool and has room in it."""
        hashes: list[bytes] = []
        for _ in range(num_blocks):
            self._fill()
            hashes += super().mine_blocks(1, coinbase)
        return tuple(hashes)

    def _fill(self) -> None:
        """Put what waits into the block in the making. What the block cannot take is forgotten, as anvil does."""
        base_fee = self.chain.header.base_fee_per_gas
        while best := self.pool.best(self._nonce, base_fee):
            if self.chain.header.gas_used + best.gas > self.chain.header.gas_limit:
                return
            self.pool.forget(best)
            with contextlib.suppress(ValidationError):
                self.chain.apply_transaction(best)

    def _nonce(self, address: bytes) -> int:
        return int(self.chain.get_vm().state.get_nonce(address))

    def next_nonce(self, address: bytes) -> int:
        """Return the nonce after a sender's mined and waiting transactions."""
        return self.pool.following(address, self._nonce(address))

    # -- what a test may set -------------------------------------------------------------------------------------------

    def set_base_fee(self, wei: int) -> None:
        """Set the base fee of the next block."""
        self.chain.header = self.chain.header.copy(base_fee_per_gas=wei)

    def set_balance(self, address: bytes, wei: int) -> None:
        """Set what an address has, in wei, from now on."""
        state = self.chain.get_vm().state
        state.set_balance(address, wei)
        state.persist()
        self.chain.header = self.chain.header.copy(state_root=state.state_root)

    def get_balance(self, account: bytes, block_number: int | str = "latest") -> int:
        """Return what an address has; the latest is that of the block in the making, as it may have been set."""
        return int(super().get_balance(account, "pending" if block_number == "latest" else block_number))

    # -- time and the past ---------------------------------------------------------------------------------------------

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
        for _ in super().mine_blocks(depth):  # their randomness, and so their hashes, are new
            pass


def refusal(error: ValidationError) -> RpcError:
    """Return how a node would say that it does not take a transaction."""
    said = str(error)
    if nonces := re.search(r"Expected (\d+), but got (\d+)", said):
        expected, got = map(int, nonces.groups())
        return RpcError(-32000, "nonce too low" if got < expected else "nonce too high")
    words = next((words for pattern, words in _REFUSALS if re.search(pattern, said)), said)
    return RpcError(-32000, words)


def _failure(error: VMError) -> RpcError:
    if isinstance(error, Revert):
        data = error.args[0] if error.args else b""
        return reverted(data if isinstance(data, bytes) else b"")
    return RpcError(-32603, f"EVM error {type(error).__name__}")


def _needed(state: Any, transaction: Any) -> int:  # noqa: ANN401 - py-evm's shapes
    """Return the gas with which a transaction does not run out: what it uses when it has plenty, and what calls keep
    back.

    py-evm tries a dozen limits, each a run of its own. That is left for where the guess is too low. Raises VMError for
    a transaction that fails with all the gas of a block.
    """
    plenty = _run(state, transaction, state.gas_limit)
    plenty.raise_if_error()
    guess = (state.gas_limit - plenty.get_gas_remaining() + _STIPEND) * 64 // 63
    for limit in (transaction.intrinsic_gas, guess):
        if not _run(state, transaction, limit).is_error:
            return int(limit)
    return int(get_gas_estimator()(state, transaction))


def _run(state: Any, transaction: Any, limit: int) -> Any:  # noqa: ANN401
    """Return what comes of a transaction with that gas limit; the state stays as it is."""
    before = state.snapshot()
    try:
        return state.apply_transaction(SpoofTransaction(transaction, gas=limit))
    finally:
        state.revert(before)
