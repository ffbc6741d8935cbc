"""Accounts as they were at one head, copied a few at a time while writers go on.

Before a writer changes an account that a scan has not reached yet, the account is copied for the scan (copy on write).
So a reading of all accounts is of one head, and no writer waits for more than a few copies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from weakref import WeakSet

from .accounts import Account
from .books import Books
from .events import Event
from .readings import Reading

MAX_COPIED, MAX_PASSED = 64, 4_096
"""Maximum numbers of accounts that one part of a scan copies and examines, since it holds the books' lock."""


class Scan:
    """The accounts of `books` as they were when this was made. Every method needs the books' lock."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self._numbers = sorted(books.accounts)  # in a log of ours they are 1, 2, 3, …
        self._next = 0
        self._kept: dict[int, Account] = {}

    def keep(self, number: int) -> None:
        """Copy an account that is about to be changed, unless the scan has passed it."""
        ahead = self._next < len(self._numbers) and self._numbers[self._next] <= number <= self._numbers[-1]
        if ahead and number not in self._kept and number in self.books.accounts:
            self._kept[number] = self.books.accounts[number].clone()

    def part(self, wanted: Callable[[Account], bool]) -> list[Account] | None:
        """Return copies of the next accounts that are wanted, by number; None at the end."""
        if self._next == len(self._numbers):
            return None
        copies: list[Account] = []
        for number in self._numbers[self._next : self._next + MAX_PASSED]:
            self._next += 1
            kept = self._kept.pop(number, None)
            account = self.books.accounts[number] if kept is None else kept
            if wanted(account):
                copies.append(account.clone() if kept is None else kept)
                if len(copies) == MAX_COPIED:
                    break
        return copies


class Scans:
    """The scans in progress. The writer calls `keep` for every commit before it is folded."""

    def __init__(self) -> None:
        self._open: WeakSet[Scan] = WeakSet()

    def begin(self, books: Books) -> Scan:
        """Begin and return a scan of the present books. Needs the books' lock."""
        scan = Scan(books)
        self._open.add(scan)
        return scan

    def end(self, scan: Scan) -> None:
        """End a scan: no more accounts are copied for it."""
        self._open.discard(scan)

    def keep(self, books: Books, events: Iterable[Event]) -> None:
        """Copy the accounts that these events will change. An event about a request that was admitted in the same
        commit needs no lookup: the request's own event names the account."""
        if self._open:
            for number in {books.account_of(event) for event in events}:
                for scan in list(self._open):
                    if scan.books is books:
                        scan.keep(number)


class ScannedReading(Reading):
    """The books at a moment, with copies of their accounts as `copies` gives them; for readings of all accounts."""

    def __init__(self, books: Books, at: int, copies: Callable[[Callable[[Account], bool]], Iterator[Account]]) -> None:
        """Needs the books' lock."""
        catalogue = Books(
            seq=books.seq,
            at=books.at,
            plans={**books.plans},
            settlings={**books.settlings},
            assets={**books.assets},
        )
        super().__init__(catalogue, at)
        self._copies = copies

    def _accounts(self, subscriber: str | None = None, plan: str | None = None) -> Iterator[Account]:
        return self._copies(lambda account: subscriber in (None, account.subscriber) and plan in (None, account.plan))
