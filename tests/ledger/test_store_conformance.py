"""The store conformance suite passes what is right and names what is wrong. Each bad store has one planted fault."""

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ledger.errors import Closed, Conflict, Damaged
from ledger.log import BINARY, Commit, Head, IndexPart, KeysEnd, Snapshot, StoredKey, origin
from ledger.plugins import Store, stores
from ledger.stores.memory import MemoryReader, MemoryStore
from ledger.stores.sqlite import SQLiteStore
from ledger.testing.stores import RULES, ConformanceError, check


class Shared(MemoryStore):
    """A memory store whose log several handles can be opened on, as a third party might write one."""

    def __init__(self, of: "Shared | None" = None) -> None:
        super().__init__(id=of.id if of else None)
        self.lock = of.lock if of else threading.RLock()
        if of:
            self._commits = of._commits

    def append(self, expected: Head, commit: Commit) -> None:
        with self.lock:
            super().append(expected, commit)


def broken(store: type[Shared], **again: Any) -> list[str]:
    with pytest.raises(ConformanceError) as caught:
        check(store, **({"again": store} | again))
    assert all(failure.rule in str(caught.value) for failure in caught.value.failures)
    return caught.value.rules


@pytest.mark.smoke
@pytest.mark.parametrize("name", ["sqlite", "memory"])
def test_every_built_in_store_conforms(name: str, tmp_path: Path) -> None:
    numbers = iter(range(10_000))
    factory = stores.get(name)
    if name == "memory":
        check(factory)
    else:
        check(lambda: factory(tmp_path / f"{next(numbers)}.db"), again=lambda store: SQLiteStore(store.path))  # type: ignore[attr-defined]


def test_the_built_in_stores_are_the_ones_tried_here() -> None:
    assert {"memory", "sqlite"} <= set(stores.names())


def test_a_store_that_is_shared_by_its_handles_conforms() -> None:
    check(Shared, again=Shared)


def test_a_store_of_one_handle_at_a_time_conforms_where_that_is_said() -> None:
    class Exclusive(Shared):
        """Refuses a second handle while the first is open."""

        def __init__(self, of: "Shared | None" = None) -> None:
            assert of is None or of._closed
            super().__init__(of)

    check(Exclusive, again=Exclusive, shared=False)
    assert set(broken(Exclusive)) == {"handles see each other", "a read bears appends", "one append wins a head"}


def test_a_store_that_keeps_no_snapshots_conforms() -> None:
    class Forgetful(Shared):
        def save_snapshot(self, snapshot: Snapshot) -> None:
            self.head()

    check(Forgetful, again=Forgetful)


# -- one planted fault for each rule -----------------------------------------------------------------------------------


class BeginsAtZero(Shared):
    def head(self) -> Head:
        head = super().head()
        return head if head.seq else Head(0, bytes(32))


class ForgetsTheTime(Shared):
    def head(self) -> Head:
        return super().head()._replace(at=0)


class TakesAnyHead(Shared):
    def append(self, expected: Head, commit: Commit) -> None:
        super().append(self.head(), commit)


class ComparesSequencesOnly(Shared):
    def append(self, expected: Head, commit: Commit) -> None:
        super().append(self.head() if expected.seq == self.head().seq else expected, commit)


class LeavesWhatItRefused(Shared):
    def append(self, expected: Head, commit: Commit) -> None:
        try:
            super().append(expected, commit)
        except Conflict:
            self._commits.append(commit)
            raise


class ReadsFromWholeCommitsOnly(Shared):
    def read(self, after: int = 0) -> Iterator[Commit]:
        return (commit for commit in super().read() if commit.first_seq > after)


class ReadsOneTooMany(Shared):
    def read(self, after: int = 0) -> Iterator[Commit]:
        return (commit for commit in super().read() if commit.last_seq >= after)


class EncodesAnew(Shared):
    def append(self, expected: Head, commit: Commit) -> None:
        super().append(expected, replace(commit, body=commit.body.replace(b" ", b"")))


class ForgetsTheKind(Shared):
    def append(self, expected: Head, commit: Commit) -> None:
        super().append(expected, replace(commit, kind=1))


class GivesViews(Shared):
    def read(self, after: int = 0) -> Iterator[Commit]:
        return (replace(commit, body=memoryview(commit.body)) for commit in super().read(after))


class EndsColumnsAtANul(Shared):
    def append(self, expected: Head, commit: Commit) -> None:
        body = commit.body.split(b"\0")[0] if commit.kind == BINARY else commit.body
        super().append(expected, replace(commit, body=body))


class ReadsOnePage(Shared):
    def read(self, after: int = 0) -> Iterator[Commit]:
        return (commit for commit, _ in zip(super().read(after), range(1_000), strict=False))


class MixesVersions(Shared):
    def load_snapshot(self, version: str, upto: int | None = None) -> Snapshot | None:
        return max((kept for kept in self._snapshots if upto is None or kept.seq <= upto), default=None)


class IgnoresUpto(Shared):
    def load_snapshot(self, version: str, upto: int | None = None) -> Snapshot | None:
        return super().load_snapshot(version)


class GivesTheFirstSnapshot(Shared):
    def load_snapshot(self, version: str, upto: int | None = None) -> Snapshot | None:
        fitting = [kept for kept in self._snapshots if kept.version == version and (upto is None or kept.seq <= upto)]
        return min(fitting, default=None)


class KeepsTheFirstOfASequence(Shared):
    def save_snapshot(self, snapshot: Snapshot) -> None:
        if snapshot.seq not in [kept.seq for kept in self._snapshots]:
            super().save_snapshot(snapshot)


class CompactsAtASnapshot(Shared):
    def save_snapshot(self, snapshot: Snapshot) -> None:
        super().save_snapshot(snapshot)
        del self._commits[:-1]


class ClosesOnce(Shared):
    def close(self) -> None:
        if self._closed:
            raise ValueError("it is closed already")
        super().close()


class StaysOpen(Shared):
    def close(self) -> None:
        pass


class RaisesItsOwnErrors(Shared):
    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("connection is closed")


class LosesTheLast(Shared):
    def __init__(self, of: "Shared | None" = None) -> None:
        super().__init__(of)
        if of and of._closed:
            self._commits = of._commits[:-1]


class TakesANewId(Shared):
    def __init__(self, of: "Shared | None" = None) -> None:
        super().__init__(of)
        self.id = self.id if of is None else "another"


class KeepsItsOwnCopy(Shared):
    def __init__(self, of: "Shared | None" = None) -> None:
        super().__init__(of)
        if of and not of._closed:
            self._commits = list(of._commits)


class BreaksOffItsReads(Shared):
    def read(self, after: int = 0) -> Iterator[Commit]:
        size = len(self._commits)
        for commit in super().read(after):
            if len(self._commits) != size:
                raise RuntimeError("the log changed while it was read")
            yield commit


class LooksThenLeaps(Shared):
    def append(self, expected: Head, commit: Commit) -> None:
        if self.head()[:2] != expected[:2]:
            raise Conflict("the head moved")
        threading.Event().wait(0.0001)
        self._commits.append(commit)


class ReadersOf(MemoryReader):
    """A reader with one planted fault, and the store that gives it out."""

    def __init_subclass__(cls) -> None:
        cls.store = type(f"{cls.__name__}Store", (Shared,), {"reader": lambda store: cls(store)})

    store: type[Shared]


class KeepsItsFirstHead(ReadersOf):
    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.first = store.head()

    def head(self) -> Head:
        return self.first


class SkipsAPart(ReadersOf):
    def read(self, after: int = 0) -> Iterator[Commit]:
        return (commit for commit in super().read(after) if commit.first_seq > after)


class StaysInItsThread(ReadersOf):
    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.thread = threading.get_ident()

    def head(self) -> Head:
        if threading.get_ident() != self.thread:
            raise RuntimeError("a reader can only be used in the thread that opened it")
        return super().head()


class ReadsAChangingList(ReadersOf):
    def read(self, after: int = 0) -> Iterator[Commit]:
        head = self.head()
        for commit in super().read(after):
            if self.head() != head:
                raise RuntimeError("the log changed while it was read")
            yield commit


class ClosesItsStore(ReadersOf):
    def close(self) -> None:
        super().close()
        self._store.close()


class ReadsOnWhenClosed(ReadersOf):
    def close(self) -> None:
        pass


class KeepsAnIndex(Shared):
    def __init__(self, of: "Shared | None" = None) -> None:
        super().__init__(of)
        self.parts: dict[int, IndexPart] = {}

    def save_index(self, part: IndexPart) -> None:
        self.parts[part.upto] = part

    def load_index(self) -> list[IndexPart]:
        return [part for _, part in sorted(self.parts.items())]


class KeepsTheFirstOfAnEnd(KeepsAnIndex):
    def save_index(self, part: IndexPart) -> None:
        self.parts.setdefault(part.upto, part)


class KeepsTheOrderOfSaving(KeepsAnIndex):
    def load_index(self) -> list[IndexPart]:
        return list(self.parts.values())


def test_a_store_that_keeps_an_index_conforms() -> None:
    check(KeepsAnIndex, again=KeepsAnIndex)


class KeepsKeys(Shared):
    def __init__(self, of: "Shared | None" = None) -> None:
        super().__init__(of)
        self.keys: dict[bytes, StoredKey] = {}
        self.end: KeysEnd | None = None

    def keys_end(self) -> KeysEnd | None:
        return self.end

    def find_key(self, digest: bytes, upto: int) -> int:
        if self.end is None or self.end.upto < upto:
            raise Damaged("keys were lost")
        return self.keys[digest].seq if digest in self.keys else 0

    def save_keys(self, before: KeysEnd | None, keys: Sequence[StoredKey], end: KeysEnd) -> None:
        if before is None:
            self.keys = {}
        elif before != self.end:
            raise Conflict("the end moved")
        self.keys |= {key.digest: key for key in keys}
        self.end = end


class KeepsAKeysFirstUse(KeepsKeys):
    def save_keys(self, before: KeysEnd | None, keys: Sequence[StoredKey], end: KeysEnd) -> None:
        known = self.keys if before is not None else {}
        super().save_keys(before, [known.get(key.digest, key) for key in keys], end)


class KeepsWhatItReplaces(KeepsKeys):
    def save_keys(self, before: KeysEnd | None, keys: Sequence[StoredKey], end: KeysEnd) -> None:
        super().save_keys(self.end if before is None else before, keys, end)


class StoresAfterAnyEnd(KeepsKeys):
    def save_keys(self, before: KeysEnd | None, keys: Sequence[StoredKey], end: KeysEnd) -> None:
        super().save_keys(before and self.end, keys, end)


class FindsWithoutAnEnd(KeepsKeys):
    def find_key(self, digest: bytes, upto: int) -> int:
        return super().find_key(digest, 0)


class FindsTheNearestKey(KeepsKeys):
    def find_key(self, digest: bytes, upto: int) -> int:
        super().find_key(digest, upto)
        return self.keys[max((key for key in self.keys if key <= digest), default=min(self.keys))].seq


def test_a_store_that_keeps_keys_conforms() -> None:
    check(KeepsKeys, again=KeepsKeys)


FAULTS: dict[type[Shared], set[str]] = {
    BeginsAtZero: {"a log begins empty"},
    ForgetsTheTime: {"an append moves the head"},
    TakesAnyHead: {"append compares the head", "handles see each other", "one append wins a head"},
    ComparesSequencesOnly: {"append compares the head"},
    LeavesWhatItRefused: {"append compares the head", "handles see each other", "one append wins a head"},
    ReadsFromWholeCommitsOnly: {"read begins after any sequence"},
    ReadsOneTooMany: {"read begins after any sequence"},
    EncodesAnew: {"bytes come back exactly"},
    ForgetsTheKind: {"bytes come back exactly"},
    GivesViews: {"bytes come back exactly"},
    EndsColumnsAtANul: {"bytes come back exactly"},
    ReadsOnePage: {"a log holds many commits"},
    MixesVersions: {"a snapshot is the latest asked for"},
    IgnoresUpto: {"a snapshot is the latest asked for"},
    GivesTheFirstSnapshot: {"a snapshot is the latest asked for"},
    KeepsTheFirstOfASequence: {"a snapshot moves nothing"},
    CompactsAtASnapshot: {"a snapshot moves nothing"},
    ClosesOnce: {"a store closes twice"},
    StaysOpen: {"a closed store says so"},
    RaisesItsOwnErrors: {"a closed store says so"},
    LosesTheLast: {"what is appended is durable"},
    TakesANewId: {"what is appended is durable"},
    KeepsItsOwnCopy: {"handles see each other", "one append wins a head"},
    BreaksOffItsReads: {"a read bears appends"},
    LooksThenLeaps: {"one append wins a head"},
    KeepsItsFirstHead.store: {"a reader sees what was appended"},
    SkipsAPart.store: {"a reader reads as its store"},
    StaysInItsThread.store: {"a reader reads beside appends"},
    ReadsAChangingList.store: {"a reader's read bears appends"},
    ClosesItsStore.store: {"a reader closes alone"},
    ReadsOnWhenClosed.store: {"a reader closes alone"},
    KeepsTheFirstOfAnEnd: {"an index is what was kept of it"},
    KeepsTheOrderOfSaving: {"an index is what was kept of it"},
    KeepsAKeysFirstUse: {"older keys are what was stored of them"},
    KeepsWhatItReplaces: {"older keys are what was stored of them"},
    StoresAfterAnyEnd: {"older keys are what was stored of them"},
    FindsWithoutAnEnd: {"older keys are what was stored of them"},
    FindsTheNearestKey: {"older keys are what was stored of them"},
}


@pytest.mark.parametrize("store", FAULTS, ids=lambda store: store.__name__)
def test_a_planted_fault_breaks_its_own_rule(store: type[Shared]) -> None:
    assert FAULTS[store] <= set(broken(store))


def test_every_rule_has_a_store_that_breaks_it() -> None:
    assert {rule for rules in FAULTS.values() for rule in rules} == set(RULES)


def test_a_fault_that_does_not_show_in_one_handle_needs_two() -> None:
    check(LooksThenLeaps)
    check(LooksThenLeaps, again=LooksThenLeaps, shared=False)


def test_three_cases_of_each_broken_rule_are_shown() -> None:
    with pytest.raises(ConformanceError) as caught:
        check(ReadsOneTooMany)
    found = [failure.detail for failure in caught.value.failures if failure.rule == "read begins after any sequence"]
    assert len(found) == 3
    assert found[0].startswith("read(3) is [")


def test_a_store_that_cannot_be_opened_breaks_every_rule() -> None:
    def nowhere() -> Store:
        raise OSError("no space")

    with pytest.raises(ConformanceError, match="it raised OSError: no space") as caught:
        check(nowhere)
    assert "a log begins empty" in caught.value.rules


def test_a_conforming_store_leaves_no_handle_open() -> None:
    opened: list[Shared] = []

    def open_one(make: Callable[..., Shared] = Shared, *of: Shared) -> Shared:
        opened.append(make(*of))
        return opened[-1]

    check(open_one, again=lambda store: open_one(Shared, store))  # type: ignore[arg-type]
    for store in opened:
        with pytest.raises(Closed):
            store.head()


def test_the_origin_is_no_commit() -> None:
    assert origin("a").hash != origin("b").hash
