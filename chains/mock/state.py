"""The state of the settlement contract on a mock chain, and amounts computed from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from ledger.events import Payout
from ledger.settlement.messages import ChainFact, Commitment

from .transactions import ExitCall, PurchaseCall

Account: TypeAlias = tuple[str, str, str]
"""Subscriber, plan and asset."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of a contract: its challenge window and its exit delay, in blocks."""

    window: int = 0
    exit_delay: int = 10


class Moment(NamedTuple):
    """A transaction's block, and its position among all transactions of the chain."""

    block: int
    order: int


class Receipt(NamedTuple):
    """The block that has a transaction, and why it was reverted; empty if it was not."""

    block: int
    reverted: str


class Root(NamedTuple):
    """The root of the last batch of an asset that was executed, and when that batch was committed."""

    root: str
    committed: Moment


class Recorded(msgspec.Struct, frozen=True):
    """A batch as the contract has it. `transaction` and `block` are those of its last change of stage."""

    number: int
    asset: str
    commitment: Commitment
    payouts: tuple[Payout, ...]
    committed: Moment
    stage: Literal["committed", "executed", "cancelled"]
    transaction: str
    block: int
    reason: str = ""


@dataclass
class State:
    """The contract's state after the transactions so far."""

    purchases: dict[str, PurchaseCall] = field(default_factory=dict)
    deposits: dict[Account, int] = field(default_factory=dict)
    buyers: set[tuple[str, str]] = field(default_factory=set)
    leaving: dict[tuple[str, str], Moment] = field(default_factory=dict)
    exit_claims: dict[Account, int] = field(
        default_factory=dict
    )  # exits without a leaf, by the block that has the claim
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
        """Return the last batch's number and digest; 0 and an empty digest if there is none."""
        number = len(self.batches)
        return number, self.batches[number].commitment.digest if number else ""


def exit_amount(state: State, call: ExitCall) -> int:
    """Return the amount that an exit pays: purchases less charges plus credits, bounded to 0 and the sum of purchases
    for any counters that an operator committed to."""
    account = (call.subscriber, call.plan, call.asset)
    if call.leaf is None and account not in state.exit_claims:
        return 0  # this call only makes the claim
    spent = call.leaf.charged - call.leaf.credited if call.leaf else 0
    return max(state.deposits[account] - max(spent, 0), 0)


def added(state: State, asset: str, payouts: Iterable[Payout]) -> int:
    """Return the change of the sum of positive dues: above 0 it leaves escrow, below 0 it returns to escrow."""
    before = state.due[asset]
    sums: dict[str, int] = {}
    for payout in payouts:
        sums[payout.receiver] = sums.get(payout.receiver, 0) + payout.amount
    return sum(
        max(before.get(receiver, 0) + amount, 0) - max(before.get(receiver, 0), 0) for receiver, amount in sums.items()
    )
