"""Proofs that a batch of a log commits to the counters of an account, for `statement --proof`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from chains import Proof, prove
from chains.leaves import TEXT_LEAF
from ledger.errors import Damaged, NotFound
from ledger.folding import as_of
from ledger.plugins import Store
from replay.batch_history import BatchRecord
from replay.reports.batches import StoredBatches

from .target import has_chain, is_mock, mock_file, plugin_of


class BatchProof(NamedTuple):
    """A proof and its batch as the log has it. `later` is the number of the last batch of the same contract and asset
    that was confirmed after it, whose root has replaced its root on the chain; 0 if there is none."""

    proof: Proof
    batch: BatchRecord
    later: int

    def answer(self) -> dict[str, Any]:
        """The key `proof` in the answer of `statement`."""
        proof = self.proof
        return {
            "batch": proof.batch,
            "root": proof.root,
            "leaf": proof.leaf,
            "leaf_hash": proof.leaf_hash,
            "proof": proof.proof,
        }

    def root_source(self, log: Path) -> tuple[str, str | None]:
        """Return a sentence on how to read the root from the chain itself, and the shell command that does; None where
        there is none."""
        batch = self.batch
        if batch.state != "confirmed":
            return f"The chain does not have it as its root: the batch is {batch.state}.", None
        if self.later:
            return f"The chain now has the root of batch {self.later}: --proof {self.later} proves against it.", None
        if is_mock(batch.chain) and has_chain(where := mock_file(log, batch.contract)):
            read = f"print(MockChain({_literal(str(where))}).final_root({_literal(batch.asset)}))"
            program = f"from chains.mock import MockChain; {read}"
            return "The root that the chain has:", f"python -c {shlex.quote(program)}"
        return (
            f"The root that the chain has: ask {batch.contract} on {batch.chain} for its last of {batch.asset}.",
            None,
        )

    def check_command(self) -> str:
        """A shell command that prints True if the proof is right; it needs neither log nor chain."""
        proof = self.proof
        leaf = ", ".join(map(_literal, msgspec.structs.astuple(proof.leaf)))
        siblings = ", ".join(map(_literal, proof.proof))
        types = "" if proof.leaf_types == TEXT_LEAF else f", ({', '.join(map(_literal, proof.leaf_types))})"
        check = f"verify({_literal(proof.root)}, Leaf({leaf}), [{siblings}]{types})"
        return f"python -c {shlex.quote(f'from chains import verify; from ledger import Leaf; print({check})')}"


def batch_proof(store: Store, number: int, subscriber: str, plan: str) -> BatchProof:
    """Return the proof of the account's leaf in the batch of that number, of the contract that has such a leaf.

    Raises NotFound if no batch of that number has a leaf of the account.
    """
    history = StoredBatches(store)
    # A number that never reached the chain is given out again; its last batch is the one that counts.
    batches = {batch.contract_ref: batch for batch in history.batches if batch.number == number}
    if not batches:
        raise NotFound(f"the log has no batch {number}", "`tollbook batches LOG` lists the batches")
    for _, batch in sorted(batches.items()):
        if (proof := _proof(store, batch, subscriber, plan)) is not None:
            return BatchProof(proof, batch, _later(history.batches, batch))
    hint = "only accounts whose purchases are in escrow have one; `tollbook batches LOG` lists the batches"
    raise NotFound(f"batch {number} has no leaf of {subscriber} on {plan}", hint)


def _later(batches: Sequence[BatchRecord], batch: BatchRecord) -> int:
    later = [
        other.number
        for other in batches
        if (other.contract_ref, other.asset) == (batch.contract_ref, batch.asset)
        and other.number > batch.number
        and other.state == "confirmed"
    ]
    return max(later, default=0)


def _proof(store: Store, record: BatchRecord, subscriber: str, plan: str) -> Proof | None:
    """Prove from the books just after the batch was opened, which have its leaves."""
    then = as_of(store, seq=record.seq)
    readings = then.batches(record.contract_ref, store.id)
    batch = next(reading.batch for reading in readings if reading.seq == record.seq)
    try:
        proof = prove(batch, plugin_of(record.chain).leaf_types, subscriber, then.leaf_plan(plan))
    except (NotFound, ValueError):  # names that no account has on such a chain
        return None
    if proof.root != record.root:
        raise Damaged(f"batch {record.number} has the root {record.root}, and its leaves give {proof.root}")
    return proof


def _literal(value: str | int) -> str:
    """Return a Python literal with its text in double quotes, since the shell's quotes are single ones."""
    return json.dumps(value, ensure_ascii=False)
