"""A batch as the contract's struct, and its digest as `UsageSettlement.digestOf` computes it, without a chain."""

from __future__ import annotations

from typing import NamedTuple

from ledger.amounts import SECOND
from ledger.events import Payout
from ledger.settlement.messages import Batch, Commitment

from ..commitment import data_hash, to_hex, usage_tree
from ..leaves import EVM_LEAF, WORD, abi_encode, keccak
from . import addresses

NO_DIGEST = bytes(WORD)
"""The previous digest of the first batch."""

_PAYOUT = ("address", "int96")
BATCH_TYPES = ("uint64", "uint64", "uint32", "address", "bytes32", "bytes32", "bytes32", "bytes32")
"""The ABI types of the contract's struct `Batch`."""


class ContractBatch(NamedTuple):
    """The contract's struct `Batch`, field for field; `period_end` in whole seconds, rounded down."""

    seq: int
    period_end: int
    leaves: int
    token: str
    previous: bytes
    usage_root: bytes
    data_hash: bytes
    payouts_hash: bytes


def contract_batch(batch: Batch) -> ContractBatch:
    """Return the batch as the contract's struct. Raises ValueError for invalid leaves, and for numbers beyond its
    types.
    """
    root = usage_tree(batch.leaves, EVM_LEAF).root
    return ContractBatch(
        seq=batch.number,
        period_end=batch.at // SECOND,
        leaves=len(batch.leaves),
        token=addresses.token(batch.asset),
        previous=bytes.fromhex(batch.previous.removeprefix("0x")) if batch.previous else NO_DIGEST,
        usage_root=root,
        data_hash=data_hash(batch),
        payouts_hash=payouts_hash(batch.payouts),
    )


def payouts_hash(payouts: tuple[Payout, ...]) -> bytes:
    """Return the Keccak-256 of Solidity's `abi.encode(Payout[])`. Raises ValueError for an invalid address or int96."""
    rows = b"".join(abi_encode(_PAYOUT, (payout.receiver, payout.amount)) for payout in payouts)
    return keccak(abi_encode(("uint256", "uint256"), (WORD, len(payouts))) + rows)


def digest(chain: str, contract: str, batch: ContractBatch) -> bytes:
    """Return the Keccak-256 of Solidity's `abi.encode(block.chainid, address(this), batch)`."""
    return keccak(abi_encode(("uint256", "address", *BATCH_TYPES), (addresses.chain_id(chain), contract, *batch)))


def commitment_of(batch: Batch) -> Commitment:
    """Return the batch's commitment on an EVM chain. Raises ValueError as `contract_batch` does."""
    struct = contract_batch(batch)
    batch_digest = digest(batch.chain, batch.contract, struct)
    return Commitment(root=to_hex(struct.usage_root), data_hash=to_hex(struct.data_hash), digest=to_hex(batch_digest))
