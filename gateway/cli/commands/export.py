"""`tollbook export`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..options import After, Json, Log

_To = Annotated[str, typer.Option(metavar="FORMAT", help="csv, ndjson or sqlite.", show_default=False)]
_Out = Annotated[str, typer.Option(metavar="FILE", help="A new file, or - for stdout.", show_default=False)]

_ForSpreadsheet = Annotated[
    bool,
    typer.Option("--for-spreadsheet", help="With csv: text that a spreadsheet takes for a formula is disarmed."),
]


def export(
    log: Log,
    to: _To,
    out: _Out,
    after: After = 0,
    for_spreadsheet: _ForSpreadsheet = False,
    json: Json = False,
) -> None:
    """Export the events for other tools: one row per event, with its whole JSON in the last column.

    \b
    Examples:
      tollbook export LOG --to csv --out events.csv
      tollbook export LOG --to ndjson --out - | jq 'select(.type == "charged").credits'
      tollbook export LOG --to csv --out new.csv --after 1200
      tollbook export LOG --to csv --out for-people.csv --for-spreadsheet
      tollbook export LOG --to sqlite --out toll.db && datasette toll.db

    FILE appears whole or not at all, and one that exists is an error. Times are UTC; `amount` is money in the asset's
    smallest unit, as text since it may be of any size.

    A csv has names as they were written: one such as =HYPERLINK(…) is a formula to a spreadsheet, which runs it. With
    --for-spreadsheet an apostrophe stands before what would be run, and the JSON has such signs as escapes; the numbers
    are the same, and the JSON the same value.

    sqlite also has the tables plans, agents, accounts and balances as of the log's end, and notes, with full-text
    search. `sqlite3 toll.db "select metadata from about"` prints a description of all columns for datasette --metadata.
    """
    from replay.reports import exports

    from ... import answers
    from ...logs import opened, within
    from .. import render
    from ..errors import Usage
    from ..progress import progress

    if to not in exports.FORMATS:
        raise Usage(f"there is no export to {to!r} in this release", f"the formats are {', '.join(exports.FORMATS)}")
    if for_spreadsheet and to != "csv":
        raise Usage(f"--for-spreadsheet is for csv, and not for {to}", "leave it out, or give --to csv")
    if to == exports.SQLITE and out == "-":
        raise Usage("an SQLite database cannot be written to stdout", "give --out the path of a new file")
    with opened(log) as store:
        within(store, after)
    target = sys.stdout if out == "-" else Path(out)
    with progress(quiet=json) as told:
        done = exports.export(log, to, target, after=after, spreadsheet=for_spreadsheet, progress=told)
    text = (
        f"{done.events:,} events of {answers.path_text(log)} as {to} in {out}; head {done.head.seq}, {done.head.hash}"
    )
    if isinstance(target, Path) and json:
        render.json(exports.Export(answers.path_text(log), to, answers.path_text(target), done.events, done.head))
    elif isinstance(target, Path):
        render.line(text)
    elif sys.stderr.isatty():
        sys.stderr.write(f"{render.shown(text)}\n")
