"""Batches on a node: would it take one, what is the next step, how far is it, and what became of a transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ledger import ContractRef
from ledger.settlement.messages import Attempt, Batch, Found, Standing

from . import contract, refusals, transactions
from .node import MockNode, raised
from .transactions import Call, ExecuteCall, Transaction


class NonceAndFee(NamedTuple):
    """The nonce and the fee of a transaction that is to be signed."""

    nonce: int
    fee: int


def simulate(node: MockNode, batch: Batch) -> str | None:
    """Return why the contract would refuse the batch's next step in the next block; None where it would take it.

    Batches of lower numbers that wait, in the pool or in their window, are taken as paid out.
    """
    rules, block = node.deployment, node.height + 1
    if batch.contract_ref != ContractRef(rules.name, rules.contract):
        return f"WrongContract({batch.chain}, {batch.contract})"
    try:
        call = transactions.commit(batch)
    except ValueError as error:
        return f"BatchMalformed({error})"
    recorded = node.state.batches.get(batch.number)
    if recorded is not None and recorded.stage == "committed" and recorded.commitment == call.commitment:
        return refusals.refusal(
            node.state, rules, ExecuteCall(number=batch.number, digest=call.commitment.digest), block
        )
    if recorded is not None:
        return refusals.refusal(node.state, rules, call, block)
    ahead = contract.simulate_pending(node.state, rules, batch.number, node.waiting_commits(batch.number))
    reason = refusals.refusal(ahead, rules, call, block)
    return reason or refusals.escrow_refusal(ahead, batch.asset, batch.payouts)


def prepare(node: MockNode, batch: Batch, attempts: Sequence[Attempt]) -> Attempt | None:
    """Return the batch's next step, signed and unsent, or None where it is best to wait.

    Raises ValueError or BadData.
    """
    call = _next_call(node, batch)
    if call is None:
        return None
    own = [attempt for attempt in attempts if attempt.number == batch.number]
    taken = [transactions.read(attempt.raw).nonce or 0 for attempt in attempts]
    free = NonceAndFee(max(node.next_nonce, *(nonce + 1 for nonce in taken), 0), node.pending.base_fee)
    slot = _slot_after(node, transactions.read(own[-1].raw), call, free) if own else free
    if slot is None:
        return None
    signed = node.sign_for_operator(call, slot.nonce, slot.fee)
    count = 1 + max((attempt.attempt for attempt in own), default=0)
    return Attempt(batch.number, count, signed.raw, signed.hash)


def _slot_after(node: MockNode, last: Transaction, call: Call, free: NonceAndFee) -> NonceAndFee | None:
    """Return the nonce and fee of what follows a batch's last transaction; None where it is best to wait."""
    if _is_behind_a_gap(node, last):
        return NonceAndFee(node.next_nonce, free.fee)  # the same batch once more: the number is taken once, by either
    stands, nonce = standing(node, last, node.final), last.nonce or 0
    if stands == "pending" and _is_best_left(node, last, call):
        return None
    if stands == "pending" and node.find(last.hash):
        return NonceAndFee(nonce, max(free.fee, raised(last.fee)))
    if stands == "gone" and nonce >= node.next_nonce:
        fee = _fee_to_come_in(node, last)
        return None if fee <= last.fee and type(last.call) is type(call) else NonceAndFee(nonce, fee)
    return free


def find(node: MockNode, number: int, final: int) -> Found:
    """Return how the chain has the batch of that number; blocks up to `final` are final."""
    recorded = node.state.batches.get(number)
    if recorded is None:
        waiting = node.waiting_commit(number)
        if waiting is None:
            return Found(stage="absent")
        sent = waiting.call.commitment
        digest, data_hash, root = sent.digest, sent.data_hash, sent.root
        return Found(stage="pending", digest=digest, data_hash=data_hash, root=root, transaction=waiting.hash)
    over = node.height >= recorded.committed.block + node.deployment.window
    return Found(
        stage=recorded.stage,
        digest=recorded.commitment.digest,
        data_hash=recorded.commitment.data_hash,
        root=recorded.commitment.root,
        transaction=recorded.transaction,
        block=recorded.block,
        final=recorded.block <= final,
        ready=recorded.stage != "committed" or (over and node.state.open[0] == number),
    )


def standing(node: MockNode, sent: Transaction, final: int) -> Standing:
    """Return what became of a transaction; blocks up to `final` are final."""
    if (receipt := node.state.receipts.get(sent.hash)) is not None:
        return "final" if receipt.block <= final else "pending"
    if node.find(sent.hash) is not None:
        return "pending"
    nonce = sent.nonce or 0
    spent = nonce < node.next_nonce and node.state.nonces[nonce][1] <= final
    return "replaced" if spent else "gone"


def _next_call(node: MockNode, batch: Batch) -> Call | None:
    """Return the step that the chain waits for; None where it waits for none, or has another batch of that number."""
    call = transactions.commit(batch)
    found = find(node, batch.number, node.final)
    if not found.is_recorded:
        return call
    if found.stage == "committed" and found.digest == call.commitment.digest and found.ready:
        return ExecuteCall(number=batch.number, digest=found.digest)
    return None


def _fee_to_come_in(node: MockNode, lost: Transaction) -> int:
    """Return the least fee with which the pool and a block accept a transaction with the nonce of a lost
    transaction."""
    rivals = [each.transaction.fee for each in node.pending.pool if each.transaction.nonce == lost.nonce]
    return max(node.pending.base_fee, *(raised(fee) for fee in rivals), 0)


def _is_behind_a_gap(node: MockNode, last: Transaction) -> bool:
    """Return True if it waits for a nonce that no transaction has: a re-organisation removed the one that had it."""
    waiting = {each.transaction.nonce for each in node.pending.pool}
    return node.find(last.hash) is not None and node.next_nonce not in waiting


def _is_best_left(node: MockNode, last: Transaction, call: Call) -> bool:
    """Return True if a transaction that is under way is best left alone."""
    if node.find(last.hash) is None:
        return type(last.call) is type(call)  # mined: the next step may follow, the same one not before it is final
    # Only the lowest open nonce is worth raising: the others wait for it, whatever they pay.
    return last.fee >= node.pending.base_fee or last.nonce != node.next_nonce
