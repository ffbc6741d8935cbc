"""Proofs that a batch of a log speaks of an account, for `statement --proof`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from chains import Proof, prove
from chains.leaves import TEXT_LEAF
from ledger.errors import Damaged, NotFound
from ledger.folding import as_of
from ledger.plugins import Store
from replay.reports.batches import BatchTold, History

from ..cli import render
from .target import has_chain, is_mock, mock_file, plugin_of


class Proven(NamedTuple):
    """A proof, the batch that it is about as it stands in the log, and the number of the last one that was confirmed
    after it in the same place (0: none), whose root has taken the place of its own there."""

    proof: Proof
    batch: BatchTold
    later: int

    def shape(self) -> dict[str, Any]:
        """The key `proof` in the answer of `statement`."""
        found = self.proof
        return {
            "batch": found.batch,
            "root": found.root,
            "leaf": found.leaf,
            "leaf_hash": found.leaf_hash,
            "proof": found.proof,
        }

    def show(self, log: Path) -> None:
        """The proof for eyes: what it is, what it proves, where the chain's root is, and a command that checks it."""
        proof, batch, leaf = self.proof, self.batch, self.proof.leaf
        counters = f"charged {render.amount(leaf.charged)}, credited {render.amount(leaf.credited)}"
        render.line()
        render.line(f"batch {batch.number} of {batch.contract} on {batch.chain}, in {batch.asset}: {batch.state}")
        render.line(f"  leaf   {leaf.subscriber} on {leaf.plan}: {counters} in all, in the asset's smallest unit")
        render.line(f"  hash   {proof.leaf_hash}")
        render.line(f"  root   {proof.root}")
        for place, sibling in enumerate(proof.proof or ("(empty: it is the only leaf)",)):
            render.line(f"  {'' if place else 'proof':<6} {sibling}")
        render.line(
            "Where the chain has this root, the operator has committed to these two counters for this account; "
            "that is all it proves."
        )
        for line in self._root(log):
            render.line(line)
        render.line("To check the proof against the root:")
        render.line(f"  {command(proof)}")

    def _root(self, log: Path) -> Iterator[str]:
        """How to get the root from the chain itself."""
        batch = self.batch
        if batch.state != "confirmed":
            yield f"The chain does not have it as its root: the batch is {batch.state}."
        elif self.later:
            yield f"The chain has the root of batch {self.later} by now: --proof {self.later} proves against that one."
        elif is_mock(batch.chain) and has_chain(where := mock_file(log, batch.contract)):
            yield "The root that the chain has:"
            read = f"print(MockChain({_literal(str(where))}).final_root({_literal(batch.asset)}))"
            yield f"  python -c {shlex.quote(f'from chains.mock import MockChain; {read}')}"
        else:
            yield f"The root that the chain has: ask {batch.contract} on {batch.chain} for its last of {batch.asset}."


def proven(store: Store, number: int, subscriber: str, plan: str) -> Proven:
    """The proof of the account's leaf in the batch of that number: of the contract in which it has one.

    Raises NotFound where no batch of that number has a leaf of the account.
    """
    history = History(store)
    # Where a number was given out again, its last batch is the one that stands.
    batches = {each.contract_ref: each for each in history.batches.told if each.number == number}
    if not batches:
        raise NotFound(f"the log has no batch {number}", "`tollbook batches LOG` lists the batches")
    for _, batch in sorted(batches.items()):
        if (proof := _proof(store, batch, subscriber, plan)) is not None:
            return Proven(proof, batch, _later(history.batches.told, batch))
    hint = "only accounts whose purchases are in escrow have one; `tollbook batches LOG` lists the batches"
    raise NotFound(f"batch {number} has no leaf of {subscriber} on {plan}", hint)


def _later(told: Sequence[BatchTold], batch: BatchTold) -> int:
    later = [
        each.number
        for each in told
        if (each.contract_ref, each.asset) == (batch.contract_ref, batch.asset)
        and each.number > batch.number
        and each.state == "confirmed"
    ]
    return max(later, default=0)


def _proof(store: Store, told: BatchTold, subscriber: str, plan: str) -> Proof | None:
    """Its leaves are those that the books have just after it was opened."""
    then = as_of(store, seq=told.seq)
    batch = next(each.batch for each in then.batches(told.contract_ref, store.id) if each.seq == told.seq)
    try:
        proof = prove(batch, plugin_of(told.chain).leaf_types, subscriber, then.leaf_plan(plan))
    except (NotFound, ValueError):  # names that no account has on such a chain
        return None
    if proof.root != told.root:
        raise Damaged(f"batch {told.number} has the root {told.root}, and its leaves come to {proof.root}")
    return proof


def command(proof: Proof) -> str:
    """A shell command that prints True where the proof holds; it needs neither log nor chain."""
    leaf = ", ".join(map(_literal, msgspec.structs.astuple(proof.leaf)))
    siblings = ", ".join(map(_literal, proof.proof))
    types = "" if proof.leaf_types == TEXT_LEAF else f", ({', '.join(map(_literal, proof.leaf_types))})"
    check = f"verify({_literal(proof.root)}, Leaf({leaf}), [{siblings}]{types})"
    return f"python -c {shlex.quote(f'from chains import verify; from ledger import Leaf; print({check})')}"


def _literal(value: str | int) -> str:
    """A Python literal, its text in double quotes, since the shell's are single ones."""
    return json.dumps(value, ensure_ascii=False)
