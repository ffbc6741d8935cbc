"""Readings of the contract on an EVM chain: facts, batches and money, each as of one block.

A node's answers are of different moments, and a reorganisation may happen between them. A reading that combines
several answers is therefore made as of one block, and repeated if the chain has another block there at the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

from web3.types import LogReceipt

from ledger.errors import BadData, ChainUnavailable
from ledger.settlement.messages import ChainFact, Found
from ledger.settlement.messages import Stage as FoundStage

from ..commitment import to_hex
from . import addresses
from .contract import Committed, Record, SettlementContract, Stage
from .facts import MAX_TRIES, FactScan
from .logs import Logs, hash_of
from .node import Header, Node
from .node_errors import Contradiction
from .publishing import LeafFiles
from .tokens import Token

T = TypeVar("T")


class Claims(NamedTuple):
    """The amounts that receivers have claimed, as of a token and the hash of a block."""

    block: tuple[str, str]
    amounts: Counter[str]


class ContractView:
    """The readings of one `UsageSettlement`. All methods raise ChainUnavailable if the node cannot be read."""

    def __init__(self, node: Node, contract: SettlementContract, files: LeafFiles, chain_id: int) -> None:
        self._node, self._contract, self._files, self._chain_id = node, contract, files, chain_id
        self._logs = Logs(node, contract.address)
        self._scan = FactScan(contract, self.name, self._logs)
        self._final = self._height = 0
        self._claims = Claims(("", ""), Counter())

    @property
    def name(self) -> str:
        return addresses.chain_name(self._chain_id)

    @property
    def contract(self) -> str:
        return self._contract.address

    def facts(self, after: int = 0, confirmations: int | None = None) -> Iterable[ChainFact]:
        final = self.final_block()
        last = final if confirmations is None else self._head().number - confirmations
        return self._scan.facts(after, last, final)

    def final_block(self) -> int:
        self._final = max(self._final, self._node.final_block())
        return self._final

    def find(self, number: int) -> Found:
        return self._as_of_one_block(lambda final, head: self._find(number, final, head))

    def _find(self, number: int, final: int, head: Header) -> Found:
        record = self._record(number, head)
        if record.stage is Stage.absent:
            return Found(stage="absent")
        committed = self._committed(number, record, head)
        moved = committed.transaction
        if record.stage is not Stage.committed:
            event = "BatchExecuted" if record.stage is Stage.executed else "BatchCancelled"
            moved = self._transaction(event, number, record.moved_block)
        return Found(
            stage=_STAGES[record.stage],
            digest=record.digest,
            data_hash=to_hex(committed.batch.data_hash),
            root=to_hex(committed.batch.usage_root),
            transaction=moved,
            block=record.moved_block,
            final=record.moved_block <= final,
            ready=record.stage is not Stage.committed or self._is_ready(number, record, head),
        )

    def published(self, number: int) -> bytes | None:
        return self._as_of_one_block(lambda _, head: self._published(number, self._record(number, head), head))

    def _published(self, number: int, record: Record, head: Header) -> bytes | None:
        if record.stage is Stage.absent:
            return None
        committed = self._committed(number, record, head)
        return self._files.find(to_hex(committed.batch.data_hash), committed.uri)

    def due(self, receiver: str, asset: str) -> int:
        token = self._token(asset)
        return 0 if token is None else self._contract.due(token, addresses.address(receiver))

    def claimed(self, receiver: str, asset: str) -> int:
        if (token := self._token(asset)) is None:
            return 0

        def read(_: int, head: Header) -> int:
            if self._claims.block != (token, head.hash):
                self._claims = Claims((token, head.hash), self._claimed_by_all(token, head))
            return self._claims.amounts[addresses.address(receiver)]

        return self._as_of_one_block(read)

    def _claimed_by_all(self, token: str, head: Header) -> Counter[str]:
        """Return the amounts that all receivers have claimed of a token: callers mostly read all of them."""
        amounts: Counter[str] = Counter()
        topics = [self._contract.topic("Claimed"), _word(token)]
        for log in self._logs.between(topics, self._contract.deployed_block, head.number):
            receiver = addresses.address(to_hex(bytes(log["topics"][2][-20:])))
            amounts[receiver] += int.from_bytes(bytes(log["data"]), "big")
        return amounts

    def escrow(self, asset: str) -> int:
        token = self._token(asset)
        return 0 if token is None else self._contract.escrow(token)

    def holdings(self, asset: str) -> int:
        token = self._token(asset)
        return 0 if token is None else Token(self._node, token).balance(self.contract)

    def decimals(self, asset: str) -> int | None:
        """Return the decimals of the asset's token; None if it does not report them, or is on another chain."""
        token = self._token(asset)
        try:
            return None if token is None else Token(self._node, token).decimals()
        except BadData:
            return None

    def _token(self, asset: str) -> str | None:
        """Return the address of the asset's token; None for an asset of another chain."""
        token = addresses.token(asset)
        return token if asset.startswith(f"{self.name}/") else None

    def _record(self, number: int, head: Header) -> Record:
        return self._contract.record(number, head.number)

    def _is_ready(self, number: int, record: Record, head: Header) -> bool:
        """Return True if a batch's window is over, and it is the next one to execute."""
        first = self._contract.settled_number(head.number) + 1
        while first < number and self._record(first, head).stage is Stage.cancelled:
            first += 1
        return first == number and head.timestamp >= record.committed_at + self._contract.challenge_window

    def _committed(self, number: int, record: Record, head: Header) -> Committed:
        digest, committed = self._contract.committed(self._log("BatchCommitted", number, record.committed_block))
        if digest != record.digest:
            raise ChainUnavailable(f"the node's log of batch {number} differs from its record", "ask another node")
        return committed

    def _transaction(self, event: str, number: int, block: int) -> str:
        return hash_of(self._log(event, number, block))

    def _log(self, event: str, number: int, block: int) -> LogReceipt:
        """Return the log of a batch's event, in the block that the contract has recorded for it."""
        topics = [self._contract.topic(event), f"0x{number:064x}"]
        logs = self._node.logs(block, block, self.contract, topics)
        if len(logs) != 1:
            raise ChainUnavailable(
                f"the node has no log {event} of batch {number} in block {block}, where the contract has recorded it",
                "ask a node that keeps its logs",
            )
        return logs[0]

    def _as_of_one_block(self, read: Callable[[int, Header], T]) -> T:
        """Return the result of `read`, called with the last final block's number and a head that is still the chain's
        afterwards.

        The reading is retried: the node may contradict itself or lack a block, since nodes behind one load balancer
        differ.
        """
        trouble = ChainUnavailable("the chain changes faster than it can be read", "run again, or ask another node")
        for _ in range(MAX_TRIES):
            final = self.final_block()  # first, so that a head below it shows a node that contradicts itself
            head = self._head()
            try:
                answer = read(final, head)
            except ChainUnavailable as error:
                trouble = error
                continue
            current = self._node.block(head.number)
            if current is not None and current.hash == head.hash:
                return answer
        raise trouble

    def _head(self) -> Header:
        """Return the last block.

        A head below the last one seen is accepted only after several readings: nodes behind a load balancer may lag.
        """
        for left in reversed(range(MAX_TRIES)):
            try:
                head = self._node.head()
            except Contradiction:
                if not left:
                    raise
                continue
            if head.number >= self._height:
                break
        self._height = head.number
        return head


_STAGES: dict[Stage, FoundStage] = {
    Stage.committed: "committed",
    Stage.executed: "executed",
    Stage.cancelled: "cancelled",
}


def _word(address: str) -> str:
    """Return an address as a log's topic."""
    return f"0x{int(address, 16):064x}"
