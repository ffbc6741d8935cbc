"""Figures as text: lines on a terminal, a Markdown table, JSON."""

from __future__ import annotations

from collections.abc import Sequence

from .figures import Row

_SECONDS = ((1, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_HEADINGS = ("what", "Tollbook", "beside", "its figure", "Tollbook is … times as fast", "aim", "reached")


def duration(seconds: float) -> str:
    """Format seconds as `12.3 µs`: three digits, in the unit that fits."""
    scale, unit = next((each for each in _SECONDS if seconds >= each[0]), _SECONDS[-1])
    return f"{_three(seconds / scale)} {unit}"


def rate(seconds: float) -> str:
    """Format the seconds of one operation as a rate: `81.3 k/s`."""
    each = 1 / seconds
    for scale, unit in ((1e6, " M/s"), (1e3, " k/s")):
        if each >= scale:
            return f"{_three(each / scale)}{unit}"
    return f"{_three(each)}/s"


def value(row: Row) -> str:
    """Return a figure with its unit."""
    if row.counted:
        return f"{_three(row.value)} {row.unit}{'s' if row.unit == 'byte' else ''}"
    return duration(row.value) if row.unit == "opening" else f"{duration(row.value)}, {rate(row.value)}"


def cells(row: Row) -> tuple[str, ...]:
    """Return the cells of a row, in the order of the headings."""
    if missing := _missing(row):
        return (row.title, value(row) if row.value else "", row.other, "", missing, "", "")
    theirs = ratio = ""
    if row.other:
        theirs = value(Row(row.name, row.title, row.unit, row.other_value))
        ratio = f"{_two(row.ratio)} ({_two(row.ratios[0])} to {_two(row.ratios[1])})"
    reached = "" if row.reached is None else "yes" if row.reached else "no"
    return (row.title, value(row), row.other, theirs, ratio, row.aim, reached)


def text(row: Row) -> str:
    """Return a row as a line of text."""
    title, ours, other, theirs, ratio, aim, reached = cells(row)
    beside = f"  beside {other}: {theirs}" if theirs else f"  beside {other}" if other else ""
    compared = f"  {ratio}" if _missing(row) else f"  × {ratio}" if ratio else ""
    aimed = f"  [{aim}: {'reached' if reached == 'yes' else 'NOT reached'}]" if reached else ""
    return f"{title}: {ours}{beside}{compared}{aimed}"


def markdown(rows: Sequence[Row]) -> str:
    """Return all rows as a Markdown table; cells equal to those of the row above are left out."""
    lines = [f"| {' | '.join(_HEADINGS)} |", f"|{'---|' * len(_HEADINGS)}"]
    before = ""
    for row in rows:
        title, ours, *rest = cells(row)
        repeated = row.name == before
        lines.append(f"| {' | '.join(('', '', *rest) if repeated else (title, ours, *rest))} |")
        before = row.name
    return "\n".join(lines)


def aimed(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that have an aim."""
    return [row for row in rows if row.reached is not None]


def _missing(row: Row) -> str:
    """Return why there is no figure; empty if there is one."""
    return f"FAILED: {row.failed}" if row.failed else f"skipped: {row.skipped}" if row.skipped else ""


def _three(number: float) -> str:
    return f"{number:,.0f}" if number >= 99.95 else f"{number:.1f}" if number >= 9.995 else f"{number:.2f}"


def _two(number: float) -> str:
    return f"{number:.0f}" if number >= 9.95 else f"{number:.1f}" if number >= 0.995 else f"{number:.2f}"
