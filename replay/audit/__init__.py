"""The audit: a log is read as stored on disk, and everything in it is computed again.

`audit` returns a `Report` of `Check`s and `Finding`s, which `html` renders. A `Checkpoint` is the head that an earlier
audit reported, a `Note` one that was kept in a file. With chains, `onchain` also compares the log with its contracts.
"""

from .findings import Check, Finding, Report
from .hashes import Checkpoint, checkpoint
from .note import Note, read_note, write_note
from .parallel import ProcessDied
from .report import html
from .run import audit

__all__ = [
    "Check",
    "Checkpoint",
    "Finding",
    "Note",
    "ProcessDied",
    "Report",
    "audit",
    "checkpoint",
    "html",
    "read_note",
    "write_note",
]
