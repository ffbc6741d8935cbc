"""Commands of settlement batches."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from ..events import OnContract
from ..settlement.messages import Batch
from .command import (
    MAX_RAW,
    Command,
    Name,
    Number,
    Text,
)


class SettlementCommand(OnContract, Command, frozen=True, kw_only=True):
    """What all commands about a contract on a chain have (`chain` as in CAIP-2)."""

    chain: Name
    contract: Name


class OpenSettlement(SettlementCommand, frozen=True, kw_only=True, tag="open_settlement"):
    """Open a batch of what was earned in an asset; nothing is written where there is nothing to settle.

    It covers everything before it, and so stands in a commit without other commands before it.
    """

    asset: Name


class BatchCommand(SettlementCommand, frozen=True, kw_only=True):
    """What all commands about an open batch have."""

    number: Number


class SubmitSettlement(BatchCommand, frozen=True, kw_only=True, tag="submit_settlement"):
    """Store a signed transaction before it is sent. Attempts count from 1."""

    attempt: Number
    raw: Annotated[str, Meta(max_length=MAX_RAW)]
    transaction: Text


class CommitSettlement(BatchCommand, frozen=True, kw_only=True, tag="commit_settlement"):
    """The chain has the batch; it is not final yet."""

    transaction: Text = ""
    block: Number = 0


class ConfirmSettlement(BatchCommand, frozen=True, kw_only=True, tag="confirm_settlement"):
    """The batch is executed and final. Batches of a contract are confirmed in order."""

    transaction: Text = ""
    block: Number = 0


class FailSettlement(BatchCommand, frozen=True, kw_only=True, tag="fail_settlement"):
    """The chain refused the batch or called it off. `used`: it has the number for ever.

    Without `used`, no transaction of the batch may ever be mined any more: its number is given out again, and the
    contract's batches after it, which build on it, fail with it. `attempts` is how many of its transactions were looked
    at for that: where another sender has stored one more, the command is refused.
    """

    reason: Text = ""
    used: bool = False
    attempts: Number | None = None


class MarkSettlementUnknown(BatchCommand, frozen=True, kw_only=True, tag="doubt_settlement"):
    """It is not known what the chain has; reading it will tell."""

    reason: Text = ""


class AdoptSettlement(SettlementCommand, frozen=True, kw_only=True, tag="adopt_settlement"):
    """Take in a batch that the chain has and the log lacks, from its published leaf file."""

    batch: Batch
    root: Text
    digest: Text
