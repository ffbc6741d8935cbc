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
