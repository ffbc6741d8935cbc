"""Proofs that a batch has a leaf of an account, and their verification, which needs neither ledger nor chain."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from ledger.errors import NotFound
from ledger.events import Leaf
from ledger.settlement.messages import Batch

from .commitment import to_hex, usage_tree
from .leaves import TEXT_LEAF, LeafTypes, account_key, leaf_hash
from .merkle import root_of

_HASH = re.compile(r"0x[0-9a-fA-F]{64}")


class Proof(msgspec.Struct, frozen=True):
    """An account's leaf in the batch of that number, with everything that OpenZeppelin's tree needs to verify it.

    `root`, `leaf_hash` and the `proof` (the siblings, from the leaf up) are 0x hex. See `verify` for what it proves.
    """

    batch: int
    root: str
    leaf: Leaf
    leaf_types: LeafTypes
    leaf_hash: str
    proof: tuple[str, ...]


def prove(batch: Batch, types: LeafTypes, subscriber: str, plan: str) -> Proof:
    """Return the proof of the account's leaf. Any spelling of the account's names is accepted.

    Raises NotFound if the batch has no leaf of the account, and ValueError if no account of such a chain can have
    these names, or if the batch's leaves are invalid.
    """
    key = account_key(subscriber, plan, types)
    leaf = next((leaf for leaf in batch.leaves if account_key(leaf.subscriber, leaf.plan, types) == key), None)
    if leaf is None:
        raise NotFound(f"batch {batch.number} has no leaf of {subscriber!r} on {plan!r}", "check the account's names")
    tree, hashed = usage_tree(batch.leaves, types), leaf_hash(leaf, types)
    siblings = tuple(to_hex(sibling) for sibling in tree.proof(hashed))
    return Proof(batch.number, to_hex(tree.root), leaf, types, to_hex(hashed), siblings)


def verify(root: str, leaf: Leaf, proof: Sequence[str], types: LeafTypes = TEXT_LEAF) -> bool:
    """Return True if the leaf is in the tree of that root; False also for malformed hex, or a leaf that does not fit
    its types.

    With a root that a chain has recorded, True proves that the operator committed to these two counters for this
    account, and nothing more. That the counters are right is checked by recomputing the account's statement from the
    log; that the account has no second leaf, and that the leaves match the payouts, from the leaf file.
    """
    try:
        return root_of([_hash(sibling) for sibling in proof], leaf_hash(leaf, types)) == _hash(root)
    except ValueError:
        return False


def _hash(text: str) -> bytes:
    """Return the 32 bytes of a hash's 0x hex. `bytes.fromhex` alone would accept spaces and other lengths."""
    if not _HASH.fullmatch(text):
        raise ValueError(f"{text!r} is not a hash: 0x and 64 hex digits")
    return bytes.fromhex(text[2:])
