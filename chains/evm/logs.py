"""Logs of a contract, read in the widest ranges of blocks that the node accepts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hexbytes import HexBytes
from web3.types import LogReceipt

from .node import Node
from .node_errors import RangeTooWide

FIRST_RANGE = 2_000
"""Number of blocks in a scan's first request: most providers accept it."""

MAX_RANGE = 50_000


class Logs:
    """The logs of the contract at one address. The last accepted range is kept while the connection lasts."""

    def __init__(self, node: Node, address: str) -> None:
        self._node, self._address = node, address
        self._width = FIRST_RANGE

    def between(self, topics: Sequence[str | Sequence[str]], first: int, last: int) -> Iterator[LogReceipt]:
        """Yield the logs of those blocks that match the topics, in the chain's order.

        A refused range is halved; an accepted one grows slowly. Raises ChainUnavailable.
        """
        while first <= last:
            end = min(first + self._width - 1, last)
            try:
                logs = self._node.logs(first, end, self._address, topics)
            except RangeTooWide:
                if end == first:
                    raise
                self._width = (end - first + 1) >> 1
                continue
            # `removed`: a reorganisation has taken the log's block off the chain.
            canonical = [log for log in logs if not log.get("removed", False)]
            yield from sorted(canonical, key=lambda log: (log["blockNumber"], log["logIndex"]))
            self._width = min(MAX_RANGE, self._width + (self._width >> 3) + 1)
            first = end + 1


def hash_of(log: LogReceipt) -> str:
    """Return the hash of a log's transaction."""
    return HexBytes(log["transactionHash"]).to_0x_hex()
