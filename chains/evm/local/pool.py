"""The mempool of the eth-tester chain: pending transactions, while it mines on request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_BUMP = 10
"""Per cent by which a replacement must raise both fees, as on nodes."""


class Pool:
    """Signed transactions of py-evm, at most one for each nonce of a sender."""

    def __init__(self) -> None:
        self._pending: dict[tuple[bytes, int], Any] = {}

    def find(self, hash: bytes) -> Any | None:  # noqa: ANN401 - py-evm has no types
        """Return the transaction with that hash."""
        return next((each for each in self._pending.values() if each.hash == hash), None)

    def add(self, transaction: Any) -> str | None:  # noqa: ANN401
        """Add a transaction, or replace the one with its nonce. Return the error text of a node if it is refused."""
        slot = transaction.sender, transaction.nonce
        earlier = self._pending.get(slot)
        if earlier is not None:
            if earlier.hash == transaction.hash:
                return "transaction already imported"
            if any(
                100 * new < (100 + _BUMP) * old for new, old in zip(_fees(transaction), _fees(earlier), strict=True)
            ):
                return "replacement transaction underpriced"
        self._pending[slot] = transaction
        return None

    def best(self, nonce: Callable[[bytes], int], base_fee: int) -> Any | None:  # noqa: ANN401
        """Return the transaction that pays the block producer most, of those with their sender's next nonce."""
        ready = [each for (sender, number), each in self._pending.items() if number == nonce(sender)]
        return max(ready, key=lambda each: min(each.max_fee_per_gas - base_fee, _fees(each)[1]), default=None)

    def following(self, sender: bytes, nonce: int) -> int:
        """Return the first nonce from this one on that none of the sender's transactions has."""
        while (sender, nonce) in self._pending:
            nonce += 1
        return nonce

    def remove(self, transaction: Any) -> None:  # noqa: ANN401
        """Remove a transaction, by its sender and nonce."""
        self._pending.pop((transaction.sender, transaction.nonce), None)

    def drop(self, hash: bytes) -> bool:
        """Remove a transaction and its sender's later ones. Return False if it is not in the pool."""
        dropped = self.find(hash)
        if dropped is None:
            return False
        for sender, nonce in list(self._pending):
            if sender == dropped.sender and nonce >= dropped.nonce:
                del self._pending[sender, nonce]
        return True

    def clear(self) -> None:
        """Remove all transactions."""
        self._pending.clear()


def _fees(transaction: Any) -> tuple[int, int]:  # noqa: ANN401
    return transaction.max_fee_per_gas, transaction.max_priority_fee_per_gas
