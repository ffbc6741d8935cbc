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
    """The fields of all events of a batch.

    Fields:
        number: Number of the batch; a contract's are counted from 1.

    Shared fields:
        transaction: Id of the transaction on the chain.
        block: Number of the block that has the transaction.
        attempt: Number of the batch's attempt, from 1.
    """

    number: int
    chain: str
    contract: str

    def __post_init__(self) -> None:
        check(type(self.number) is int and self.number >= 1, "batches are numbered from 1")


class Payout(msgspec.Struct, frozen=True, gc=False):
    """A batch's payment to a receiver.

    Fields:
        receiver: Name of the receiver.
        amount: Money in the asset's smallest unit; below 0 it is taken back from later payouts.
    """

    receiver: str
    amount: int

    def __post_init__(self) -> None:
        check(type(self.amount) is int, "a payout is a whole number")


class Leaf(msgspec.Struct, frozen=True, gc=False):
    """One account in a batch: its running totals of charges and credits.

    Fields:
        subscriber: Name of the subscriber.
        plan: Id of the plan on the chain if it has one, else its name.
        charged: Sum of all increases of what was earned from the account, in the asset's smallest unit.
        credited: Sum of all decreases, in the same unit. Neither sum ever falls.
    """

    subscriber: str
    plan: str
    charged: int
    credited: int

    def __post_init__(self) -> None:
        check_money(self.charged, self.credited)


class Opening(Settlement, frozen=True, kw_only=True):
    """The start of a batch: earnings in an asset, as signed payouts and a Merkle root over accounts.

    Fields:
        asset: Asset that is paid out.
        covers: Last sequence that is counted, by stream.
        root: Merkle root of the batch's leaves, as 0x hex.
        digest: Digest of the batch, as 0x hex.
        payouts: Payments to receivers.
        accounts: Number of leaves.
        head_seq: Sequence of the log's head before this event's own commit.
        head_hash: Hash of that head, in hexadecimal.
    """

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
    """A signed transaction is stored; it is sent after this event is durable.

    Fields:
        raw: Signed transaction, sufficient to send it again.
    """

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
    """The batch was refused, cancelled or challenged. Its payouts are due again in the next batch.

    Fields:
        used: True: its number is permanently taken on the chain. False: the next batch gets it.
    """

    reason: str = ""
    used: bool = False


class SettlementUnknown(Settlement, frozen=True, kw_only=True, tag="settlement_unknown"):
    """A transaction was sent without an answer: its outcome is unknown until the chain is read."""

    attempt: int = 0
    reason: str = ""


class SettlementAdopted(Opening, frozen=True, kw_only=True, tag="settlement_adopted"):
    """A batch that the chain has and the log lacked (a restored backup), from its published leaf file. What it covers
    was lost with the log, so the event records the leaves.

    Fields:
        at: Time of the leaves' totals, in UTC microseconds.
        leaves: Running totals of each account.
    """

    at: int = 0
    leaves: tuple[Leaf, ...] = ()
