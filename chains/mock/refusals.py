"""The reasons for which the contract of a mock chain reverts calls. No function here changes the state."""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from ledger.events import Leaf, Payout

from ..proofs import verify
from .state import Account, Rules, State, added, exit_amount
from .transactions import (
    Call,
    CancelCall,
    ChallengeCall,
    ClaimCall,
    CommitCall,
    ExecuteCall,
    ExitCall,
    PurchaseCall,
    RefuteCall,
    RequestExitCall,
    SpendNonceCall,
)


def refusal(state: State, rules: Rules, call: Call, block: int) -> str | None:
    """Return why the contract would revert the call in that block; None if it would accept it."""
    match call:
        case PurchaseCall():
            return _purchase_refusal(state, call)
        case RequestExitCall():
            if (call.subscriber, call.plan) not in state.buyers:
                return f"NothingBought({call.subscriber}, {call.plan})"
            return "ExitAlreadyRequested" if (call.subscriber, call.plan) in state.leaving else None
        case ExitCall():
            return _exit_refusal(state, rules, call, block)
        case RefuteCall():
            return _refute_refusal(state, call)
        case ClaimCall():
            due = state.due[call.asset].get(call.receiver, 0)
            return None if due > 0 else f"NothingDue({due})"
        case CommitCall():
            return commit_refusal(state, rules, call)
        case ExecuteCall():
            return execute_refusal(state, rules, call, block)
        case CancelCall():
            return None if call.number in state.open else f"BatchNotOpen({call.number})"
        case ChallengeCall():
            return _challenge_refusal(state, call)
        case SpendNonceCall():
            return None
        case _:
            assert_never(call)


def execute_refusal(state: State, rules: Rules, call: ExecuteCall, block: int) -> str | None:
    """Return why a batch could not be executed in that block; None if it could."""
    recorded = state.batches.get(call.number)
    if recorded is None or recorded.commitment.digest != call.digest:
        return f"BatchUnknown({call.number}, {call.digest})"
    if recorded.stage != "committed":
        return f"BatchNotOpen({call.number})"
    if state.open[0] != call.number:
        return f"BatchNotNext({call.number}, {state.open[0]})"
    if block <= recorded.committed.block + rules.window:
        return f"WindowOpen({recorded.committed.block + rules.window})"
    return escrow_refusal(state, recorded.asset, recorded.payouts)


def escrow_refusal(state: State, asset: str, payouts: Iterable[Payout]) -> str | None:
    """Return why payouts could not be made: they add more to dues than escrow has. None if they could."""
    moved = added(state, asset, payouts)
    return f"EscrowShort({asset}, {moved}, {state.escrow[asset]})" if moved > state.escrow[asset] else None


def _purchase_refusal(state: State, call: PurchaseCall) -> str | None:
    earlier = state.purchases.get(call.id)
    if earlier is not None:
        return None if earlier == call else f"PurchaseIdTaken({call.id})"
    if (call.subscriber, call.plan) in state.leaving:
        return f"Leaving({call.subscriber}, {call.plan})"  # its account is frozen, so the purchase would be useless
    return None


def _exit_refusal(state: State, rules: Rules, call: ExitCall, block: int) -> str | None:
    account = (call.subscriber, call.plan, call.asset)
    requested = state.leaving.get((call.subscriber, call.plan))
    if requested is None:
        return "ExitNotRequested"
    if account not in state.deposits:
        return f"NothingBought({call.subscriber}, {call.plan}, {call.asset})"
    if account in state.left:
        return "ExitAlreadyPaid"
    if call.leaf is None:
        since = state.exit_claims.get(account, requested.block)
        if block < since + rules.exit_delay:
            return f"ExitDelay({since + rules.exit_delay})"
    else:
        root = state.roots.get(call.asset)
        if root is None or not _proves(root.root, call.leaf, call.proof, call.subscriber, call.plan):
            return "ProofInvalid"
        if root.committed.order < requested.order:
            if block < requested.block + rules.exit_delay:
                return f"ExitDelay({requested.block + rules.exit_delay})"
            # A batch that cannot be executed must not lock the money permanently.
            if state.open and block < requested.block + 2 * rules.exit_delay + rules.window:
                return f"BatchAwaitsExecution({len(state.open)})"
    amount, escrow = exit_amount(state, call), state.escrow[call.asset]
    return f"EscrowShort({call.asset}, {amount}, {escrow})" if amount > escrow else None


def commit_refusal(state: State, rules: Rules, call: CommitCall) -> str | None:
    """Return why a batch could not be recorded; None if it could."""
    if (recorded := state.batches.get(call.number)) is not None:
        return f"BatchExists({call.number}, {recorded.commitment.digest})"
    number, digest = state.tip()
    if call.number != number + 1:
        return f"BatchOutOfOrder({call.number}, {number + 1})"
    if call.previous != digest:
        return f"WrongPrevious({call.previous}, {digest})"
    # With a window the payouts are checked on execution: escrow may change until then.
    return None if rules.window else escrow_refusal(state, call.asset, call.payouts)


def _challenge_refusal(state: State, call: ChallengeCall) -> str | None:
    if call.number not in state.open:
        return f"BatchNotOpen({call.number})"
    recorded, leaf = state.batches[call.number], call.leaf
    if not _proves(recorded.commitment.root, leaf, call.proof, leaf.subscriber, leaf.plan):
        return "ProofInvalid"
    deposits = state.deposits.get((leaf.subscriber, leaf.plan, recorded.asset), 0)
    return (
        None if leaf.charged - leaf.credited > deposits else f"NotOverdrawn({leaf.charged - leaf.credited}, {deposits})"
    )


def _proves(root: str, leaf: Leaf, proof: Iterable[str], subscriber: str, plan: str) -> bool:
    return (leaf.subscriber, leaf.plan) == (subscriber, plan) and verify(root, leaf, tuple(proof))


def _refute_refusal(state: State, call: RefuteCall) -> str | None:
    leaf = call.leaf
    if not any(account[:2] == (leaf.subscriber, leaf.plan) for account in state.exit_claims):
        return "UnchargedNotClaimed"
    if not refuted(state, call):
        return "ProofInvalid"
    return None if leaf.charged or leaf.credited else "NothingRefuted"


def refuted(state: State, call: RefuteCall) -> list[Account]:
    """Return the accounts whose claims to have been charged nothing are refuted by this leaf of a final root."""
    return [
        account
        for account in state.exit_claims
        if (root := state.roots.get(account[2])) and _proves(root.root, call.leaf, call.proof, account[0], account[1])
    ]
