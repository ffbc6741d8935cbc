"""`tollbook export`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from replay.reports import exports

from ... import answers
from ...errors import UsageError
from ...logs import opened, within
from .. import render
from ..completion import one_of
from ..options import After, Json, Log, a_new_file
from ..progress import progress

_To = Annotated[
    str,
    typer.Option(
        metavar="FORMAT",
        help="csv, ndjson or sqlite.",
        show_default=False,
        autocompletion=one_of(exports.FORMATS),
    ),
]
_Out = Annotated[str, typer.Option(metavar="FILE", help="A new file, or - for stdout.", show_default=False)]
_ForSpreadsheet = Annotated[
    bool,
    typer.Option("--for-spreadsheet", help="With csv: decimal amounts, and text that is no formula."),
]


def export(
    log: Log,
    to: _To,
    out: _Out,
    after: After = 0,
    for_spreadsheet: _ForSpreadsheet = False,
    json: Json = False,
) -> None:
    """Export the events of a log as CSV, NDJSON or SQLite.

    \b
    Examples:
      tollbook export LOG --to csv --out events.csv
      tollbook export LOG --to ndjson --out - | jq 'select(.type == "charged").credits'
      tollbook export LOG --to csv --out new.csv --after 1200
      tollbook export LOG --to csv --out for-people.csv --for-spreadsheet
      tollbook export LOG --to sqlite --out toll.db && datasette toll.db

    An event is a row, with its whole JSON in the last column. FILE appears complete or not at all; a file that exists
    is an error. Times are UTC; `amount` is money in the asset's smallest unit, as text since it may be of any size.

    A CSV file has names as they were written: a name such as =HYPERLINK(…) is a formula, which a spreadsheet runs.
    --for-spreadsheet puts an apostrophe before such text, and escapes in the JSON, whose value is the same. Its columns
    credits_decimal and amount_decimal have whole credits and money, as in 12.50; else credits and amount are in the
    smallest unit.

    sqlite also has the tables plans, agents, accounts, balances and invoices as of the end of the log, and notes, with
    full-text search. `sqlite3 toll.db "select metadata from about"` prints a description of all columns for datasette
    --metadata.

    Exit codes: 0 done; 2 it could not be exported, and FILE was not made.
    """
    if to not in exports.FORMATS:
        raise UsageError(
            f"there is no export to {to!r} in this release", f"the formats are {', '.join(exports.FORMATS)}"
        )
    if for_spreadsheet and to != "csv":
        raise UsageError(f"--for-spreadsheet needs --to csv, not {to}", "leave it out, or give --to csv")
    if to == exports.SQLITE and out == "-":
        raise UsageError("an SQLite database cannot be written to stdout", "give --out the path of a new file")
    with opened(log) as store:
        within(store, after)
    target = sys.stdout if out == "-" else Path(out)
    if isinstance(target, Path):
        a_new_file(target)
    with progress(quiet=json) as report:
        done = exports.export(log, to, target, after=after, spreadsheet=for_spreadsheet, progress=report)
    source = answers.path_text(log)
    text = (
        f"{render.counted(done.events, 'event')} of {source} as {to} in {out}; head {done.head.seq}, {done.head.hash}"
    )
    if isinstance(target, Path) and json:
        render.json(exports.Export(source, to, answers.path_text(target), done.events, done.head))
    elif isinstance(target, Path):
        render.line(text)
    elif sys.stderr.isatty():
        sys.stderr.write(f"{render.shown(text)}\n")
