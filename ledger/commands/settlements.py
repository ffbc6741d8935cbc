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
    """The fields of all commands about a contract on a chain; `chain` is a CAIP-2 name."""

    chain: Name
    contract: Name


class OpenSettlement(SettlementCommand[SettlementOpened | None], frozen=True, kw_only=True, tag="open_settlement"):
    """Open a batch of the earnings in an asset; nothing is written if there is nothing to settle.

    It covers all events before it, so it is always the first command of its commit.
    """

    asset: Name


class BatchCommand(SettlementCommand[E], frozen=True, kw_only=True):
    """The fields of all commands about an open batch."""

    number: Number


class SubmitSettlement(BatchCommand[SettlementSubmitted], frozen=True, kw_only=True, tag="submit_settlement"):
    """Store a signed transaction before it is sent. Attempts count from 1."""

    attempt: Number
    raw: Annotated[str, Meta(max_length=MAX_RAW)]
    transaction: Text


class CommitSettlement(BatchCommand[SettlementCommitted], frozen=True, kw_only=True, tag="commit_settlement"):
    """The chain has the batch; it is not final yet."""

    transaction: Text = ""
    block: Number = 0


class ConfirmSettlement(BatchCommand[SettlementConfirmed], frozen=True, kw_only=True, tag="confirm_settlement"):
    """The batch is executed and final. Batches of a contract are confirmed in order."""

    transaction: Text = ""
    block: Number = 0


class FailSettlement(BatchCommand[SettlementFailed], frozen=True, kw_only=True, tag="fail_settlement"):
    """The chain refused or cancelled the batch. `used`: its number is permanently taken on the chain.

    Without `used`, no transaction of the batch may ever be mined: its number is reused, and the contract's batches
    after it, whose digests build on it, fail with it. `attempts` is the number of its transactions that were checked
    for that: the command is refused if another sender has stored a further one.
    """

    reason: Text = ""
    used: bool = False
    attempts: Number | None = None


class MarkSettlementUnknown(BatchCommand[SettlementUnknown], frozen=True, kw_only=True, tag="doubt_settlement"):
    """The outcome of the batch's last attempt is unknown until the chain is read."""

    reason: Text = ""


class AdoptSettlement(SettlementCommand[SettlementAdopted], frozen=True, kw_only=True, tag="adopt_settlement"):
    """Record a batch that the chain has and the log lacks, from its published leaf file."""

    batch: Batch
    root: Text
    digest: Text
