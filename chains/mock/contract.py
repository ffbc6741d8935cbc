"""The settlement contract as a pure fold of transactions: the same rules as `UsageSettlement` on EVM chains.

`refusal` says why a call would be reverted, and touches nothing; past it, `apply` cannot fail. After every transaction

    holdings(asset) == escrow(asset) + Σ max(due(asset, receiver), 0)

Holdings are what has come in less what was paid out; escrow and dues are moved by the rules. They are counted apart, so
that money that a rule makes or loses is found at once.
"""

from __future__ import annotations

from collections.abc import Iterable

from .effects import act, pay_out, record
from .refusals import commit_refusal, escrow_refusal, refusal
from .state import Receipt, Rules, State
from .transactions import CommitCall, Transaction


class InvariantBroken(AssertionError):
    """The contract's money does not add up: a defect of the mock chain itself. Nothing was written."""


def apply(state: State, rules: Rules, transaction: Transaction, block: int) -> None:
    """Fold one transaction of that block: a refused one is reverted, and still spends its nonce and its fee."""
    state.order += 1
    if transaction.nonce is not None:
        state.nonces.append((transaction.hash, block))
        state.fees_paid += transaction.fee
    reason = refusal(state, rules, transaction.call, block)
    state.receipts[transaction.hash] = Receipt(block, reason or "")
    if reason is None:
        act(state, rules, transaction, block)
        _check_money(state)


def simulate_pending(state: State, rules: Rules, number: int, waiting: Iterable[CommitCall]) -> State:
    """Return the batches, escrow and dues as they will be once the batches before that number are paid out: those that
    are open, and those that wait in the pool. One that cannot be is passed over."""
    ahead = State(batches=dict(state.batches))
    ahead.escrow.update(state.escrow)
    ahead.due.update({asset: dict(due) for asset, due in state.due.items()})
    for recorded in [state.batches[one] for one in state.open if one < number]:
        if escrow_refusal(ahead, recorded.asset, recorded.payouts) is None:
            pay_out(ahead, recorded.asset, recorded.payouts)
    for call in waiting:
        if commit_refusal(ahead, rules, call) is None:
            record(ahead, call, "", 0)
            if escrow_refusal(ahead, call.asset, call.payouts) is None:
                pay_out(ahead, call.asset, call.payouts)
    return ahead


def _check_money(state: State) -> None:
    for asset in {*state.holdings, *state.due}:
        holdings, owed = state.holdings[asset], sum(max(due, 0) for due in state.due[asset].values())
        if holdings != state.escrow[asset] + owed or state.escrow[asset] < 0:
            raise InvariantBroken(f"{asset}: holdings {holdings} != escrow {state.escrow[asset]} + due {owed}")
