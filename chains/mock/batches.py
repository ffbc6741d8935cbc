"""Batches on a node: would it take one, what is the next step, how far is it, and what became of a transaction."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.settlement.messages import Attempt, Batch, Found, Standing

from . import contract, transactions
from .node import Node, raised
from .transactions import Call, Execute, Transaction


def simulate(node: Node, batch: Batch) -> str | None:
    """Why the contract would refuse the batch's next step in the next block; None where it would take it.

    Batches of lower numbers that wait, in the pool or in their window, are taken as paid out.
    """
    rules, block = node.deployment, node.height + 1
    if (batch.chain, batch.contract) != (rules.name, rules.contract):
        return f"WrongContract({batch.chain}, {batch.contract})"
    try:
        call = transactions.commit(batch)
    except ValueError as error:
        return f"BatchMalformed({error})"
    recorded = node.state.batches.get(batch.number)
    if recorded is not None and recorded.stage == "committed" and recorded.seal == call.seal:
        return contract.refusal(node.state, rules, Execute(number=batch.number, digest=call.seal.digest), block)
    if recorded is not None:
        return contract.refusal(node.state, rules, call, block)
    ahead = contract.foresee(node.state, rules, batch.number, node.waiting_commits(batch.number))
    reason = contract.refusal(ahead, rules, call, block)
    return reason or contract.escrow_refusal(ahead, batch.asset, batch.payouts)


def prepare(node: Node, batch: Batch, attempts: Sequence[Attempt]) -> Attempt | None:
    """The batch's next step, signed and unsent, or None where it is best to wait. Raises ValueError or BadData."""
    call = _next_call(node, batch)
    if call is None:
        return None
    own = [attempt for attempt in attempts if attempt.number == batch.number]
    taken = [transactions.read(attempt.raw).nonce or 0 for attempt in attempts]
    nonce, fee = max(node.next_nonce, *(one + 1 for one in taken), 0), node.loose.base_fee
    if own:
        last = transactions.read(own[-1].raw)
        stands = standing(node, last, node.final)
        if _is_behind_a_gap(node, last):
            nonce = node.next_nonce  # the same batch once more: the number is taken once, whichever comes first
        elif stands == "pending" and _is_best_left(node, last, call):
            return None
        elif stands == "pending" and node.find(last.hash):
            nonce, fee = last.nonce or 0, max(fee, raised(last.fee))
        elif stands == "gone" and (last.nonce or 0) >= node.next_nonce:
            nonce, fee = last.nonce or 0, _fee_to_come_in(node, last)
            if fee <= last.fee and type(last.call) is type(call):
                return None
    made = node.sign_for_operator(call, nonce, fee)
    count = 1 + max((attempt.attempt for attempt in own), default=0)
    return Attempt(batch.number, count, made.raw, made.hash)


def find(node: Node, number: int, final: int) -> Found:
    """How the chain has the batch of that number; blocks up to `final` are final."""
    recorded = node.state.batches.get(number)
    if recorded is None:
        waiting = node.waiting_commit(number)
        if waiting is None:
            return Found(stage="absent")
        sent = waiting.call.seal
        digest, data_hash, root = sent.digest, sent.data_hash, sent.root
        return Found(stage="pending", digest=digest, data_hash=data_hash, root=root, transaction=waiting.hash)
    over = node.height >= recorded.committed.block + node.deployment.window
    return Found(
        stage=recorded.stage,
        digest=recorded.seal.digest,
        data_hash=recorded.seal.data_hash,
        root=recorded.seal.root,
        transaction=recorded.transaction,
        block=recorded.block,
        final=recorded.block <= final,
        ready=recorded.stage != "committed" or (over and node.state.open[0] == number),
    )


def standing(node: Node, sent: Transaction, final: int) -> Standing:
    """What became of a transaction; blocks up to `final` are final."""
    if (receipt := node.state.receipts.get(sent.hash)) is not None:
        return "final" if receipt.block <= final else "pending"
    if node.find(sent.hash) is not None:
        return "pending"
    nonce = sent.nonce or 0
    spent = nonce < node.next_nonce and node.state.nonces[nonce][1] <= final
    return "replaced" if spent else "gone"


def _next_call(node: Node, batch: Batch) -> Call | None:
    """The step that the chain waits for; None where it waits for none, or has another batch of that number."""
    call = transactions.commit(batch)
    found = find(node, batch.number, node.final)
    if not found.is_recorded:
        return call
    if found.stage == "committed" and found.digest == call.seal.digest and found.ready:
        return Execute(number=batch.number, digest=found.digest)
    return None


def _fee_to_come_in(node: Node, lost: Transaction) -> int:
    """The least fee with which the pool takes in, and a block holds, what has the nonce of a lost transaction."""
    rivals = [each.transaction.fee for each in node.loose.pool if each.transaction.nonce == lost.nonce]
    return max(node.loose.base_fee, *(raised(fee) for fee in rivals), 0)


def _is_behind_a_gap(node: Node, last: Transaction) -> bool:
    """Whether it waits for a nonce that nobody has: a re-organisation took the transaction that had it."""
    waiting = {each.transaction.nonce for each in node.loose.pool}
    return node.find(last.hash) is not None and node.next_nonce not in waiting


def _is_best_left(node: Node, last: Transaction, call: Call) -> bool:
    """Whether a transaction that is under way is best left alone."""
    if node.find(last.hash) is None:
        return type(last.call) is type(call)  # mined: the next step may follow, the same one not before it is final
    # Only the lowest open nonce is worth raising: the others wait for it, whatever they pay.
    return last.fee >= node.loose.base_fee or last.nonce != node.next_nonce
