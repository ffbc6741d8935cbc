"""The settlement contract on a chain: typed reads of its functions, encoded calls, and decoded logs."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from functools import cached_property
from typing import Any, NamedTuple

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.abi import function_abi_to_4byte_selector, get_abi_output_types
from eth_utils.address import to_checksum_address
from hexbytes import HexBytes
from web3 import Web3
from web3.contract import Contract
from web3.exceptions import Web3Exception
from web3.types import EventData, LogReceipt, TxParams

from ledger.errors import ChainUnavailable
from ledger.events import Share
from ledger.settlement.messages import Batch

from . import addresses
from .artifacts import load
from .commitment import BATCH_TYPES, ContractBatch, contract_batch
from .logs import hash_of
from .node import Node


class Stage(IntEnum):
    """The stage of a batch: the contract's enum of that name."""

    absent = 0
    committed = 1
    executed = 2
    cancelled = 3


class Record(NamedTuple):
    """A batch as the contract has it: `committed_at` in Unix seconds; the blocks of its commitment and of its last
    change of stage."""

    digest: str
    committed_at: int
    committed_block: int
    moved_block: int
    stage: Stage


class PlanTerms(NamedTuple):
    """The terms of a plan. They never change."""

    token: str
    credits: int
    seconds: int
    shares: tuple[Share, ...]


class Committed(NamedTuple):
    """A batch's commitment, read from its log: the transaction, the batch, and the URI of its leaf file."""

    transaction: str
    batch: ContractBatch
    uri: str


class SettlementContract:
    """The contract at one address, over a node. Reads are as of the block `block`; None is the head.

    Reads raise ChainUnavailable. Values that never change are read once.
    """

    def __init__(self, node: Node, address: str) -> None:
        self.node, self.address = node, address
        self.artifact = load("UsageSettlement")
        self._functions: Contract = Web3().eth.contract(address=to_checksum_address(address), abi=self.artifact.abi)
        self._plans: dict[int, PlanTerms] = {}

    # -- immutable values ----------------------------------------------------------------------------------------------

    @cached_property
    def deployed_block(self) -> int:
        """The block of the contract's deployment."""
        return int(self._one("deployedBlock"))

    @cached_property
    def challenge_window(self) -> int:
        """Seconds between a batch's commitment and its execution."""
        return int(self._one("challengeWindow"))

    @cached_property
    def freeze_delay(self) -> int:
        """Seconds after an exit request until the end of the first period whose batch serves the exit."""
        return int(self._one("freezeDelay"))

    @cached_property
    def exit_delay(self) -> int:
        """Seconds after an exit request until the subscriber may leave without a new batch."""
        return int(self._one("exitDelay"))

    def plan(self, plan_id: int, final: int | None = None, block: int | None = None) -> PlanTerms | None:
        """Return a plan's terms; None for a plan that is not published.

        `final` is the last final block: terms that were published up to there are read once, since no reorganisation
        can replace them.
        """
        if plan_id not in self._plans:
            settled = None if final is None else self._terms(plan_id, max(final, self.deployed_block))
            if settled is None:
                return self._terms(plan_id, block)
            self._plans[plan_id] = settled
        return self._plans[plan_id]

    def _terms(self, plan_id: int, block: int | None) -> PlanTerms | None:
        (token, credits, seconds, shares), price, _ = self._call("getPlan", plan_id, block=block)
        parts = tuple(Share(addresses.address(receiver), amount) for receiver, amount in shares)
        return PlanTerms(addresses.address(token), credits, seconds, parts) if price else None

    # -- state ---------------------------------------------------------------------------------------------------------

    def operator(self, block: int | None = None) -> str:
        """Return the address that may commit batches."""
        return addresses.address(self._one("operator", block=block))

    def owner(self, block: int | None = None) -> str:
        """Return the address that names operator and guardian."""
        return addresses.address(self._one("owner", block=block))

    def guardian(self, block: int | None = None) -> str:
        """Return the address that, besides the owner, may cancel batches; the address 0 if there is none."""
        return addresses.address(self._one("guardian", block=block))

    def record(self, number: int, block: int | None = None) -> Record:
        """Return the batch of that number; its stage is `absent` if there is none."""
        (record,) = self._call("getBatch", number, block=block)
        digest, committed_at, committed_block, moved_block, stage = record
        return Record("0x" + digest.hex(), committed_at, committed_block, moved_block, Stage(stage))

    def last_number(self, block: int | None = None) -> int:
        """Return the number of the last batch; 0 for none."""
        return int(self._one("lastSeq", block=block))

    def settled_number(self, block: int | None = None) -> int:
        """Return the number up to which all batches are executed or cancelled."""
        return int(self._one("settledSeq", block=block))

    def escrow(self, token: str, block: int | None = None) -> int:
        """Return the money held for subscribers, in the token's smallest unit."""
        return int(self._one("escrow", token, block=block))

    def due(self, token: str, receiver: str, block: int | None = None) -> int:
        """Return the contract's debt to a receiver, signed, in the token's smallest unit."""
        return int(self._one("due", token, receiver, block=block))

    def has_access(self, subscriber: str, plan_id: int, block: int | None = None) -> bool:
        """Return True if a subscriber has bought a plan and not asked to leave."""
        return bool(self._one("hasAccess", subscriber, plan_id, block=block))

    def spendable(self, leaf: tuple[str, int, int, int], proof: Sequence[bytes], block: int | None = None) -> int:
        """Return an account's unspent money as of the last final root, in the token's smallest unit, by its leaf there.

        Raises CallReverted for an invalid proof.
        """
        return int(self._one("spendable", *leaf, list(proof), block=block))

    def _one(self, name: str, *arguments: object, block: int | None = None) -> Any:  # noqa: ANN401 - as the ABI has it
        return self._call(name, *arguments, block=block)[0]

    def _call(self, name: str, *arguments: object, block: int | None = None) -> tuple[Any, ...]:
        function = self._functions.get_function_by_name(name)
        data = self.encode(name, *arguments)
        transaction: TxParams = {"to": to_checksum_address(self.address), "data": HexBytes(data)}
        answer = self.node.call(transaction, "latest" if block is None else block)
        try:
            return decode(get_abi_output_types(function.abi), answer)
        except DecodingError:
            message = f"the code at {self.address} does not answer {name} as the contract does"
            raise ChainUnavailable(message, "check the contract's address and the chain") from None

    # -- calls ---------------------------------------------------------------------------------------------------------

    def encode(self, name: str, *arguments: object) -> bytes:
        """Return the data of a call."""
        return bytes(HexBytes(self._functions.encode_abi(name, args=list(arguments))))

    def settle_data(self, batch: Batch, uri: str) -> bytes:
        """Return the call that records a batch; without a challenge window, it also executes it. Raises ValueError."""
        struct = tuple(contract_batch(batch))
        if self.challenge_window:
            return self.encode("commitBatch", struct, uri)
        return self.encode("settleBatch", struct, _payouts(batch), uri)

    def execute_data(self, batch: Batch) -> bytes:
        """Return the call that executes a committed batch. Raises ValueError."""
        return self.encode("executeBatch", tuple(contract_batch(batch)), _payouts(batch))

    def is_execution(self, data: bytes) -> bool:
        """Return True if the call executes a batch."""
        return data[:4] == function_abi_to_4byte_selector(self._functions.get_function_by_name("executeBatch").abi)

    # -- logs ----------------------------------------------------------------------------------------------------------

    def topic(self, event: str) -> str:
        """Return the first topic of an event's logs."""
        return self._functions.events[event]().topic

    def read(self, log: LogReceipt) -> EventData | None:
        """Return the event of a log; None for an event that the contract does not have."""
        name = self._names.get(HexBytes(log["topics"][0]).to_0x_hex()) if log["topics"] else None
        if name is None:
            return None
        try:
            event: EventData = self._functions.events[name]().process_log(log)
        except (Web3Exception, DecodingError, ValueError):
            raise self._no_log(name) from None
        return event

    def committed(self, log: LogReceipt) -> tuple[str, Committed]:
        """Return the digest of a batch's commitment and its other fields, from its log.

        An operator may pass any bytes as the uri; invalid ones are replaced.
        """
        try:
            digest, fields, uri = decode(_COMMITTED, bytes(log["data"]))
        except DecodingError:
            raise self._no_log("BatchCommitted") from None
        batch = ContractBatch(*fields)._replace(token=addresses.address(fields[3]))
        return "0x" + digest.hex(), Committed(hash_of(log), batch, uri.decode(errors="replace"))

    def _no_log(self, event: str) -> ChainUnavailable:
        return ChainUnavailable(f"the node's log {event} of {self.address} cannot be decoded", "ask another node")

    @cached_property
    def _names(self) -> dict[str, str]:
        names = [entry["name"] for entry in self.artifact.abi if entry["type"] == "event"]
        return {self.topic(name): name for name in names}


_COMMITTED = ("bytes32", f"({','.join(BATCH_TYPES)})", "bytes")
"""The data of `BatchCommitted`; a string is encoded as bytes are."""


def _payouts(batch: Batch) -> list[tuple[str, int]]:
    return [(payout.receiver, payout.amount) for payout in batch.payouts]
