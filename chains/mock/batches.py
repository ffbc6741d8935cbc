"""Batches on a mock node: simulation, the next step, the stage, and the standing of a transaction."""

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
    """Return why the contract would refuse the batch's next step in the next block; None if it would accept it.

    Batches of lower numbers in the pool or in their window count as paid out.
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
    """Return the batch's next step, signed and unsent; None if it is better to wait. Raises ValueError or BadData."""
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
    """Return the nonce and fee of a batch's next transaction; None if it is better to wait."""
    if _is_behind_a_gap(node, last):
        return NonceAndFee(
            node.next_nonce, free.fee
        )  # signed once more: whichever transaction is mined first takes the number
    state, nonce = standing(node, last, node.final), last.nonce or 0
    if state == "pending" and _should_wait(node, last, call):
        return None
    if state == "pending" and node.find(last.hash):
        return NonceAndFee(nonce, max(free.fee, raised(last.fee)))
    if state == "gone" and nonce >= node.next_nonce:
        fee = _least_fee(node, last)
        return None if fee <= last.fee and type(last.call) is type(call) else NonceAndFee(nonce, fee)
    return free


def find(node: MockNode, number: int, final: int) -> Found:
    """Return the batch of that number as the chain has it; blocks up to `final` are final."""
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
    """Return the standing of a transaction; blocks up to `final` are final."""
    if (receipt := node.state.receipts.get(sent.hash)) is not None:
        return "final" if receipt.block <= final else "pending"
    if node.find(sent.hash) is not None:
        return "pending"
    nonce = sent.nonce or 0
    spent = nonce < node.next_nonce and node.state.nonces[nonce][1] <= final
    return "replaced" if spent else "gone"


def _next_call(node: MockNode, batch: Batch) -> Call | None:
    """Return the call of the batch's next step; None if there is none now, or the chain has another batch of that
    number."""
    call = transactions.commit(batch)
    found = find(node, batch.number, node.final)
    if not found.is_recorded:
        return call
    if found.stage == "committed" and found.digest == call.commitment.digest and found.ready:
        return ExecuteCall(number=batch.number, digest=found.digest)
    return None


def _least_fee(node: MockNode, lost: Transaction) -> int:
    """Return the least fee with which the pool and a block accept a transaction with the nonce of a lost
    transaction."""
    rivals = [entry.transaction.fee for entry in node.pending.pool if entry.transaction.nonce == lost.nonce]
    return max(node.pending.base_fee, *(raised(fee) for fee in rivals), 0)


def _is_behind_a_gap(node: MockNode, last: Transaction) -> bool:
    """Return True if the transaction waits behind a nonce that no transaction has, after a reorganisation."""
    waiting = {entry.transaction.nonce for entry in node.pending.pool}
    return node.find(last.hash) is not None and node.next_nonce not in waiting


def _should_wait(node: MockNode, last: Transaction, call: Call) -> bool:
    """Return True if a pending transaction should not be replaced now."""
    if node.find(last.hash) is None:
        return type(last.call) is type(call)  # mined: the next step may be signed, the same one only once it is final
    # A higher fee helps only the lowest open nonce: the others wait for it at any fee.
    return last.fee >= node.pending.base_fee or last.nonce != node.next_nonce
