"""The commands of a ledger, one struct each.

A command with an idempotency `key` is executed once within the time for which its key is remembered (the plan's
`key_seconds`, 35 days by default): the same key with the same content gets the first answer. `issued_at` (UTC
microseconds) lets the ledger refuse a command that is older than that. Without it a command counts as issued when it
arrives, so that a repeat after that time is executed anew.

`admit` validates the type and bounds of every field before a command is decided: values that a struct's constructor
accepts (a float, a bool, a NaN, a lone surrogate) are refused there as malformed.
"""

from __future__ import annotations

from typing import TypeAlias, get_args

import msgspec

from ..refusals import Reason, Refusal
from .catalogue import CreatePlan as CreatePlan
from .catalogue import RegisterAgent as RegisterAgent
from .catalogue import RepricePlan as RepricePlan
from .catalogue import RetireAgent as RetireAgent
from .catalogue import RetirePlan as RetirePlan
from .catalogue import UpdateAgent as UpdateAgent
from .command import MAX_NAME_LENGTH as MAX_NAME_LENGTH
from .command import MAX_NESTED as MAX_NESTED
from .command import MAX_RAW as MAX_RAW
from .command import MAX_TIME as MAX_TIME
from .command import AssetDecimals as AssetDecimals
from .command import Command as Command
from .command import Credits as Credits
from .command import Deltas as Deltas
from .command import Labels as Labels
from .command import Moment as Moment
from .command import Name as Name
from .command import Number as Number
from .command import Priority as Priority
from .command import Seconds as Seconds
from .command import SignedCredits as SignedCredits
from .command import Text as Text
from .command import Units as Units
from .purchases import Exit as Exit
from .purchases import Freeze as Freeze
from .purchases import Give as Give
from .purchases import Purchase as Purchase
from .purchases import Reinstate as Reinstate
from .purchases import Reverse as Reverse
from .purchases import Terms as Terms
from .purchases import Unfreeze as Unfreeze
from .purchases import Withdraw as Withdraw
from .requests import Adjust as Adjust
from .requests import Charge as Charge
from .requests import Extend as Extend
from .requests import Release as Release
from .requests import Request as Request
from .requests import RequestTerms as RequestTerms
from .settlements import AdoptSettlement as AdoptSettlement
from .settlements import BatchCommand as BatchCommand
from .settlements import CommitSettlement as CommitSettlement
from .settlements import ConfirmSettlement as ConfirmSettlement
from .settlements import FailSettlement as FailSettlement
from .settlements import MarkSettlementUnknown as MarkSettlementUnknown
from .settlements import OpenSettlement as OpenSettlement
from .settlements import SettlementCommand as SettlementCommand
from .settlements import SubmitSettlement as SubmitSettlement


class Tick(Command, frozen=True, kw_only=True, tag="tick"):
    """Write the due events of all accounts: starts, expiries and lapses up to now."""


AnyCommand: TypeAlias = (
    CreatePlan
    | RepricePlan
    | RetirePlan
    | RegisterAgent
    | UpdateAgent
    | RetireAgent
    | Purchase
    | Give
    | Withdraw
    | Reverse
    | Reinstate
    | Freeze
    | Unfreeze
    | Request
    | Extend
    | Release
    | Charge
    | Adjust
    | Exit
    | OpenSettlement
    | SubmitSettlement
    | CommitSettlement
    | ConfirmSettlement
    | FailSettlement
    | MarkSettlementUnknown
    | AdoptSettlement
    | Tick
)
"""The union of all commands."""

COMMAND_TYPES: tuple[type[Command], ...] = get_args(AnyCommand)
_KINDS = frozenset(COMMAND_TYPES)
_NESTING = (CreatePlan, RepricePlan, RegisterAgent, UpdateAgent)
"""Commands with a field of arbitrary JSON values."""

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand)


def admit(command: object) -> AnyCommand:
    """Return the command with every field validated against its type and bounds. Raises Refusal(malformed)."""
    if type(command) not in _KINDS:
        raise Refusal(Reason.malformed, detail=f"{type(command).__name__} is not a command")
    try:
        kept = _decoder.decode(_encoder.encode(command))
        if kept != command or isinstance(kept, _NESTING):
            check_kept(command, kept, MAX_NESTED)
    except Exception as error:  # an object may do anything while it is encoded or compared
        raise Refusal(Reason.malformed, detail=str(error) or type(error).__name__) from error
    return kept


def check_kept(given: object, kept: object, deep: int) -> None:
    """Raise ValueError if JSON changes a given value (a NaN becomes null, bytes and decimals become text), or if it is
    nested deeper than `deep`. A list may replace a tuple."""
    if not deep:
        raise ValueError(f"the value is nested more than {MAX_NESTED} levels deep")
    if isinstance(kept, msgspec.Struct) and type(given) is type(kept):
        for name in kept.__struct_fields__:
            check_kept(getattr(given, name), getattr(kept, name), deep - 1)
    elif isinstance(kept, dict) and isinstance(given, dict) and given.keys() == kept.keys():
        for name, value in kept.items():
            check_kept(given[name], value, deep - 1)
    elif isinstance(kept, list | tuple) and isinstance(given, list | tuple) and len(given) == len(kept):
        for given_item, kept_item in zip(given, kept, strict=True):
            check_kept(given_item, kept_item, deep - 1)
    elif given != kept:
        raise ValueError(f"a value of type {type(given).__name__} cannot be stored as JSON without change")
