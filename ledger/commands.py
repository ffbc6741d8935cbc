"""What a caller may ask of a ledger: one struct a command.

A command with a `key` is done once: the same key with the same content gets the first answer. `issued_at` (UTC
microseconds) lets the ledger refuse a command that is older than the window in which keys are remembered.

Commands come in by one door, `admit`, which holds every field to its type: what a struct's constructor lets pass (a
float, a bool, a NaN, a lone surrogate) is refused there as malformed.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, TypedDict, get_args

import msgspec
from msgspec import Meta

from .amounts import MAX_CREDITS
from .events import (
    DAY_SECONDS,
    AdjustReason,
    Endpoint,
    Fact,
    Funding,
    Limits,
    Metering,
    OnContract,
    OnLapse,
    Overrun,
    Unpriced,
)
from .refusals import Reason, Refusal
from .settlement.messages import Batch

MAX_NAME_LENGTH = 512
MAX_RAW = 2**20
"""The longest signed transaction, in characters."""
MAX_NESTED = 64
"""How deep parameters and metadata may be nested: what is written must be read by anyone, however deep their stack."""
MAX_TIME = 253_402_300_799_999_999
"""The last microsecond of the year 9999: later times cannot be shown."""

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_LENGTH)]
Text: TypeAlias = Annotated[str, Meta(max_length=4096)]
Credits: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_CREDITS)]
SignedCredits: TypeAlias = Annotated[int, Meta(ge=-MAX_CREDITS, le=MAX_CREDITS)]
Number: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_CREDITS)]
Seconds: TypeAlias = Annotated[int, Meta(ge=0, le=3_155_760_000)]
Moment: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_TIME)]
Priority: TypeAlias = Annotated[int, Meta(ge=-1_000_000, le=1_000_000)]
Units: TypeAlias = dict[Name, Credits]
Deltas: TypeAlias = dict[Name, SignedCredits]
Labels: TypeAlias = dict[Name, Name]


class Command(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag_field="command"):
    """What all commands have."""

    key: Name | None = None
    issued_at: Moment | None = None


class CreatePlan(Command, frozen=True, kw_only=True, tag="create_plan"):
    """Put a plan on sale. `price` is money by receiver; `policy` and `parameters` are its first tariff.

    Without a policy a request costs 1 credit (`per_credit`), and nothing on a plan that sells only time (`time`).
    With `unpriced` = `free`, units that no rate of the tariff reads cost nothing; else such a request is refused.
    """

    plan: Name
    owner: Name
    asset: Name = "USD"
    price: dict[Name, Annotated[int, Meta(ge=0)]] = {}
    credits: Credits = 0
    seconds: Seconds = 0
    policy: Name | None = None
    parameters: dict[str, Any] = {}
    decimals: Annotated[int, Meta(ge=0, le=36)] = 0
    priority: Priority = 0
    trial: bool = False
    on_lapse: OnLapse = "earn"
    limits: Limits = Limits()
    hold_seconds: Seconds = 600
    longest_seconds: Seconds = DAY_SECONDS
    late_seconds: Seconds = DAY_SECONDS
    overrun: Overrun = "cap"
    debt_limit: Credits = 0
    period: Metering = "month"
    record_refusals: bool = False
    record_lines: bool = False
    unpriced: Unpriced = "refuse"
    onchain_id: Text = ""


class RepricePlan(Command, frozen=True, kw_only=True, tag="reprice_plan"):
    """Give a plan its next tariff. What was admitted before keeps the tariff of its admission."""

    plan: Name
    policy: Name
    parameters: dict[str, Any] = {}


class RetirePlan(Command, frozen=True, kw_only=True, tag="retire_plan"):
    """Stop selling a plan. What was bought may still be used."""

    plan: Name


class RegisterAgent(Command, frozen=True, kw_only=True, tag="register_agent"):
    """Offer a service behind plans. Without endpoints, any endpoint is allowed."""

    agent: Name
    owner: Name
    plans: tuple[Name, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    open_endpoints: tuple[Endpoint, ...] = ()
    metadata: dict[str, Any] = {}


class UpdateAgent(Command, frozen=True, kw_only=True, tag="update_agent"):
    """Change what is given of an agent; None leaves it as it is."""

    agent: Name
    plans: tuple[Name, ...] | None = None
    endpoints: tuple[Endpoint, ...] | None = None
    open_endpoints: tuple[Endpoint, ...] | None = None
    metadata: dict[str, Any] | None = None


class RetireAgent(Command, frozen=True, kw_only=True, tag="retire_agent"):
    """Let an agent take no new requests."""

    agent: Name


class Terms(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a chain says was bought: money by receiver, and what for it. It holds whatever the plan says by now."""

    asset: Name
    shares: dict[Name, Annotated[int, Meta(ge=0)]]
    credits: Credits = 0
    seconds: Seconds = 0


class Purchase(Command, frozen=True, kw_only=True, tag="purchase"):
    """Buy a plan at its price, or try it where it is a trial. A `payment` id is used once, for ever.

    `terms` are those of a purchase that was seen on a chain; its `funding` names the escrow.
    """

    subscriber: Name
    plan: Name
    payment: Text = ""
    funding: Funding = "none"
    start: Moment | None = None
    terms: Terms | None = None


class Give(Command, frozen=True, kw_only=True, tag="give"):
    """Give credits, a window of `seconds`, or both, at no cost. None of `priority` is the plan's."""

    subscriber: Name
    plan: Name
    credits: Credits = 0
    seconds: Seconds = 0
    start: Moment | None = None
    expiry: Moment | None = None
    priority: Priority | None = None


class Withdraw(Command, frozen=True, kw_only=True, tag="withdraw"):
    """Take unused credits back with their unearned money: of one lot or (0) of all, that many or (None) all unheld.

    A window without credits ends now, and the money of its rest leaves; a lot that has not started leaves whole.
    """

    subscriber: Name
    plan: Name
    lot: Number = 0
    credits: Credits | None = None
    reason: Text = ""


class Reverse(Command, frozen=True, kw_only=True, tag="reverse"):
    """Undo a purchase whose payment turned out void, by lot or by payment id: all that is left of its money, or
    `amount` of it (in the asset's smallest unit), with as large a part of its credits."""

    subscriber: Name
    plan: Name
    lot: Number = 0
    payment: Text = ""
    amount: Annotated[int, Meta(ge=1)] | None = None


class Reinstate(Command, frozen=True, kw_only=True, tag="reinstate"):
    """Undo the reversals of a purchase, by lot or by payment id: the dispute was won, the money is there again."""

    subscriber: Name
    plan: Name
    lot: Number = 0
    payment: Text = ""


class Freeze(Command, frozen=True, kw_only=True, tag="freeze"):
    """Admit no new requests of this account, and sell it nothing. `fact` is the exit request that a chain has seen, if
    that is why."""

    subscriber: Name
    plan: Name
    fact: Fact | None = None


class Unfreeze(Command, frozen=True, kw_only=True, tag="unfreeze"):
    """Undo a freeze that no chain asked for."""

    subscriber: Name
    plan: Name


class Exit(Command, frozen=True, kw_only=True, tag="exit"):
    """A chain has paid a subscriber who left: what was unused of the lots that it funded is withdrawn.

    The money is what the chain paid (`amount` of the asset's smallest unit): first what had left those lots before and
    was still in escrow, then what they have not earned, then what they had.
    """

    subscriber: Name
    plan: Name
    fact: Fact
    asset: Name
    amount: Annotated[int, Meta(ge=0)]


class Request(Command, frozen=True, kw_only=True, tag="request"):
    """Ask to admit a call: holds what `estimate` would cost. The URL is checked where one is given."""

    subscriber: Name
    plan: Name
    agent: Annotated[str, Meta(max_length=MAX_NAME_LENGTH)] = ""
    method: Annotated[str, Meta(max_length=32)] = ""
    url: Text = ""
    estimate: Units = {}
    labels: Labels = {}


class RequestTerms(TypedDict, total=False):
    """The terms of a `Request` beside its account, for those who pass them on."""

    agent: str
    method: str
    url: str
    estimate: dict[str, int]
    labels: dict[str, str]
    key: str | None
    issued_at: int | None


class Extend(Command, frozen=True, kw_only=True, tag="extend"):
    """Move an open request's deadline to `seconds` from now, up to the plan's longest request."""

    request: Number
    seconds: Seconds


class Release(Command, frozen=True, kw_only=True, tag="release"):
    """End a request without a charge; what it held returns."""

    request: Number
    reason: Literal["voided", "failed"] = "voided"


class Charge(Command, frozen=True, kw_only=True, tag="charge"):
    """Charge what was used: of an open `request`, in any number of parts and one final; or, without a request,
    directly of an account (`subscriber`, `plan`), for work that was metered elsewhere.

    `occurred_at` decides only the metering period.
    """

    request: Number = 0
    subscriber: Annotated[str, Meta(max_length=MAX_NAME_LENGTH)] = ""
    plan: Annotated[str, Meta(max_length=MAX_NAME_LENGTH)] = ""
    agent: Annotated[str, Meta(max_length=MAX_NAME_LENGTH)] = ""
    usage: Units = {}
    labels: Labels = {}
    final: bool = True
    occurred_at: Moment | None = None


class Adjust(Command, frozen=True, kw_only=True, tag="adjust"):
    """Correct one `charge`, or one `period` of an account, by `credits` (> 0 takes more) or by a `usage` delta.

    `expiry` is the new expiry of expired lots that credits return to; without it they lapse at once.
    """

    charge: Number = 0
    subscriber: Annotated[str, Meta(max_length=MAX_NAME_LENGTH)] = ""
    plan: Annotated[str, Meta(max_length=MAX_NAME_LENGTH)] = ""
    period: Annotated[str, Meta(max_length=MAX_NAME_LENGTH)] = ""
    credits: SignedCredits = 0
    usage: Deltas = {}
    reason: AdjustReason = "correction"
    expiry: Moment | None = None
    note: Text = ""


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


class Tick(Command, frozen=True, kw_only=True, tag="tick"):
    """Write what time has done to all accounts."""


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
"""Commands with a field that holds anything."""

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand)


def admit(command: object) -> AnyCommand:
    """The command with every field held to its type and bounds. Raises Refusal(malformed)."""
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
    """Raise ValueError where JSON does not say what was given (a NaN becomes null, bytes and decimals become text), or
    is nested deeper than `deep`. A list may stand for a tuple."""
    if not deep:
        raise ValueError(f"this is nested more than {MAX_NESTED} deep")
    if isinstance(kept, msgspec.Struct) and type(given) is type(kept):
        for name in kept.__struct_fields__:
            check_kept(getattr(given, name), getattr(kept, name), deep - 1)
    elif isinstance(kept, dict) and isinstance(given, dict) and given.keys() == kept.keys():
        for name, value in kept.items():
            check_kept(given[name], value, deep - 1)
    elif isinstance(kept, list | tuple) and isinstance(given, list | tuple) and len(given) == len(kept):
        for one, other in zip(given, kept, strict=True):
            check_kept(one, other, deep - 1)
    elif given != kept:
        raise ValueError(f"{type(given).__name__} is not a value that can be kept as it is")
