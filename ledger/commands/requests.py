"""Commands of use: requests, charges and adjustments."""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

from msgspec import Meta

from ..events import (
    Adjusted,
    AdjustReason,
    Charged,
    Extended,
    Released,
    Requested,
)
from .command import (
    MAX_NAME_LENGTH,
    Command,
    Deltas,
    Labels,
    Moment,
    Name,
    Number,
    Seconds,
    SignedCredits,
    Text,
    Units,
)


class Request(Command[Requested], frozen=True, kw_only=True, tag="request"):
    """Request admission of a call: hold the cost of `estimate`. A URL is checked against the agent's endpoints."""

    subscriber: Name
    plan: Name
    agent: Annotated[str, Meta(max_length=MAX_NAME_LENGTH)] = ""
    method: Annotated[str, Meta(max_length=32)] = ""
    url: Text = ""
    estimate: Units = {}
    labels: Labels = {}


class RequestTerms(TypedDict, total=False):
    """The fields of a `Request` without its account, as keyword arguments."""

    agent: str
    method: str
    url: str
    estimate: dict[str, int]
    labels: dict[str, str]
    key: str | None
    issued_at: int | None


class Extend(Command[Extended], frozen=True, kw_only=True, tag="extend"):
    """Move an open request's deadline to `seconds` from now, up to the plan's longest request."""

    request: Number
    seconds: Seconds


class Release(Command[Released], frozen=True, kw_only=True, tag="release"):
    """End a request without a charge; its held credits return."""

    request: Number
    reason: Literal["voided", "failed"] = "voided"


class Charge(Command[Charged], frozen=True, kw_only=True, tag="charge"):
    """Charge usage: of an open `request`, in any number of partial charges and a final one; or, without a request,
    directly to an account (`subscriber`, `plan`), for work that was metered elsewhere.

    A charge is never refused for credits alone: beyond what is there the plan's `overrun` rule decides, and what is not
    paid is the event's `shortfall`. `occurred_at` (UTC microseconds) determines only the metering period.
    """

    request: Number = 0
    subscriber: Annotated[str, Meta(max_length=MAX_NAME_LENGTH)] = ""
    plan: Annotated[str, Meta(max_length=MAX_NAME_LENGTH)] = ""
    agent: Annotated[str, Meta(max_length=MAX_NAME_LENGTH)] = ""
    usage: Units = {}
    labels: Labels = {}
    final: bool = True
    occurred_at: Moment | None = None


class Adjust(Command[Adjusted], frozen=True, kw_only=True, tag="adjust"):
    """Correct one `charge`, or one `period` of an account, by `credits` (> 0 takes more) or by a `usage` delta.

    `expiry` is the new expiry of expired lots that credits return to; without it those credits lapse immediately.
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
