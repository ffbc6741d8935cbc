"""The EVM that eth-tester runs (py-evm, Prague rules), without blocks and signatures around it: five times as quick.

Each transaction pays no fee, costs the gas that it costs in a block, and is over before the next one begins.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from eth.constants import BLANK_ROOT_HASH
from eth.db.atomic import AtomicDB
from eth.db.backends.memory import MemoryDB
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.cancun.transaction_context import CancunTransactionContext
from eth.vm.forks.prague import PragueVM
from eth.vm.forks.prague.state import PragueState
from eth.vm.message import Message
from eth.vm.spoof import SpoofTransaction
from eth_abi import decode, encode
from eth_utils import keccak, to_canonical_address, to_checksum_address
from eth_utils.abi import abi_to_signature, get_abi_input_types, get_abi_output_types

CHAIN_ID = 31337
START = 1_800_000_000
"""The time of the first transaction, in Unix seconds."""

GAS = 16_777_216
"""The most that one transaction may take under Osaka's rules."""

COIN = "0x" + "0" * 40
"""The token that stands for the chain's own coin."""


class Reverted(Exception):
    """A transaction was reverted by a custom error with these arguments; `Error` and `Panic` are Solidity's own."""

    def __init__(self, error: str, arguments: tuple[Any, ...]) -> None:
        super().__init__(f"{error}{arguments}")
        self.error, self.arguments = error, arguments


@dataclass(frozen=True)
class Log:
    """An event that a contract wrote: its name, and its arguments by their names."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Receipt:
    """What came of a transaction: the value returned, the gas that it cost, and what was written."""

    value: Any
    gas: int
    logs: tuple[Log, ...]


class Artifact:
    """A compiled contract: its interface by names and by selectors."""

    def __init__(self, file: Path) -> None:
        compiled = json.loads(file.read_text())
        self.name: str = compiled["name"]
        self.bytecode = bytes.fromhex(compiled["bytecode"][2:])
        self.runtime = bytes.fromhex(compiled["runtime"][2:])
        self.entries = {(entry["type"], entry.get("name", "")): entry for entry in compiled["abi"]}
        hashed = {keccak(text=abi_to_signature(each)): each for each in compiled["abi"] if "name" in each}
        self.errors = {digest[:4]: each for digest, each in hashed.items() if each["type"] == "error"}
        self.events = {digest: each for digest, each in hashed.items() if each["type"] == "event"}

    def creation(self, *arguments: Any) -> bytes:
        """The bytes that make the contract."""
        entry = self.entries.get(("constructor", ""))
        return self.bytecode + (encode(get_abi_input_types(entry), arguments) if entry else b"")

    def calldata(self, function: str, *arguments: Any) -> bytes:
        """The bytes that call that function."""
        entry = self.entries["function", function]
        return keccak(text=abi_to_signature(entry))[:4] + encode(get_abi_input_types(entry), arguments)

    def returned(self, function: str, output: bytes) -> Any:
        """What the function returned: one value, a tuple of several, or None."""
        values = decode(get_abi_output_types(self.entries["function", function]), output)
        return values[0] if len(values) == 1 else values or None

    def log(self, topics: tuple[int, ...], data: bytes) -> Log | None:
        """The event, or None where it is not one of this contract's."""
        entry = self.events.get(topics[0].to_bytes(32, "big"))
        if entry is None:
            return None
        indexed = [each for each in entry["inputs"] if each["indexed"]]
        words = [
            decode([each["type"]], topic.to_bytes(32, "big"))[0]
            for each, topic in zip(indexed, topics[1:], strict=True)
        ]
        rest = [each for each in entry["inputs"] if not each["indexed"]]
        told = dict(zip([each["name"] for each in indexed], words, strict=True))
        values = decode(get_abi_input_types({**entry, "inputs": rest}), data)
        return Log(entry["name"], told | dict(zip([each["name"] for each in rest], values, strict=True)))


SOLIDITY_ERRORS = {
    keccak(text="Error(string)")[:4]: ("Error", ["string"]),
    keccak(text="Panic(uint256)")[:4]: ("Panic", ["uint256"]),
}


class Machine:
    """A chain of one block after another, a transaction each, in memory."""

    def __init__(self) -> None:
        self._database = MemoryDB()
        self._context(START, 1)
        self._state = PragueState(AtomicDB(self._database), self._now, BLANK_ROOT_HASH)
        self.errors: dict[bytes, tuple[str, list[str]]] = dict(SOLIDITY_ERRORS)

    @property
    def time(self) -> int:
        """Unix seconds of the next transaction's block."""
        return self._now.timestamp

    @property
    def block(self) -> int:
        """The number of the next transaction's block."""
        return self._now.block_number

    def _context(self, time: int, block: int) -> None:
        self._now = ExecutionContext(
            coinbase=bytes(20),
            timestamp=time,
            block_number=block,
            difficulty=0,
            mix_hash=bytes(32),
            gas_limit=10**9,
            prev_hashes=(),
            chain_id=CHAIN_ID,
            base_fee_per_gas=0,
            excess_blob_gas=0,
        )

    def at(self, time: int) -> None:
        """Let the next block have this time."""
        self._context(time, self.block + 1)
        self._state.execution_context = self._now

    def fork(self) -> Machine:
        """Another machine that goes on from here; this one must stay as it is from now on."""
        self._state.lock_changes()
        self._state.persist()
        other = Machine()
        other._database = MemoryDB(dict(self._database.kv_store))
        other._now = self._now
        other._state = PragueState(AtomicDB(other._database), self._now, self._state.state_root)
        other.errors = dict(self.errors)
        return other

    def give(self, address: str, coins: int) -> None:
        """Add to an address's coins, out of nothing."""
        self._state.delta_balance(to_canonical_address(address), coins)

    def coins(self, address: str) -> int:
        """What an address has of the chain's own coin."""
        return self._state.get_balance(to_canonical_address(address))

    def slot(self, address: str, place: bytes) -> int:
        """What a contract has in one slot of its storage."""
        return self._state.get_storage(to_canonical_address(address), int.from_bytes(place, "big"))

    def deploy(self, artifact: Artifact, *arguments: Any, by: str) -> Contract:
        """A new contract, made by that address."""
        computation = self._transact(by, b"", artifact.creation(*arguments), 0)
        known = {selector: (each["name"], get_abi_input_types(each)) for selector, each in artifact.errors.items()}
        self.errors |= known
        if computation.is_error:
            raise self._reverted(computation)
        return Contract(self, to_checksum_address(computation.msg.storage_address), artifact)

    def send(self, by: str, to: str, data: bytes, value: int = 0) -> Any:
        """py-evm's account of a transaction, which is in a block of its own. Raises Reverted."""
        computation = self._transact(by, to_canonical_address(to), data, value)
        if computation.is_error:
            raise self._reverted(computation)
        return computation

    def _transact(self, by: str, to: bytes, data: bytes, value: int) -> Any:
        sender = to_canonical_address(by)
        unsigned = PragueVM.get_transaction_builder().create_unsigned_transaction(
            nonce=self._state.get_nonce(sender), gas_price=0, gas=GAS, to=to, value=value, data=data
        )
        self._state.lock_changes()
        computation = self._state.apply_transaction(SpoofTransaction(unsigned, from_=sender))
        self.at(self.time)
        return computation

    def _reverted(self, computation: Any) -> Reverted:
        output = bytes(computation.output)
        if output[:4] in self.errors:
            name, types = self.errors[output[:4]]
            return Reverted(name, decode(types, output[4:]))
        return Reverted(f"0x{output.hex()}" if output else type(computation.error).__name__, ())

    def call(self, by: str, to: str, data: bytes) -> bytes:
        """What a call returns; it leaves no trace. Raises Reverted."""
        callee, caller = to_canonical_address(to), to_canonical_address(by)
        code = self._state.get_code(callee)
        message = Message(gas=GAS, to=callee, sender=caller, value=0, data=data, code=code, is_static=True)
        context = CancunTransactionContext(gas_price=0, origin=caller)
        snapshot = self._state.snapshot()
        computation = self._state.computation_class.apply_message(self._state, message, context)
        self._state.revert(snapshot)
        if computation.is_error:
            raise self._reverted(computation)
        return bytes(computation.output)


@dataclass(frozen=True)
class Contract:
    """A contract on a machine."""

    machine: Machine
    address: str
    artifact: Artifact

    def on(self, machine: Machine) -> Contract:
        """The same contract on a fork of its machine."""
        return Contract(machine, self.address, self.artifact)

    def do(self, function: str, *arguments: Any, by: str, value: int = 0) -> Receipt:
        """Send a transaction. Raises Reverted."""
        computation = self.machine.send(by, self.address, self.artifact.calldata(function, *arguments), value)
        logs = [self.artifact.log(topics, data) for _, topics, data in computation.get_log_entries()]
        gas = GAS - computation.get_gas_remaining() - computation.get_gas_refund()
        value = self.artifact.returned(function, computation.output)
        return Receipt(value, gas, tuple(log for log in logs if log is not None))

    def read(self, function: str, *arguments: Any, by: str = COIN) -> Any:
        """Call a function, and leave no trace. Raises Reverted."""
        output = self.machine.call(by, self.address, self.artifact.calldata(function, *arguments))
        return self.artifact.returned(function, output)


@contextmanager
def refused(error: str, *arguments: Any) -> Iterator[None]:
    """What happens inside is reverted by that error; with those arguments, where any are given."""
    with pytest.raises(Reverted) as caught:
        yield
    assert caught.value.error == error, caught.value
    if arguments:
        assert caught.value.arguments == arguments
