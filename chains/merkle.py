"""Merkle trees exactly as in OpenZeppelin's StandardMerkleTree (npm's `@openzeppelin/merkle-tree`), from leaf hashes.

The tree is a complete binary tree in one array: the root is at 0, the children of i at 2i+1 and 2i+2, and the leaves,
sorted by hash, fill the array's end from the back. A pair is sorted before it is hashed, so a proof is only the
siblings from leaf to root, without their sides.
"""

from __future__ import annotations

from collections.abc import Iterable

from .leaves import WORD, keccak


class Tree:
    """The tree over leaf hashes, in any order. Raises ValueError for no leaves, or one that is not 32 bytes."""

    def __init__(self, leaf_hashes: Iterable[bytes]) -> None:
        leaves = sorted(leaf_hashes, reverse=True)
        if not leaves:
            raise ValueError("a tree without leaves has no root")
        for leaf in leaves:
            _check(leaf)
        inner = len(leaves) - 1
        self._nodes = [b""] * inner + leaves
        for index in reversed(range(inner)):
            self._nodes[index] = _paired(self._nodes[2 * index + 1], self._nodes[2 * index + 2])
        self._indices = {leaf: inner + position for position, leaf in enumerate(leaves)}

    @property
    def root(self) -> bytes:
        """The 32 bytes that commit to all leaves."""
        return self._nodes[0]

    def proof(self, leaf_hash: bytes) -> list[bytes]:
        """Return the siblings from that leaf up to the root; an empty list for the only leaf.

        Raises LookupError if the tree has no such leaf.
        """
        if leaf_hash not in self._indices:
            raise LookupError(f"no leaf of this tree has the hash 0x{leaf_hash.hex()}")
        index = self._indices[leaf_hash]
        siblings = []
        while index > 0:
            siblings.append(self._nodes[index + 1 if index % 2 else index - 1])
            index = (index - 1) // 2
        return siblings


def root_of(proof: Iterable[bytes], leaf_hash: bytes) -> bytes:
    """Return the root computed from a leaf and its siblings. Raises ValueError for a hash that is not 32 bytes."""
    node = _check(leaf_hash)
    for sibling in proof:
        node = _paired(node, _check(sibling))
    return node


def _paired(one: bytes, other: bytes) -> bytes:
    return keccak(one + other if one < other else other + one)


def _check(node: bytes) -> bytes:
    if len(node) != WORD:
        raise ValueError(f"a node of a Merkle tree is {WORD} bytes, not {len(node)}")
    return node
