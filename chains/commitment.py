"""The commitment to a batch: the root of its leaves, the hash of its leaf file, and one digest over all fields.

The digest here is that of chains with text names; a contract on an EVM chain has another one, over the same parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ledger.events import Leaf, Payout
from ledger.settlement.messages import Batch, Commitment

from . import leaf_file
from .leaves import LeafTypes, abi_encode, check_unique, keccak, leaf_hash
from .merkle import Tree

MAX_PAYOUT = 2**255 - 1
"""The largest absolute payout that the digest of a text chain can encode."""


def commitment_of(batch: Batch, types: LeafTypes) -> Commitment:
    """Return the batch's commitment on a text chain, with leaves of those types.

    Raises ValueError for invalid leaves: none, not sorted, two of one account, or out of range.
    """
    root = usage_tree(batch.leaves, types).root
    published = data_hash(batch)
    return Commitment(root=to_hex(root), data_hash=to_hex(published), digest=to_hex(digest(batch, root, published)))


def usage_tree(leaves: Sequence[Leaf], types: LeafTypes) -> Tree:
    """Return the tree over the leaves.

    Raises ValueError for no leaves, two of one account, or one that is out of range.
    """
    check_unique(leaves, types)
    return Tree(leaf_hash(leaf, types) for leaf in leaves)


def data_hash(batch: Batch) -> bytes:
    """Return the Keccak-256 of the batch's leaf file. Raises ValueError as `leaf_file.encode` does."""
    return keccak(leaf_file.encode(batch))


def payouts_hash(payouts: Iterable[Payout]) -> bytes:
    """Return the Keccak-256 of the concatenated hashes of all payouts.

    A payout's hash is the Keccak-256 of `abi.encode(string receiver, int256 amount)`. Raises ValueError for an amount
    beyond 256 bits.
    """
    types = ("string", "int256")
    return keccak(b"".join(keccak(abi_encode(types, (payout.receiver, payout.amount))) for payout in payouts))


def digest(batch: Batch, root: bytes, published: bytes) -> bytes:
    """Return the Keccak-256 of Solidity's `abi.encode` of the parts below; `published` is the batch's data hash.

    Raises ValueError for a number beyond 256 bits, or a hash that is not 32 bytes.
    """
    parts: tuple[tuple[str, str | int | bytes], ...] = (
        ("string", "tollbook-batch-1"),
        ("string", batch.chain),
        ("string", batch.contract),
        ("uint256", batch.number),
        ("string", batch.asset),
        ("uint256", batch.at),
        ("uint256", len(batch.leaves)),
        ("string", batch.previous),
        ("bytes32", root),
        ("bytes32", published),
        ("bytes32", payouts_hash(batch.payouts)),
    )
    return keccak(abi_encode([kind for kind, _ in parts], [value for _, value in parts]))


def to_hex(data: bytes) -> str:
    """Return bytes as 0x and lower-case hex, the form used in commitments and proofs."""
    return "0x" + data.hex()
