"""Everything that can happen, as one tagged union of immutable structs.

An event is stored as a JSON object whose first key is `type`, a word that we chose; fields at their default are left
out. Schemas only grow: a new field has a default, nothing is renamed, reordered or retyped. Invariants of a single
event are checked in `__post_init__`, which runs when an event is made and again when it is read back.

Amounts of credits are whole numbers of 64 bits, money is a whole number of any size, times are UTC microseconds.
Plans are named; accounts and agents go by the dense numbers that `purchased` and `agent_registered` gave them (from 1;
agent 0 is none). Requests, charges and lots are named by the sequence of their event; lot 0 is debt.

What is only ever a tree needs no garbage collector (`gc=False`), which took a third of a large commit's time to look
for cycles.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias, get_args

import msgspec

from .amounts import check_credits, check_money
from .values import DAY_SECONDS as DAY_SECONDS
from .values import AdjustReason as AdjustReason
from .values import ContractRef as ContractRef
from .values import CreditsLimit as CreditsLimit
from .values import Draws as Draws
from .values import Endpoint as Endpoint
from .values import Escrow as Escrow
from .values import EscrowAsset as EscrowAsset
from .values import EscrowFunding as EscrowFunding
from .values import Fact as Fact
from .values import Funding as Funding
from .values import Kind as Kind
from .values import Limits as Limits
from .values import Line as Line
from .values import Metering as Metering
from .values import OnContract as OnContract
from .values import OnLapse as OnLapse
from .values import Overrun as Overrun
from .values import RateLimit as RateLimit
from .values import ReleaseReason as ReleaseReason
from .values import Share as Share
from .values import Tariff as Tariff
from .values import Unpriced as Unpriced
from .values import Usage as Usage
from .values import check, check_draws, check_meter, check_repaid, check_signed, check_usage


class Event(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True, tag_field="type"):
    """What all events have: the first event of a keyed command carries its key and the fingerprint of its content."""

    key: str | None = None
    fingerprint: str | None = None


# -- catalogue ---------------------------------------------------------------------------------------------------------


class PlanCreated(Event, frozen=True, kw_only=True, tag="plan_created"):
    """A plan is on sale: its price, what it grants (credits, seconds, or both), its tariff and its limits.

    With `record_lines` every charge has the lines of its computation, otherwise only where they cannot be derived.
    `price` is parted among receivers, a fee among them. `hold_seconds` is how long a request holds before it expires,
    `longest_seconds` how long it may be made to last, `late_seconds` how long after expiring it may still be charged,
    and how long after the end of access a direct charge may still come. `unpriced` says what becomes of a request whose
    estimate has units that no rate of the tariff reads.
    """

    plan: str
    onchain_id: str = ""
    owner: str
    asset: str
    decimals: int = 0
    price: tuple[Share, ...] = ()
    credits: int = 0
    seconds: int = 0
    priority: int = 0
    trial: bool = False
    on_lapse: OnLapse = "earn"
    tariff: Tariff
    limits: Limits = Limits()
    hold_seconds: int
    longest_seconds: int
    late_seconds: int = DAY_SECONDS
    overrun: Overrun = "cap"
    debt_limit: int = 0
    period: Metering
    record_refusals: bool = False
    record_lines: bool = False
    unpriced: Unpriced = "refuse"

    def __post_init__(self) -> None:
        check_credits(self.credits, self.debt_limit, self.seconds, self.late_seconds)
        check(bool(self.plan) and bool(self.owner) and bool(self.asset), "a plan has a name, an owner and an asset")
        check(self.credits > 0 or self.seconds > 0, "a plan grants credits, a time window, or both")
        check(not self.trial or self.cost == 0, "a trial has no price")
        check(1 <= self.hold_seconds <= self.longest_seconds, "hold_seconds is from 1 to longest_seconds")
        check(self.tariff.version == 1, "a plan begins with version 1 of its tariff")
        check(0 <= self.decimals <= 36, "decimals are from 0 to 36")
        receivers = [share.receiver for share in self.price]
        check(len(set(receivers)) == len(receivers), "a receiver stands once in a price")

    @property
    def cost(self) -> int:
        """The whole price, in the asset's smallest unit."""
        return sum(share.amount for share in self.price)

    @property
    def grants_credits(self) -> bool:
        """Whether requests hold credits; a plan of time alone only logs them."""
        return self.credits > 0


class PlanRepriced(Event, frozen=True, kw_only=True, tag="plan_repriced"):
    """The plan has a new tariff; charges under the old one keep it, open requests too."""

    plan: str
    tariff: Tariff


class PlanRetired(Event, frozen=True, kw_only=True, tag="plan_retired"):
    """The plan is no longer sold. What was bought may still be used."""

    plan: str


class AgentRegistered(Event, frozen=True, kw_only=True, tag="agent_registered"):
    """A service is offered behind plans. No endpoints at all means that any endpoint is allowed."""

    agent: int
    name: str
    owner: str
    plans: tuple[str, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    open_endpoints: tuple[Endpoint, ...] = ()
    metadata: dict[str, Any] = {}

    def __post_init__(self) -> None:
        check(self.agent >= 1 and bool(self.name) and bool(self.owner), "an agent has a number, a name and an owner")


class AgentUpdated(AgentRegistered, frozen=True, kw_only=True, tag="agent_updated"):
    """The agent is as this event says from now on."""


class AgentRetired(Event, frozen=True, kw_only=True, tag="agent_retired"):
    """The agent takes no new requests."""

    agent: int


# -- purchases ---------------------------------------------------------------------------------------------------------


class Purchased(Event, frozen=True, kw_only=True, tag="purchased"):
    """A lot is bought, tried or given: credits, a window of time, or both, with its money.

    `start` None is the commit's time, `earliest` the start that was asked for, where that is later; `expiry` None is
    never. `shares` sum to `cost`. Funding says who has the money:
    `escrow` a chain, `direct` the receivers already, `none` nobody yet.
    """

    account: int
    subscriber: str
    plan: str
    kind: Kind = "sale"
    credits: int = 0
    seconds: int = 0
    asset: str = ""
    cost: int = 0
    shares: tuple[Share, ...] = ()
    funding: Funding = "none"
    payment: str = ""
    start: int | None = None
    expiry: int | None = None
    priority: int = 0
    earliest: int | None = None

    def __post_init__(self) -> None:
        check_credits(self.credits, self.seconds)
        check_money(self.cost)
        check(self.account >= 1, "accounts are numbered from 1")
        check(sum(share.amount for share in self.shares) == self.cost, "the shares sum to the cost")
        check(len({share.receiver for share in self.shares}) == len(self.shares), "each receiver has one share")
        check(self.kind == "sale" or self.cost == 0, "only a sale has a cost")
        check(self.credits > 0 or self.expiry is not None, "a lot has credits, or an expiry, or both")


class Started(Event, frozen=True, kw_only=True, tag="started"):
    """A lot begins to count. `draws` is how much debt it pays, `((0, credits),)`, oldest debt first."""

    account: int
    lot: int
    draws: Draws = ()
    instant: int

    def __post_init__(self) -> None:
        check_draws(self.draws, sum(credits for _, credits in self.draws))
        check(all(lot == 0 for lot, _ in self.draws), "a lot that starts pays debt")


class Withdrawn(Event, frozen=True, kw_only=True, tag="withdrawn"):
    """Unused credits leave with their unearned money, by lot; a window without credits ends here.

    Where a chain has paid a subscriber who left, `fact` names that and `paid` is all that it paid of `asset`: the
    money of this event, and what had left the lots before and was still in escrow.
    """

    account: int
    draws: Draws = ()
    money: dict[int, int] = {}
    reason: str = ""
    instant: int | None = None
    fact: Fact | None = None
    asset: str = ""
    paid: int = 0

    def __post_init__(self) -> None:
        check_draws(self.draws, sum(credits for _, credits in self.draws))
        check_money(self.paid, *self.money.values())
        check(all(lot > 0 for lot, _ in self.draws), "debt cannot be withdrawn")


class Reversed(Event, frozen=True, kw_only=True, tag="reversed"):
    """A payment, or a part of it, was void: `money` goes back to the payer and `credits` of the lot are withdrawn.

    They are taken from what is left, then from what was spent, then from what is held; what was spent or held becomes
    debt, whatever the plan's rule. `expiry` is the new end of a window without credits that was reversed in part.
    `repaid` is what other lots pay of that debt at once.
    """

    account: int
    lot: int
    payment: str = ""
    credits: int = 0
    money: int = 0
    expiry: int | None = None
    repaid: Draws = ()

    def __post_init__(self) -> None:
        check_credits(self.credits)
        check_money(self.money)
        check_repaid(self.repaid)


class Reinstated(Event, frozen=True, kw_only=True, tag="reinstated"):
    """A dispute was won: the lot stands again with what its reversals had taken, `credits` and `money`.

    The credits return to the lot as unused, and pay what is owed by then: `repaid`.
    """

    account: int
    lot: int
    payment: str = ""
    credits: int = 0
    money: int = 0
    repaid: Draws = ()

    def __post_init__(self) -> None:
        check_credits(self.credits)
        check_money(self.money)
        check_repaid(self.repaid)


class Frozen(Event, frozen=True, kw_only=True, tag="frozen"):
    """The account takes no new requests and buys nothing; open requests end as usual."""

    account: int
    fact: Fact | None = None


class Unfrozen(Event, frozen=True, kw_only=True, tag="unfrozen"):
    """The account takes requests and buys again."""

    account: int


# -- requests ----------------------------------------------------------------------------------------------------------


class Requested(Event, frozen=True, kw_only=True, tag="requested"):
    """A call is admitted: it holds `hold` credits, drawn from lots, until it is charged, released or expires."""

    account: int
    agent: int = 0
    method: str = ""
    url: str = ""
    hold: int = 0
    draws: Draws = ()
    deadline: int
    tariff: int
    estimate: Usage = {}
    labels: dict[str, str] = {}

    def __post_init__(self) -> None:
        check_credits(self.hold)
        check_draws(self.draws, self.hold)
        check_usage(self.estimate)


class Extended(Event, frozen=True, kw_only=True, tag="extended"):
    """The request's deadline moves."""

    request: int
    deadline: int


class Reheld(Event, frozen=True, kw_only=True, tag="reheld"):
    """An open request holds these draws from now on, and no others: what it and its neighbours may still cost has
    changed. What it held and does not hold any more returns to its lots."""

    account: int
    request: int
    draws: Draws = ()

    def __post_init__(self) -> None:
        check_draws(self.draws, sum(credits for _, credits in self.draws))


class Released(Event, frozen=True, kw_only=True, tag="released"):
    """The request ends without a charge; what it held returns to its lots, which pay `repaid` of the account's debt.

    `instant` is set where it expired.
    """

    request: int
    reason: ReleaseReason
    instant: int | None = None
    repaid: Draws = ()

    def __post_init__(self) -> None:
        check_repaid(self.repaid)
        check((self.reason == "expired") == (self.instant is not None), "an expiry, and only it, has an instant")


class RefusedRequests(Event, frozen=True, kw_only=True, tag="refused"):
    """`count` requests were refused for this reason since it was last written. It moves nothing."""

    reason: str
    plan: str
    agent: int = 0
    estimate: Usage = {}
    count: int

    def __post_init__(self) -> None:
        check_usage(self.estimate)
        check(type(self.count) is int and self.count >= 1, "at least one was refused")


# -- charges and adjustments -------------------------------------------------------------------------------------------


class Charged(Event, frozen=True, kw_only=True, tag="charged"):
    """What a request really cost. The price is `credits + shortfall`; the draws sum to `credits`.

    `before` is the meter of the tariff's scope before this charge (of the request, or of the account in `period`);
    `continues` tells an empty meter that was already charged from one that was not. `request` 0 is a direct charge: a
    request and its final charge in one. A partial charge moves its request's `deadline`. `lines` say how the price came
    about, where that does not follow from the tariff, the usage and the meter, or where the plan records them.
    `unpriced` are the units of the usage that no rate of the tariff reads. `repaid` is what the rest of the hold, which
    returns at the final charge, pays of the account's debt.
    """

    account: int
    request: int = 0
    agent: int = 0
    credits: int = 0
    draws: Draws = ()
    shortfall: int = 0
    usage: Usage = {}
    labels: dict[str, str] = {}
    tariff: int
    period: str
    before: Usage = {}
    continues: bool = False
    lines: tuple[Line, ...] = ()
    final: bool = True
    deadline: int | None = None
    late: bool = False
    occurred_at: int | None = None
    unpriced: Usage = {}
    repaid: Draws = ()

    def __post_init__(self) -> None:
        check_credits(self.credits, self.shortfall)
        check_draws(self.draws, self.credits)
        check_usage(self.usage)
        if self.before:
            check_meter(self.before)
        if self.unpriced:
            check_usage(self.unpriced)
        if self.repaid:
            check_repaid(self.repaid)
        if not self.final and self.request <= 0:
            raise ValueError("a direct charge is final")


class Adjusted(Event, frozen=True, kw_only=True, tag="adjusted"):
    """A signed correction of one charge, or of one account's period: `credits` > 0 takes more, < 0 gives back.

    The draws sum to |credits|: lots taken from, or given back to. What is corrected owes `credits + shortfall` more: a
    correction downwards lowers what was never paid first, so its shortfall is negative. With a `usage` delta the meter
    moves by it, and that sum is total(before + usage) − total(before) under `tariff`. `metered` is the period whose
    meter and net a correction of a charge moves, `request` the open request whose meter it moves. `expiry` is a new
    expiry for expired lots that credits return to. `unpriced` are the units of the delta that no rate reads, `repaid`
    is what the credits that return pay of the account's debt.
    """

    account: int
    charge: int = 0
    period: str = ""
    credits: int = 0
    draws: Draws = ()
    shortfall: int = 0
    reason: AdjustReason
    usage: Usage = {}
    before: Usage = {}
    labels: dict[str, str] = {}
    tariff: int = 0
    metered: str = ""
    request: int = 0
    expiry: int | None = None
    note: str = ""
    unpriced: Usage = {}
    repaid: Draws = ()

    def __post_init__(self) -> None:
        check_signed(self.credits, self.shortfall, *self.usage.values(), *self.unpriced.values())
        check_draws(self.draws, abs(self.credits))
        check_meter(self.before)
        check_repaid(self.repaid)
        check(bool(self.charge) != bool(self.period), "an adjustment corrects a charge or a period")


class Lapsed(Event, frozen=True, kw_only=True, tag="lapsed"):
    """Credits of a lot expired unused."""

    account: int
    lot: int
    credits: int
    instant: int

    def __post_init__(self) -> None:
        check_credits(self.credits)
        check(self.credits > 0 and self.lot > 0, "a lot lapses by at least 1 credit")


# -- settlements -------------------------------------------------------------------------------------------------------


class Settlement(OnContract, Event, frozen=True, kw_only=True):
    """What all events of a batch have: its number on its chain and contract."""

    number: int
    chain: str
    contract: str

    def __post_init__(self) -> None:
        check(type(self.number) is int and self.number >= 1, "batches are numbered from 1")


class Payout(msgspec.Struct, frozen=True, gc=False):
    """What a batch pays a receiver, signed, in the asset's smallest unit."""

    receiver: str
    amount: int

    def __post_init__(self) -> None:
        check(type(self.amount) is int, "a payout is a whole number")


class Leaf(msgspec.Struct, frozen=True, gc=False):
    """What a batch says of one account: what it was charged and credited in all, in the asset's smallest unit.

    `plan` is the plan's id on the chain where it has one, else its name.
    """

    subscriber: str
    plan: str
    charged: int
    credited: int

    def __post_init__(self) -> None:
        check_money(self.charged, self.credited)


class Opening(Settlement, frozen=True, kw_only=True):
    """The begin of a batch: what was earned of an asset up to `covers` (last sequence by stream), as signed payouts and
    a root over so many `accounts`. `head_seq` and `head_hash` are the log's head before the event's own commit."""

    asset: str
    covers: dict[str, int]
    root: str
    digest: str = ""
    payouts: tuple[Payout, ...] = ()
    accounts: int = 0
    head_seq: int = 0
    head_hash: str = ""


class SettlementOpened(Opening, frozen=True, kw_only=True, tag="settlement_opened"):
    """The intent to settle, before anything is signed or sent."""


class SettlementSubmitted(Settlement, frozen=True, kw_only=True, tag="settlement_submitted"):
    """A signed transaction is stored, and then sent."""

    attempt: int = 0
    raw: str = ""
    transaction: str = ""


class SettlementCommitted(Settlement, frozen=True, kw_only=True, tag="settlement_committed"):
    """The chain has the batch; it is not final yet."""

    transaction: str = ""
    block: int = 0


class SettlementConfirmed(Settlement, frozen=True, kw_only=True, tag="settlement_confirmed"):
    """The batch is executed and final by the chain's own rule."""

    transaction: str = ""
    block: int = 0


class SettlementFailed(Settlement, frozen=True, kw_only=True, tag="settlement_failed"):
    """The batch was refused, cancelled or challenged; its payouts are in the next one, and so is its number unless the
    chain has that for ever (`used`)."""

    reason: str = ""
    used: bool = False


class SettlementUnknown(Settlement, frozen=True, kw_only=True, tag="settlement_unknown"):
    """An answer did not come; reading the chain will tell."""

    attempt: int = 0
    reason: str = ""


class SettlementAdopted(Opening, frozen=True, kw_only=True, tag="settlement_adopted"):
    """A batch that the chain has and the log lacked (a restored backup), from its published leaf file. `covers` speaks
    of the log that was lost, so the leaves and the time `at` of their counting stand here."""

    at: int = 0
    leaves: tuple[Leaf, ...] = ()


Recorded: TypeAlias = (
    PlanCreated
    | PlanRepriced
    | PlanRetired
    | AgentRegistered
    | AgentUpdated
    | AgentRetired
    | Purchased
    | Started
    | Withdrawn
    | Reversed
    | Reinstated
    | Frozen
    | Unfrozen
    | Requested
    | Extended
    | Reheld
    | Released
    | RefusedRequests
    | Charged
    | Adjusted
    | Lapsed
    | SettlementOpened
    | SettlementSubmitted
    | SettlementCommitted
    | SettlementConfirmed
    | SettlementFailed
    | SettlementUnknown
    | SettlementAdopted
)
"""The union of all events, as the log stores them."""

EVENT_TYPES: tuple[type[Event], ...] = get_args(Recorded)
"""Every event, in the order of the families."""


def tag(event: Event | type[Event]) -> str:
    """The word under which an event is stored."""
    return str(event.__struct_config__.tag)


_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[list[Recorded]] = msgspec.json.Decoder(list[Recorded])
_one: msgspec.json.Decoder[Recorded] = msgspec.json.Decoder(Recorded)


def encode(events: Annotated[object, "an event or a list of events"]) -> bytes:
    """An event as its JSON object, or a list of events as a JSON array."""
    return _encoder.encode(events)


def decode(body: bytes) -> list[Recorded]:
    """The events of a JSON array. Raises msgspec.ValidationError or DecodeError where it does not hold events."""
    return _decoder.decode(body)


def decode_one(line: bytes) -> Recorded:
    """The event of one JSON object. Raises as `decode` does."""
    return _one.decode(line)
