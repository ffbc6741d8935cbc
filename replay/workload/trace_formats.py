"""The formats of traces: lines of a CSV file, or JSON objects, as rows."""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

import msgspec

from ledger.amounts import MAX_CREDITS
from ledger.errors import BadData

from .columns import ELAPSED, TIME, Columns, columns, plain
from .lines import line_of_text, shown
from .moments import elapsed_milliseconds, time_or_elapsed, unambiguous_time

Kind: TypeAlias = Literal["azure", "burstgpt", "mooncake", "csv", "jsonl", "profile", "generated"]


JSON_SUFFIXES = (".jsonl", ".ndjson")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One request: `at` in UTC microseconds, `usage` in whole units by dimension; None is what a trace leaves open."""

    at: int
    subscriber: str | None = None
    plan: str | None = None
    agent: str | None = None
    model: str | None = None
    usage: dict[str, int]


class TraceFormat(Protocol):
    """A format of traces: its kind, and the columns found so far."""

    kind: Kind

    @property
    def dimensions(self) -> Collection[str]:
        """The dimensions that have a column."""
        ...

    @property
    def ignored(self) -> Collection[str]:
        """The ignored columns."""
        ...

    def rest(self, numbered: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
        """Yield the lines that have records."""
        ...

    def row(self, record: str) -> Row:
        """Return the row of a record. Raises BadData."""
        ...


def format_of(path: Path, numbered: Iterator[tuple[int, bytes]], asked: list[str], subscriber: str = "") -> TraceFormat:
    """Return the format of a file, by its name and its first line. `asked` and `subscriber` are as of `columns`."""
    try:
        _, raw = first = next(numbered, (1, b""))
        if not raw:
            raise BadData("the file is empty", "give a trace with at least one request")
        if path.suffix.lower() in JSON_SUFFIXES or raw.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
            return _Json(first, asked, subscriber)
        return _Csv(_fields(line_of_text(raw).removeprefix("\ufeff")), asked, subscriber)
    except BadData as problem:
        problem.file, problem.line = str(path), 1
        raise


class _Published(NamedTuple):
    """A published format: its kind, and the columns by which it is known, which it always has."""

    kind: Kind
    dimensions: tuple[str, str]


_PUBLISHED = (
    _Published("azure", ("ContextTokens", "GeneratedTokens")),
    _Published("burstgpt", ("Request tokens", "Response tokens")),
)


class _Csv:
    """A CSV file with that header."""

    def __init__(self, header: list[str], asked: list[str], subscriber: str) -> None:
        found = columns(header, asked, subscriber)
        if not found.clock:
            known = f"{shown(','.join(header))} is not the header of a trace"
            hint = f"begin with a line of column names, separated by commas, with one of {TIME}, arrived_at among them"
            raise BadData(known, hint)
        self.kind = _kind(header)
        for index, name in enumerate(header, 1):
            if not name and self.kind == "csv":
                raise BadData(f"column {index} has no name", "name the column, or leave it out")
        self.dimensions: Collection[str] = found.dimensions
        self.ignored: Collection[str] = found.ignored
        self._header, self._found, self._sparse = header, found, self.kind == "csv"
        elapsed = self.kind == "burstgpt" or found.clock == ELAPSED
        self._time: Callable[[str], int] = time_or_elapsed if elapsed else unambiguous_time

    def rest(self, numbered: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
        """Yield all lines but the header."""
        return numbered

    def row(self, record: str) -> Row:
        """Return the row of a line."""
        fields, header, found = _fields(record), self._header, self._found
        if len(fields) != len(header):
            wrong = f"the row has {len(fields)} fields and the header {len(header)}"
            raise BadData(wrong, "give each row one field for each column")
        usage = {
            dimension: _units(fields[index], header[index])
            for dimension, index in found.dimensions.items()
            if fields[index] or not self._sparse
        }
        named = {label: fields[index] for label, index in found.labels.items() if fields[index]}
        return Row(at=self._time(fields[found.time]), usage=usage, **named)


def _kind(header: Sequence[str]) -> Kind:
    names = {plain(column) for column in header}
    for form in _PUBLISHED:
        missing = [column for column in form.dimensions if plain(column) not in names]
        if not missing:
            return form.kind
        if len(missing) < len(form.dimensions) and any(column in header for column in form.dimensions):
            raise BadData(f"the header has no column {shown(missing[0])}", f"give all columns of {form.kind}")
    return "csv"


class _Number(str):
    """A number of JSON with a fraction or an exponent, as it was written."""

    __slots__ = ()


class _Json:
    """A file with one JSON object a line, each with its own keys."""

    def __init__(self, first: tuple[int, bytes], asked: list[str], subscriber: str) -> None:
        self._first, self._asked, self._subscriber = first, asked, subscriber
        self._decoder = msgspec.json.Decoder(float_hook=_Number)
        self._known: dict[tuple[str, ...], Columns] = {}
        self._dimensions: dict[str, None] = {}
        self._ignored: dict[str, None] = {}
        self.kind: Kind = "jsonl"

    @property
    def dimensions(self) -> Collection[str]:
        """The dimensions of all rows so far."""
        return self._dimensions

    @property
    def ignored(self) -> Collection[str]:
        """The names that no row so far used."""
        return self._ignored

    def rest(self, numbered: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
        """Yield all lines."""
        yield self._first
        yield from numbered

    def row(self, record: str) -> Row:
        """Return the row of a line."""
        if not record.strip():
            raise BadData("there are only spaces", "give a JSON object a line")
        try:
            decoded = self._decoder.decode(record)
            values = dict(_flat(decoded)) if isinstance(decoded, dict) else None
        except (msgspec.DecodeError, RecursionError) as error:
            raise BadData(f"not valid JSON: {error}", "give a whole JSON object a line") from None
        if values is None:
            raise BadData("not a JSON object", "give a JSON object a line")
        names = tuple(values)
        found = self._known.get(names)
        if found is None:
            found = self._known[names] = self._columns(names)
        if not found.clock:
            there = ", ".join(map(shown, names[:10])) or "nothing"
            raise BadData(f"the row has no time; it has {there}", f"give it a {TIME}")
        usage = {
            dimension: _whole(values[names[index]], names[index])
            for dimension, index in found.dimensions.items()
            if values[names[index]] not in (None, "")
        }
        named = {
            label: _name(values[names[index]], names[index])
            for label, index in found.labels.items()
            if values[names[index]] not in (None, "")
        }
        return Row(at=self._at(values[names[found.time]], found), usage=usage, **named)

    def _columns(self, names: tuple[str, ...]) -> Columns:
        found = columns(names, self._asked, self._subscriber)
        if not self._known and {"timestamp", "input_length", "output_length"} <= set(names):
            self.kind = "mooncake"
        self._dimensions |= dict.fromkeys(found.dimensions)
        self._ignored |= dict.fromkeys(found.ignored)
        return found

    def _at(self, value: Any, found: Columns) -> int:  # noqa: ANN401 - any JSON value
        if isinstance(value, str) and not isinstance(value, _Number):
            return time_or_elapsed(value) if found.clock == ELAPSED else unambiguous_time(value)
        if isinstance(value, int | _Number) and not isinstance(value, bool):
            if found.clock == ELAPSED:
                return time_or_elapsed(str(value))
            if self.kind == "mooncake":
                return elapsed_milliseconds(str(value))
            return unambiguous_time(str(value))
        raise BadData(f"{shown(_text(value))} is not a time", "write times as 2023-11-16T18:15:46.680590Z, in quotes")


def _flat(decoded: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in decoded.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield before + name, value


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _whole(value: object, column: str) -> int:
    return _units(_text(value) if isinstance(value, str) or type(value) is int else f"{_text(value)} ", column)


def _name(value: object, column: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadData(f"{shown(_text(value))} in {shown(column)} is no name", "write names in quotes")
    return str(value)


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
    if text.isascii() and text.isdigit() and len(text) <= 19 and (units := int(text)) <= MAX_CREDITS:
        return units
    found = f"{shown(text)} in the column {shown(column)} is not a whole number from 0 to 2^63-1"
    raise BadData(found, "correct the row, or leave the column out if it is not usage")
