"""The settlement contract as a pure fold of transactions: the same rules as `UsageSettlement` on EVM chains.

`refusal` says why a call would be reverted, and touches nothing; past it, `apply` cannot fail. After every transaction

    holdings(asset) == escrow(asset) + Σ max(due(asset, receiver), 0)

Holdings are what has come in less what was paid out; escrow and dues are moved by the rules. They are counted apart, so
that money that a rule makes or loses is found at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias, assert_never

import msgspec

from ledger.events import Leaf, Payout
from ledger.settlement.messages import ChainFact, Commitment, ExitPaid, ExitRequested, PurchaseMade

from ..proofs import verify
from .transactions import (
    Call,
    Cancel,
    Challenge,
    Claim,
    Commit,
    Execute,
    Exit,
    Nothing,
    Purchase,
    Refute,
    RequestExit,
    Transaction,
    hash_of,
)

Account: TypeAlias = tuple[str, str, str]
"""Subscriber, plan and asset."""


class InvariantBroken(AssertionError):
    """The contract's money does not add up: a defect of the mock chain itself. Nothing was written."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What a contract is deployed with: its challenge window and its exit delay, in blocks."""

    window: int = 0
    exit_delay: int = 10


class Moment(NamedTuple):
    """A transaction's block, and its place among all transactions since the first."""

    block: int
    order: int


class Receipt(NamedTuple):
    """The block that has a transaction, and why it was reverted there; empty where it was not."""

    block: int
    reverted: str


class Root(NamedTuple):
    """The root of the last batch of an asset that was executed, and when that batch was committed."""

    root: str
    committed: Moment


class Recorded(msgspec.Struct, frozen=True):
    """A batch as the contract has it. `transaction` and `block` are those that brought it to its stage."""

    number: int
    asset: str
    seal: Commitment
    payouts: tuple[Payout, ...]
    committed: Moment
    stage: Literal["committed", "executed", "cancelled"]
    transaction: str
    block: int
    reason: str = ""


@dataclass
class State:
    """All that follows from the transactions so far."""

    purchases: dict[str, Purchase] = field(default_factory=dict)
    deposits: dict[Account, int] = field(default_factory=dict)
    buyers: set[tuple[str, str]] = field(default_factory=set)
    leaving: dict[tuple[str, str], Moment] = field(default_factory=dict)
    claimed: dict[Account, int] = field(default_factory=dict)  # exits without a leaf, by the block that has the claim
    left: set[Account] = field(default_factory=set)
    batches: dict[int, Recorded] = field(default_factory=dict)
    open: list[int] = field(default_factory=list)  # committed, neither executed nor cancelled, in order
    roots: dict[str, Root] = field(default_factory=dict)
    due: defaultdict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    escrow: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    holdings: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    balances: defaultdict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    paid_out: defaultdict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))  # dues, not exits
    facts: list[ChainFact] = field(default_factory=list)
    receipts: dict[str, Receipt] = field(default_factory=dict)
    nonces: list[tuple[str, int]] = field(default_factory=list)  # the operator's: transaction and block
    fees_paid: int = 0
    order: int = 0

    def tip(self) -> tuple[int, str]:
        """The last batch's number and digest; 0 and an empty one where there is none."""
        number = len(self.batches)
        return number, self.batches[number].seal.digest if number else ""


def apply(state: State, rules: Rules, transaction: Transaction, block: int) -> None:
    """Fold one transaction of that block: a refused one is reverted, and still spends its nonce and its fee."""
    state.order += 1
    if transaction.nonce is not None:
        state.nonces.append((transaction.hash, block))
        state.fees_paid += transaction.fee
    reason = refusal(state, rules, transaction.call, block)
    state.receipts[transaction.hash] = Receipt(block, reason or "")
    if reason is None:
        _act(state, rules, transaction, block)
        _check_money(state)


def refusal(state: State, rules: Rules, call: Call, block: int) -> str | None:
    """Why the contract would revert the call in that block; None where it would not."""
    match call:
        case Purchase():
            return _purchase_refusal(state, call)
        case RequestExit():
            if (call.subscriber, call.plan) not in state.buyers:
                return f"NothingBought({call.subscriber}, {call.plan})"
            return "ExitAlreadyRequested" if (call.subscriber, call.plan) in state.leaving else None
        case Exit():
            return _exit_refusal(state, rules, call, block)
        case Refute():
            return _refute_refusal(state, call)
        case Claim():
            due = state.due[call.asset].get(call.receiver, 0)
            return None if due > 0 else f"NothingDue({due})"
        case Commit():
            return _commit_refusal(state, rules, call)
        case Execute():
            return execute_refusal(state, rules, call, block)
        case Cancel():
            return None if call.number in state.open else f"BatchNotOpen({call.number})"
        case Challenge():
            return _challenge_refusal(state, call)
        case Nothing():
            return None
        case _:
            assert_never(call)


def execute_refusal(state: State, rules: Rules, call: Execute, block: int) -> str | None:
    """Why a batch could not be executed in that block; None where it could."""
    recorded = state.batches.get(call.number)
    if recorded is None or recorded.seal.digest != call.digest:
        return f"BatchUnknown({call.number}, {call.digest})"
    if recorded.stage != "committed":
        return f"BatchNotOpen({call.number})"
    if state.open[0] != call.number:
        return f"BatchNotNext({call.number}, {state.open[0]})"
    if block <= recorded.committed.block + rules.window:
        return f"WindowOpen({recorded.committed.block + rules.window})"
    return escrow_refusal(state, recorded.asset, recorded.payouts)


def escrow_refusal(state: State, asset: str, payouts: Iterable[Payout]) -> str | None:
    """Why payouts could not be made: the escrow has less than they add to what is due."""
    more = _added(state, asset, payouts)
    return f"EscrowShort({asset}, {more}, {state.escrow[asset]})" if more > state.escrow[asset] else None


def pay_out(state: State, asset: str, payouts: Iterable[Payout]) -> None:
    """Add payouts to what is due. Dues are signed, so no receiver's balance can make this fail; what is due above zero
    moves out of escrow, or back into it."""
    state.escrow[asset] -= _added(state, asset, payouts)
    due = state.due[asset]
    for payout in payouts:
        due[payout.receiver] = due.get(payout.receiver, 0) + payout.amount


def foresee(state: State, rules: Rules, number: int, waiting: Iterable[Commit]) -> State:
    """The batches, escrow and dues as they will be once the batches before that number are paid out: those that are
    open, and those that wait in the pool. One that cannot be is passed over."""
    ahead = State(batches=dict(state.batches))
    ahead.escrow.update(state.escrow)
    ahead.due.update({asset: dict(due) for asset, due in state.due.items()})
    for recorded in [state.batches[one] for one in state.open if one < number]:
        if escrow_refusal(ahead, recorded.asset, recorded.payouts) is None:
            pay_out(ahead, recorded.asset, recorded.payouts)
    for call in waiting:
        if _commit_refusal(ahead, rules, call) is None:
            _record(ahead, call, "", 0)
            if escrow_refusal(ahead, call.asset, call.payouts) is None:
                pay_out(ahead, call.asset, call.payouts)
    return ahead


def purchase_fact(call: Purchase, block: int) -> PurchaseMade:
    """What a purchase tells the ledger."""
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
    """The id of an exit's fact. An account leaves once in a contract's life, so it never changes."""
    return f"exit:{kind}:" + hash_of(msgspec.json.encode(parts).decode())[2:]


# -- refusals ----------------------------------------------------------------------------------------------------------


def _purchase_refusal(state: State, call: Purchase) -> str | None:
    earlier = state.purchases.get(call.id)
    if earlier is not None:
        return None if earlier == call else f"PurchaseIdTaken({call.id})"
    if (call.subscriber, call.plan) in state.leaving:
        return f"Leaving({call.subscriber}, {call.plan})"  # its account is frozen: it could not use what it buys
    return None


def _exit_refusal(state: State, rules: Rules, call: Exit, block: int) -> str | None:
    account = (call.subscriber, call.plan, call.asset)
    requested = state.leaving.get((call.subscriber, call.plan))
    if requested is None:
        return "ExitNotRequested"
    if account not in state.deposits:
        return f"NothingBought({call.subscriber}, {call.plan}, {call.asset})"
    if account in state.left:
        return "ExitAlreadyPaid"
    if call.leaf is None:
        since = state.claimed.get(account, requested.block)
        if block < since + rules.exit_delay:
            return f"ExitDelay({since + rules.exit_delay})"
    else:
        root = state.roots.get(call.asset)
        if root is None or not _proves(root.root, call.leaf, call.proof, call.subscriber, call.plan):
            return "ProofInvalid"
        if root.committed.order < requested.order:
            if block < requested.block + rules.exit_delay:
                return f"ExitDelay({requested.block + rules.exit_delay})"
            # A batch that nobody can execute must not keep the money here permanently.
            if state.open and block < requested.block + 2 * rules.exit_delay + rules.window:
                return f"BatchAwaitsExecution({len(state.open)})"
    amount, escrow = _exit_amount(state, call), state.escrow[call.asset]
    return f"EscrowShort({call.asset}, {amount}, {escrow})" if amount > escrow else None


def _commit_refusal(state: State, rules: Rules, call: Commit) -> str | None:
    if (recorded := state.batches.get(call.number)) is not None:
        return f"BatchExists({call.number}, {recorded.seal.digest})"
    number, digest = state.tip()
    if call.number != number + 1:
        return f"BatchOutOfOrder({call.number}, {number + 1})"
    if call.previous != digest:
        return f"WrongPrevious({call.previous}, {digest})"
    # With a window the payouts are checked when they are made: the escrow moves until then.
    return None if rules.window else escrow_refusal(state, call.asset, call.payouts)


def _challenge_refusal(state: State, call: Challenge) -> str | None:
    if call.number not in state.open:
        return f"BatchNotOpen({call.number})"
    recorded, leaf = state.batches[call.number], call.leaf
    if not _proves(recorded.seal.root, leaf, call.proof, leaf.subscriber, leaf.plan):
        return "ProofInvalid"
    deposits = state.deposits.get((leaf.subscriber, leaf.plan, recorded.asset), 0)
    return (
        None if leaf.charged - leaf.credited > deposits else f"NotOverdrawn({leaf.charged - leaf.credited}, {deposits})"
    )


def _proves(root: str, leaf: Leaf, proof: Iterable[str], subscriber: str, plan: str) -> bool:
    return (leaf.subscriber, leaf.plan) == (subscriber, plan) and verify(root, leaf, tuple(proof))


def _refute_refusal(state: State, call: Refute) -> str | None:
    leaf = call.leaf
    if not any(account[:2] == (leaf.subscriber, leaf.plan) for account in state.claimed):
        return "UnchargedNotClaimed"
    if not _refuted(state, call):
        return "ProofInvalid"
    return None if leaf.charged or leaf.credited else "NothingRefuted"


def _refuted(state: State, call: Refute) -> list[Account]:
    """The exits without a leaf that this leaf of a final root contradicts."""
    return [
        account
        for account in state.claimed
        if (root := state.roots.get(account[2])) and _proves(root.root, call.leaf, call.proof, account[0], account[1])
    ]


# -- effects -----------------------------------------------------------------------------------------------------------


def _act(state: State, rules: Rules, transaction: Transaction, block: int) -> None:
    call = transaction.call
    match call:
        case Purchase():
            _buy(state, call, block)
        case RequestExit():
            state.leaving[call.subscriber, call.plan] = Moment(block, state.order)
            id = exit_id("requested", call.subscriber, call.plan)
            state.facts.append(ExitRequested(id=id, block=block, subscriber=call.subscriber, plan=call.plan))
        case Exit():
            _leave(state, call, block)
        case Refute():
            for account in _refuted(state, call):
                del state.claimed[account]
        case Claim():
            amount = state.due[call.asset].pop(call.receiver)
            state.paid_out[call.receiver, call.asset] += amount
            _pay(state, call.receiver, call.asset, amount)
        case Commit():
            _record(state, call, transaction.hash, block)
            if not rules.window:
                _execute(state, call.number, transaction.hash, block)
        case Execute():
            _execute(state, call.number, transaction.hash, block)
        case Cancel():
            _call_off(state, call.number, f"cancelled: {call.reason}", transaction.hash, block)
        case Challenge():
            reason = f"challenged: {call.leaf.subscriber} on {call.leaf.plan} is charged more than it paid in"
            _call_off(state, call.number, reason, transaction.hash, block)
        case Nothing():
            pass
        case _:
            assert_never(call)


def _buy(state: State, call: Purchase, block: int) -> None:
    if call.id in state.purchases:
        return  # the same order again buys once
    account, money = (call.subscriber, call.plan, call.asset), sum(share.amount for share in call.shares)
    state.purchases[call.id] = call
    state.deposits[account] = state.deposits.get(account, 0) + money
    state.buyers.add((call.subscriber, call.plan))
    state.holdings[call.asset] += money
    state.escrow[call.asset] += money
    state.facts.append(purchase_fact(call, block))


def _leave(state: State, call: Exit, block: int) -> None:
    account = (call.subscriber, call.plan, call.asset)
    if call.leaf is None and account not in state.claimed:
        state.claimed[account] = block
        return
    amount = _exit_amount(state, call)
    state.claimed.pop(account, None)
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


def _exit_amount(state: State, call: Exit) -> int:
    """What an exit pays: what was paid in, less what was charged and not credited; never less than 0, nor more than
    was paid in, whatever counters an operator committed to."""
    account = (call.subscriber, call.plan, call.asset)
    if call.leaf is None and account not in state.claimed:
        return 0  # a claim only begins
    spent = call.leaf.charged - call.leaf.credited if call.leaf else 0
    return max(state.deposits[account] - max(spent, 0), 0)


def _record(state: State, call: Commit, transaction: str, block: int) -> None:
    state.open.append(call.number)
    state.batches[call.number] = Recorded(
        number=call.number,
        asset=call.asset,
        seal=call.seal,
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
    state.roots[recorded.asset] = Root(recorded.seal.root, recorded.committed)
    state.batches[number] = msgspec.structs.replace(recorded, stage="executed", transaction=transaction, block=block)


def _call_off(state: State, number: int, reason: str, transaction: str, block: int) -> None:
    """The batch keeps its number, and its digest stays in the chain of digests."""
    state.open.remove(number)
    state.batches[number] = msgspec.structs.replace(
        state.batches[number], stage="cancelled", reason=reason, transaction=transaction, block=block
    )


def _pay(state: State, holder: str, asset: str, amount: int) -> None:
    state.holdings[asset] -= amount
    state.balances[holder, asset] += amount


def _added(state: State, asset: str, payouts: Iterable[Payout]) -> int:
    """How much the payouts add to what is due above zero: what leaves escrow, or below 0 what comes back."""
    before = state.due[asset]
    more: dict[str, int] = {}
    for payout in payouts:
        more[payout.receiver] = more.get(payout.receiver, 0) + payout.amount
    return sum(
        max(before.get(receiver, 0) + amount, 0) - max(before.get(receiver, 0), 0) for receiver, amount in more.items()
    )


def _check_money(state: State) -> None:
    for asset in {*state.holdings, *state.due}:
        holdings, owed = state.holdings[asset], sum(max(due, 0) for due in state.due[asset].values())
        if holdings != state.escrow[asset] + owed or state.escrow[asset] < 0:
            raise InvariantBroken(f"{asset}: holdings {holdings} != escrow {state.escrow[asset]} + due {owed}")
