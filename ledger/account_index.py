"""The index of accounts: the sequences of each account's events. It is a cache, derived from the log.

A statement reads an account's events only, so its cost grows with the account and not with the log. The first reader
builds the index and later ones extend it by the commits appended since, so it costs appends nothing.
"""

from __future__ import annotations

import struct
import threading
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from .errors import Damaged
from .log import Commit, Entry, IndexPart, decode_commit, follow_store
from .log.bodies import UNREADABLE, Subject, decode_at, subjects
from .plugins import LogReader
from .readers import LogView

DECODE_WHOLE = 8
"""A commit of at most this many events is always decoded as a whole."""


_OFFSET = struct.Struct(">I")
_part = msgspec.msgpack.Decoder(dict[int, bytes])


def encode_part(after: int, seqs: Mapping[int, Iterable[int]]) -> bytes:
    """Return the body of a part: a MessagePack map from accounts to the offsets of their events from `after`, each as 4
    bytes, big-endian. Accounts without an event are left out."""
    packed = {number: b"".join(_OFFSET.pack(seq - after) for seq in own) for number, own in sorted(seqs.items())}
    return msgspec.msgpack.encode({number: offsets for number, offsets in packed.items() if offsets})


class AccountIndex:
    """The sequences of each account's events, up to `upto`. Its methods may be called from any thread.

    `saved` is the last sequence of the parts that the store has saved.
    """

    def __init__(self) -> None:
        self.upto = self.saved = 0
        self._parts: list[tuple[int, dict[int, bytes]]] = []
        self._loaded = False
        self._seqs: dict[int, array[int]] = {}
        self._open: dict[int, int] = {}
        self._lock = threading.Lock()

    def entries(self, log: LogView, account: int, after: int = 0) -> Iterator[Entry]:
        """Yield the account's events after a sequence, in order, up to the head of the view. Raises Damaged."""
        self.extend(log)
        with self._lock:
            seqs = self._seqs_of(account)
            wanted = seqs[bisect_right(seqs, after) : bisect_right(seqs, log.head().seq)]
        begin = 0
        while begin < len(wanted):
            commit = _commit_at(log, wanted[begin])
            end = bisect_left(wanted, commit.last_seq + 1, begin)
            yield from _entries_in(commit, wanted[begin:end])
            begin = end

    def extend(self, log: LogView) -> None:
        """Load the saved parts of the index, and add the commits after them, up to the view's head. Raises Damaged."""
        if self.upto < log.head().seq:
            with self._lock:
                if not self._loaded:
                    self._load(log)
                for commit in follow_store(log, self.upto):
                    self._add(commit, log)

    def part(self, log: LogView) -> IndexPart | None:
        """Return the part after the saved ones, up to the view's head; None if there is nothing new."""
        self.extend(log)
        head = log.head()
        with self._lock:
            if self.upto != head.seq or self.saved == head.seq:
                return None
            seqs = {number: array("Q", seqs[bisect_right(seqs, self.saved) :]) for number, seqs in self._seqs.items()}
            return IndexPart(self.saved, head.seq, head.hash, encode_part(self.saved, seqs))

    def _load(self, log: LogView) -> None:
        """Load the saved parts without a gap from the first one, if the last one's hash is the log's at its end."""
        parts: list[tuple[int, dict[int, bytes]]] = []
        last: IndexPart | None = None
        for part in log.load_index():
            if part.after == (last.upto if last is not None else 0):
                try:
                    parts.append((part.after, _part.decode(part.body)))
                except (msgspec.MsgspecError, ValueError):
                    break
                last = part
        if last is not None:
            commit = next(log.read(last.upto - 1), None)
            if commit is not None and (commit.last_seq, commit.hash) == (last.upto, last.hash):
                self._parts, self.upto, self.saved = parts, last.upto, last.upto
        self._loaded = True

    def _seqs_of(self, account: int) -> array[int]:
        seqs = array("Q")
        for after, offsets in self._parts:
            seqs.extend(after + offset for (offset,) in _OFFSET.iter_unpack(offsets.get(account, b"")))
        seqs.extend(self._seqs.get(account, ()))
        return seqs

    def _add(self, commit: Commit, log: LogReader) -> None:
        """Add a commit's events. It may be interrupted, and is then repeated: events that were added are skipped."""
        for seq, subject in enumerate(_subjects_of(commit), commit.first_seq):
            account = subject.account
            if subject.type == "requested":
                self._open[seq] = account
            elif subject.type == "released":
                account = self._open.pop(subject.request, 0) or self._account_of(subject.request, log)
            elif subject.request and subject.type == "charged":
                self._open.pop(subject.request, None)
            if account:
                seqs = self._seqs.get(account)
                if seqs is None:
                    seqs = self._seqs[account] = array("Q")
                if not seqs or seqs[-1] < seq:
                    seqs.append(seq)
        self.upto = commit.last_seq

    def _account_of(self, request: int, log: LogReader) -> int:
        """Return the account of a request, from the request's own event."""
        subjects = _subjects_of(commit := _commit_at(log, request))
        return subjects[request - commit.first_seq].account


def _subjects_of(commit: Commit) -> list[Subject]:
    try:
        return subjects(commit.kind, commit.body)
    except UNREADABLE as error:
        raise Damaged(f"commit {commit.first_seq} cannot be read: {error}") from error


def _commit_at(log: LogReader, seq: int) -> Commit:
    commit = next(follow_store(log, seq - 1), None)
    if commit is None:
        raise Damaged(f"the log has no event {seq}")
    return commit


def _entries_in(commit: Commit, seqs: array[int]) -> Iterator[Entry]:
    """Yield the entries at those sequences of a commit. Only they are decoded, if they are few."""
    if commit.count <= DECODE_WHOLE or 2 * len(seqs) > commit.count:
        events = decode_commit(commit)
        for seq in seqs:
            yield Entry(seq, commit.at, events[seq - commit.first_seq])
        return
    try:
        events = decode_at(commit.kind, commit.body, [seq - commit.first_seq for seq in seqs])
    except (*UNREADABLE, IndexError) as error:
        raise Damaged(f"commit {commit.first_seq} cannot be read: {error}") from error
    for seq, event in zip(seqs, events, strict=True):
        yield Entry(seq, commit.at, event)
