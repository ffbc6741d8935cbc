"""The settlement contract as a pure fold of transactions: the same rules as `UsageSettlement` on EVM chains.

`refusal` returns why a call would be reverted, and changes nothing; an accepted call cannot fail. After every
transaction

    holdings(asset) == escrow(asset) + Σ max(due(asset, receiver), 0)

Holdings are purchases less payments; escrow and dues are changed by the rules. They are counted separately, so an error
in a rule that creates or loses money is found with the first transaction.
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
    """Fold one transaction of that block. A refused one is reverted, and still spends its nonce and its fee."""
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
    """Return the batches, escrow and dues after all open and waiting batches of lower numbers are paid out. A batch
    that cannot be paid out is skipped."""
    ahead = State(batches=dict(state.batches))
    ahead.escrow.update(state.escrow)
    ahead.due.update({asset: dict(due) for asset, due in state.due.items()})
    for recorded in [state.batches[open_number] for open_number in state.open if open_number < number]:
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
