"""The writer: it runs groups of commands. Catch up with the log, decide, append, fold, answer.

All answers of a group, refusals included, are given after its append is durable; if that fails, every command of the
group gets the error.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import count, pairwise
from typing import TypeAlias

from .books import Books, KeyUse
from .clock import Clock, WallClock, check_reading
from .commands import MAX_TIME, AnyCommand, OpenSettlement
from .decisions.context import Replay
from .errors import Closed, Conflict, Damaged, OutcomeUnknown
from .events import Recorded, decode_one, encode
from .folding import fold, latest_snapshot, snapshot_of
from .group import Evidence, decide_group
from .log import Commit, Entry, Head, check_successor, decode_commit, encode_commit, entries, follow_store, origin
from .older_keys import SAVED_AT_ONCE, OlderKeys
from .outcomes import Answer, Outcome
from .plugins import HoldingStore, Store
from .refusal_records import RefusalRecords
from .refusals import Refused
from .scans import Scans
from .tariffs import Tariffs

MAX_OPTIMISTIC_RETRIES = 3
"""After so many lost races against other processes, a group is decided while holding the store's write lock."""
_NOT_HELD = nullcontext()

_Decided: TypeAlias = tuple[
    list[AnyCommand], list[Outcome | Exception], list[Answer | Replay | Refused | Exception], Commit
]
"""The commands of a group, the outcomes before its last commit and in it, and that commit: the log may have it."""


class Writer:
    """The books and head of one log; nothing else changes them in this process.

    `lock` is held while a group is decided and written, and while the log is caught up with; `books_lock` only while
    books and head change. `closed` is set by the owner of the store.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store, self.clock = store, clock
        self.tariffs = Tariffs()
        self.scans = Scans()
        self.lock, self.books_lock = threading.RLock(), threading.RLock()
        self.closed = False
        self.books, self.head, self.snapshot_seq = Books(), origin(store.id), 0
        self.older_keys = OlderKeys(store, self.entry)
        self._evidence = Evidence(self.entry, self._older_key)
        self._process = os.getpid()
        self._records: RefusalRecords | None = None
        self._running: list[AnyCommand] = []
        self._decided: _Decided | None = None
        self._contended = False  # another process wrote between the last two readings of the head
        self.stale = True  # head and books do not belong together: load them
        self.unknown = False  # the outcome of an append, until the store says its head again: no reading may go past it
        self._last_read: list[Entry] = []

    # -- groups --------------------------------------------------------------------------------------------------------

    def run(self, commands: list[AnyCommand]) -> list[Outcome | Exception]:
        """Run a group of admitted commands and return one outcome per command. Raises the error that kept its first
        commit from being written."""
        self.check_process()
        with self.lock:
            self.check_open()
            self._running = commands
            return self._commit_all(commands)

    def recall(self, commands: list[AnyCommand]) -> list[Outcome | Exception]:
        """Return the outcomes of a group's first commands, as far as the log has them, after an interrupt.

        Refusals and duplicates of a group that wrote nothing count as not done.
        """
        self.check_process()
        with self.lock:
            self.check_open()
            if self._decided is None or self._decided[0] is not commands:
                return []
            _, done, outcomes, commit = self._decided
            self.catch_up()
            written = next(self.store.read(commit.first_seq - 1), None)
            if written is None or written.hash != commit.hash:
                return done
            return [*done, *map(self._answer, outcomes)]

    def _commit_all(self, commands: list[AnyCommand]) -> list[Outcome | Exception]:
        outcomes: list[Outcome | Exception] = []
        for part in _parts(commands):
            try:
                outcomes += self._commit(part, outcomes)
            except Exception as error:
                if not outcomes:
                    raise
                error.add_note(f"the {len(outcomes)} commands before the batch's opening were done")
                return [*outcomes, *[error] * (len(commands) - len(outcomes))]
        return outcomes

    def _commit(self, commands: list[AnyCommand], done: list[Outcome | Exception]) -> list[Outcome | Exception]:
        """Decide, append and fold one commit, after those of the group that are `done`; retry after a lost race.

        As long as no other process writes, a group is decided on the books as they are: the append compares heads. A
        group that writes nothing, such as a refusal, is only valid at the head that it was decided on.
        """
        for retries in count():
            with self._held() if retries >= MAX_OPTIMISTIC_RETRIES else _NOT_HELD:
                if retries or self._contended or self.stale:
                    self.catch_up()
                at, behind = self.moment()
                group = decide_group(
                    self.books,
                    commands,
                    self._evidence,
                    at,
                    tariffs=self.tariffs,
                    ledger=self.store.id,
                    head=self.head,
                    behind=behind,
                )
                if group.events:
                    recorded = [] if self._records is None else self._records.ready(at)
                    events = [*group.events, *recorded]
                    try:
                        commit = encode_commit(self.head, at, events)
                        self._decided = self._running, [*done], group.outcomes, commit  # from here the log may have it
                        self._append(commit, events)
                    except Conflict:
                        self._contended = True
                        continue
                    if recorded and self._records is not None:
                        self._records.written(at, recorded)
                elif not retries and self.catch_up():
                    continue
            if group.refused:
                self._records = self._records or RefusalRecords()
                for request, refused in group.refused:
                    self._records.add(self.books, request, refused)
            return [self._answer(outcome) for outcome in group.outcomes]
        raise AssertionError("counting never ends")

    def _held(self) -> AbstractContextManager[None]:
        """Hold the store's write lock, if the store offers that."""
        return self.store.hold() if isinstance(self.store, HoldingStore) else _NOT_HELD

    def _answer(self, outcome: Answer | Replay | Refused | Exception) -> Outcome | Exception:
        """Return an outcome for its caller; a duplicate gets the first answer."""
        if not isinstance(outcome, Replay):
            return outcome
        try:
            entry = self.entry(outcome.seq)
        except Exception as error:  # noqa: BLE001 - the rest of the group is written, and its callers must be answered
            return error
        event = decode_one(encode(entry.event))  # the one that was read may be needed again
        return Answer(entry.seq, entry.at, event, repeated=True)

    # -- the books and the log -----------------------------------------------------------------------------------------

    def load(self) -> None:
        """Read the books from the latest valid snapshot, and fold what came after it."""
        books, head, self.snapshot_seq = Books(), origin(self.store.id), 0
        if (cached := latest_snapshot(self.store)) is not None:
            books, snapshot = cached
            head = Head(snapshot.seq, snapshot.hash, books.at)
            self.snapshot_seq = snapshot.seq
        with self.books_lock:
            self.stale = True  # until head and books belong together
            self.books, self.head = books, head
            self.older_keys.reset()
            self.stale = False
        self.catch_up()

    def catch_up(self) -> bool:
        """Fold what other processes wrote since. Return True if they did. Raise Damaged if the log lost its end."""
        if self.stale:
            self.load()
            return True
        head = self.store.head()
        self.unknown = False
        self._contended = head.hash != self.head.hash
        if not self._contended:
            return False
        if head.seq <= self.head.seq:  # what was read from it, and may have been acknowledged, is gone
            raise Damaged(f"the log ends at {head.seq} by now, and this ledger has read it up to {self.head.seq}")
        for commit in self.store.read(self.head.seq):
            check_successor(self.head, commit)
            self._fold(commit, decode_commit(commit))
        return True

    def save_snapshot(self) -> None:
        """Save the books as a snapshot, unless they are empty."""
        if self.head.seq:
            self.store.save_snapshot(snapshot_of(self.books, self.head))
            self.snapshot_seq = self.head.seq

    def entry(self, seq: int) -> Entry:
        """Read one event again. Its whole commit is cached: a large commit is often asked for more than one event."""
        if not self._last_read or not self._last_read[0].seq <= seq <= self._last_read[-1].seq:
            self._last_read = list(entries([next(follow_store(self.store, seq - 1))]))
        return self._last_read[seq - self._last_read[0].seq]

    def _append(self, commit: Commit, events: list[Recorded]) -> None:
        try:
            self.store.append(self.head, commit)
        except OutcomeUnknown:
            self.unknown = True
            raise
        self._fold(commit, events)
        self.older_keys.save(self.books, max(SAVED_AT_ONCE, 2 * commit.count))

    def _older_key(self, digest: bytes) -> KeyUse | None:
        return self.older_keys.find(self.books, digest)

    def _fold(self, commit: Commit, events: list[Recorded]) -> None:
        with self.books_lock:
            self.stale = True  # until the fold is complete: an interrupt in the middle must not leave half of it
            self.scans.keep(self.books, events)
            after = self.books.keys_after
            if forgotten := fold(self.books, commit, events):
                self.older_keys.add(forgotten, after, self.books)
            self.head = commit.head
            self.stale = False

    # -- time and state ------------------------------------------------------------------------------------------------

    def moment(self, writes: bool = True) -> tuple[int, int]:
        """Return the clock's time, never before the head's, and by how much the clock is behind that (else 0).

        Both are UTC microseconds. Raise BadData for a clock that gives no valid time, and ClockMoved for one that
        leapt, unless the time is only for a reading (not `writes`).
        """
        clock = self.clock
        now = clock() if writes or not isinstance(clock, WallClock) else clock.estimate()
        at = self.head.at
        if type(now) is not int or now > MAX_TIME or now < at or not self.head.seq:  # seldom
            check_reading(now, at if self.head.seq else None)
        return (now, 0) if now >= at else (at, at - now)

    @contextmanager
    def current(self) -> Iterator[None]:
        """Hold the lock with the books at the log's head. Raise Closed after closing or a fork."""
        self.check_process()
        with self.lock:
            self.check_open()
            self.catch_up()
            yield

    def check_open(self) -> None:
        """Raise Closed if the ledger was closed."""
        if self.closed:
            raise Closed("the ledger is closed")

    def check_process(self) -> None:
        """Raise Closed in a process that was forked after the ledger was opened."""
        if not self.in_own_process:
            raise Closed("this ledger was opened before a fork")

    @property
    def in_own_process(self) -> bool:
        """True in the process that opened the ledger."""
        return self._process == os.getpid()


def _parts(commands: list[AnyCommand]) -> Iterator[list[AnyCommand]]:
    """Yield the commands of a group by commit: a batch covers all events before it, so its opening begins one."""
    if len(commands) == 1:
        yield commands
        return
    starts = [index for index, command in enumerate(commands) if isinstance(command, OpenSettlement) and index]
    for begin, end in pairwise((0, *starts, len(commands))):
        yield commands[begin:end]
