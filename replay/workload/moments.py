"""Times of a trace, as whole UTC microseconds. Integer arithmetic throughout: finer fractions are cut off, not rounded.

Written out rather than left to `datetime.fromisoformat`, which accepts other texts from one Python to the next.
"""

from __future__ import annotations

import re
from datetime import date

from ledger.amounts import SECOND
from ledger.errors import BadData

from .lines import shown

HOUR = 3_600 * SECOND
"""Microseconds in an hour."""


def midnight(year: int, month: int, day: int) -> int:
    """The start of a day, in UTC microseconds. ValueError where the calendar has no such day."""
    return (date(year, month, day).toordinal() - _EPOCH) * 24 * HOUR


_EPOCH = date(1970, 1, 1).toordinal()
_END = midnight(3000, 1, 1)  # what follows from a time, such as the end of a plan, must have a date as well
_BURSTGPT_START = midnight(2023, 1, 1)

_CALENDAR = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[T ]([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:[.,](\d+))?)?"
    r"(?:Z|([+-])([01]\d|2[0-3]):?([0-5]\d)?)?)?",
    re.ASCII | re.IGNORECASE,
)
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d*)?(?:e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_ELAPSED = re.compile(r"(\d{1,12})(?:\.(\d*))?", re.ASCII)


def calendar_time(text: str) -> int:
    """An ISO 8601 date and time, `T` or a space between; without a zone it is UTC, without a time it is midnight."""
    found = _CALENDAR.fullmatch(text)
    if not found:
        raise BadData(f"{shown(text)} is not a time", "write times as 2023-11-16T18:15:46.680590Z")
    year, month, day, hour, minute, second, fraction, sign, zone_hours, zone_minutes = found.groups("0")
    try:
        start = midnight(int(year), int(month), int(day))
    except ValueError:
        raise BadData(f"{shown(text)} is no day of the calendar", "correct the date") from None
    ahead = (int(zone_hours) * 60 + int(zone_minutes)) * 60
    seconds = (int(hour) * 60 + int(minute)) * 60 + int(second) + (ahead if sign == "-" else -ahead)
    return _within(start + seconds * SECOND + _microseconds(fraction), text)


def unambiguous_time(text: str) -> int:
    """Parse a time as `calendar_time` does, but not a bare number, whose unit is unknown. Raises BadData."""
    if _NUMBER.fullmatch(text):
        found = f"{shown(text)} is not a time: a number alone does not say its unit, nor what it counts from"
        hint = "write UTC times as 2023-11-16T18:15:46.680590Z; seconds from the start go in a column arrived_at"
        raise BadData(found, hint)
    return calendar_time(text)


def elapsed_time(text: str) -> int:
    """Decimal seconds after 2023-01-01T00:00:00Z, as BurstGPT counts them."""
    found = _ELAPSED.fullmatch(text)
    if not found:
        raise BadData(f"{shown(text)} is not a time", "write times as decimal seconds, 0 or more, such as 45.25")
    seconds, fraction = found.groups("")
    return _within(_BURSTGPT_START + int(seconds) * SECOND + _microseconds(fraction), text)


def time_or_elapsed(text: str) -> int:
    """Decimal seconds as `elapsed_time` takes them, or else a date and time."""
    return elapsed_time(text) if _ELAPSED.fullmatch(text) else calendar_time(text)


def elapsed_milliseconds(text: str) -> int:
    """Decimal milliseconds after 2023-01-01T00:00:00Z, as Mooncake counts them (from the start of its trace)."""
    found = _ELAPSED.fullmatch(text)
    if not found:
        raise BadData(f"{shown(text)} is not a time", "write times as milliseconds, 0 or more, such as 3052")
    milliseconds, fraction = found.groups("")
    return _within(_BURSTGPT_START + int(milliseconds) * 1_000 + int(fraction[:3].ljust(3, "0")), text)


def _microseconds(fraction: str) -> int:
    return int(fraction[:6].ljust(6, "0"))


def _within(at: int, text: str) -> int:
    if not 0 <= at < _END:
        raise BadData(f"the time {shown(text)} is out of range", "give times from 1970 to 2999")
    return at
