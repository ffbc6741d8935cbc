"""The effects of accepted calls on the state of a mock chain's contract, and the facts that result for the ledger."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, assert_never

import msgspec

from ledger.events import Payout
from ledger.settlement.messages import ExitPaid, ExitRequested, PurchaseMade

from .refusals import refuted
from .state import Moment, Recorded, Root, Rules, State, added, exit_amount
from .transactions import (
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
    Transaction,
    hash_of,
)


def pay_out(state: State, asset: str, payouts: Iterable[Payout]) -> None:
    """Add payouts to dues. Dues are signed, so no receiver's balance can make this fail. The change of the sum of
    positive dues moves out of escrow, or back into it."""
    state.escrow[asset] -= added(state, asset, payouts)
    due = state.due[asset]
    for payout in payouts:
        due[payout.receiver] = due.get(payout.receiver, 0) + payout.amount


def purchase_fact(call: PurchaseCall, block: int) -> PurchaseMade:
    """Return the fact of a purchase."""
    return PurchaseMade(
        id=call.id,
        block=block,
        subscriber=call.subscriber,
        plan=call.plan,
        asset=call.asset,
        shares=call.shares,
        credits=call.credits,
        seconds=call.seconds,
    )


def exit_id(kind: Literal["requested", "paid"], *parts: str) -> str:
    """Return the id of an exit's fact. An account leaves a contract only once, so the id is unique."""
    return f"exit:{kind}:" + hash_of(msgspec.json.encode(parts).decode())[2:]


def act(state: State, rules: Rules, transaction: Transaction, block: int) -> None:
    """Apply an accepted transaction of that block."""
    call = transaction.call
    match call:
        case PurchaseCall():
            _buy(state, call, block)
        case RequestExitCall():
            state.leaving[call.subscriber, call.plan] = Moment(block, state.order)
            id = exit_id("requested", call.subscriber, call.plan)
            state.facts.append(ExitRequested(id=id, block=block, subscriber=call.subscriber, plan=call.plan))
        case ExitCall():
            _leave(state, call, block)
        case RefuteCall():
            for account in refuted(state, call):
                del state.exit_claims[account]
        case ClaimCall():
            amount = state.due[call.asset].pop(call.receiver)
            state.paid_out[call.receiver, call.asset] += amount
            _pay(state, call.receiver, call.asset, amount)
        case CommitCall():
            record(state, call, transaction.hash, block)
            if not rules.window:
                _execute(state, call.number, transaction.hash, block)
        case ExecuteCall():
            _execute(state, call.number, transaction.hash, block)
        case CancelCall():
            _cancel(state, call.number, f"cancelled: {call.reason}", transaction.hash, block)
        case ChallengeCall():
            reason = f"challenged: {call.leaf.subscriber} on {call.leaf.plan} is charged more than it paid in"
            _cancel(state, call.number, reason, transaction.hash, block)
        case SpendNonceCall():
            pass
        case _:
            assert_never(call)


def _buy(state: State, call: PurchaseCall, block: int) -> None:
    if call.id in state.purchases:
        return  # the same order buys once
    account, money = (call.subscriber, call.plan, call.asset), sum(share.amount for share in call.shares)
    state.purchases[call.id] = call
    state.deposits[account] = state.deposits.get(account, 0) + money
    state.buyers.add((call.subscriber, call.plan))
    state.holdings[call.asset] += money
    state.escrow[call.asset] += money
    state.facts.append(purchase_fact(call, block))


def _leave(state: State, call: ExitCall, block: int) -> None:
    account = (call.subscriber, call.plan, call.asset)
    if call.leaf is None and account not in state.exit_claims:
        state.exit_claims[account] = block
        return
    amount = exit_amount(state, call)
    state.exit_claims.pop(account, None)
    state.left.add(account)
    state.escrow[call.asset] -= amount
    _pay(state, call.subscriber, call.asset, amount)
    fact = ExitPaid(
        id=exit_id("paid", *account),
        block=block,
        subscriber=call.subscriber,
        plan=call.plan,
        asset=call.asset,
        amount=amount,
    )
    state.facts.append(fact)


def record(state: State, call: CommitCall, transaction: str, block: int) -> None:
    """Record a batch as committed; `transaction` is the hash of the one that did it."""
    state.open.append(call.number)
    state.batches[call.number] = Recorded(
        number=call.number,
        asset=call.asset,
        commitment=call.commitment,
        payouts=call.payouts,
        committed=Moment(block, state.order),
        stage="committed",
        transaction=transaction,
        block=block,
    )


def _execute(state: State, number: int, transaction: str, block: int) -> None:
    recorded = state.batches[number]
    pay_out(state, recorded.asset, recorded.payouts)
    state.open.remove(number)
    state.roots[recorded.asset] = Root(recorded.commitment.root, recorded.committed)
    state.batches[number] = msgspec.structs.replace(recorded, stage="executed", transaction=transaction, block=block)


def _cancel(state: State, number: int, reason: str, transaction: str, block: int) -> None:
    """Cancel a batch: it keeps its number, and the next batch builds on its digest."""
    state.open.remove(number)
    state.batches[number] = msgspec.structs.replace(
        state.batches[number], stage="cancelled", reason=reason, transaction=transaction, block=block
    )


def _pay(state: State, holder: str, asset: str, amount: int) -> None:
    state.holdings[asset] -= amount
    state.balances[holder, asset] += amount
