"""A disk in memory that fails as real ones do: caches are lost, and appends fail with a known or unknown outcome.

A disk holds one log. Several stores may be open on it, as several processes have one file open; the faults of each are
decided by its `Surroundings`.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum, auto
from random import Random

import msgspec

from ledger.errors import Closed, Conflict, Damaged, Locked, LogError, NotWritten, OutcomeUnknown
from ledger.log import Commit, Head, KeysEnd, Snapshot, StoredKey, origin


class Fate(Enum):
    """The outcome of an append that has reached the disk."""

    done = auto()
    """Written and synced, and the store returns."""
    failed = auto()
    """Not written, and the store raises NotWritten."""
    unknown_done = auto()
    """Written and synced, and the store raises OutcomeUnknown."""
    unknown_failed = auto()
    """Not written, and the store raises OutcomeUnknown."""


class Surroundings:
    """The faults of a store. Here there are none."""

    def before(self, call: str) -> None:
        """Act before a call. An exception prevents the call."""

    def after(self, call: str) -> None:
        """Act after a call. An exception hides its result from the caller."""

    def fate(self) -> Fate:
        """Return the outcome of an append."""
        return Fate.done

    def written(self) -> None:
        """Act when a commit is written and not synced."""

    def reading(self) -> None:
        """Act before one more commit is read. An exception ends the reading."""

    def finds(self, snapshots: list[Snapshot]) -> Snapshot | None:
        """Return the snapshot that is found, of those that fit in their order; None for none."""
        return snapshots[-1] if snapshots else None

    def loses_keys(self) -> bool:
        """True if the stored keys are lost by now."""
        return False


class Kept(msgspec.Struct):
    """A snapshot on the disk. One that is `damaged` fails its checksum, and is never returned."""

    snapshot: Snapshot
    damaged: bool = False


class Disk:
    """One log: its commits, the writer of each, the number that are synced, snapshots, and older keys with their
    end."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.commits: list[Commit] = []
        self.writers: list[str] = []
        self.synced = 0
        self.writing = False
        self.snapshots: list[Kept] = []
        self.keys: dict[bytes, StoredKey] = {}
        self.keys_end: KeysEnd | None = None
        self.holder: DiskStore | None = None
        self.lock = threading.Lock()

    @property
    def head(self) -> Head:
        """Return the end of the log, synced or not."""
        return self.commits[-1].head if self.commits else origin(self.id)

    def write(self, commit: Commit, writer: str) -> None:
        """Append a commit to the cache."""
        self.commits.append(commit)
        self.writers.append(writer)
        self.writing = True

    def sync(self) -> None:
        """Make all written commits permanent."""
        self.synced = len(self.commits)

    def cut_power(self, random: Random) -> None:
        """Lose any number of the last commits that are not synced. A torn commit fails its checksum, and is lost."""
        keep = random.randint(self.synced, len(self.commits))
        del self.commits[keep:], self.writers[keep:]
        self.writing = False
        self.sync()

    def drop_unfinished(self, random: Random) -> None:
        """Do or undo the append of a process that crashed in the middle of it. A store finds what was done only when it
        opens the log, and syncs it before it is read."""
        if self.writing:
            if random.randrange(2):
                del self.commits[-1], self.writers[-1]
            else:
                self.sync()
        self.writing = False

    def store(self) -> DiskStore:
        """Return a store without faults."""
        return DiskStore(self, "", Surroundings())


class DiskStore:
    """One process's store on a disk: a `ledger.plugins.Store` that can `hold` and keeps older keys."""

    def __init__(self, disk: Disk, owner: str, surroundings: Surroundings) -> None:
        self.id = disk.id
        self._disk, self._owner, self._surroundings = disk, owner, surroundings
        self._closed = False

    def head(self) -> Head:
        """Return the last commit's sequence, hash and time."""
        self._check_open()
        self._surroundings.before("head")
        return self._disk.head

    def append(self, expected: Head, commit: Commit) -> None:
        """Write the commit and sync it, if the head is still `expected`."""
        self._check_open()
        self._surroundings.before("append")
        fate = self._surroundings.fate()
        with self._disk.lock:
            self._check_free()
            if self._disk.head[:2] != expected[:2]:
                raise Conflict("the head moved")
            if fate in (Fate.done, Fate.unknown_done):
                self._disk.write(commit, self._owner)
                self._surroundings.written()
                self._sync()
                self._disk.writing = False
            self._release()
        if fate is Fate.failed:
            raise NotWritten("nothing was written: the simulated disk failed")
        if fate is not Fate.done:
            self.close()
            raise OutcomeUnknown("the append failed, and reading the log again did too")
        self._surroundings.after("append")

    def read(self, after: int = 0) -> Iterator[Commit]:
        """Yield all commits with an event after that sequence, also those appended meanwhile."""
        self._check_open()
        self._surroundings.before("read")
        number = bisect_right(self._disk.commits, after, key=lambda commit: commit.last_seq)
        while number < len(self._disk.commits):
            self._surroundings.reading()
            yield self._disk.commits[number]
            number += 1

    def load_snapshot(self, version: str, upto: int | None = None) -> Snapshot | None:
        """Return the latest undamaged snapshot of that version, or an older one, or none: a cache may be lost."""
        self._check_open()
        self._surroundings.before("load_snapshot")
        fitting = [
            kept.snapshot
            for kept in self._disk.snapshots
            if not kept.damaged and kept.snapshot.version == version and (upto is None or kept.snapshot.seq <= upto)
        ]
        return self._surroundings.finds(sorted(fitting, key=lambda snapshot: snapshot.seq))

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot."""
        self._check_open()
        self._surroundings.before("save_snapshot")
        others = [kept for kept in self._disk.snapshots if kept.snapshot.seq != snapshot.seq]
        self._disk.snapshots = [*others, Kept(snapshot)]
        self._surroundings.after("save_snapshot")

    def keys_end(self) -> KeysEnd | None:
        """Return the end of the stored keys, or none: a cache may be lost."""
        self._check_open()
        self._surroundings.before("keys_end")
        return None if self._surroundings.loses_keys() else self._disk.keys_end

    def find_key(self, digest: bytes, upto: int) -> int:
        """Return the sequence stored with a key; 0 if there is none. Raises Damaged if keys were lost."""
        self._check_open()
        self._surroundings.before("find_key")
        end = self._disk.keys_end
        if end is None or end.upto < upto or self._surroundings.loses_keys():
            raise Damaged("the stored keys were lost")
        return self._disk.keys[digest].seq if digest in self._disk.keys else 0

    def save_keys(self, before: KeysEnd | None, keys: Sequence[StoredKey], end: KeysEnd) -> None:
        """Store keys, and drop those whose time is over."""
        self._check_open()
        self._surroundings.before("save_keys")
        with self._disk.lock:
            if before is not None and before != self._disk.keys_end:
                raise Conflict("another process stored keys")
            kept = {} if before is None else self._disk.keys
            kept = {**kept, **{key.digest: key for key in keys}}
            self._disk.keys = {digest: key for digest, key in kept.items() if key.until > end.at}
            self._disk.keys_end = end
        self._surroundings.after("save_keys")

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Exclude other writers inside, up to the first append. Raises Locked."""
        self._check_open()
        self._surroundings.before("hold")
        self._check_free()
        self._disk.holder = self
        try:
            yield
        finally:
            self._release()

    def close(self) -> None:
        """Release the disk."""
        self._release()
        self._closed = True

    def _sync(self) -> None:
        """Sync the disk; a store that cheats leaves this out."""
        self._disk.sync()

    def _release(self) -> None:
        if self._disk.holder is self:
            self._disk.holder = None

    def _check_free(self) -> None:
        if self._disk.holder not in (None, self):
            raise Locked("the log is held by another process")

    def _check_open(self) -> None:
        if self._closed:
            raise Closed("the store is closed")


def unreadable() -> LogError:
    """Return the error of a read that the disk fails."""
    return LogError("the simulated disk cannot be read", "read again")
