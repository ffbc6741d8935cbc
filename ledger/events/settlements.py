"""Events of settlement batches."""

from __future__ import annotations

import msgspec

from ..amounts import check_money
from ..values import (
    OnContract,
    check,
)
from .event import Event


class Settlement(OnContract, Event, frozen=True, kw_only=True):
    """The fields of all events of a batch: its number, its chain and its contract."""

    number: int
    chain: str
    contract: str

    def __post_init__(self) -> None:
        check(type(self.number) is int and self.number >= 1, "batches are numbered from 1")


class Payout(msgspec.Struct, frozen=True, gc=False):
    """A batch's payment to a receiver in the asset's smallest unit; below 0 it is taken back from later payouts."""

    receiver: str
    amount: int

    def __post_init__(self) -> None:
        check(type(self.amount) is int, "a payout is a whole number")


class Leaf(msgspec.Struct, frozen=True, gc=False):
    """One account in a batch: its running totals of charges and credits, in the asset's smallest unit.

    `plan` is the plan's id on the chain if it has one, else its name.
    """

    subscriber: str
    plan: str
    charged: int
    credited: int

    def __post_init__(self) -> None:
        check_money(self.charged, self.credited)


class Opening(Settlement, frozen=True, kw_only=True):
    """The start of a batch: earnings in an asset up to `covers` (last sequence by stream), as signed payouts and a
    Merkle root over the leaves of `accounts` accounts. `head_seq` and `head_hash` are the log's head before the event's
    own commit."""

    asset: str
    covers: dict[str, int]
    root: str
    digest: str = ""
    payouts: tuple[Payout, ...] = ()
    accounts: int = 0
    head_seq: int = 0
    head_hash: str = ""


class SettlementOpened(Opening, frozen=True, kw_only=True, tag="settlement_opened"):
    """The intent to settle, before anything is signed or sent."""


class SettlementSubmitted(Settlement, frozen=True, kw_only=True, tag="settlement_submitted"):
    """A signed transaction is stored; it is sent after this event is durable."""

    attempt: int = 0
    raw: str = ""
    transaction: str = ""


class SettlementCommitted(Settlement, frozen=True, kw_only=True, tag="settlement_committed"):
    """The chain has the batch; it is not final yet."""

    transaction: str = ""
    block: int = 0


class SettlementConfirmed(Settlement, frozen=True, kw_only=True, tag="settlement_confirmed"):
    """The batch is executed and final by the chain's own rule."""

    transaction: str = ""
    block: int = 0


class SettlementFailed(Settlement, frozen=True, kw_only=True, tag="settlement_failed"):
    """The batch was refused, cancelled or challenged. Its payouts are due again in the next batch, which also gets its
    number, unless that is `used`: permanently taken on the chain."""

    reason: str = ""
    used: bool = False


class SettlementUnknown(Settlement, frozen=True, kw_only=True, tag="settlement_unknown"):
    """A transaction was sent without an answer: its outcome is unknown until the chain is read."""

    attempt: int = 0
    reason: str = ""


class SettlementAdopted(Opening, frozen=True, kw_only=True, tag="settlement_adopted"):
    """A batch that the chain has and the log lacked (a restored backup), from its published leaf file. `covers` is
    of the log that was lost, so the event records the leaves and the time `at` (UTC microseconds) of their totals."""

    at: int = 0
    leaves: tuple[Leaf, ...] = ()
