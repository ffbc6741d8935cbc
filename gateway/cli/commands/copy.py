"""`tollbook copy`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ledger.stores.backup import copy_log
from replay.audit.findings import ReportHead, time_text

from ... import answers
from .. import render
from ..options import Json, Log, a_file
from ..progress import progress

_To = Annotated[Path, typer.Argument(metavar="TO", help="The copy: a new file.", show_default=False, callback=a_file)]
_AsItIs = Annotated[
    bool,
    typer.Option("--as-it-is", help="Copy what the file of LOG has, though its write-ahead file is missing."),
]


def copy(log: Log, to: _To, as_it_is: _AsItIs = False, json: Json = False) -> None:
    """Copy a log, even while another process writes to it.

    \b
    Examples:
      tollbook copy LOG backup.db
      tollbook copy LOG backup.db --json
      tollbook copy found.db whole.db --as-it-is

    While a log is open, its last commits are in a second file, the write-ahead file LOG-wal. A copy of LOG alone lacks
    them, and `cp` copies the two files at different moments. `tollbook copy` copies all that was committed when it
    began. TO appears complete and synced, or not at all; a file that exists is an error. The copy is checked to end
    where LOG does; `tollbook audit TO` checks everything.

    Files beside LOG are not copied: the mock chain (LOG.mock) and the published leaf files (LOG.leaves).

    --as-it-is also copies a file whose write-ahead file is missing. Commits that were only in that file are lost:
    compare the copy with what was reported to customers and chains before you write to it.

    Exit codes: 0 copied; 2 it could not be copied, and TO was not made.
    """
    with progress(quiet=json) as report:
        copied = copy_log(log, to, as_it_is=as_it_is, progress=lambda done, total: report("copy", done, total))
    at = time_text(copied.head.at) if copied.commits else None
    head = ReportHead(seq=copied.head.seq, commits=copied.commits, at=at, hash=copied.head.hash.hex())
    source, target = answers.path_text(log), answers.path_text(to)
    if json:
        render.json({"log": source, "copy": target, "events": head.seq, "head": head})
    else:
        render.line(f"{head.seq:,} events copied from {source} to {target}; head {head.seq}, {head.hash}")
