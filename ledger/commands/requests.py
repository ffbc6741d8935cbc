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
    Text,
    Units,
    WrittenSigned,
)


class Request(Command[Requested], frozen=True, kw_only=True, tag="request"):
    """Request admission of a call, before the work: it holds the cost of the estimate, and is refused if that is not
    available. An answer's `seq` is the request's number.

    Fields:
        agent: Name of the agent that is called. Empty: none.
        method: HTTP method of the call, checked with `url`.
        url: URL of the call, checked against the agent's endpoints. Empty: not checked.
        estimate: Usage that the call may come to, in units by dimension. As long as the usage stays within it, the hold
            covers the price. Empty: at least 1 of the smallest unit is held.

    Example:
        Request(
            subscriber="alice",
            plan="pro",
            estimate={"output_tokens": 4_000},
            key="call-17",
        )
    """

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
    """Move an open request's deadline. It never moves back, nor beyond the plan's `longest_seconds`.

    Fields:
        request: Number of the request: the `seq` of its answer.
        seconds: Seconds from now to the new deadline.

    Example:
        Extend(request=request.seq, seconds=3_600)
    """

    request: Number
    seconds: Seconds


class Release(Command[Released], frozen=True, kw_only=True, tag="release"):
    """End a request without a charge; its held credits return.

    Fields:
        request: Number of the request: the `seq` of its answer.
        reason: Reason, as it is recorded. "voided": the work was not done. "failed": it failed.

    Example:
        Release(request=request.seq, reason="failed")
    """

    request: Number
    reason: Literal["voided", "failed"] = "voided"


class Charge(Command[Charged], frozen=True, kw_only=True, tag="charge"):
    """Charge usage: of an open `request`, in any number of partial charges and a final one; or, without a request,
    directly to an account (`subscriber`, `plan`), for work that was metered elsewhere.

    A charge is never refused for credits alone: beyond what is there the plan's `overrun` rule decides, and what is not
    paid is the event's `shortfall`.

    Fields:
        request: Number of the request: the `seq` of its answer. 0: a direct charge.
        subscriber: Name of the subscriber of a direct charge.
        plan: Name of the plan of a direct charge.
        agent: Name of the agent of a direct charge. Empty: none.
        usage: Usage of this charge alone, in units by dimension.
        labels: Labels by name, added to the request's. After its first charge they cannot change.
        final: True: the request ends, and the rest of its hold returns. False: a partial charge, which also moves the
            deadline.
        occurred_at: Time of the work, in UTC microseconds. None: now. A direct charge is metered in the period of this
            time: the current one or the one before. For earlier work it is metered in the current period, and recorded
            as `late`. It also determines whether a direct charge is for work before the end of access. A time after
            the present (by more than a minute) or more than ten years ago is refused (`malformed`).

    Example:
        Charge(request=request.seq, usage={"output_tokens": 3_120})
        Charge(subscriber="alice", plan="pro", usage={"output_tokens": 500})
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
    """Correct one `charge`, or one `period` of an account (`subscriber`, `plan`), by `credits` or by `usage`. The
    charge stays; the correction is one more event. No more returns than was paid.

    Meters are kept for the current period and the one before, and while a request of theirs may still be charged. After
    that `usage` corrects only charges of policies about a request; others are refused (`charge_unknown`), and corrected
    by `credits`.

    Fields:
        charge: Number of the charge: the `seq` of its answer. 0: a period is corrected.
        subscriber: Name of the subscriber of the period.
        plan: Name of the plan of the period.
        period: Metering period: `2026-03`, `2026-03-10`, the sequence of a purchase, or `forever`. The current one or
            the one before.
        credits: Credits, in the plan's smallest unit or written ("-1.50"): above 0 more is taken, below 0 is given
            back.
        usage: Change of the measured usage, in units by dimension: what it costs on the meter of the charge or period
            that is corrected is taken or given back.
        reason: Reason, as it is recorded: "correction", "refund", "true_up" or "late". "tier" is the ledger's own.
        expiry: New end of expired lots to which credits return, in UTC microseconds. None: those credits lapse at once.
        note: Note for people; nothing is decided by it.

    Example:
        Adjust(charge=charge.seq, credits=-1_24, reason="refund")
        Adjust(charge=charge.seq, usage={"output_tokens": -120})
    """

    charge: Number = 0
    subscriber: Annotated[str, Meta(max_length=MAX_NAME_LENGTH)] = ""
    plan: Annotated[str, Meta(max_length=MAX_NAME_LENGTH)] = ""
    period: Annotated[str, Meta(max_length=MAX_NAME_LENGTH)] = ""
    credits: WrittenSigned = 0
    usage: Deltas = {}
    reason: AdjustReason = "correction"
    expiry: Moment | None = None
    note: Text = ""
