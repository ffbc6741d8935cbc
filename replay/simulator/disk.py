"""A disk in memory, with what a real one has and a test seldom sees: a cache that is lost, and syncs that fail.

A disk holds one log. Several stores may be open on it at once, as several processes have one file open; what each of
them meets between two calls is decided by its `Surroundings`.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto
from random import Random

import msgspec

from ledger.errors import Closed, Conflict, Locked, LogError, NotWritten, OutcomeUnknown
from ledger.log import Commit, Head, Snapshot, origin


class Fate(Enum):
    """What becomes of an append that has got as far as the disk."""

    done = auto()
    """It is written and synced, and the store says so."""
    failed = auto()
    """It is not written, and the store says so."""
    doubtful_done = auto()
    """It is written and synced, and nobody can tell."""
    doubtful_failed = auto()
    """It is not written, and nobody can tell."""


class Surroundings:
    """What a store meets. Here all goes well."""

    def before(self, call: str) -> None:
        """A call begins. Raises what keeps it from being done."""

    def after(self, call: str) -> None:
        """A call was done and has not returned. Raises what keeps its caller from hearing of it."""

    def fate(self) -> Fate:
        """What becomes of the append that has begun."""
        return Fate.done

    def written(self) -> None:
        """A commit is written, and not synced."""

    def reading(self) -> None:
        """One more commit is read. Raises where it cannot be."""

    def finds(self, snapshots: list[Snapshot]) -> Snapshot | None:
        """Which of the snapshots that fit is found, the latest being the last of them."""
        return snapshots[-1] if snapshots else None


class Kept(msgspec.Struct):
    """A snapshot on the disk. Its own checksum fails where it is `damaged`, so nobody is ever given it."""

    snapshot: Snapshot
    damaged: bool = False


class Disk:
    """One log: its commits, who wrote each, how many of them are synced, and snapshots."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.commits: list[Commit] = []
        self.writers: list[str] = []
        self.synced = 0
        self.writing = False
        self.snapshots: list[Kept] = []
        self.holder: DiskStore | None = None
        self.lock = threading.Lock()

    @property
    def head(self) -> Head:
        """The end of the log, synced or not."""
        return self.commits[-1].head if self.commits else origin(self.id)

    def write(self, commit: Commit, writer: str) -> None:
        """Put a commit at the end, into the cache."""
        self.commits.append(commit)
        self.writers.append(writer)
        self.writing = True

    def sync(self) -> None:
        """All that is written is there for good."""
        self.synced = len(self.commits)

    def cut_power(self, random: Random) -> None:
        """Of what is not synced any part may be lost, from its end. A commit that is torn is found by its checksum, and
        is lost whole."""
        keep = random.randint(self.synced, len(self.commits))
        del self.commits[keep:], self.writers[keep:]
        self.writing = False
        self.sync()

    def drop_unfinished(self, random: Random) -> None:
        """A process has died: an append that it was in the middle of is done or undone."""
        if self.writing and random.randrange(2):
            del self.commits[-1], self.writers[-1]
        self.writing = False

    def store(self) -> DiskStore:
        """A store to which nothing happens."""
        return DiskStore(self, "", Surroundings())


class DiskStore:
    """One process's store on a disk: what `ledger.plugins.Store` asks for, and `hold`."""

    def __init__(self, disk: Disk, owner: str, surroundings: Surroundings) -> None:
        self.id = disk.id
        self._disk, self._owner, self._around = disk, owner, surroundings
        self._closed = False

    def head(self) -> Head:
        """The last commit's place."""
        self._check_open()
        self._around.before("head")
        return self._disk.head

    def append(self, expected: Head, commit: Commit) -> None:
        """Write the commit and sync it, if the head is still `expected`."""
        self._check_open()
        self._around.before("append")
        fate = self._around.fate()
        with self._disk.lock:
            self._check_free()
            if self._disk.head[:2] != expected[:2]:
                raise Conflict("the head moved")
            if fate in (Fate.done, Fate.doubtful_done):
                self._disk.write(commit, self._owner)
                self._around.written()
                self._sync()
                self._disk.writing = False
            self._let_go()
        if fate is Fate.failed:
            raise NotWritten("nothing was written: the simulated disk failed")
        if fate is not Fate.done:
            self.close()
            raise OutcomeUnknown("the append failed, and reading the log again did too")
        self._around.after("append")

    def read(self, after: int = 0) -> Iterator[Commit]:
        """All commits with an event after that sequence, also those that come while it reads."""
        self._check_open()
        self._around.before("read")
        place = bisect_right(self._disk.commits, after, key=lambda commit: commit.last_seq)
        while place < len(self._disk.commits):
            self._around.reading()
            yield self._disk.commits[place]
            place += 1

    def load_snapshot(self, version: str, upto: int | None = None) -> Snapshot | None:
        """The latest snapshot of that version that is whole, or an older one, or none: a cache may be lost."""
        self._check_open()
        self._around.before("load_snapshot")
        fitting = [
            kept.snapshot
            for kept in self._disk.snapshots
            if not kept.damaged and kept.snapshot.version == version and (upto is None or kept.snapshot.seq <= upto)
        ]
        return self._around.finds(sorted(fitting, key=lambda snapshot: snapshot.seq))

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot."""
        self._check_open()
        self._around.before("save_snapshot")
        others = [kept for kept in self._disk.snapshots if kept.snapshot.seq != snapshot.seq]
        self._disk.snapshots = [*others, Kept(snapshot)]
        self._around.after("save_snapshot")

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Nobody else writes inside, up to the first append. Raises Locked."""
        self._check_open()
        self._around.before("hold")
        self._check_free()
        self._disk.holder = self
        try:
            yield
        finally:
            self._let_go()

    def close(self) -> None:
        """Let go of the disk."""
        self._let_go()
        self._closed = True

    def _sync(self) -> None:
        """What a store that is faster than it should be leaves out."""
        self._disk.sync()

    def _let_go(self) -> None:
        if self._disk.holder is self:
            self._disk.holder = None

    def _check_free(self) -> None:
        if self._disk.holder not in (None, self):
            raise Locked("the log is held by another process")

    def _check_open(self) -> None:
        if self._closed:
            raise Closed("the store is closed")


def unreadable() -> LogError:
    """What a store raises where the disk gives nothing."""
    return LogError("the simulated disk cannot be read", "read again")
