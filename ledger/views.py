"""The readings of a ledger: balances, statements, explanations, events, and the books at an earlier sequence or time.

They are the half of `Ledger` that writes nothing, and they run beside its writer:

    read the log's head ▸ hold the books' lock and copy the accounts needed, at that head or a later one
    ▸ compute, and read the log up to the copy's head, with no lock held

The books' lock is held while a commit is folded, but not while one is decided or written. So a reading waits for a fold
at most; if another process wrote, it also waits for this process's writer to catch up with the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from itertools import islice, takewhile
from typing import TypeVar

from .account_index import AccountIndex
from .accounts import Account
from .books import Books
from .errors import Damaged, LogError
from .events import Charged, ContractRef, EscrowAsset
from .folding import as_of, check_range
from .invoice_readings import InvoiceReading
from .log import Commit, Entry, Head, entries, follow_store
from .outcomes import Outcome
from .pacing import Pace
from .plugins import IndexKeeper, ReadableStore
from .queue import CommandQueue
from .readers import COMMITS_AT_ONCE, LogView, Readers
from .readings import Balance, BatchReading, Earned, EscrowedLot, LotReading, Reading, RequestReading
from .scans import Scan, ScannedReading
from .settlement.state import Settling, detached_copy
from .statements import Begin, Explanation, Statement, Subject, explain, statement
from .tariffs import Tariffs
from .writer import Writer

T = TypeVar("T")


class Views:
    """The readings of a ledger, for `Ledger` to inherit. All of them may be called from any thread.

    Each is of one head of the log, with every command that was answered, by this process or another, before the reading
    began.

    All raise Closed after `close` or a fork, and Damaged or another LogError if the log cannot be read. Those of the
    present time ("now") also raise BadData if the ledger's clock returns no valid time.
    """

    def __init__(self, writer: Writer, queue: CommandQueue[Outcome]) -> None:
        self._writer, self._queue = writer, queue
        self._readers = Readers(writer.store, writer.lock)
        self._index = AccountIndex()
        self._pace = Pace(lambda: queue.has_leader)

    @property
    def head(self) -> Head:
        """The end of the log: last sequence, hash and time. Raises Closed, Damaged or LogError."""
        with self._consistent():
            return self._writer.head

    @property
    def id(self) -> str:
        """The ledger's id. Raises nothing."""
        return self._writer.store.id

    @property
    def clock_behind(self) -> int:
        """Microseconds by which the clock is behind the head of the log; 0 if it is not. Until the clock has caught up,
        new commits have the head's time. Raises Closed, Damaged, LogError or BadData."""
        with self._consistent():
            return self._writer.moment(writes=False)[1]

    # -- one account ---------------------------------------------------------------------------------------------------

    def balance(self, subscriber: str, plan: str) -> Balance | None:
        """Return the balance of one account now; None if there is none. Raises Closed, Damaged, LogError or BadData."""
        return self._account(subscriber, plan)[0].balance(subscriber, plan)

    def lots(self, subscriber: str, plan: str) -> list[LotReading]:
        """Return the lots of an account now, oldest first. Raises Closed, Damaged, LogError or BadData."""
        return self._account(subscriber, plan)[0].lots(subscriber, plan)

    def statement(
        self, subscriber: str, plan: str, *, since: int | None = None, upto: int | None = None
    ) -> Statement | None:
        """Return every movement of an account with running balances, after sequence `since` and up to `upto`, or now;
        None if there is no account then. Those of an invoice are after its `after` up to its `seq`.

        Invariants, property-tested: `closing` is the balance then, and `opening` the closing of one up to `since`. What
        time alone has changed has lines without a sequence. Raises BadData, Closed, Damaged or LogError.
        """
        check_range(since, upto)
        now = self._account(subscriber, plan)[0] if upto is None else self.as_of(seq=min(upto, self.head.seq))
        if (account := now.number(subscriber, plan)) is None:
            return None
        subject = Subject(account, subscriber, plan, now.seq, now.at, now.units(subscriber, plan))
        due = len(self.as_of(seq=min(since, now.seq)).pending(subscriber, plan)) if since else 0
        with self._view(self.head) as log:
            known = takewhile(lambda entry: entry.seq <= now.seq, self._index.entries(log, account))
            return statement(subject, known, now.pending(subscriber, plan), Begin(since or 0, due))

    def account_events(self, subscriber: str, plan: str, after: int = 0) -> Iterator[Entry]:
        """Yield the events of an account after a sequence, in order, up to the head when the reading begins; none if
        there is no account. Raises Closed, Damaged, LogError or BadData."""
        now, head = self._account(subscriber, plan)
        if (account := now.number(subscriber, plan)) is not None:
            with self._view(head) as log:
                yield from self._index.entries(log, account, after)

    def explain(self, charge: int) -> Explanation | None:
        """Return an explanation of a charge, with its price computed again; None if that sequence is not a charge.

        Raises Closed, Damaged or LogError.
        """
        with self._view(self.head) as log:
            known = entries(follow_store(log, charge - 1)) if charge > 0 else iter(())
            entry = next((entry for entry in known if entry.seq >= charge), None)
        if entry is None or entry.seq != charge or not isinstance(event := entry.event, Charged):
            return None
        with self._consistent():
            head = self._writer.head
            account = self._writer.books.accounts[event.account]
            plan = self._writer.books.plans[account.plan]
            corrected = charge in account.corrections
        with self._view(head) as log:
            later = self._index.entries(log, account.number, charge) if corrected else ()
            return explain(charge, entry.at, event, account.subscriber, plan, Tariffs(), later)

    # -- all accounts --------------------------------------------------------------------------------------------------

    def balances(self, subscriber: str | None = None, plan: str | None = None) -> list[Balance]:
        """Return the balances of all accounts now, or of those of a subscriber or on a plan. Raises Closed, Damaged,
        LogError or BadData."""
        return self._accounts(lambda now: now.balances(subscriber, plan), subscriber, plan)

    def requests(self, subscriber: str | None = None, plan: str | None = None) -> list[RequestReading]:
        """Return the open requests now, oldest first. Raises Closed, Damaged, LogError or BadData."""
        return self._accounts(lambda now: now.requests(subscriber, plan), subscriber, plan)

    def earned(self) -> list[Earned]:
        """Return the money that was sold, earned and settled up to now, by asset. That of a window of time grows by
        itself: `as_of().earned()` and `tollbook batches` are of the log's last event. Raises Closed, Damaged, LogError
        or BadData."""
        return self._accounts(lambda now: now.earned())

    def escrows(self) -> list[EscrowAsset]:
        """Return the escrows that have ever had something to settle, sorted. Raises Closed, Damaged, LogError or
        BadData."""
        return self._accounts(lambda now: now.escrows())

    def escrowed(self, contract_ref: ContractRef) -> list[EscrowedLot]:
        """Return the lots whose money a contract holds. Raises Closed, Damaged, LogError or BadData."""
        return self._accounts(lambda now: now.escrowed(contract_ref))

    def invoices(self, subscriber: str | None = None, plan: str | None = None) -> list[InvoiceReading]:
        """Return the invoices of postpaid accounts now, by account, oldest first. Raises Closed, Damaged, LogError or
        BadData."""
        return self._accounts(lambda now: now.invoices(subscriber, plan), subscriber, plan)

    # -- settlement ----------------------------------------------------------------------------------------------------

    def settling(self, contract_ref: ContractRef) -> Settling:
        """Return the settlement state of a contract, as a deep copy. Raises Closed, Damaged or LogError."""
        with self._consistent():
            settling = self._writer.books.settling(contract_ref)
        return detached_copy(settling)

    def batches(self, contract_ref: ContractRef) -> list[BatchReading]:
        """Return the open batches of a contract, in the order of their numbers. Raises Closed, Damaged or LogError."""
        with self._consistent():
            now = Reading(Books(settlings={**self._writer.books.settlings}), self._writer.head.at)
        return now.batches(contract_ref, self._writer.store.id)

    def plan_on_chain(self, name: str) -> str | None:
        """Return the name of the plan with that id on a chain, or with that name; None if there is none. Raises Closed,
        Damaged or LogError."""
        with self._consistent():
            return Reading(self._writer.books, self._writer.head.at).plan_on_chain(name)

    # -- the log -------------------------------------------------------------------------------------------------------

    def events(self, after: int = 0) -> Iterator[Entry]:
        """Yield the events after a sequence, in order, up to the head when the reading begins. Raises Closed, Damaged
        or LogError."""
        return (entry for entry in entries(self.commits(after)) if entry.seq > after)

    def commits(self, after: int = 0) -> Iterator[Commit]:
        """Yield the commits with an event after a sequence, up to the head when the reading begins. Raises Closed,
        Damaged or LogError."""
        head = self.head
        while after < head.seq:
            with self._view(head) as log:
                part = list(islice(log.read(after), COMMITS_AT_ONCE))
            if not part:
                raise Damaged(f"the log has no commit after sequence {after}, and its head was {head.seq}")
            yield from part
            after = part[-1].last_seq

    def as_of(self, *, seq: int | None = None, at: int | datetime | None = None) -> Reading:
        """Return the books after a sequence, or at a time (UTC microseconds, or an aware datetime); else at the head.

        Raises LedgerError if both are given, or for a sequence beyond the head; and Closed, Damaged or LogError.
        """
        with self._view(self.head) as log:
            return as_of(log, seq=seq, at=at)

    def state(self) -> bytes:
        """Return the books as canonical bytes: equal books give equal bytes. No command is executed meanwhile.

        Raises Closed, Damaged or LogError.
        """
        with self._writer.current():
            return self._writer.books.dump()

    # -- copies of the books, and the log beside them ------------------------------------------------------------------

    @contextmanager
    def _consistent(self) -> Iterator[None]:
        """Hold the books unchanged within the block, at a head that has every commit written before this call."""
        self._writer.check_process()
        self._writer.check_open()
        seen = self._writer.head.seq
        with self._readers.lend() as reader:
            head = reader.head()
        with self._writer.books_lock:
            if self._is_current(head, seen):
                yield
                return
        with self._writer.current(), self._writer.books_lock:
            yield

    def _is_current(self, head: Head, seen: int) -> bool:
        """True if the books have the log up to `head`; False also if the log ends before the sequence `seen`."""
        ahead = self._writer.head.seq > head.seq or self._writer.head.hash == head.hash
        return ahead and head.seq >= seen and not self._writer.stale and not self._writer.unknown

    def _account(self, subscriber: str, plan: str) -> tuple[Reading, Head]:
        """Return a reading with a copy of that account alone (or of none), and its head."""
        with self._consistent():
            at, head = self._writer.moment(writes=False)[0], self._writer.head
            books = Books(seq=head.seq, at=head.at, assets={**self._writer.books.assets})
            if (account := self._writer.books.find(subscriber, plan)) is not None:
                books.accounts[account.number] = account.clone()
                books.names[subscriber, plan] = account.number
                books.plans[plan] = self._writer.books.plans[plan]
        return Reading(books, at), head

    def _accounts(self, read: Callable[[Reading], T], subscriber: str | None = None, plan: str | None = None) -> T:
        """Read all accounts at one head, or only the one of a subscriber on a plan."""
        if subscriber is not None and plan is not None:
            return read(self._account(subscriber, plan)[0])
        while True:
            with self._consistent():
                at, scan = self._writer.moment(writes=False)[0], self._writer.scans.begin(self._writer.books)
                reading = ScannedReading(self._writer.books, at, partial(self._copies, scan))
            try:
                return read(reading)
            except _Reloaded:  # after an interrupted fold, or damage that another thread met
                continue
            finally:
                with self._writer.books_lock:
                    self._writer.scans.end(scan)

    def _copies(self, scan: Scan, wanted: Callable[[Account], bool]) -> Iterator[Account]:
        while True:
            with self._writer.books_lock:
                if self._writer.books is not scan.books or self._writer.stale:
                    raise _Reloaded
                part = scan.part(wanted)
            if part is None:
                return
            for account in part:
                self._pace.step()
                yield account

    def _save_index(self) -> None:
        """Save the part of the index that is not saved yet. The caller holds the writer's lock."""
        store = self._writer.store
        if isinstance(store, IndexKeeper) and isinstance(
            store, ReadableStore
        ):  # otherwise a reader may wait for the writer's lock while it holds the index's
            with suppress(LogError):  # it is a cache
                if (part := self._index.part(LogView(store, self._writer.head, lambda: None))) is not None:
                    store.save_index(part)
                    self._index.saved = part.upto

    @contextmanager
    def _view(self, head: Head) -> Iterator[LogView]:
        """Lend a view of the log up to that head."""
        with self._readers.lend() as reader:
            yield LogView(reader, head, self._pace.step)


class _Reloaded(Exception):
    """The books were reloaded while they were scanned."""
