"""The commands of a ledger, one struct each.

A command with an idempotency `key` is executed once within the time for which its key is remembered (the plan's
`key_seconds`, 35 days by default): the same key with the same content gets the first answer. `issued_at` (UTC
microseconds) lets the ledger refuse a command that is older than that. Without it a command counts as issued when it
arrives, so that a repeat after that time is executed anew.

`admit` validates the type and bounds of every field where a command is given to a ledger, before it is queued: values
that a struct's constructor accepts (a float, a bool, a NaN, a lone surrogate) are programmers' errors and raise there.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, TypeVar, cast, get_args

import msgspec

from ..described import describe
from ..errors import BadData, WrongValue
from .catalogue import CreatePlan as CreatePlan
from .catalogue import RegisterAgent as RegisterAgent
from .catalogue import RepricePlan as RepricePlan
from .catalogue import RetireAgent as RetireAgent
from .catalogue import RetirePlan as RetirePlan
from .catalogue import UpdateAgent as UpdateAgent
from .command import MAX_NAME_LENGTH as MAX_NAME_LENGTH
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
from .command import whole as whole
from .faults import MAX_NESTED as MAX_NESTED
from .faults import as_plain, first_fault, not_a_command, not_several
from .faults import check_kept as check_kept
from .invoices import PayInvoice as PayInvoice
from .invoices import Subscribe as Subscribe
from .invoices import WriteOff as WriteOff
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
from .written_amounts import as_whole_numbers
from .written_amounts import is_written as is_written


class Tick(Command[None], frozen=True, kw_only=True, tag="tick"):
    """Write the due events of all accounts: starts, expiries, lapses and invoices up to now. Without it they are
    written with an account's next command; readings have them in any case.

    Example:
        Tick()
    """


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
    | Subscribe
    | PayInvoice
    | WriteOff
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
for _kind in COMMAND_TYPES:
    describe(_kind)
describe(Terms)
C = TypeVar("C", bound=Command[Any])
_KINDS = frozenset(COMMAND_TYPES)
_NESTING = (CreatePlan, RepricePlan, RegisterAgent, UpdateAgent)
"""Commands with a field of arbitrary JSON values."""

_encoder = msgspec.json.Encoder(enc_hook=as_plain)
_decoder: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand)


def admit(command: C) -> C:
    """Return the command with every field validated against its type and bounds, as a copy that shares nothing with the
    caller. NumPy's integers, and all else that Python takes as an index, become ints; a plan's written amounts become
    whole numbers. Those of other commands need a ledger (`written_amounts.is_written`).

    Raises WrongType or WrongValue with the full name of the first field at fault. Warns of a limit that nothing reads,
    which is no error: one set of terms may be tried under each rule.
    """
    if type(command) not in _KINDS:
        raise not_a_command(command)
    whole: Any = command
    try:
        if isinstance(command, CreatePlan | RepricePlan):
            whole = as_whole_numbers(command)
        kept = _decoder.decode(_encoder.encode(whole))
        if kept != whole or isinstance(kept, _NESTING):
            check_kept(whole, kept, MAX_NESTED)
    except WrongValue:
        raise
    except Exception as error:  # noqa: BLE001 - an object may do anything while it is encoded or compared
        raise first_fault(whole, error) from None
    if isinstance(kept, CreatePlan) and kept.debt_limit and kept.overrun != "debt":
        warnings.warn('CreatePlan: debt_limit has no effect without overrun="debt"', stacklevel=4)
    return cast(C, kept)


def admit_all(commands: Iterable[C], admit: Callable[[C], C] = admit) -> list[C]:
    """Return all commands admitted. Raises the error of the first that cannot be, with its index, and WrongType for
    what is no iterable."""
    if not isinstance(commands, Iterable):
        raise not_several(commands)
    admitted: list[C] = []
    for index, command in enumerate(commands):
        try:
            admitted.append(admit(command))
        except BadData as error:
            raise type(error)(f"commands[{index}]: {error}", error.hint) from None
    return admitted
