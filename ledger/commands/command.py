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
if TYPE_CHECKING:
    WrittenCredits: TypeAlias = int | str | Decimal
    WrittenPrice: TypeAlias = Mapping[str, int | str | Decimal]
else:  # admission makes whole numbers of what is written
    WrittenCredits = Credits
    WrittenPrice = dict[Name, Annotated[int, Meta(ge=0)]]
SignedCredits: TypeAlias = Annotated[int, Meta(ge=-MAX_CREDITS, le=MAX_CREDITS)]
Number: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_CREDITS)]
AssetDecimals: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_ASSET_DECIMALS)]
Seconds: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_SECONDS)]
Moment: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_TIME)]
Priority: TypeAlias = Annotated[int, Meta(ge=-1_000_000, le=1_000_000)]
Units: TypeAlias = dict[Name, Credits]
Deltas: TypeAlias = dict[Name, SignedCredits]
Labels: TypeAlias = dict[Name, Name]


class Command(msgspec.Struct, Generic[E], frozen=True, gc=False, kw_only=True, omit_defaults=True, tag_field="command"):
    """The fields of all commands: an idempotency key, and the time of issue (UTC microseconds).

    `E` is the event that answers the command: `ledger.execute(Charge(…))` returns `Answer[Charged] | Refused`.
    """

    key: Name | None = None
    issued_at: Moment | None = None
