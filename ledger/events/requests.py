"""Events of requests that are not charges."""

from __future__ import annotations

from ..amounts import check_credits
from ..values import (
    Draws,
    ReleaseReason,
    Usage,
    check,
    check_draws,
    check_repaid,
    check_usage,
)
from .event import Event


class Requested(Event, frozen=True, kw_only=True, tag="requested"):
    """A call is admitted: it holds credits until it is charged, released or expires. Its sequence is the request's
    number.

    Fields:
        method: HTTP method of the call.
        url: URL of the call.
        hold: Credits that are held.
        draws: The same by lot.
        deadline: Time at which it expires, in UTC microseconds.
        estimate: Usage that the call may come to, in units by dimension.
    """

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
    """The request's deadline moves.

    Fields:
        deadline: New deadline, in UTC microseconds.
    """

    request: int
    deadline: int


class Reheld(Event, frozen=True, kw_only=True, tag="reheld"):
    """An open request's hold is replaced, because the possible cost of the account's open requests has changed.
    Credits that it no longer holds return to their lots.

    Fields:
        draws: Credits that it holds from now on, by lot.
    """

    account: int
    request: int
    draws: Draws = ()

    def __post_init__(self) -> None:
        check_draws(self.draws, sum(credits for _, credits in self.draws))


class Released(Event, frozen=True, kw_only=True, tag="released"):
    """The request ends without a charge; its held credits return to their lots.

    Fields:
        reason: "voided" or "failed" as the command said it; "expired" at its deadline.
        instant: Deadline at which it expired, in UTC microseconds. None: it was released.
    """

    request: int
    reason: ReleaseReason
    instant: int | None = None
    repaid: Draws = ()

    def __post_init__(self) -> None:
        check_repaid(self.repaid)
        check((self.reason == "expired") == (self.instant is not None), "an expiry, and only it, has an instant")


class RefusedRequests(Event, frozen=True, kw_only=True, tag="refused"):
    """Requests were refused since the last such event. No balance changes.

    Fields:
        reason: Name of the refusal.
        estimate: Estimate of the last of them, in units by dimension.
        count: Number of refused requests.
    """

    reason: str
    plan: str
    agent: int = 0
    estimate: Usage = {}
    count: int

    def __post_init__(self) -> None:
        check_usage(self.estimate)
        check(type(self.count) is int and self.count >= 1, "at least one was refused")
