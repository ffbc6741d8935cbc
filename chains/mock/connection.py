"""A connection to a mock chain: calls of its node, to which scripted faults apply."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Self

from ledger.errors import ChainUnavailable, LedgerError

from . import batches, faults
from .faults import Fault, NodeDown, Reorganise
from .node import MockNode
from .shared import SharedNode
from .transactions import Transaction


class NodeCall:
    """A call in progress: the fault that applies, whether finality is missing, and the error to raise at its end."""

    def __init__(self, fault: Fault | None, blind: bool) -> None:
        self.fault, self.blind = fault, blind
        self.trouble: LedgerError | None = None


class Connection:
    """A connection to a mock chain's node, which other connections may share."""

    def __init__(self, shared: SharedNode) -> None:
        self._shared = shared

    def close(self) -> None:
        """Close the file. A second call does nothing."""
        self._shared.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write all changes made inside the context in one transaction; an error undoes all of them."""
        with self._shared.changing():
            yield

    @property
    def _node(self) -> MockNode:
        return self._shared.node

    @contextmanager
    def _calling(
        self, call: faults.Call, number: int = 0, transaction: Transaction | None = None
    ) -> Iterator[NodeCall]:
        """Run a call of the chain's protocol, to which a scripted fault may apply."""
        with self._shared.lock:
            if not self._shared.now().pending.script:
                yield NodeCall(None, False)
                return
            with self._shared.changing():
                asked = self._strike(call, number, transaction)
                if asked.trouble is None:
                    yield asked
                    self._shake(asked.fault, "after")
            if asked.trouble is not None:
                raise asked.trouble

    def _strike(self, call: faults.Call, number: int, transaction: Transaction | None) -> NodeCall:
        pending = self._node.pending
        fault, pending.script = faults.take(pending.script, call, lambda _: self._can_lie(number, transaction))
        blind = False
        if call in faults.FINALITY_CALLS and not isinstance(fault, NodeDown):
            blind, pending.script = faults.take_finality(pending.script)
        asked = NodeCall(fault, blind)
        if isinstance(fault, NodeDown):
            asked.trouble = ChainUnavailable("the node is down")
        self._shake(fault, "before")
        return asked

    def _can_lie(self, number: int, transaction: Transaction | None) -> bool:
        sent = self._node.pending.sent
        if sent is None or sent.transaction in self._node.state.receipts:
            return False
        if transaction is not None:
            return (
                transaction.hash == sent.transaction
                and batches.standing(self._node, transaction, self._node.final) == "gone"
            )
        return number == sent.number and number not in self._node.state.batches

    def _shake(self, fault: Fault | None, when: Literal["before", "after"]) -> None:
        if isinstance(fault, Reorganise) and fault.when == when and self._node.height:
            self._node.reorganise(min(fault.depth, self._node.height), fault.keep)

    def _final(self, asked: NodeCall) -> int:
        return 0 if asked.blind else self._node.final

    def _automine(self) -> None:
        if self._node.pending.automine:
            self._node.mine_ready()
