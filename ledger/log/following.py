"""Following a log: its commits in order, each checked against the hash of its predecessor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ..errors import Damaged
from .commits import Commit, Head, commit_hash, origin

if TYPE_CHECKING:
    from ..plugins import LogReader


def check_successor(head: Head, commit: Commit) -> None:
    """Raise Damaged if a commit was not written after that head."""
    expected = commit_hash(head.hash, commit.first_seq, commit.count, commit.at, commit.kind, commit.body)
    if commit.first_seq != head.seq + 1 or commit.hash != expected:
        raise Damaged(f"hash chain broken at sequence {commit.first_seq}: commit does not match its predecessor")


def follow(head: Head, commits: Iterable[Commit]) -> Iterator[Commit]:
    """Yield the commits after a head, each checked. Raise Damaged where the hash chain is broken."""
    for commit in commits:
        check_successor(head, commit)
        head = commit.head
        yield commit


def follow_store(store: LogReader, after: int = 0) -> Iterator[Commit]:
    """Yield the commits of a store with an event after a sequence, each checked. Raise Damaged where the hash chain is
    broken."""
    commits = iter(store.read(after))
    first = next(commits, None)
    if first is None:
        return
    head = origin(store.id)
    if first.first_seq > 1:
        head = next(store.read(first.first_seq - 2)).head
    check_successor(head, first)
    yield first
    yield from follow(first.head, commits)
