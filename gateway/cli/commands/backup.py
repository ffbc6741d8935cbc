"""`tollbook backup`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ledger.stores.backup import back_up
from replay.audit.findings import ReportHead, time_text

from ... import answers
from .. import render
from ..options import Json, Log, a_new_file
from ..progress import progress

To = Annotated[
    Path, typer.Argument(metavar="TO", help="The backup: a new file.", show_default=False, callback=a_new_file)
]
AsItIs = Annotated[
    bool,
    typer.Option("--as-it-is", help="Copy what the file of LOG has, though it is damaged or lacks its second file."),
]


def backup(log: Log, to: To, as_it_is: AsItIs = False, json: Json = False) -> None:
    """Back up a log, even while another process writes to it; restore a backup.

    \b
    Examples:
      tollbook backup LOG monday.db
      tollbook backup LOG monday.db --json
      tollbook backup found.db whole.db --as-it-is

    While a log is open, its last commits are in a second file, the write-ahead file LOG-wal. A copy of LOG alone lacks
    them, and `cp` copies the two files at different moments. `tollbook backup` copies all that was committed when it
    began, and holds every commit to its hash. TO appears complete and synced, or not at all; a file that exists is
    never overwritten. Note its head elsewhere with `tollbook audit TO --note FILE`.

    To restore, stop all writers, move the damaged LOG with LOG-wal and LOG-shm away, and back the backup up to its
    place: `tollbook backup monday.db LOG`.

    Files beside LOG are not copied: the mock chain (LOG.mock) and the published leaf files (LOG.leaves).

    --as-it-is also copies a file whose write-ahead file is missing, or that is damaged. Commits that were only in the
    missing file are lost: compare the copy with what was reported to customers and chains before you write to it.

    Exit codes: 0 backed up; 2 it could not be, and TO was not made.
    """
    with progress(quiet=json) as report:
        made = back_up(log, to, as_it_is=as_it_is, progress=lambda done, total: report("backup", done, total))
    at = time_text(made.head.at) if made.commits else None
    head = ReportHead(seq=made.head.seq, commits=made.commits, at=at, hash=made.head.hash.hex())
    source, target = answers.path_text(log), answers.path_text(to)
    if json:
        render.json({"log": source, "copy": target, "events": head.seq, "head": head, "bytes": made.bytes})
    else:
        done = f"{render.counted(head.seq, 'event')} backed up from {source} to {target} ({made.bytes:,} bytes)"
        render.line(f"{done}; head {head.seq}, {head.hash}")
