"""Conformance of a store, as one function that needs no test framework.

    from ledger.testing.stores import check

    check(lambda: MyStore(new_path()))                           # a new, empty log at every call
    check(open_new, again=lambda store: MyStore(store.path))     # also: what is durable, and two handles on one log

`check` raises ConformanceError, which names each rule that is broken.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from ..errors import Closed, Conflict
from ..log import BINARY, TEXT, Commit, Head, Snapshot, origin
from ..plugins import Store
from .conformance import ConformanceError as ConformanceError
from .conformance import Failure as Failure
from .store_readers import READER_RULES
from .store_steps import Again, Open, Rule, Subject, differ, grow, short
from .store_steps import after as after

_EXAMPLES = 3
_MANY = 1_003
_ROUNDS = 25


def check(open_store: Open, *, again: Again | None = None, shared: bool = True) -> None:
    """Check the stores that `open_store` opens against all `RULES`. Raises ConformanceError.

    Without `again` a log cannot be opened twice, and rules that need it are left out. `shared` is False if two handles
    cannot be open together: then the first is closed before the second is opened.
    """
    failures: list[Failure] = []
    for name, rule in RULES.items():
        if (again is None and rule in _NEED_REOPENING) or (not shared and rule in _NEED_TWO):
            continue
        failures += [Failure(name, detail) for detail in _broken(rule, Subject(open_store, again))]
    if failures:
        raise ConformanceError(failures)


def _broken(rule: Rule, subject: Subject) -> list[str]:
    details: list[str] = []
    try:
        details.extend(islice(rule(subject), _EXAMPLES))
        subject.close()
    except Exception as error:  # noqa: BLE001 - foreign code: any error that it raises is a failure
        details.append(f"it raised {type(error).__name__}: {error}")
    return details


# -- one handle --------------------------------------------------------------------------------------------------------


def _begins_empty(subject: Subject) -> Iterator[str]:
    store = subject.open()
    if not store.id or not isinstance(store.id, str):
        yield f"the id is {store.id!r}, not a text"
    yield from differ("the head of an empty log", store.head(), origin(store.id))
    yield from differ("what an empty log reads", list(store.read()), [])
    yield from differ("the snapshot of an empty log", store.load_snapshot("1"), None)


def _moves(subject: Subject) -> Iterator[str]:
    store = subject.open()
    for count in (1, 3, 1):
        commit = after(store.head(), count=count, at=1_700_000_000_000_000)
        store.append(store.head(), commit)
        yield from differ(f"the head after commit {commit.first_seq}", store.head(), commit.head)


def _compares(subject: Subject) -> Iterator[str]:
    """Sequence and hash must both equal the head's; a refused append leaves nothing behind."""
    store = subject.open()
    commits = grow(store, [2, 1])
    head = store.head()
    stale = {
        "the head of the commit before": commits[0].head,
        "the origin": origin(store.id),
        "another hash": Head(head.seq, bytes(32), head.at),
        "another sequence": Head(head.seq + 1, head.hash, head.at),
    }
    for name, expected in stale.items():
        try:
            store.append(expected, after(expected, b"[99]"))
            yield f"an append that expects {name} is not refused"
        except Conflict:
            pass
        yield from differ(f"the head after an append that expects {name}", store.head(), head)
        yield from differ(f"the log after an append that expects {name}", list(store.read()), commits)
    following = after(head)
    store.append(head, following)
    yield from differ("the head after an append that was not refused", store.head(), following.head)


def _reads_after(subject: Subject) -> Iterator[str]:
    """Read after any sequence; in the middle of a commit, the whole commit is read."""
    store = subject.open()
    commits = grow(store, [3, 1, 4, 1, 5])
    yield from differ("read()", list(store.read()), commits)
    for sequence in range(commits[-1].last_seq + 3):
        expected = [commit for commit in commits if commit.last_seq > sequence]
        yield from differ(f"read({sequence})", list(store.read(sequence)), expected)


def _bodies() -> Iterator[tuple[str, int, bytes]]:
    yield "an empty array", TEXT, b"[]"
    yield "spaces that no encoder writes", TEXT, b' [ { "a" :1 } ]\n'
    yield "text of every script", TEXT, '[{"a":"é 中 \U0001f980 \u202e \\u0000 \\" \\\\ \u0085"}]'.encode()
    yield "numbers beyond 64 bits", TEXT, b'[{"cost":%d,"less":-%d}]' % (10**30, 2**64)
    yield "text in the form of a number", TEXT, b"12345678901234567890"
    yield "half a million bytes", TEXT, b'["%s"]' % (b"x" * 500_000)
    yield "columns of every byte", BINARY, bytes(range(256)) * 3
    yield "columns that look like text", BINARY, b'[{"type":"charged"}]'
    yield "columns that begin with a NUL", BINARY, b"\0\0ARROW"
    yield "no bytes at all", BINARY, b""


def _keeps_bytes(subject: Subject) -> Iterator[str]:
    store = subject.open()
    for name, kind, body in _bodies():
        commit = after(store.head(), body, kind)
        store.append(store.head(), commit)
        actual = list(store.read(commit.first_seq - 1))
        yield from differ(name, actual, [commit])
        if actual and any(type(part) is not bytes for part in (actual[0].body, actual[0].hash)):
            yield f"{name} comes back as {type(actual[0].body).__name__}, not as bytes"
    most = after(store.head(), count=2**32 - 1, at=253_402_300_799_999_999)
    store.append(store.head(), most)
    yield from differ("a commit of 2^32-1 events in the year 9999", list(store.read(most.first_seq)), [most])
    yield from differ("the head at that commit", store.head(), most.head)


def _holds_many(subject: Subject) -> Iterator[str]:
    store = subject.open()
    commits = grow(store, (1 + number % 3 for number in range(_MANY)))
    for index in (0, 1, 2, 3, _MANY - 1):
        sequence = commits[index].first_seq - 1
        actual = [commit.first_seq for commit in store.read(sequence)]
        yield from differ(
            f"what {_MANY} commits read after {sequence}", actual, [commit.first_seq for commit in commits[index:]]
        )


def _keeps_snapshots(subject: Subject) -> Iterator[str]:
    """Snapshots are a cache: any may be lost. One that is found is complete, and the latest one of its version."""
    store = subject.open()
    saved: list[Snapshot] = []
    for version, body in (("1", b"books \0\xff"), ("1", b""), ("2", b"others"), ("1", b"later")):
        head = grow(store, [2])[-1].head
        saved.append(Snapshot(head.seq, head.hash, version, body))
        store.save_snapshot(saved[-1])
        for asked in ("1", "2", "3"):
            for upto in (None, *range(head.seq + 2)):
                fitting = [kept for kept in saved if kept.version == asked and (upto is None or kept.seq <= upto)]
                actual = store.load_snapshot(asked, upto)
                if actual is not None and (not fitting or actual != fitting[-1]):
                    yield f"load_snapshot({asked!r}, {upto}) gives {short(actual)}, not {short(fitting[-1:])}"


def _snapshots_move_nothing(subject: Subject) -> Iterator[str]:
    store = subject.open()
    commits = grow(store, [1, 2])
    for body in (b"first", b"second"):  # also for the same sequence once more
        store.save_snapshot(Snapshot(commits[-1].last_seq, commits[-1].hash, "1", body))
        actual = store.load_snapshot("1")
        if actual is not None and actual.body != body:
            yield f"the snapshot that was saved last is not the one that is found: {short(actual)}"
        yield from differ("the head after a snapshot", store.head(), commits[-1].head)
        yield from differ("the log after a snapshot", list(store.read()), commits)
    commits += grow(store, [1])
    yield from differ("the log after a snapshot and a commit", list(store.read()), commits)


def _closes_twice(subject: Subject) -> Iterator[str]:
    store = subject.open()
    grow(store, [1])
    store.close()
    store.close()
    yield from ()


def _is_closed(subject: Subject) -> Iterator[str]:
    store = subject.open()
    head = grow(store, [1])[-1].head
    store.close()
    uses: dict[str, Callable[[], object]] = {
        "head": store.head,
        "append": lambda: store.append(head, after(head)),
        "read": lambda: list(store.read()),
        "load_snapshot": lambda: store.load_snapshot("1"),
        "save_snapshot": lambda: store.save_snapshot(Snapshot(head.seq, head.hash, "1", b"")),
    }
    for name, use in uses.items():
        try:
            use()
            yield f"`{name}` still works"
        except Closed:
            pass


# -- two handles on one log --------------------------------------------------------------------------------------------


def _is_durable(subject: Subject) -> Iterator[str]:
    store = subject.open()
    commits = grow(store, [1, 2, 3])
    snapshot = Snapshot(commits[-1].last_seq, commits[-1].hash, "1", b"books")
    store.save_snapshot(snapshot)
    known = store.id
    store.close()
    for _ in range(2):
        store = subject.again(store)
        yield from differ("the id of a log that was opened again", store.id, known)
        yield from differ("the head of a log that was opened again", store.head(), commits[-1].head)
        yield from differ("a log that was opened again", list(store.read()), commits)
        if store.load_snapshot("1", snapshot.seq) not in (None, snapshot):
            yield "a snapshot comes back changed when the log is opened again"
        commits += grow(store, [2])
        store.close()


def _sees_the_other(subject: Subject) -> Iterator[str]:
    """A commit of one handle is the other's head immediately, and no commit is overwritten."""
    one = subject.open()
    commits = grow(one, [2])
    other = subject.again(one)
    for writer, reader in ((one, other), (other, one), (one, other)):
        before = reader.head()
        commits += grow(writer, [1, 2])
        try:
            reader.append(before, after(before, b"[0]"))
            yield "an append is not refused though another handle has moved the head"
        except Conflict:
            pass
        yield from differ("the head that another handle moved", reader.head(), commits[-1].head)
        yield from differ("the log that another handle wrote", list(reader.read()), commits)


def _reads_while_written(subject: Subject) -> Iterator[str]:
    """A read that has begun continues in order while another handle appends."""
    writer = subject.open()
    commits = grow(writer, [1, 2, 1])
    reading = subject.again(writer).read(1)
    actual = [next(reading)]
    commits += grow(writer, [2, 1])
    actual += reading
    if actual != commits[1 : 1 + len(actual)] or len(actual) < 2:
        yield f"a read that another handle appended to gives {short(actual)}"


def _one_wins(subject: Subject) -> Iterator[str]:
    """Two handles append at the same time, repeatedly: exactly one of them succeeds each time."""
    one = subject.open()
    handles = (one, subject.again(one))
    together = threading.Barrier(2)
    expected: list[Commit] = []
    with ThreadPoolExecutor(2) as pool:
        for _ in range(_ROUNDS):
            head = one.head()
            rivals = [after(head, b"[%d]" % number) for number in (1, 2)]
            entered = pool.map(_enters, handles, (head, head), rivals, (together, together))
            won = [rival for rival, wins in zip(rivals, entered, strict=True) if wins]
            if len(won) != 1:
                yield f"of two appends that expect the same head {len(won)} are done"
            expected += won
    for store in handles:
        yield from differ("the log after two handles have raced", list(store.read()), expected)


def _enters(store: Store, head: Head, commit: Commit, together: threading.Barrier) -> bool:
    together.wait()
    try:
        store.append(head, commit)
    except Conflict:
        return False
    return True


RULES: dict[str, Rule] = {
    "a log begins empty": _begins_empty,
    "an append moves the head": _moves,
    "append compares the head": _compares,
    "read begins after any sequence": _reads_after,
    "bytes come back exactly": _keeps_bytes,
    "a log holds many commits": _holds_many,
    "a snapshot is the latest asked for": _keeps_snapshots,
    "a snapshot moves nothing": _snapshots_move_nothing,
    "a store closes twice": _closes_twice,
    "a closed store says so": _is_closed,
    "what is appended is durable": _is_durable,
    "handles see each other": _sees_the_other,
    "a read bears appends": _reads_while_written,
    "one append wins a head": _one_wins,
    **READER_RULES,
}
"""All rules by name, in the order in which they are checked."""

_NEED_TWO = {_sees_the_other, _reads_while_written, _one_wins}
_NEED_REOPENING = {_is_durable, *_NEED_TWO}
