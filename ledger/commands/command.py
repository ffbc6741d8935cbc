"""The base of all commands, and the types and bounds of their fields."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Generic, TypeAlias

import msgspec
from msgspec import Meta

from ..amounts import MAX_ASSET_DECIMALS, MAX_CREDITS
from ..outcomes import E

MAX_NAME_LENGTH = 512
MAX_RAW = 2**20
"""Maximum length of a signed transaction, in characters."""
MAX_SECONDS = 3_155_760_000
"""A hundred years of 365.25 days."""
MAX_TIME = 253_402_300_799_999_999
"""The last microsecond of the year 9999; `datetime` cannot represent later times."""

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_LENGTH)]
Text: TypeAlias = Annotated[str, Meta(max_length=4096)]
Credits: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_CREDITS)]
SignedCredits: TypeAlias = Annotated[int, Meta(ge=-MAX_CREDITS, le=MAX_CREDITS)]
if TYPE_CHECKING:
    Written: TypeAlias = int | str | Decimal
    WrittenCredits: TypeAlias = Written
    WrittenLimit: TypeAlias = Written
    WrittenSigned: TypeAlias = Written
    WrittenMoney: TypeAlias = Written
    WrittenPrice: TypeAlias = Mapping[str, Written]
else:  # admission makes whole numbers of what is written
    WrittenCredits = Credits
    WrittenLimit = Annotated[int, Meta(ge=1, le=MAX_CREDITS)]
    WrittenSigned = SignedCredits
    WrittenMoney = Annotated[int, Meta(ge=1)]
    WrittenPrice = dict[Name, Annotated[int, Meta(ge=0)]]
Number: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_CREDITS)]
AssetDecimals: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_ASSET_DECIMALS)]
Seconds: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_SECONDS)]
Moment: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_TIME)]
Priority: TypeAlias = Annotated[int, Meta(ge=-1_000_000, le=1_000_000)]
Units: TypeAlias = dict[Name, Credits]
Deltas: TypeAlias = dict[Name, SignedCredits]
Labels: TypeAlias = dict[Name, Name]


class Command(msgspec.Struct, Generic[E], frozen=True, gc=False, kw_only=True, omit_defaults=True, tag_field="command"):
    """The fields of all commands. `E` is the event that answers the command: `ledger.execute(Charge(…))` returns
    `Answer[Charged] | Refused`.

    Fields:
        key: Idempotency key, of one account (of the ledger for plans, agents and settlement). Under it the command is
            executed once, for as long as keys are remembered (`key_seconds` of the account's plan; 35 days for plans,
            agents and settlement); a repeat gets the first answer, other content is refused (`key_reused`). None:
            executed each time.
        issued_at: Time of issue, in UTC microseconds. With a key, a command that is as old as keys are remembered is
            refused (`key_too_old`), and so is one of more than 5 minutes ahead of the ledger's time (`malformed`).
            None: the time of its arrival by the ledger's clock, even where the log's last event is later.

    Shared fields:
        subscriber: Name of the subscriber, who pays. Subscriber and plan name an account.
        plan: Name of the plan.
        agent: Name of the agent.
        credits: Credits, in the plan's smallest unit.
        labels: Labels by name. The built-in policies read `model`; all are kept in the log.
        invoice: Number of the invoice; an account's are counted from 1.
        reason: Note for people; nothing is decided by it.
        fact: Exit on a chain, by its id there. A fact is recorded once, permanently.
    """

    key: Name | None = None
    issued_at: Moment | None = None


def whole(amount: object) -> int:
    """Return an amount of an admitted command: a whole number of the smallest unit."""
    assert isinstance(amount, int)
    return amount
