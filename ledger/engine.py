"""The ledger: the object that callers use, with a queue in front of its writer (`writer`), and its readings (`views`).

    queue a command ▸ a leader takes the whole queue ▸ the writer runs it as one group ▸ hand over to the next leader

A lone caller pays one commit, a hundred callers share one, without a background thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, TypeVar, Unpack, cast

from . import stores
from .clock import Clock, WallClock, system_clock
from .commands import (
    Command,
    CreatePlan,
    RegisterAgent,
    Request,
    RequestTerms,
    Tick,
    admit,
    admit_all,
    is_written,
)
from .commands.written_amounts import in_units, with_amount
from .errors import LogError
from .forking import register
from .metering import RequestContext
from .offers import AgentReading, PlanReading, agents, matching_agent, matching_plan, plans
from .outcomes import Answer, E, Outcome
from .plan_units import decimals_of
from .plugins import PausingStore, Store
from .queue import CommandQueue
from .refusals import Refusal, Refused
from .views import Views
from .writer import Writer

C = TypeVar("C", bound=Command[Any])
T = TypeVar("T")

SNAPSHOT_EVENTS = 50_000
"""Closing a ledger saves a snapshot if its last one is at least this many events old."""


class Ledger(Views):
    """An append-only ledger and its books.

    Open one with `Ledger.open`; close it, or use it in a `with`. All of its methods may be called from any thread.
    """

    _writer_class: ClassVar[type[Writer]] = Writer

    def __init__(self, store: Store, clock: Clock = system_clock, read_only: bool = False) -> None:
        writer = self._writer_class(store, clock)
        self._writer, self._read_only = writer, read_only
        self._queue: CommandQueue[Outcome] = CommandQueue(writer.run, writer.recall)
        super().__init__(writer, self._queue)
        with writer.lock:
            register(self)
            writer.load()

    @classmethod
    def open(
        cls,
        where: str | Path | None = None,
        *,
        store: str | None = None,
        clock: Clock = system_clock,
        id: str | None = None,
        read_only: bool = False,
        accept_clock: bool = False,
        lock_seconds: float | None = None,
        create: bool = True,
    ) -> Ledger:
        """Open the ledger at a location (`stores.open`), or create one there; without a location, one in memory.

        With `create=False` a log that does not exist is an error (NotFound), not a new one: for a configured path.
        `store` names a store plugin. `id` names a new ledger, whose hash chain begins from it; one that exists must
        have it. A `clock` that the caller gives (any callable that returns UTC microseconds) is trusted. If the
        machine's clock leaps while this process runs, nothing is written until it is corrected; `accept_clock` accepts
        its present time. While another process holds the log's lock, a call waits up to `lock_seconds` (None: the
        store's own, 30 for a file), then raises Locked.

        Raises NotFound, NotALog, WrongVersion, Locked or Damaged, another LogError if the log cannot be read,
        UnknownPlugin if no store has that name, and WrongType or WrongValue for `where`, `id` and `lock_seconds`. A
        clock that gives no valid time, or not in microseconds, is an error (BadData) where it is first read.
        """
        opened = stores.open(where, store=store, id=id, read_only=read_only, lock_seconds=lock_seconds, create=create)
        try:
            ledger = cls(opened, clock, read_only)
        except BaseException:
            opened.close()
            raise
        if accept_clock:
            ledger.accept_clock()
        return ledger

    # -- writing -------------------------------------------------------------------------------------------------------

    def execute(self, command: Command[E]) -> Answer[E] | Refused:
        """Execute one command and return its answer, or its refusal, which is a value and not raised.

        Raises WrongType (a TypeError) or WrongValue (a ValueError) with the field's name for what is not a command, and
        for a field of a wrong type or out of its bounds; Locked, NotWritten or OutcomeUnknown if the log could not be
        written, Damaged if it cannot be read, ClockMoved after a leap of the machine's clock, BadData if the given
        clock returns no valid time, and Closed after `close` or a fork.
        """
        return cast("Answer[E] | Refused", self.queue.run([self.admit(command)])[0])

    def execute_many(self, commands: Iterable[Command[E]]) -> list[Answer[E] | Refused]:
        """Execute several commands in one commit, in order; each is accepted or refused by itself.

        An `OpenSettlement` begins a new commit, with the commands after it; if that cannot be written, a note on the
        error says how many commands before it were done. Raises the errors of `execute`; after WrongType or WrongValue
        for one command, nothing of the list is done.
        """
        return cast("list[Answer[E] | Refused]", self.queue.run(self.admit_all(commands)))

    def admit(self, command: C) -> C:
        """Return a command as `execute` would queue it: every field checked, written amounts as whole numbers.

        Raises WrongType or WrongValue; for a written amount also Closed, Damaged or LogError, since the log is read.
        """
        if is_written(command):
            rest = admit(with_amount(command, 1))  # no other field is at fault
            charge: int = getattr(rest, "charge", 0)
            entry = next(self.events(charge - 1), None) if charge else None
            with self._consistent():
                books = self._writer.books
                charged = None if entry is None else books.accounts.get(getattr(entry.event, "account", 0))
                decimals = decimals_of(books, rest, charged)
            command = in_units(command, decimals)
        return admit(command)

    def admit_all(self, commands: Iterable[C]) -> list[C]:
        """Return several commands as `execute_many` would queue them. Raises the errors of `admit`."""
        return admit_all(commands, self.admit)

    @property
    def queue(self) -> CommandQueue[Outcome]:
        """The queue of commands; the async twin awaits the same one. Raises Closed after a fork."""
        self._writer.check_process()
        return self._queue

    def accept_clock(self) -> None:
        """Accept the present time of the machine's clock after a leap, for all ledgers of this process that use it.

        A clock that the caller gave is always trusted. Raises nothing.
        """
        if isinstance(self._writer.clock, WallClock):
            self._writer.clock.accept()

    def tick(self) -> None:
        """Write the due events of all accounts. Raises the errors of `execute`."""
        self.execute(Tick())

    def snapshot(self) -> None:
        """Save the books as a snapshot, so that the next opening is quick. Nothing else changes.

        Raises LogError if the snapshot could not be written, Damaged if the log cannot be read, and Closed after
        `close` or a fork.
        """
        with self._writer.current():
            self._writer.save_snapshot()
            self._save_index()

    def request(self, subscriber: str, plan: str, **terms: Unpack[RequestTerms]) -> RequestContext:
        """Hold, do the work, charge: `with ledger.request(…, estimate={…}) as request`.

        A body that ends without a charge, or raises, releases the hold: its work costs nothing.
        `terms` are the other fields of the command `Request`. Raises WrongType, WrongValue, and Closed after a fork.
        Entering raises PaymentRequired if the request is refused, and the errors of `execute`.
        """
        return RequestContext(self, admit(Request(subscriber=subscriber, plan=plan, **terms)))

    # -- the catalogue -------------------------------------------------------------------------------------------------

    def plans(self) -> list[PlanReading]:
        """Return all plans, by name: terms, present tariff, retired or not. Raises Closed, Damaged or LogError."""
        with self._consistent():
            return plans(self._writer.books)

    def agents(self) -> list[AgentReading]:
        """Return all agents, by name: terms, retired or not. Raises Closed, Damaged or LogError."""
        with self._consistent():
            return agents(self._writer.books)

    def ensure_plan(self, command: CreatePlan) -> PlanReading:
        """Create a plan unless it is there with these terms, and return it: for programs that start again.

        After a repricing the present tariff counts. Raises TermsDiffer if the plan has other terms now or is retired,
        PaymentRequired if the terms contradict each other (`malformed`, whether or not the plan is there) or it cannot
        be created, and the errors of `execute`.
        """
        return self._ensure(command, lambda wanted: matching_plan(self._writer.books, self._writer.tariffs, wanted))

    def ensure_agent(self, command: RegisterAgent) -> AgentReading:
        """Register an agent unless it is there with these terms, and return it. Raises TermsDiffer if it has other
        terms now or is retired, PaymentRequired if it cannot be registered or contradicts itself, and the errors of
        `execute`."""
        return self._ensure(command, lambda wanted: matching_agent(self._writer.books, wanted))

    def _ensure(self, command: C, find: Callable[[C], T | None]) -> T:
        wanted = admit(command)
        if (present := self._found(wanted, find)) is None:
            outcome = self.execute(wanted)
            present = self._found(wanted, find)  # refused, another process may have been first
            if present is None:
                outcome.unwrap()
                raise AssertionError("what was created is there")
        return present

    def _found(self, wanted: C, find: Callable[[C], T | None]) -> T | None:
        try:
            with self._consistent():
                return find(wanted)
        except Refusal as refusal:
            refusal.refused.unwrap()

    # -- closing and forking -------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the log. A second call does nothing.

        Admissions whose callers were cancelled or interrupted are released first; if that cannot be written, they
        expire at their deadlines. A snapshot that cannot be saved is left out. Raises LogError if the store cannot be
        closed.
        """
        writer = self._writer
        if writer.closed or not writer.in_own_process:
            return
        if self._queue.abandoned and not self._read_only:
            self._queue.lead()
        with writer.lock:
            writer.closed = True
            try:
                if not self._read_only and writer.head.seq - writer.snapshot_seq >= SNAPSHOT_EVENTS:
                    with suppress(LogError):  # a cache: without it the next opening takes longer
                        writer.save_snapshot()
                        self._save_index()
            finally:
                self._readers.close()
                writer.store.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._writer.closed:
            return f"<Ledger {self.id}: closed>"
        books = self._writer.books
        return f"<Ledger {self.id}: {books.seq} events, {len(books.plans)} plans, {books.opened} accounts>"

    def _repr_html_(self) -> str:
        return f"<code>{repr(self)[1:-1]}</code>"

    def _pause_for_fork(self, seconds: float) -> bool:
        """Lock out other threads and pause the store before a fork. True if the lock was taken within `seconds`."""
        if not self._writer.lock.acquire(timeout=seconds):
            return False
        store = self._writer.store
        if not self._writer.closed and isinstance(store, PausingStore):
            with suppress(Exception):  # the fork takes place all the same, and no thread may be locked out by it
                store.pause()
        return True

    def _resume_after_fork(self) -> None:
        """Release the lock of `_pause_for_fork`."""
        self._writer.lock.release()
