"""Plugins of the mock chain whose pure half is wrong. See bad_chains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from bad_chains import BadPlugin
from msgspec.structs import replace

from chains.leaves import keccak, leaf_hash
from chains.merkle import Tree
from ledger import ContractRef
from ledger.settlement.messages import (
    Batch,
    Commitment,
)

# -- the pure half -----------------------------------------------------------------------------------------------------


class IgnoresPayouts(BadPlugin):
    breaks: ClassVar = {
        "a digest covers every field": "a batch with other payouts (()) has the same digest",
        "a data hash is the leaf file's": "the data hash: '0x",
    }

    def commitment(self, batch: Batch) -> Commitment:
        return super().commitment(replace(batch, payouts=()))


class SealsAnew(BadPlugin):
    breaks: ClassVar = {"a commitment follows from its batch": "the commitment of the same batch: Commitment("}

    def __init__(self) -> None:
        self.committed = 0

    def commitment(self, batch: Batch) -> Commitment:
        self.committed += 1
        return replace(super().commitment(batch), digest=f"0x{self.committed:064x}")


class HashesLeavesOnce(BadPlugin):
    breaks: ClassVar = {"a root is OpenZeppelin's": "the root of 1 leaves: '0x"}

    def commitment(self, batch: Batch) -> Commitment:
        tree = Tree(keccak(leaf_hash(leaf, self.leaf_types)) for leaf in batch.leaves)
        return replace(super().commitment(batch), root=f"0x{tree.root.hex()}")


class SealsAnything(BadPlugin):
    breaks: ClassVar = {"a commitment refuses bad leaves": "a batch with leaves that are not sorted is committed to"}

    def commitment(self, batch: Batch) -> Commitment:
        return super().commitment(
            replace(batch, leaves=tuple(sorted(batch.leaves, key=lambda leaf: (leaf.subscriber, leaf.plan))))
        )


class ChecksNothing(BadPlugin):
    breaks: ClassVar = {"check refuses what no leaf can name": "check accepts '\\ud800' on 'small', and no leaf can"}

    def check(self, subscriber: str, plan: str) -> None:
        pass


class ChecksNoMoney(BadPlugin):
    breaks: ClassVar = {
        "check_money refuses what no batch can pay": "check_money accepts 1 'USD' for '\\ud800', and no batch can"
    }

    def check_money(self, contract_ref: ContractRef, asset: str, shares: Mapping[str, int]) -> None:
        pass


class SaysTooLargePayouts(BadPlugin):
    """Its batches have 64 bits for a payout, and it does not say so."""

    breaks: ClassVar = {
        "a batch can pay the most that is said": f"a payout of {2**255 - 1} cannot be committed to, though"
    }

    def commitment(self, batch: Batch) -> Commitment:
        for payout in batch.payouts:
            if abs(payout.amount) >= 2**63:
                raise ValueError("int too big")
        return super().commitment(batch)


class JoinsFields(BadPlugin):
    breaks: ClassVar = {"a digest keeps fields apart": "batches that differ in the boundary of receiver and amount ("}

    def commitment(self, batch: Batch) -> Commitment:
        values = [getattr(batch, name) for name in Batch.__struct_fields__ if name != "payouts"]
        joined = "|".join(map(str, values)) + "".join(f"{each.receiver}{each.amount}" for each in batch.payouts)
        return replace(super().commitment(batch), digest=f"0x{keccak(joined.encode()).hex()}")


class JoinsNames(BadPlugin):
    breaks: ClassVar = {"a digest keeps fields apart": "batches that differ in the boundary of chain and contract ("}

    def commitment(self, batch: Batch) -> Commitment:
        joined = f"{batch.chain}{batch.contract}{batch.number}{batch.asset}{batch.at}{batch.payouts}"
        return replace(super().commitment(batch), digest=f"0x{keccak(joined.encode()).hex()}")
