"""A note: the head of a log that was audited, kept in a file elsewhere, so that the next audit can prove the log's end.

A log whose end was cut off, or that was written anew from some point on, may be consistent in itself. Only a head that
was noted where its writers cannot change it shows that.
"""

from __future__ import annotations

import os
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import msgspec

from ledger.errors import BadData, LogError

from .findings import Report, time_text
from .hashes import MISSING_END, Checkpoint, checkpoint

_MAX_BYTES = 10_000


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """A head: the ledger's id, the last sequence with its hash and time, and the number of commits. `tollbook` is the
    version that audited it, `noted_at` when: UTC as text."""

    ledger: str
    seq: int
    commits: int
    at: str | None
    hash: str
    tollbook: str
    noted_at: str

    @property
    def checkpoint(self) -> Checkpoint:
        """The head as a log must still have it."""
        return Checkpoint(self.seq, self.hash, missing=MISSING_END, ledger=self.ledger)


def read_note(path: Path) -> Note | None:
    """Return the note in a file; None if there is no file yet. Raises BadData for a file that is no note, LogError for
    one that cannot be read."""
    try:
        text = path.read_bytes()[: _MAX_BYTES + 1]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LogError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from error
    try:
        note = msgspec.json.decode(text, type=Note)
        checkpoint(f"{note.seq}:{note.hash}")
    except (msgspec.MsgspecError, UnicodeError, BadData) as error:
        hint = "give the file of an earlier `tollbook audit --note`, or a new one"
        raise BadData(f"this is not a note of an audit: {error}", hint, file=str(path)) from error
    return note


def write_note(path: Path, report: Report, now: int) -> None:
    """Write the head of a report to a file, replacing an earlier note in one step; `now` is UTC microseconds.

    Raises ValueError for a report with findings: their head is not to be trusted later. Raises LogError if the file
    cannot be written; it is as it was then.
    """
    if not report.passed:
        raise ValueError("only the head of a log without findings is noted")
    head = report.head
    note = Note(
        ledger=report.ledger,
        seq=head.seq,
        commits=head.commits,
        at=head.at,
        hash=head.hash,
        tollbook=version("tollbook"),
        noted_at=time_text(now),
    )
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(note)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise LogError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from error
