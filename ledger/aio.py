"""The async twin: awaits the same queue, and never blocks the event loop.

One executor job drains the queue. Cancelling a waiting caller does not withdraw its command: it may still be done. What
must not last then (an admission that nobody entered, `abandon`) is taken back by who leads the queue, never by a task.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, TypeVar, Unpack

from .clock import Clock, system_clock
from .commands import Command, Request, RequestTerms
from .engine import Ledger
from .metering import AsyncRequestContext, releases
from .outcomes import Outcome
from .queue import PATIENCE, outcomes_of
from .readings import Balance

P = ParamSpec("P")
T = TypeVar("T")

GATHERING = timedelta(milliseconds=5)
"""So long a leader waits at most for those to come back who have just been answered; a loop may be closed, or busy."""


class AsyncTicket:
    """A caller that awaits a future; its leading is a job of the executor."""

    __slots__ = ("_lead", "answered", "commands", "error", "leads", "loop", "outcomes")

    def __init__(self, commands: Sequence[object], lead: Callable[[AsyncTicket, Callable[[], None]], None]) -> None:
        self.commands = commands
        self.outcomes: list[Outcome | Exception] = []
        self.error: BaseException | None = None
        self.leads = False
        self.loop = asyncio.get_running_loop()
        self.answered: asyncio.Future[None] = self.loop.create_future()
        self._lead = lead

    def wake(self, beside: Sequence[AsyncTicket] = ()) -> None:
        """It is answered, and those beside it."""
        with suppress(RuntimeError):  # a loop that was closed meanwhile has nobody left to tell
            self.loop.call_soon_threadsafe(_resolve, (self, *beside))

    def lead(self) -> None:
        """It leads, in a job."""
        self.leads = True
        self._lead(self, self._gather)

    def undo(self) -> Sequence[object]:
        """Give back what was admitted."""
        return releases(self.outcomes)

    def _gather(self) -> None:
        """Let those who have just been answered ask again, if they want to, so that a whole crowd shares one commit:
        two halves of it that take turns cost two, and are in each other's way."""
        back = threading.Event()
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.loop.call_soon, back.set)
            back.wait(GATHERING.total_seconds())


def _at_once() -> None:
    """Nobody has just been answered."""


def _resolve(tickets: Iterable[AsyncTicket]) -> None:
    for ticket in tickets:
        if not ticket.answered.done():
            ticket.answered.set_result(None)


class AsyncLedger:
    """A ledger for asyncio. `ledger` is the same ledger for threads: both may be used side by side."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="tollbook")
        self._watched: dict[asyncio.AbstractEventLoop, asyncio.TimerHandle] = {}

    @classmethod
    async def open(
        cls,
        where: str | Path | None = None,
        *,
        store: str | None = None,
        clock: Clock = system_clock,
        id: str | None = None,
        read_only: bool = False,
        accept_clock: bool = False,
    ) -> AsyncLedger:
        """Open a ledger, as `Ledger.open` does, without blocking the event loop."""
        return cls(
            await asyncio.to_thread(
                Ledger.open, where, store=store, clock=clock, id=id, read_only=read_only, accept_clock=accept_clock
            )
        )

    async def execute(self, command: Command) -> Outcome:
        """Do one command, as `Ledger.execute` does."""
        ticket = self.ticket([command])
        self.enqueue(ticket)
        await ticket.answered
        outcomes: list[Outcome] = outcomes_of(ticket)
        return outcomes[0]

    async def execute_many(self, commands: Iterable[Command]) -> list[Outcome]:
        """Do several commands in one commit, as `Ledger.execute_many` does."""
        listed = list(commands)
        if not listed:
            return []
        ticket = self.ticket(listed)
        self.enqueue(ticket)
        await ticket.answered
        outcomes: list[Outcome] = outcomes_of(ticket)
        return outcomes

    async def accept_clock(self) -> None:
        """Believe the machine's clock as it is now, as `Ledger.accept_clock`."""
        self.ledger.accept_clock()

    def ticket(self, commands: Sequence[Command]) -> AsyncTicket:
        """A ticket for commands (at least one) of the running loop's current task; `ask` puts it into the queue."""
        return AsyncTicket(commands, self._submit_lead)

    def enqueue(self, ticket: AsyncTicket) -> None:
        """Put a ticket into the queue; await `ticket.answered` then, and read `outcomes_of` it."""
        if ticket.loop not in self._watched:
            self._watch(ticket.loop)
        if self.ledger.queue.enqueue(ticket):
            self._submit_lead(ticket, _at_once)

    def abandon(self, ticket: AsyncTicket) -> None:
        """Nobody waits for this ticket any more: take it out of the queue, or take back what it did as soon as that is
        known. Returns at once."""
        queue = self.ledger.queue
        queue.abandoned.append(ticket)
        if not queue.has_leader:
            self._submit(queue.lead)

    def request(self, subscriber: str, plan: str, **terms: Unpack[RequestTerms]) -> AsyncRequestContext:
        """Hold, do the work, charge: `async with ledger.request(…, estimate={…}) as request`, as `Ledger.request`."""
        return AsyncRequestContext(self, Request(subscriber=subscriber, plan=plan, **terms))

    async def balance(self, subscriber: str, plan: str) -> Balance | None:
        """The position of one account now; None where there is none."""
        return await self.read(self.ledger.balance, subscriber, plan)

    async def read(self, reading: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """Any reading of `ledger`, in a thread: `await ledger.read(ledger.ledger.statement, "alice", "pro")`."""
        return await asyncio.to_thread(reading, *arguments, **options)

    async def close(self) -> None:
        """Let go of the log, when what is queued is done."""
        await asyncio.to_thread(self._executor.shutdown)
        await asyncio.to_thread(self.ledger.close)

    async def __aenter__(self) -> AsyncLedger:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look now and then whether those of a loop who wait have a leader: they do not sleep, as threads do, and
        cannot look for themselves. One timer serves them all; it ends when nobody waits."""
        for other in [other for other in self._watched if other.is_closed()]:
            del self._watched[other]
        self._watched[loop] = loop.call_later(PATIENCE.total_seconds(), self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        queue = self.ledger.queue
        if queue.has_leader or queue.has_waiting:
            self._watch(loop)
            if not queue.has_leader:
                self._submit(queue.lead)
        else:
            del self._watched[loop]

    def _submit(self, job: Callable[[], None]) -> None:
        try:
            self._executor.submit(job)
        except RuntimeError:  # it is shut down, or no thread can be had: the queue must be drained all the same
            job()

    def _submit_lead(self, ticket: AsyncTicket, gather: Callable[[], None]) -> None:
        try:
            self._executor.submit(self._lead, ticket, gather)
        except RuntimeError:
            self._lead(ticket, _at_once)

    def _lead(self, ticket: AsyncTicket, gather: Callable[[], None]) -> None:
        try:
            if not ticket.outcomes:
                gather()
        finally:
            self.ledger.queue.lead_in_executor(ticket)
