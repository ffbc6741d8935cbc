"""Steps that the rules of stores share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from ..log import TEXT, Commit, Head, commit_hash
from ..plugins import Store

Open: TypeAlias = Callable[[], Store]
"""Opens a new store whose log is empty, at each call another one."""

Again: TypeAlias = Callable[[Store], Store]
"""Opens another handle on the log of a store, which may be closed by then."""


class Subject:
    """The store under test, with every handle that a rule has opened on it."""

    def __init__(self, open_store: Open, again: Again | None) -> None:
        self._open, self._again = open_store, again
        self._opened: list[Store] = []

    def open(self) -> Store:
        """Open a new store with an empty log."""
        return self._opened_here(self._open())

    def again(self, store: Store) -> Store:
        """Open another handle on the same log."""
        assert self._again is not None
        return self._opened_here(self._again(store))

    def close(self) -> None:
        """Close every handle that was opened here."""
        while self._opened:
            self._opened.pop().close()

    def _opened_here(self, store: Store) -> Store:
        self._opened.append(store)
        return store


Rule: TypeAlias = Callable[[Subject], Iterator[str]]


def after(head: Head, body: bytes = b'[{"n":1}]', kind: int = TEXT, count: int = 1, at: int | None = None) -> Commit:
    """Return a commit that follows `head`. Stores never read a body, so any will do."""
    first, at = head.seq + 1, head.at + 1 if at is None else at
    return Commit(first, count, at, kind, body, commit_hash(head.hash, first, count, at, kind, body))


def grow(store: Store, counts: Iterable[int]) -> list[Commit]:
    """Append commits of so many events each. Return the commits."""
    grown: list[Commit] = []
    head = store.head()
    for count in counts:
        grown.append(after(head, b"[%d]" % count, count=count))
        store.append(head, grown[-1])
        head = grown[-1].head
    return grown


def differ(what: str, actual: object, expected: object) -> Iterator[str]:
    """Yield a sentence if a value is not the expected one."""
    if actual != expected:
        yield f"{what} is {short(actual)}, not {short(expected)}"


def short(value: object) -> str:
    """Return a value's repr, cut after 200 characters."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"
