"""Commands of settlement batches."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from ..events import (
    OnContract,
    SettlementAdopted,
    SettlementCommitted,
    SettlementConfirmed,
    SettlementFailed,
    SettlementOpened,
    SettlementSubmitted,
    SettlementUnknown,
)
from ..outcomes import E
from ..settlement.messages import Batch
from .command import (
    MAX_RAW,
    Command,
    Name,
    Number,
    Text,
)


class SettlementCommand(OnContract, Command[E], frozen=True, kw_only=True):
    """The fields of all commands about a contract on a chain. The outbox sends them (`tollbook settle`).

    Shared fields:
        transaction: Id of the transaction on the chain.
        block: Number of the block that has the transaction.
    """

    chain: Name
    contract: Name


class OpenSettlement(SettlementCommand[SettlementOpened | None], frozen=True, kw_only=True, tag="open_settlement"):
    """Open a batch of the earnings in an asset; nothing is written if there is nothing to settle.

    It covers all events before it, so it is always the first command of its commit.

    Fields:
        asset: Asset that is paid out.

    Example:
        OpenSettlement(chain="mock:local", contract="tollbook", asset="USD")
    """

    asset: Name


class BatchCommand(SettlementCommand[E], frozen=True, kw_only=True):
    """The fields of all commands about an open batch.

    Fields:
        number: Number of the batch; a contract's are counted from 1.
    """

    number: Number


class SubmitSettlement(BatchCommand[SettlementSubmitted], frozen=True, kw_only=True, tag="submit_settlement"):
    """Store a signed transaction before it is sent.

    Fields:
        attempt: Number of the batch's attempt, from 1 without gaps.
        raw: Signed transaction, sufficient to send it again.

    Example:
        SubmitSettlement(
            chain="mock:local",
            contract="tollbook",
            number=1,
            attempt=1,
            raw="0x01",
            transaction="0x9f",
        )
    """

    attempt: Number
    raw: Annotated[str, Meta(max_length=MAX_RAW)]
    transaction: Text


class CommitSettlement(BatchCommand[SettlementCommitted], frozen=True, kw_only=True, tag="commit_settlement"):
    """Record that the chain has the batch, which is not final yet.

    Example:
        CommitSettlement(chain="mock:local", contract="tollbook", number=1)
    """

    transaction: Text = ""
    block: Number = 0


class ConfirmSettlement(BatchCommand[SettlementConfirmed], frozen=True, kw_only=True, tag="confirm_settlement"):
    """Record that the batch is executed and final. Batches of a contract are confirmed in order.

    Example:
        ConfirmSettlement(
            chain="mock:local",
            contract="tollbook",
            number=1,
            transaction="0x9f",
        )
    """

    transaction: Text = ""
    block: Number = 0


class FailSettlement(BatchCommand[SettlementFailed], frozen=True, kw_only=True, tag="fail_settlement"):
    """Record that the chain refused or cancelled the batch. Its payouts are due again in the next one.

    Fields:
        used: True: its number is permanently taken on the chain. False: no transaction of the batch may ever be mined,
            its number is reused, and the contract's batches after it, whose digests build on it, fail with it.
        attempts: Number of its transactions that were checked for that: the command is refused if another sender has
            stored a further one. None: not compared.

    Example:
        FailSettlement(
            chain="mock:local",
            contract="tollbook",
            number=1,
            reason="cancelled",
        )
    """

    reason: Text = ""
    used: bool = False
    attempts: Number | None = None


class MarkSettlementUnknown(BatchCommand[SettlementUnknown], frozen=True, kw_only=True, tag="doubt_settlement"):
    """Record that the outcome of the batch's last attempt is unknown until the chain is read.

    Example:
        MarkSettlementUnknown(chain="mock:local", contract="tollbook", number=1)
    """

    reason: Text = ""


class AdoptSettlement(SettlementCommand[SettlementAdopted], frozen=True, kw_only=True, tag="adopt_settlement"):
    """Record a batch that the chain has and the log lacks (a backup was restored), from its published leaf file.

    Fields:
        batch: The batch, as its leaf file has it. It must be the contract's next one after the log's last.
        root: Merkle root of the batch's leaves, as the chain has it.
        digest: Digest of the batch, as the chain has it.

    Example:
        AdoptSettlement(
            chain="mock:local",
            contract="tollbook",
            batch=published,
            root=found.root,
            digest=found.digest,
        )
    """

    batch: Batch
    root: Text
    digest: Text
