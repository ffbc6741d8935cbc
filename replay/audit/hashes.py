"""The hash chain over the stored bytes, the sequence and the time, from commit to commit; comparing copies of a log."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

import msgspec

from ledger.amounts import SECOND
from ledger.errors import BadData
from ledger.log import commit_hash
from ledger.plugins import Store

from .findings import MAX_LISTED, Findings, Leap, Leaps, time_text
from .rows import Row, Source, Unreadable
from .sources import source

FAR = 60 * SECOND
"""Microseconds between two commits beyond which time may have leapt."""

_MAX_AUDIT = 64 * 1024 * 1024


MISSING_END = "missing_end"
"""Kind of the finding where a log ends before its noted head, or is another ledger."""


class Checkpoint(msgspec.Struct, frozen=True):
    """The head that an earlier audit saw. `kind` is the finding of a log that has another hash there, `missing` that of
    one that ends before it, or that is another ledger than `ledger`, where that was noted."""

    seq: int
    hash: str
    kind: str = "hash"
    missing: str = "hash"
    ledger: str = ""


def checkpoint(text: str) -> Checkpoint:
    """Parse `SEQ:HASH`, as an earlier audit printed its head. Raises BadData."""
    seq, _, hash_ = text.strip().partition(":")
    hash_ = hash_.lower()
    if not (seq.isascii() and seq.isdigit() and len(seq) < 20 and len(hash_) == 64 and set(hash_) <= _HEX):
        raise BadData(f"{text[:100]!r} is not a checkpoint", "write it as SEQ:HASH, from the head of an earlier audit")
    return Checkpoint(int(seq), hash_)


_HEX = frozenset("0123456789abcdef")


class HashChain:
    """Follows a log's commits. A broken commit is found once: the next is compared with the hash that this one stored.

    `seq`, `at` and `hash` are those of the last commit, as stored; `begin` is the time of the first one. Without
    `hashes` these are not computed again.
    """

    def __init__(
        self, origin: bytes, findings: Findings, checkpoints: Sequence[Checkpoint], hashes: bool = True
    ) -> None:
        self._findings, self._hashes = findings, hashes
        self._known: tuple[bytes, ...] = (origin,)
        self._awaited = {each.seq: each for each in checkpoints}
        self.commits, self.seq, self.at, self.hash = 0, 0, 0, origin
        self.begin = 0
        self._leaps: list[Leap] = []
        self._more_leaps = 0
        self._leap = (0, 0, 0)
        self._pass()

    def follow(self, row: Row) -> None:
        """Check the next commit against the one before it."""
        self.commits += 1
        if self._hashes:
            self._check_hash(row)
        else:
            self.hash = row.hash or b""
        self._check_sequence(row)
        self._check_time(row)
        self._pass()

    def leaps(self) -> Leaps:
        """Return the leaps of the clock that the log has shown so far."""
        return Leaps(tuple(self._leaps), self._more_leaps)

    def end(self) -> None:
        """Report checkpoints that the log never reached."""
        self._stood()
        for each in self._awaited.values():
            message = f"the log ends at {self.seq} or has no commit that ends at {each.seq}"
            self._findings.checked[each.missing] += each.missing == MISSING_END
            self._findings.add(each.missing, each.seq, "hash", each.hash, None, message)

    def _follow_clock(self, row: Row, at: int) -> None:
        """Find leaps: a clock that jumped ahead and was corrected is behind the log, and until it has caught up,
        commits have exactly the time of the last one."""
        if at == self.at:
            seq, ahead, commits = self._leap
            self._leap = seq, ahead, commits + 1
            return
        self._stood()
        self._leap = row.first_seq, at - self.at if self.commits > 1 else 0, 0

    def _stood(self) -> None:
        seq, ahead, commits = self._leap
        if ahead > FAR and commits >= 2:
            self._leaps.append(Leap(seq=seq, at=time_text(self.at), ahead_us=ahead, commits=commits))
            if len(self._leaps) > MAX_LISTED:
                self._leaps.remove(min(self._leaps, key=lambda leap: leap.ahead_us))
                self._more_leaps += 1

    def _pass(self) -> None:
        awaited = self._awaited.pop(self.seq, None)
        if awaited is None:
            return
        self._findings.checked[awaited.kind] += 1
        self._findings.checked[awaited.missing] += awaited.missing == MISSING_END
        if self.hash.hex() != awaited.hash:
            message = f"the log had another hash at {self.seq} before: its history was rewritten"
            self._findings.add(awaited.kind, self.seq, "hash", awaited.hash, self.hash, message)

    def _check_hash(self, row: Row) -> None:
        self._findings.checked["hash"] += 1
        stored = row.hash if row.hash is not None and len(row.hash) == 32 else None
        due = [_hash(previous, row) for previous in self._known]
        if stored is None or stored not in due:
            message = f"commit {row.first_seq} is not what was written: its bytes do not have its hash"
            self._findings.add("hash", row.first_seq, "hash", due[0], row.hash, message)
        # Either the bytes or the stored hash were changed; the next commit shows which.
        known = [each for each in dict.fromkeys((stored, *due)) if each is not None]
        self._known = tuple(known[:2]) or self._known
        self.hash = stored or b""

    def _check_sequence(self, row: Row) -> None:
        self._findings.checked["sequence"] += 1
        if row.first_seq != self.seq + 1:
            message = f"after {self.seq} comes {row.first_seq}"
            self._findings.add("sequence", row.first_seq, "first_seq", self.seq + 1, row.first_seq, message)
        if type(row.count) is not int or row.count < 1:
            self._findings.add("sequence", row.first_seq, "count", "1 or more", row.count, "a commit has events")
        self.seq = row.first_seq + (row.count if type(row.count) is int else 1) - 1

    def _check_time(self, row: Row) -> None:
        self._findings.checked["time"] += 1
        if type(row.at) is not int:
            self._findings.add("time", row.first_seq, "at", "UTC microseconds", row.at, "a commit has a time")
            return
        if self.commits > 1 and row.at < self.at:
            message = f"time goes back from {time_text(self.at)} to {time_text(row.at)}"
            self._findings.add("time", row.first_seq, "at", self.at, row.at, message)
        if self.commits == 1:
            self.begin = row.at
        self._follow_clock(row, row.at)
        self.at = row.at


def _hash(previous: bytes, row: Row) -> bytes | None:
    """Return the hash that the row must have after `previous`; None if its columns have other types."""
    if type(row.count) is not int or type(row.at) is not int or row.body is None:
        return None
    try:
        return commit_hash(previous, row.first_seq, row.count, row.at, row.kind, row.body)
    except struct.error:
        return None


def compare(log: Source, against: str | Path | Store, findings: Findings) -> Checkpoint | None:
    """Find the first commit in which two copies differ. A saved audit is compared by its head, as a checkpoint."""
    if isinstance(against, str | Path) and (saved := _saved(Path(against))) is not None:
        return saved
    other = source(against)
    try:
        _compare(log, other, findings)
    finally:
        other.close()
    return None


def _compare(log: Source, other: Source, findings: Findings) -> None:
    if log.origin != other.origin:
        message = f"{other.name} is another ledger"
        findings.add("difference", None, "id", log.origin, other.origin, message)
        return
    try:
        for mine, theirs in zip_longest(log.rows(), other.rows()):
            findings.checked["difference"] += 1
            if mine != theirs:
                _differs(mine, theirs, other.name, findings)
                return
    except Unreadable as error:
        findings.add("difference", None, "", "two logs", None, f"one of the logs cannot be read further: {error}")


def _differs(mine: Row | None, theirs: Row | None, name: str, findings: Findings) -> None:
    seq = min(row.first_seq for row in (mine, theirs) if row is not None)
    if mine is None or theirs is None:
        message = f"{name} {'continues' if mine is None else 'ends'} where the other does not, at {seq}"
        here, there = (None if row is None else row.hash for row in (mine, theirs))
        findings.add("difference", seq, "hash", here, there, message)
        return
    field = next(field for field in Row.__struct_fields__ if getattr(mine, field) != getattr(theirs, field))
    message = f"the first commit that differs from {name} is {seq}"
    findings.add("difference", seq, field, getattr(mine, field), getattr(theirs, field), message)


def _saved(path: Path) -> Checkpoint | None:
    """Return the head of a saved audit (`tollbook audit --json`); None if the file is not one."""
    try:
        with path.open("rb") as file:
            if file.read(1) != b"{":
                return None
            file.seek(0)
            saved = msgspec.json.decode(file.read(_MAX_AUDIT), type=_Saved)
    except (OSError, msgspec.MsgspecError, RecursionError):
        return None
    return Checkpoint(saved.head.seq, saved.head.hash, kind="difference", missing="difference")


class _SavedHead(msgspec.Struct):
    seq: int
    hash: str


class _Saved(msgspec.Struct):
    head: _SavedHead
