"""Rules of what a store may offer (`ledger.plugins`): readers of its log, and keeping the index of accounts and older
keys."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from ..errors import Closed, Conflict, Damaged
from ..log import BINARY, Commit, Head, IndexPart, KeysEnd, Snapshot, StoredKey, origin
from ..plugins import IndexKeeper, KeyKeeper, LogReader, ReadableStore
from .store_steps import Rule, Subject, after, differ, grow

_COMMITS = 300


def _sees_what_was_appended(subject: Subject) -> Iterator[str]:
    store = subject.open()
    if not isinstance(store, ReadableStore):
        return
    reader = store.reader()
    yield from differ("the id of a reader", reader.id, store.id)
    yield from differ("a reader's head of an empty log", reader.head(), origin(store.id))
    commits: list[Commit] = []
    for counts in ([2], [1, 3], [1]):
        commits += grow(store, counts)
        yield from differ("the head of a reader that was opened before an append", reader.head(), commits[-1].head)
        yield from differ("what such a reader reads", list(reader.read()), commits)
        later = store.reader()
        yield from differ("the head of a reader that was opened after an append", later.head(), commits[-1].head)
        later.close()
    reader.close()


def _reads_as_the_store(subject: Subject) -> Iterator[str]:
    store = subject.open()
    if not isinstance(store, ReadableStore):
        return
    commits = grow(store, [3, 1, 4])
    for body, kind in ((b' [ {"a" :1 } ]\n', 1), (bytes(range(256)), BINARY)):
        commits.append(after(store.head(), body, kind))
        store.append(store.head(), commits[-1])
    head = store.head()
    store.save_snapshot(Snapshot(head.seq, head.hash, "1", b"books"))
    reader = store.reader()
    for sequence in range(head.seq + 2):
        expected = [commit for commit in commits if commit.last_seq > sequence]
        yield from differ(f"read({sequence}) of a reader", list(reader.read(sequence)), expected)
    for version, upto in (("1", None), ("1", head.seq), ("1", head.seq - 1), ("2", None)):
        expected_snapshot = store.load_snapshot(version, upto)
        yield from differ("a snapshot that a reader loads", reader.load_snapshot(version, upto), expected_snapshot)
    reader.close()


def _reads_beside_appends(subject: Subject) -> Iterator[str]:
    """A reading in one thread, appends in another: each reading is the log up to some commit that was appended."""
    store = subject.open()
    if not isinstance(store, ReadableStore):
        return
    commits = grow(store, [1, 2])
    reader = store.reader()
    ended = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(_readings, reader, ended)
        try:
            commits += grow(store, (1 + number % 3 for number in range(_COMMITS)))
        finally:
            ended.set()
        for head, read in reading.result():
            length = len(read)
            yield from differ("what a reader reads beside a writer", read, commits[:length])
            if head not in [commit.head for commit in commits[:length]]:
                yield f"a reader's head {head} is not in what it reads after that"
    yield from differ("a reader's head after the last append", reader.head(), store.head())
    reader.close()


def _readings(reader: LogReader, ended: threading.Event) -> list[tuple[Head, list[Commit]]]:
    readings: list[tuple[Head, list[Commit]]] = []
    while not ended.is_set() or not readings:
        head = reader.head()
        readings.append((head, list(reader.read())))
        readings = readings[-20:]
    return readings


def _continues(subject: Subject) -> Iterator[str]:
    """A read that has begun continues in order while commits are appended."""
    store = subject.open()
    if not isinstance(store, ReadableStore):
        return
    commits = grow(store, [1, 2, 1])
    reader = store.reader()
    reading = reader.read(1)
    read = [next(reading)]
    commits += grow(store, [2, 1])
    read += reading
    if read != commits[1 : 1 + len(read)] or len(read) < 2:
        yield f"a reader that a store was appended to reads {read}"
    reader.close()


def _closes_alone(subject: Subject) -> Iterator[str]:
    """A closed reader raises Closed; its store, and other readers, are unchanged."""
    store = subject.open()
    if not isinstance(store, ReadableStore):
        return
    commits = grow(store, [1, 1])
    closed, other = store.reader(), store.reader()
    reading = closed.read()
    next(reading)
    closed.close()
    closed.close()
    uses: dict[str, Callable[[], object]] = {
        "head": closed.head,
        "read": lambda: list(closed.read()),
        "a read that had begun": lambda: list(reading),
        "load_snapshot": lambda: closed.load_snapshot("1"),
    }
    for name, use in uses.items():
        try:
            use()
            yield f"`{name}` of a closed reader still works"
        except Closed:
            pass
    commits += grow(store, [1])
    yield from differ("the log after a reader was closed", list(store.read()), commits)
    yield from differ("what another reader reads then", list(other.read()), commits)
    other.close()


def _keeps_the_index(subject: Subject) -> Iterator[str]:
    """A cache: any part may be lost. What is found is whole, and in order; of two that end alike it is the later."""
    store = subject.open()
    if not isinstance(store, IndexKeeper):
        return
    commits = grow(store, [2, 1, 3])
    ends = [commit.head for commit in commits]
    parts = [IndexPart(0, ends[0].seq, ends[0].hash, b""), IndexPart(ends[0].seq, ends[2].seq, ends[2].hash, b"\0\xff")]
    again = IndexPart(ends[0].seq, ends[2].seq, ends[2].hash, b"again")
    for part in (*reversed(parts), again):
        store.save_index(part)
        yield from differ("the log after a part of the index was kept", list(store.read()), commits)
    loaded = store.load_index()
    if [part for part in (parts[0], again) if part in loaded] != loaded:
        yield f"the saved index comes back as {loaded}"


def _keeps_older_keys(subject: Subject) -> Iterator[str]:
    """A cache: all of it may be lost, and then `find_key` raises. A key whose time is over may be gone."""
    store = subject.open()
    if not isinstance(store, KeyKeeper):
        return
    commits = grow(store, [2, 1, 3])
    yield from differ("the end of the keys of a new log", store.keys_end(), None)
    first, second, third = (KeysEnd(commit.last_seq, commit.hash, at) for at, commit in enumerate(commits, 1))
    one, two, over, four = (bytes([number]) * 16 for number in (1, 2, 3, 4))
    unknown = [bytes(16), one[:15] + b"\0", two[:15] + b"\xff", b"\xff" * 16]
    store.save_keys(None, [StoredKey(two, 1, 9), StoredKey(one, 2, 9), StoredKey(over, 2, 2)], first)
    yield from _finds(store, {one: 2, two: 1, over: 2} | dict.fromkeys(unknown, 0), first)
    store.save_keys(first, [StoredKey(four, 3, 9), StoredKey(one, 3, 9)], second)
    yield from _finds(store, {one: 3, two: 1, four: 3} | dict.fromkeys(unknown, 0), second)
    if store.find_key(over, second.upto) not in (0, 2):
        yield "a key whose time is over is found at another sequence"
    try:
        store.save_keys(first, [StoredKey(two, 4, 9)], third)
        yield "keys are stored after an end that is not the present one"
    except Conflict:
        yield from _finds(store, {two: 1}, second)
    store.save_keys(None, [StoredKey(four, 6, 9)], third)
    yield from _finds(store, {four: 6, one: 0, two: 0}, third)
    yield from differ("the log after keys were stored", list(store.read()), commits)


def _finds(store: KeyKeeper, keys: dict[bytes, int], end: KeysEnd) -> Iterator[str]:
    yield from differ("the end of the stored keys", store.keys_end(), end)
    for digest, seq in keys.items():
        yield from differ(f"the sequence of the key {digest.hex()}", store.find_key(digest, end.upto), seq)
        try:
            store.find_key(digest, end.upto + 1)
            yield "a key is looked for beyond the end of those that are stored"
        except Damaged:
            pass


READER_RULES: dict[str, Rule] = {
    "a reader sees what was appended": _sees_what_was_appended,
    "a reader reads as its store": _reads_as_the_store,
    "a reader reads beside appends": _reads_beside_appends,
    "a reader's read bears appends": _continues,
    "a reader closes alone": _closes_alone,
    "an index is what was kept of it": _keeps_the_index,
    "older keys are what was stored of them": _keeps_older_keys,
}
"""The rules by name, in the order in which they are checked."""
