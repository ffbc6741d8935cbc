"""Which events of the log are of which account: a cache, derived from the log, that answers nothing by itself.

A statement reads an account's events only, so its cost grows with the account and not with the log. The index is made
by readers, when one is first needed, and extended by the next for what was appended since: appends cost nothing.
"""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from .errors import Damaged
from .log import Commit, Entry, decode_commit, follow_store
from .log.bodies import UNREADABLE, Subject, decode_at, subjects
from .plugins import LogReader
from .readers import LogView

DECODE_WHOLE = 8
"""A commit of more events is not decoded whole where fewer of them are needed."""


class AccountIndex:
    """The sequences of each account's events, up to `upto`. Its methods may be called from any thread."""

    def __init__(self) -> None:
        self.upto = 0
        self._seqs: dict[int, array[int]] = {}
        self._open: dict[int, int] = {}
        self._lock = threading.Lock()

    def entries(self, log: LogView, account: int, after: int = 0) -> Iterator[Entry]:
        """Yield the account's events after a sequence, in order, up to the head of the view. Raises Damaged."""
        self.extend(log)
        with self._lock:
            seqs = self._seqs.get(account, array("Q"))
            wanted = seqs[bisect_right(seqs, after) : bisect_right(seqs, log.head().seq)]
        begin = 0
        while begin < len(wanted):
            commit = _commit_at(log, wanted[begin])
            end = bisect_left(wanted, commit.last_seq + 1, begin)
            yield from _entries_in(commit, wanted[begin:end])
            begin = end

    def extend(self, log: LogView) -> None:
        """Read what was appended since."""
        if self.upto < log.head().seq:
            with self._lock:
                for commit in follow_store(log, self.upto):
                    self._add(commit, log)

    def _add(self, commit: Commit, log: LogReader) -> None:
        """Note a commit's events; where this is cut short, it is repeated without harm."""
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
        """The account of a request, from its own event."""
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
    """The entries at those sequences of a commit, of which no more is decoded than that takes."""
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
