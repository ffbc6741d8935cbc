"""Metering periods: a calendar month or day in UTC, a purchase, or one period that never ends.

A period is named by text: `2023-11`, `2023-11-16`, the sequence of the purchase that began it (`0` before the first: a
gift begins none), or `forever`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from .amounts import SECOND
from .errors import WrongType
from .events import Metering

_DAY = 86_400 * SECOND
MAX_AHEAD = 60 * SECOND
"""Microseconds by which the clock that work is timed by may be ahead of the ledger's."""
MAX_AGE = 3_650 * _DAY
"""Microseconds after which work is no longer charged. Seconds or milliseconds in place of microseconds are of 1970."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=1024)
def _calendar(metering: Metering, day: int) -> str:
    return (_EPOCH + timedelta(days=day)).strftime("%Y-%m-%d")[: 7 if metering == "month" else 10]


@lru_cache(maxsize=1024)
def _kept_calendar(metering: Metering, day: int) -> tuple[str, str]:
    current = _calendar(metering, day)
    first = int(current[8:]) if metering == "day" else (_EPOCH + timedelta(days=day)).day
    before = day - (1 if metering == "day" else first)
    return current, _calendar(metering, max(0, before))


def kept(metering: Metering, purchases: Sequence[tuple[int, int]], at: int) -> tuple[str, ...]:
    """Return the periods whose meters are kept at a time (UTC microseconds): the current one, then the one before.

    `purchases` are (start, sequence) of an account's sales and trials that have started, oldest first; only the last
    two count.
    """
    if metering == "forever":
        return ("forever",)
    if metering == "purchase":
        return tuple(str(seq) for _, seq in reversed(_begun(purchases)))
    return _kept_calendar(metering, at // _DAY)


def period(metering: Metering, purchases: Sequence[tuple[int, int]], at: int) -> str:
    """Return the period of a time (UTC microseconds)."""
    return kept(metering, purchases, at)[0]


def period_of_work(
    metering: Metering, purchases: Sequence[tuple[int, int]], at: int, occurred_at: int | None
) -> tuple[str, bool]:
    """Return the period in which work is metered at a time: that in which it was done, if its meter is kept, else the
    current one. The second is True if it is metered so late."""
    periods = kept(metering, purchases, at)
    if occurred_at is None or occurred_at >= at or metering == "forever":
        return periods[0], False
    if metering == "purchase":
        begun = [str(seq) for start, seq in _begun(purchases) if start <= occurred_at]
        return (begun[-1], False) if begun else (periods[0], True)
    named = _calendar(metering, occurred_at // _DAY)
    return (named, False) if named in periods else (periods[0], True)


def may_have_occurred(occurred_at: int, at: int) -> bool:
    """True if work that is charged at a time may have been done then (both UTC microseconds): neither later, give or
    take what clocks differ by, nor so long ago that the unit must be wrong."""
    return at - MAX_AGE <= occurred_at <= at + MAX_AHEAD


def time_text(at: int) -> str:
    """Format UTC microseconds as `2023-11-16T18:15:46.680590Z`; a time beyond the calendar as the number itself."""
    try:
        return (_EPOCH + timedelta(microseconds=at)).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")
    except OverflowError:
        return str(at)


def microseconds(moment: datetime) -> int:
    """Return a datetime as UTC microseconds. Raises WrongType for one without a time zone."""
    if moment.tzinfo is None:
        raise WrongType(f"at: {moment} has no time zone", "give it one: `.replace(tzinfo=UTC)` if it is UTC")
    return (moment - _EPOCH) // timedelta(microseconds=1)


def end_of(metering: Metering, at: int) -> int | None:
    """Return the end of the calendar period in which `at` lies (UTC microseconds); None for a period that no calendar
    ends, and beyond the calendar."""
    if metering not in ("month", "day"):
        return None
    day = (_EPOCH + timedelta(microseconds=at)).replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        following = (
            day + timedelta(days=1) if metering == "day" else (day.replace(day=1) + timedelta(days=32)).replace(day=1)
        )
    except OverflowError:
        return None
    return microseconds(following)


def _begun(purchases: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    """Return the last two periods that purchases began; the time before the first purchase counts as one."""
    return purchases[-2:] if len(purchases) > 1 else ((0, 0), *purchases)
