"""Messages between the ledger and a chain: batches and their commitments, transactions, and facts seen on the chain."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from ..described import describe
from ..events import Leaf, OnContract, Payout, Share

STREAM = "main"
"""The name of the one stream of a ledger, in a batch's `covers`."""


class Batch(OnContract, msgspec.Struct, frozen=True, kw_only=True):
    """A settlement batch, as it is submitted to a chain; its commitment is computed from it.

    Fields:
        ledger: Id of the log.
        number: Number of the batch; a contract's are counted from 1.
        asset: Asset that is paid out.
        at: Time up to which earnings are counted, in UTC microseconds.
        covers: Last sequence that is counted, by stream.
        head_seq: Sequence of the log's head before the batch's own commit.
        head_hash: Hash of that head, in hexadecimal.
        previous: Digest of the contract's batch before this one; empty: it is the first.
        leaves: Totals of each account, sorted by subscriber and plan.
        payouts: Payments, sorted by receiver; money is in the asset's smallest unit.
    """

    ledger: str
    chain: str
    contract: str
    number: int
    asset: str
    at: int
    covers: dict[str, int]
    head_seq: int
    head_hash: str
    previous: str
    leaves: tuple[Leaf, ...]
    payouts: tuple[Payout, ...]


describe(Batch)


class Commitment(msgspec.Struct, frozen=True):
    """The commitment to a batch, as 0x hex: the leaves' Merkle root, the leaf file's hash, and the batch's digest."""

    root: str
    data_hash: str
    digest: str


class Attempt(msgspec.Struct, frozen=True):
    """A signed transaction for the batch `number`, as it is stored before it is sent; `attempt` counts from 1.

    `raw` is the signed transaction, sufficient to send it again; `transaction` is its id on the chain. Both are text.
    """

    number: int
    attempt: int
    raw: str
    transaction: str


Stage: TypeAlias = Literal["absent", "pending", "committed", "executed", "cancelled"]
"""The stage of a batch on a chain. `pending`: in the mempool. `committed`: recorded. `executed`: recorded and paid out.
`cancelled`: recorded and then cancelled, so it is never paid out."""

Standing: TypeAlias = Literal["pending", "final", "gone", "replaced"]
"""The state of a sent transaction. `pending`: in the mempool, or in a block that is not final. `final`: in a final
block, whether it succeeded or was reverted. `gone`: the chain does not know it, and it can still be mined if it is sent
again. `replaced`: another transaction with its nonce is final, so it can never be mined."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The batch of a number, as a chain has it.

    `final`: no reorganisation can undo the stage. `ready`: the next step can be taken now (a committed batch waits for
    its challenge window). `data_hash` is that of the leaf file that the chain was given, `root` that of the leaves;
    empty if the chain does not report it.
    """

    stage: Stage
    digest: str = ""
    data_hash: str = ""
    root: str = ""
    transaction: str = ""
    block: int = 0
    final: bool = False
    ready: bool = True

    @property
    def is_recorded(self) -> bool:
        """True if a batch of that number is in a block."""
        return self.stage not in ("absent", "pending")


class PurchaseMade(msgspec.Struct, frozen=True, kw_only=True, tag="purchase_made", tag_field="fact"):
    """A purchase whose money a chain holds. Amounts and terms are those on the chain, which may differ from the plan's.

    `plan` is the plan's id on the chain if it has one, else its name; `shares` are the parts by receiver.
    """

    id: str
    block: int
    subscriber: str
    plan: str
    asset: str
    shares: tuple[Share, ...]
    credits: int = 0
    seconds: int = 0
    final: bool = True


class ExitRequested(msgspec.Struct, frozen=True, kw_only=True, tag="exit_requested", tag_field="fact"):
    """A subscriber has requested to exit: the ledger freezes its account."""

    id: str
    block: int
    subscriber: str
    plan: str
    final: bool = True


class ExitPaid(msgspec.Struct, frozen=True, kw_only=True, tag="exit_paid", tag_field="fact"):
    """The chain has paid an exiting subscriber `amount`, in the asset's smallest unit."""

    id: str
    block: int
    subscriber: str
    plan: str
    asset: str
    amount: int
    final: bool = True


ChainFact: TypeAlias = PurchaseMade | ExitRequested | ExitPaid
"""A fact on a chain. Its `id` is stable over reorganisations, and never used twice on a contract."""
