"""Reading a trace of usage, from CSV or from one JSON object per line (JSONL), by name and content.

    Azure     TIMESTAMP,ContextTokens,GeneratedTokens
    BurstGPT  Timestamp,Model,Request tokens,Response tokens,…    seconds after 2023-01-01T00:00:00Z
    Mooncake  {"timestamp": 3052, "input_length": 7234, "output_length": 794, …}    milliseconds after that
    plain     timestamp,subscriber?,plan?,agent?,model?,input_tokens?,…    in CSV or JSONL

Names of columns may be written as people write them, and be those of other traces and usage logs (`columns`). A column
is a dimension of usage only if it is known by name or asked for; the trace's source lists ignored columns.

A failed request of BurstGPT is a row with 0 output tokens. In a plain file an empty field (or null) says nothing: no
subscriber, or no use of that dimension. A record is one line: a quoted field must end on its line, so that one stray
quote costs one row and not the rest of the file. Objects within an object of JSONL have their names after its own:
`usage.input_tokens`.

Real traces are slightly out of order, so rows are sorted by time (those of one time stay in the order of the file). A
long trace is sorted in a temporary file: memory does not grow with its length.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import msgspec

from ledger.errors import BadData

from .columns import is_usage, plain
from .lines import line_of_text, lines, opened, shown
from .row_store import ordered
from .trace_formats import JSON_SUFFIXES, Kind, Row, format_of

__all__ = ["JSON_SUFFIXES", "Kind", "Row", "Source", "Trace", "has_json_lines", "read"]


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """The source of rows, as `--json` shows it: `skipped` bad rows are not in `rows`; `seed` is that of any draw;
    `ignored` are the columns that are neither a time, a name nor usage; `drawn` counts the requests whose customer is
    drawn, since the trace names none."""

    kind: Kind
    file: str | None
    rows: int
    skipped: int = 0
    seed: int = 0
    ignored: tuple[str, ...] = ()
    drawn: int = 0


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """Requests in the order of their times, where they come from, and the dimensions that there are columns for."""

    source: Source
    rows: Sequence[Row]
    dimensions: tuple[str, ...] = ()


def read(
    path: Path | str,
    *,
    skip_bad: bool = False,
    dimensions: Collection[str] = (),
    reads: Collection[str] = (),
    subscriber: str = "",
) -> Trace:
    """Read a trace. With `skip_bad`, rows that cannot be read are counted and left out; a bad header is an error.

    `dimensions` are columns that must be there and are usage, though their names are not known; `reads` are the
    dimensions that policies read, by these names, if they are there; `subscriber` is the column that names the
    customer, which must be there.

    Raises NotFound where there is no file, and BadData, with file and line, for any other fault, also
    for a trace without a single good row.
    """
    name = str(path)
    skipped, first = 0, None

    def read_rows() -> Iterator[Row]:
        nonlocal skipped, first
        for number, raw in form.rest(numbered):
            try:
                if record := line_of_text(raw).removeprefix("\ufeff" if number == 1 else ""):
                    yield form.row(record)
            except BadData as problem:
                problem.file, problem.line = name, number
                if not skip_bad:
                    raise
                skipped, first = skipped + 1, first or problem

    with opened(Path(path)) as file:
        numbered = lines(file)
        form = format_of(Path(path), numbered, _asked(dimensions, reads, name), subscriber)
        rows = ordered(read_rows())
    if first and not rows:
        raise BadData(f"none of the {skipped} rows can be read; the first: {first}", first.hint, name, first.line)
    if not rows:
        raise BadData("there is a header and no row", "give a trace with at least one request", name, 1)
    found = {plain(dimension) for dimension in form.dimensions}
    for dimension in dimensions:
        if plain(dimension) not in found:  # its reader may spell it otherwise, and then it has the reader's name
            there = ", ".join(map(shown, (*form.dimensions, *form.ignored))) or "none but the time and names"
            raise BadData(f"there is no column {shown(dimension)}; there are {there}", "correct --column", name, 1)
    if subscriber and not any(row.subscriber is not None for row in rows):
        there = ", ".join(map(shown, (*form.dimensions, *form.ignored))) or "none but the time"
        message = f"no column {shown(subscriber)} names a customer; there are {there}"
        raise BadData(message, "correct --column NAME=subscriber", name, 1)
    source = Source(kind=form.kind, file=name, rows=len(rows), skipped=skipped, ignored=tuple(form.ignored))
    return Trace(source=source, rows=rows, dimensions=tuple(form.dimensions))


def has_json_lines(path: Path | str) -> bool:
    """True if a file's first line is a whole JSON object, of a request rather than of customer profiles."""
    with opened(Path(path)) as file:
        line = next((raw for _, raw in lines(file) if raw.strip()), b"")
    try:
        found = msgspec.json.decode(line.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, RecursionError):
        return False
    return isinstance(found, dict) and "clients" not in found


def _asked(dimensions: Collection[str], reads: Collection[str], file: str) -> list[str]:
    for name in dimensions:
        if not is_usage(name):
            found = f"{shown(name)} is an id, a hash, a price, a time or a name, and no usage"
            raise BadData(found, "name a column with whole numbers of units by --column", file, 1)
    return [*dimensions, *(name for name in reads if name not in dimensions)]
