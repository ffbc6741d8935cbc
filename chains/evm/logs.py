"""Logs of a contract, read in ranges of blocks as wide as the node will bear."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hexbytes import HexBytes
from web3.types import LogReceipt

from .node import Node
from .node_errors import RangeTooWide

FIRST_RANGE = 2_000
"""Blocks in the first request of a scan: most providers accept so many."""

WIDEST_RANGE = 50_000


class Logs:
    """The logs of the contract at one address. The width that went well last is kept while the connection lasts."""

    def __init__(self, node: Node, address: str) -> None:
        self._node, self._address = node, address
        self._width = FIRST_RANGE

    def between(self, topics: Sequence[str | Sequence[str]], first: int, last: int) -> Iterator[LogReceipt]:
        """Yield the logs of those blocks that fit the topics, in order.

        A range that is refused is halved; one that went well grows slowly. Raises ChainUnavailable.
        """
        while first <= last:
            end = min(first + self._width - 1, last)
            try:
                found = self._node.logs(first, end, self._address, topics)
            except RangeTooWide:
                if end == first:
                    raise
                self._width = (end - first + 1) >> 1
                continue
            # What a node calls removed was taken off the chain by a re-organisation.
            standing = [log for log in found if not log.get("removed", False)]
            yield from sorted(standing, key=lambda log: (log["blockNumber"], log["logIndex"]))
            self._width = min(WIDEST_RANGE, self._width + (self._width >> 3) + 1)
            first = end + 1


def hash_of(log: LogReceipt) -> str:
    """Return the hash of a log's transaction."""
    return HexBytes(log["transactionHash"]).to_0x_hex()
