"""All events, as one tagged union of immutable structs.

An event is stored as a JSON object whose first key is `type`, a fixed tag; fields at their default are left out.
Schemas only grow: a new field has a default, nothing is renamed, reordered or retyped. Invariants of a single event are
checked in `__post_init__`, which runs when an event is made and again when it is read back.

Amounts of credits are whole numbers of 64 bits, money is a whole number of any size, times are UTC microseconds.
Plans have names; accounts and agents have the dense numbers that `purchased` and `agent_registered` gave them (from 1;
agent 0 is none). The id of a request, a charge or a lot is the sequence of its event; lot 0 is debt.

Structs that never form reference cycles are exempt from garbage collection (`gc=False`): looking for cycles took a
third of a large commit's time.
"""

from __future__ import annotations

from typing import TypeAlias, get_args

import msgspec

from ..described import describe
from ..values import DAY_SECONDS as DAY_SECONDS
from ..values import KEY_SECONDS as KEY_SECONDS
from ..values import MAX_AHEAD_SECONDS as MAX_AHEAD_SECONDS
from ..values import MAX_DUE_DAYS as MAX_DUE_DAYS
from ..values import AdjustReason as AdjustReason
from ..values import BillingMode as BillingMode
from ..values import ContractRef as ContractRef
from ..values import CreditsLimit as CreditsLimit
from ..values import Draws as Draws
from ..values import Endpoint as Endpoint
from ..values import Escrow as Escrow
from ..values import EscrowAsset as EscrowAsset
from ..values import EscrowFunding as EscrowFunding
from ..values import Fact as Fact
from ..values import Funding as Funding
from ..values import Kind as Kind
from ..values import Limits as Limits
from ..values import Line as Line
from ..values import Metering as Metering
from ..values import OnContract as OnContract
from ..values import OnLapse as OnLapse
from ..values import OnOverdue as OnOverdue
from ..values import Overrun as Overrun
from ..values import RateLimit as RateLimit
from ..values import ReleaseReason as ReleaseReason
from ..values import Share as Share
from ..values import Tariff as Tariff
from ..values import Unpriced as Unpriced
from ..values import Usage as Usage
from .catalogue import AgentRegistered as AgentRegistered
from .catalogue import AgentRetired as AgentRetired
from .catalogue import AgentUpdated as AgentUpdated
from .catalogue import PlanCreated as PlanCreated
from .catalogue import PlanRepriced as PlanRepriced
from .catalogue import PlanRetired as PlanRetired
from .charges import Adjusted as Adjusted
from .charges import Charged as Charged
from .charges import Lapsed as Lapsed
from .event import Event as Event
from .invoices import Invoiced as Invoiced
from .invoices import InvoicePaid as InvoicePaid
from .invoices import Overdue as Overdue
from .invoices import Subscribed as Subscribed
from .invoices import WrittenOff as WrittenOff
from .purchases import Frozen as Frozen
from .purchases import Purchased as Purchased
from .purchases import Reinstated as Reinstated
from .purchases import Reversed as Reversed
from .purchases import Started as Started
from .purchases import Unfrozen as Unfrozen
from .purchases import Withdrawn as Withdrawn
from .requests import Extended as Extended
from .requests import RefusedRequests as RefusedRequests
from .requests import Reheld as Reheld
from .requests import Released as Released
from .requests import Requested as Requested
from .settlements import Leaf as Leaf
from .settlements import Opening as Opening
from .settlements import Payout as Payout
from .settlements import Settlement as Settlement
from .settlements import SettlementAdopted as SettlementAdopted
from .settlements import SettlementCommitted as SettlementCommitted
from .settlements import SettlementConfirmed as SettlementConfirmed
from .settlements import SettlementFailed as SettlementFailed
from .settlements import SettlementOpened as SettlementOpened
from .settlements import SettlementSubmitted as SettlementSubmitted
from .settlements import SettlementUnknown as SettlementUnknown

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
    | Subscribed
    | Invoiced
    | InvoicePaid
    | WrittenOff
    | Overdue
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

_VALUES: tuple[type[msgspec.Struct], ...] = (
    *(Share, Tariff, Limits, RateLimit, CreditsLimit, Endpoint, Line, Leaf, Payout),
    *(Escrow, EscrowFunding, Fact),
)
for _kind in (*EVENT_TYPES, *_VALUES):
    describe(_kind)


def tag(event: Event | type[Event]) -> str:
    """Return the `type` tag under which an event is stored."""
    return str(event.__struct_config__.tag)


_encoder = msgspec.json.Encoder()
_one: msgspec.json.Decoder[Recorded] = msgspec.json.Decoder(Recorded)


def encode(event: Event) -> bytes:
    """Return an event as its JSON object."""
    return _encoder.encode(event)


def decode_one(line: bytes) -> Recorded:
    """Return the event of one JSON object. Raise msgspec.ValidationError or DecodeError if it holds none."""
    return _one.decode(line)
