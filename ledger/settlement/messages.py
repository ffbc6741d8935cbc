"""What passes between the ledger and a chain: batches one way, what the chain has seen the other way."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from ..events import Leaf, OnContract, Payout, Share

STREAM = "main"
"""The name of the one stream of a ledger, in a batch's `covers`."""


class Batch(OnContract, msgspec.Struct, frozen=True, kw_only=True):
    """What a chain is asked to commit to; its seal follows from it.

    `at` is the time up to which was counted (UTC microseconds), `covers` the last sequence that was (by stream).
    `ledger`, `head_seq` and `head_hash` name the log and its head before the batch's own commit. `previous` is the
    digest of the contract's batch before this one, or empty. Leaves are sorted by subscriber and plan, payouts by
    receiver; money is in the asset's smallest unit.
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


class Commitment(msgspec.Struct, frozen=True):
    """What follows from a batch, as 0x hex: the leaves' Merkle root, the leaf file's hash, and the digest of it all."""

    root: str
    data_hash: str
    digest: str


class Attempt(msgspec.Struct, frozen=True):
    """A signed transaction for the batch `number`, as it is stored before it is sent; `attempt` counts from 1.

    `raw` is all that sending it again needs, `transaction` its id on the chain, both as text.
    """

    number: int
    attempt: int
    raw: str
    transaction: str


Stage: TypeAlias = Literal["absent", "pending", "committed", "executed", "cancelled"]
"""Where a chain has a batch: not at all; on its way; recorded; recorded and paid out; recorded and called off."""

Standing: TypeAlias = Literal["pending", "final", "gone", "replaced"]
"""What became of a sent transaction. `pending`: on its way, or in a block that is not final. `final`: in a final block,
whether it did what it should or was reverted. `gone`: the chain does not know it, and it can still be mined if it is
sent again. `replaced`: another transaction has finally taken its place, so it can never be mined."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a chain says of a batch's number.

    `final`: no re-organisation can undo the stage. `ready`: the next step can be taken now (a committed batch waits for
    its challenge window). `data_hash` is that of the leaf file the chain was given, `root` that of the leaves, or empty
    where the chain does not tell it.
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
        """Whether a block has a batch of that number."""
        return self.stage not in ("absent", "pending")


class PurchaseMade(msgspec.Struct, frozen=True, kw_only=True, tag="purchase_made", tag_field="fact"):
    """A purchase whose money a chain holds. Amount and terms are the chain's, whatever the ledger's plan says.

    `plan` is the plan's id on the chain where it has one, else its name; `shares` says who earns which part.
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
    """A subscriber leaves: its account is frozen."""

    id: str
    block: int
    subscriber: str
    plan: str
    final: bool = True


class ExitPaid(msgspec.Struct, frozen=True, kw_only=True, tag="exit_paid", tag_field="fact"):
    """The chain has paid a subscriber who leaves `amount` of the asset's smallest unit."""

    id: str
    block: int
    subscriber: str
    plan: str
    asset: str
    amount: int
    final: bool = True


ChainFact: TypeAlias = PurchaseMade | ExitRequested | ExitPaid
"""What a chain tells. `id` is stable over re-organisations and never used twice on a contract."""
