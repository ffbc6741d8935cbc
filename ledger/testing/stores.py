"""What every store must keep, as one function that needs no test framework.

    from ledger.testing.stores import check

    check(lambda: MyStore(fresh_place()))                        # a new, empty log at every call
    check(open_new, again=lambda store: MyStore(store.place))    # also: what is durable, and two handles on one log

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
from .store_steps import Again, Open, Rule, Trial, differ, grow, short
from .store_steps import after as after

_EXAMPLES = 3
_MANY = 1_003
_ROUNDS = 25


def check(open_store: Open, *, again: Again | None = None, shared: bool = True) -> None:
    """Try the stores that `open_store` opens against all `RULES`. Raises ConformanceError.

    Without `again` a log cannot be opened twice, and what needs that is not tried. `shared` says whether two handles
    may be open at once; where it is False, the first is closed before the second is opened.
    """
    failures: list[Failure] = []
    for name, rule in RULES.items():
        if (again is None and rule in _NEED_REOPENING) or (not shared and rule in _NEED_TWO):
            continue
        failures += [Failure(name, found) for found in _broken(rule, Trial(open_store, again))]
    if failures:
        raise ConformanceError(failures)


def _broken(rule: Rule, trial: Trial) -> list[str]:
    found: list[str] = []
    try:
        found.extend(islice(rule(trial), _EXAMPLES))
        trial.close()
    except Exception as error:  # noqa: BLE001 - foreign code: whatever it raises is the finding
        found.append(f"it raised {type(error).__name__}: {error}")
    return found


# -- one handle --------------------------------------------------------------------------------------------------------


def _begins_empty(trial: Trial) -> Iterator[str]:
    store = trial.open()
    if not store.id or not isinstance(store.id, str):
        yield f"the id is {store.id!r}, not a text"
    yield from differ("the head of an empty log", store.head(), origin(store.id))
    yield from differ("what an empty log reads", list(store.read()), [])
    yield from differ("the snapshot of an empty log", store.load_snapshot("1"), None)


def _moves(trial: Trial) -> Iterator[str]:
    store = trial.open()
    for count in (1, 3, 1):
        commit = after(store.head(), count=count, at=1_700_000_000_000_000)
        store.append(store.head(), commit)
        yield from differ(f"the head after commit {commit.first_seq}", store.head(), commit.head)


def _compares(trial: Trial) -> Iterator[str]:
    """Sequence and hash must both be the head's; what is refused leaves nothing behind."""
    store = trial.open()
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


def _reads_after(trial: Trial) -> Iterator[str]:
    """Any sequence, also one in the middle of a commit, of which the whole is read."""
    store = trial.open()
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


def _keeps_bytes(trial: Trial) -> Iterator[str]:
    store = trial.open()
    for name, kind, body in _bodies():
        commit = after(store.head(), body, kind)
        store.append(store.head(), commit)
        found = list(store.read(commit.first_seq - 1))
        yield from differ(name, found, [commit])
        if found and any(type(part) is not bytes for part in (found[0].body, found[0].hash)):
            yield f"{name} comes back as {type(found[0].body).__name__}, not as bytes"
    most = after(store.head(), count=2**32 - 1, at=253_402_300_799_999_999)
    store.append(store.head(), most)
    yield from differ("a commit of 2^32-1 events in the year 9999", list(store.read(most.first_seq)), [most])
    yield from differ("the head at that commit", store.head(), most.head)


def _holds_many(trial: Trial) -> Iterator[str]:
    store = trial.open()
    commits = grow(store, (1 + number % 3 for number in range(_MANY)))
    for place in (0, 1, 2, 3, _MANY - 1):
        sequence = commits[place].first_seq - 1
        found = [commit.first_seq for commit in store.read(sequence)]
        yield from differ(
            f"what {_MANY} commits read after {sequence}", found, [commit.first_seq for commit in commits[place:]]
        )


def _keeps_snapshots(trial: Trial) -> Iterator[str]:
    """A cache: any may be lost. What is found is whole, and the latest that was asked for."""
    store = trial.open()
    saved: list[Snapshot] = []
    for version, body in (("1", b"books \0\xff"), ("1", b""), ("2", b"others"), ("1", b"later")):
        head = grow(store, [2])[-1].head
        saved.append(Snapshot(head.seq, head.hash, version, body))
        store.save_snapshot(saved[-1])
        for asked in ("1", "2", "3"):
            for upto in (None, *range(head.seq + 2)):
                fitting = [kept for kept in saved if kept.version == asked and (upto is None or kept.seq <= upto)]
                found = store.load_snapshot(asked, upto)
                if found is not None and (not fitting or found != fitting[-1]):
                    yield f"load_snapshot({asked!r}, {upto}) gives {short(found)}, not {short(fitting[-1:])}"


def _snapshots_move_nothing(trial: Trial) -> Iterator[str]:
    store = trial.open()
    commits = grow(store, [1, 2])
    for body in (b"first", b"second"):  # also for the same sequence once more
        store.save_snapshot(Snapshot(commits[-1].last_seq, commits[-1].hash, "1", body))
        found = store.load_snapshot("1")
        if found is not None and found.body != body:
            yield f"the snapshot that was saved last is not the one that is found: {short(found)}"
        yield from differ("the head after a snapshot", store.head(), commits[-1].head)
        yield from differ("the log after a snapshot", list(store.read()), commits)
    commits += grow(store, [1])
    yield from differ("the log after a snapshot and a commit", list(store.read()), commits)


def _closes_twice(trial: Trial) -> Iterator[str]:
    store = trial.open()
    grow(store, [1])
    store.close()
    store.close()
    yield from ()


def _is_closed(trial: Trial) -> Iterator[str]:
    store = trial.open()
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


def _is_durable(trial: Trial) -> Iterator[str]:
    store = trial.open()
    commits = grow(store, [1, 2, 3])
    snapshot = Snapshot(commits[-1].last_seq, commits[-1].hash, "1", b"books")
    store.save_snapshot(snapshot)
    known = store.id
    store.close()
    for _ in range(2):
        store = trial.again(store)
        yield from differ("the id of a log that was opened again", store.id, known)
        yield from differ("the head of a log that was opened again", store.head(), commits[-1].head)
        yield from differ("a log that was opened again", list(store.read()), commits)
        if store.load_snapshot("1", snapshot.seq) not in (None, snapshot):
            yield "a snapshot comes back changed when the log is opened again"
        commits += grow(store, [2])
        store.close()


def _sees_the_other(trial: Trial) -> Iterator[str]:
    """What one handle wrote is the other's head at once, and nothing is written over."""
    one = trial.open()
    commits = grow(one, [2])
    other = trial.again(one)
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


def _reads_while_written(trial: Trial) -> Iterator[str]:
    """A read that has begun goes on, in order, whatever another handle appends meanwhile."""
    writer = trial.open()
    commits = grow(writer, [1, 2, 1])
    reading = trial.again(writer).read(1)
    found = [next(reading)]
    commits += grow(writer, [2, 1])
    found += reading
    if found != commits[1 : 1 + len(found)] or len(found) < 2:
        yield f"a read that another handle appended to gives {short(found)}"


def _one_wins(trial: Trial) -> Iterator[str]:
    """Two handles that append at the same moment, again and again: exactly one of them gets in each time."""
    one = trial.open()
    handles = (one, trial.again(one))
    together = threading.Barrier(2)
    expected: list[Commit] = []
    with ThreadPoolExecutor(2) as pool:
        for _ in range(_ROUNDS):
            head = one.head()
            rivals = [after(head, b"[%d]" % place) for place in (1, 2)]
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
"""All rules by name, in the order in which they are tried."""

_NEED_TWO = {_sees_the_other, _reads_while_written, _one_wins}
_NEED_REOPENING = {_is_durable, *_NEED_TWO}
