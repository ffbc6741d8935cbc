"""`tollbook copy`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..options import Json, Log

_To = Annotated[Path, typer.Argument(metavar="TO", help="The copy: a new file.", show_default=False)]
_AsItIs = Annotated[
    bool,
    typer.Option("--as-it-is", help="Copy what the file of LOG has, though its write-ahead file is missing."),
]


def copy(log: Log, to: _To, as_it_is: _AsItIs = False, json: Json = False) -> None:
    """Copy a log whole, as of one moment, while others write to it.

    \b
    Examples:
      tollbook copy LOG backup.db
      tollbook copy LOG backup.db --json
      tollbook copy found.db whole.db --as-it-is

    A log that is open has what was written last in a second file, LOG-wal: a copy of LOG alone lacks it (`cp` of both
    files is not of one moment). This has all that was committed when it began. TO appears whole and synced, or not at
    all, and one that exists is an error. That the copy ends as LOG does is checked; `tollbook audit TO` checks all.

    Not copied is what lies beside LOG: the mock chain (LOG.mock) and the published leaf files (LOG.leaves).

    With --as-it-is also a file is copied that says that it had a write-ahead file, which is gone. What stood there
    alone is lost: compare what the copy has with what customers and chains were told before you write to it.
    """
    from ledger.stores.backup import copy_log
    from replay.audit.findings import ReportHead, time_text

    from ... import answers
    from .. import render
    from ..progress import progress

    with progress(quiet=json) as told:
        copied = copy_log(log, to, as_it_is=as_it_is, progress=lambda done, total: told("copy", done, total))
    at = time_text(copied.head.at) if copied.commits else None
    head = ReportHead(seq=copied.head.seq, commits=copied.commits, at=at, hash=copied.head.hash.hex())
    if json:
        answer = {"log": answers.path_text(log), "copy": answers.path_text(to), "events": head.seq, "head": head}
        render.json(answer)
        return
    names = f"{answers.path_text(log)} to {answers.path_text(to)}"
    render.line(f"{head.seq:,} events copied from {names}; head {head.seq}, {head.hash}")
