"""Reading a trace of usage from CSV, in the formats that the header tells apart (case-sensitive).

    Azure     TIMESTAMP,ContextTokens,GeneratedTokens
    BurstGPT  Timestamp,Model,Request tokens,Response tokens,…    seconds after 2023-01-01T00:00:00Z
    plain     timestamp,subscriber?,plan?,agent?,model?,…         every other column is a dimension of usage

Azure and BurstGPT files may have further columns, which are passed over. A failed request of BurstGPT is a row with 0
output tokens. In a plain file an empty field says nothing: no subscriber, or no use of that dimension. A record is one
line: a quoted field must end on its line, so that one stray quote costs one row and not the rest of the file.

Real traces are slightly out of order, so rows are sorted by time (those of one time stay in the order of the file), and
therefore all are held in memory; of the file itself, a line at a time.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from ledger.amounts import MOST_CREDITS
from ledger.errors import BadData

from .lines import line_of_text, lines, opened, shown
from .moments import calendar_time, elapsed_time

Kind: TypeAlias = Literal["azure", "burstgpt", "csv", "profile", "generated"]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One request: `at` in UTC microseconds, `usage` in whole units by dimension; None is what a trace leaves open."""

    at: int
    subscriber: str | None = None
    plan: str | None = None
    agent: str | None = None
    model: str | None = None
    usage: dict[str, int]


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where rows come from, as `--json` shows it: `skipped` bad rows are not in `rows`; `seed` is that of any draw."""

    kind: Kind
    file: str | None
    rows: int
    skipped: int = 0
    seed: int = 0


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """Requests in the order of their times, and where they come from."""

    source: Source
    rows: list[Row]


def read(path: Path | str, *, skip_bad: bool = False) -> Trace:
    """Read a CSV trace. With `skip_bad`, rows that cannot be read are counted and left out; a bad header is an error.

    Raises NotFound where there is no file, and BadData, with file and line, for whatever else is wrong: also for a
    trace without a single good row.
    """
    name = str(path)
    rows: list[Row] = []
    skipped, first = 0, None
    with opened(Path(path)) as file:
        numbered = lines(file)
        kind, parse = _header(numbered, name)
        for number, raw in numbered:
            try:
                if record := line_of_text(raw):
                    rows.append(parse(record))
            except BadData as problem:
                problem.file, problem.line = name, number
                if not skip_bad:
                    raise
                skipped, first = skipped + 1, first or problem
    if first and not rows:
        raise BadData(f"none of the {skipped} rows can be read; the first: {first}", first.hint, name, first.line)
    if not rows:
        raise BadData("there is a header and no row", "give a trace with at least one request", name, 1)
    rows.sort(key=lambda row: row.at)
    return Trace(source=Source(kind=kind, file=name, rows=len(rows), skipped=skipped), rows=rows)


class _Format(NamedTuple):
    """Columns of a format: that of the time, and what the others are to us, by the names in the header."""

    kind: Kind
    time: str
    parse_time: Callable[[str], int]
    labels: Mapping[str, str]
    dimensions: Mapping[str, str]


_KNOWN = (
    _Format(
        "azure", "TIMESTAMP", calendar_time, {}, {"ContextTokens": "input_tokens", "GeneratedTokens": "output_tokens"}
    ),
    _Format(
        "burstgpt",
        "Timestamp",
        elapsed_time,
        {"Model": "model"},
        {"Request tokens": "input_tokens", "Response tokens": "output_tokens"},
    ),
)
_PLAIN_TIME = "timestamp"
_PLAIN_LABELS = ("subscriber", "plan", "agent", "model")


def _header(numbered: Iterator[tuple[int, bytes]], name: str) -> tuple[Kind, Callable[[str], Row]]:
    """Take the header off the lines: the kind of the trace, and what makes a row of a record."""
    try:
        _, raw = next(numbered, (1, b""))
        if not raw:
            raise BadData("the file is empty", "give a trace with a header and at least one request")
        header = _fields(line_of_text(raw).removeprefix("\ufeff"))
        form = _format(header)
    except BadData as problem:
        problem.file, problem.line = name, 1
        raise
    return form.kind, _parser(form, header)


def _format(header: list[str]) -> _Format:
    for column in header:
        if header.count(column) > 1:
            raise BadData(f"the header has the column {shown(column)} twice", "give each column a name of its own")
    for form in _KNOWN:
        if form.time in header:
            for column in (*form.labels, *form.dimensions):
                if column not in header:
                    raise BadData(f"the header has no column {shown(column)}", f"give all columns of {form.kind}")
            return form
    if _PLAIN_TIME not in header:
        known = ", ".join([_PLAIN_TIME, *(form.time for form in _KNOWN)])
        found = f"{shown(','.join(header))} is not the header of a trace"
        raise BadData(found, f"begin with a line of column names, parted by commas, with one of {known} among them")
    if "" in header:
        raise BadData(f"column {header.index('') + 1} has no name", "name the column, or leave it out")
    labels = {column: column for column in header if column in _PLAIN_LABELS}
    dimensions = {column: column for column in header if column != _PLAIN_TIME and column not in labels}
    return _Format("csv", _PLAIN_TIME, calendar_time, labels, dimensions)


def _parser(form: _Format, header: list[str]) -> Callable[[str], Row]:
    place = {column: index for index, column in enumerate(header)}
    labels = [(label, place[column]) for column, label in form.labels.items()]
    dimensions = [(dimension, place[column], column) for column, dimension in form.dimensions.items()]
    time, sparse = place[form.time], form.kind == "csv"

    def parse(record: str) -> Row:
        fields = _fields(record)
        if len(fields) != len(header):
            found = f"the row has {len(fields)} fields and the header {len(header)}"
            raise BadData(found, "give each row one field for each column")
        usage = {
            dimension: _units(fields[index], column)
            for dimension, index, column in dimensions
            if fields[index] or not sparse
        }
        named = {label: fields[index] for label, index in labels if fields[index]}
        return Row(at=form.parse_time(fields[time]), usage=usage, **named)

    return parse


def _fields(record: str) -> list[str]:
    if '"' not in record:
        return record.split(",")
    try:
        return next(csv.reader([record], strict=True))
    except csv.Error:
        hint = "close each quoted field on its line, and double the quotes within it"
        raise BadData(f"the quotes in {shown(record)} do not pair", hint) from None


def _units(text: str, column: str) -> int:
    # int() alone would take signs, spaces, underscores and other scripts' digits, and any number of them.
    if text.isascii() and text.isdigit() and len(text) <= 19 and (units := int(text)) <= MOST_CREDITS:
        return units
    found = f"{shown(text)} in the column {shown(column)} is not a whole number from 0 to 2^63-1"
    raise BadData(found, "correct the row, or leave the column out if it is not usage")
