"""The readings of a ledger: balances, statements, explanations, events, and the books at an earlier moment.

They are the half of `Ledger` that writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from itertools import islice
from typing import TYPE_CHECKING

from .books import Books
from .events import ContractRef, EscrowAsset
from .folding import as_of
from .log import Commit, Entry, Head, entries
from .plugins import Store
from .readings import Balance, BatchReading, Earned, EscrowedLot, LotReading, Reading, RequestReading
from .settlement.state import Settling
from .statements import Explanation, Statement, explain, statement
from .tariffs import Tariffs

COMMITS_AT_ONCE = 53
"""Commits that a reading takes at once, so that a writer waits for little: one may hold thousands of events. A store
reads 1, 4, 16 and 32 at a time."""


class Views:
    """The readings of a ledger, for `Ledger` to inherit. All of them may be called from any thread."""

    if TYPE_CHECKING:  # what `Ledger` provides
        _store: Store
        _books: Books
        _head: Head
        _tariffs: Tariffs

        def _current(self) -> AbstractContextManager[None]: ...
        def _now(self) -> AbstractContextManager[Reading]: ...
        def _moment(self, writes: bool = True) -> tuple[int, int]: ...
        def _entries(self, after: int) -> Iterator[Entry]: ...

    @property
    def head(self) -> Head:
        """The end of the log."""
        with self._current():
            return self._head

    @property
    def id(self) -> str:
        """The ledger's id."""
        return self._store.id

    @property
    def clock_behind(self) -> int:
        """Microseconds by which the clock is behind the head of the log; 0 where it is not. Until it has caught up,
        what is written has the head's time."""
        with self._current():
            return self._moment(writes=False)[1]

    def balance(self, subscriber: str, plan: str) -> Balance | None:
        """The position of one account now; None where there is none."""
        with self._now() as now:
            return now.balance(subscriber, plan)

    def balances(self, subscriber: str | None = None, plan: str | None = None) -> list[Balance]:
        """The positions of all accounts now, or of a subscriber's, or of a plan's."""
        with self._now() as now:
            return now.balances(subscriber, plan)

    def lots(self, subscriber: str, plan: str) -> list[LotReading]:
        """The lots of an account now, oldest first."""
        with self._now() as now:
            return now.lots(subscriber, plan)

    def requests(self, subscriber: str | None = None, plan: str | None = None) -> list[RequestReading]:
        """The open requests now."""
        with self._now() as now:
            return now.requests(subscriber, plan)

    def earned(self) -> list[Earned]:
        """What was sold and earned up to now, by asset."""
        with self._now() as now:
            return now.earned()

    def escrows(self) -> list[EscrowAsset]:
        """Return the contracts and assets in which there is something to settle, or was; sorted."""
        with self._now() as now:
            return now.escrows()

    def escrowed(self, contract_ref: ContractRef) -> list[EscrowedLot]:
        """Return the lots whose money a contract holds."""
        with self._now() as now:
            return now.escrowed(contract_ref)

    def settling(self, contract_ref: ContractRef) -> Settling:
        """Return what is settled, and is being settled, in a contract."""
        with self._now() as now:
            return now.settling(contract_ref)

    def batches(self, contract_ref: ContractRef) -> list[BatchReading]:
        """Return the open batches of a contract, in the order of their numbers."""
        with self._now() as now:
            return now.batches(contract_ref, self._store.id)

    def plan_on_chain(self, name: str) -> str | None:
        """The plan that a chain calls so: by its id there, else by its name; None where there is none."""
        with self._now() as now:
            return now.plan_on_chain(name)

    def statement(self, subscriber: str, plan: str, *, since: int | None = None) -> Statement | None:
        """Every movement of an account with running balances, after sequence `since`; None for no account."""
        with self._now() as now:
            pending = now.pending(subscriber, plan)
            return statement(self._entries(0), subscriber, plan, now.at, pending, since)

    def explain(self, charge: int) -> Explanation | None:
        """How a charge came about, computed again; None where that sequence is not a charge."""
        with self._current():
            return explain(self._entries, self._books, self._tariffs, charge)

    def events(self, after: int = 0) -> Iterator[Entry]:
        """The events after a sequence, in order, up to where the log ends when the reading begins."""
        return (entry for entry in entries(self.commits(after)) if entry.seq > after)

    def commits(self, after: int = 0) -> Iterator[Commit]:
        """The rows of the log with an event after a sequence, up to where the log ends now."""
        upto = self.head.seq
        while after < upto:
            with self._current():
                part = list(islice(self._store.read(after), COMMITS_AT_ONCE))
            yield from (commit for commit in part if commit.last_seq <= upto)
            after = part[-1].last_seq

    def as_of(self, *, seq: int | None = None, at: int | None = None) -> Reading:
        """The books as they were after sequence `seq`, or at time `at` (UTC microseconds)."""
        with self._current():
            return as_of(self._store, seq=seq, at=at)

    def state(self) -> bytes:
        """The books as canonical bytes: equal books give equal bytes."""
        with self._current():
            return self._books.dump()
