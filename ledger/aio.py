"""A ledger for asyncio: it awaits the same command queue and never blocks the event loop.

One executor job drains the queue. Cancelling a waiting caller does not withdraw its command: it may still be executed.
An admission that was not entered is abandoned then, and undone by the next leader of the queue, never by a task.
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
from typing import Any, ParamSpec, TypeVar, Unpack, cast

from .clock import Clock, system_clock
from .commands import Command, CreatePlan, RegisterAgent, Request, RequestTerms, admit, admit_all, is_written
from .engine import Ledger
from .metering import AsyncRequestContext, releases
from .offers import AgentReading, PlanReading
from .outcomes import Answer, E, Outcome
from .queue import WAKE_INTERVAL, outcomes_of
from .readings import Balance
from .refusals import Refused

P = ParamSpec("P")
T = TypeVar("T")

GATHER_TIMEOUT = timedelta(milliseconds=5)
"""The longest that a leader waits for callers that were just answered to queue again; a loop may be closed, or busy."""


class AsyncTicket:
    """A caller that awaits a future; it leads by a job of the executor."""

    __slots__ = ("_lead", "answered", "commands", "error", "leads", "loop", "outcomes")

    def __init__(self, commands: Sequence[object], lead: Callable[[AsyncTicket, Callable[[], None]], None]) -> None:
        self.commands = commands
        self.outcomes: list[Outcome | Exception] = []
        self.error: BaseException | None = None
        self.leads = False
        self.loop = asyncio.get_running_loop()
        self.answered: asyncio.Future[None] = self.loop.create_future()
        self._lead = lead

    def wake(self, others: Sequence[AsyncTicket] = ()) -> None:
        """Resolve the future, and those of `others` in the same loop."""
        with suppress(RuntimeError):  # the loop was closed meanwhile, and its callers are gone
            self.loop.call_soon_threadsafe(_resolve, (self, *others))

    def lead(self) -> None:
        """Lead in a job of the executor."""
        self.leads = True
        self._lead(self, self._gather)

    def undo(self) -> Sequence[object]:
        """Return the commands that release the admitted requests."""
        return releases(self.outcomes)

    def _gather(self) -> None:
        """Let callers that were just answered queue again, so that all share one commit: two halves that alternate need
        two commits, and delay each other."""
        back = threading.Event()
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.loop.call_soon, back.set)
            back.wait(GATHER_TIMEOUT.total_seconds())


def _no_gathering() -> None:
    """Do not wait: no caller was just answered."""


def _resolve(tickets: Iterable[AsyncTicket]) -> None:
    for ticket in tickets:
        if not ticket.answered.done():
            ticket.answered.set_result(None)


class AsyncLedger:
    """A ledger for asyncio. `ledger` is the same ledger for threads: both may be used together."""

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
        lock_seconds: float | None = None,
        create: bool = True,
    ) -> AsyncLedger:
        """Open a ledger without blocking the event loop. Arguments and errors are those of `Ledger.open`."""
        return cls(
            await asyncio.to_thread(
                Ledger.open,
                where,
                store=store,
                clock=clock,
                id=id,
                read_only=read_only,
                accept_clock=accept_clock,
                lock_seconds=lock_seconds,
                create=create,
            )
        )

    async def execute(self, command: Command[E]) -> Answer[E] | Refused:
        """Execute one command and return its answer or its refusal. Raises the errors of `Ledger.execute`."""
        if is_written(command):
            admitted = await self.read(self.ledger.admit, command)
        else:
            admitted = admit(command)
        ticket = self.ticket([admitted])
        self.enqueue(ticket)
        await ticket.answered
        outcomes: list[Any] = outcomes_of(ticket)
        return cast("Answer[E] | Refused", outcomes[0])

    async def execute_many(self, commands: Iterable[Command[E]]) -> list[Answer[E] | Refused]:
        """Execute several commands in one commit. Raises the errors of `Ledger.execute_many`."""
        given = list(commands) if isinstance(commands, Iterable) else commands
        if isinstance(given, list) and any(map(is_written, given)):
            admitted = await self.read(self.ledger.admit_all, given)
        else:
            admitted = admit_all(given)
        if not admitted:
            return []
        ticket = self.ticket(admitted)
        self.enqueue(ticket)
        await ticket.answered
        return cast("list[Answer[E] | Refused]", outcomes_of(ticket))

    async def ensure_plan(self, command: CreatePlan) -> PlanReading:
        """Create a plan unless it is there with these terms, and return it. Raises the errors of
        `Ledger.ensure_plan`."""
        return await self.read(self.ledger.ensure_plan, command)

    async def ensure_agent(self, command: RegisterAgent) -> AgentReading:
        """Register an agent unless it is there with these terms, and return it. Raises the errors of
        `Ledger.ensure_agent`."""
        return await self.read(self.ledger.ensure_agent, command)

    async def accept_clock(self) -> None:
        """Accept the present time of the machine's clock after a leap, as `Ledger.accept_clock` does. Raises
        nothing."""
        self.ledger.accept_clock()

    def ticket(self, commands: Sequence[Command]) -> AsyncTicket:
        """Return a ticket for admitted commands (at least one) of the running loop, for `enqueue`. Raises RuntimeError
        outside one."""
        return AsyncTicket(commands, self._submit_lead)

    def enqueue(self, ticket: AsyncTicket) -> None:
        """Put a ticket into the queue. Then await `ticket.answered` and read `outcomes_of(ticket)`.

        Raises Closed after a fork.
        """
        if ticket.loop not in self._watched:
            self._watch(ticket.loop)
        if self.ledger.queue.enqueue(ticket):
            self._submit_lead(ticket, _no_gathering)

    def abandon(self, ticket: AsyncTicket) -> None:
        """Abandon a ticket: it is removed from the queue, or undone as soon as its outcome is known. Does not wait.

        Raises Closed after a fork.
        """
        queue = self.ledger.queue
        queue.abandoned.append(ticket)
        if not queue.has_leader:
            self._submit(queue.lead)

    def request(self, subscriber: str, plan: str, **terms: Unpack[RequestTerms]) -> AsyncRequestContext:
        """Return a context that holds credits for work: `async with ledger.request(…, estimate={…}) as request`.

        A body that ends without a charge, or raises, releases the hold: its work costs nothing.
        Raises WrongType or WrongValue. Entering raises PaymentRequired if the request is refused, and the errors of
        `execute`.
        """
        return AsyncRequestContext(self, admit(Request(subscriber=subscriber, plan=plan, **terms)))

    async def balance(self, subscriber: str, plan: str) -> Balance | None:
        """Return the balance of one account now; None if there is no such account. Raises the errors of
        `Ledger.balance`."""
        return await self.read(self.ledger.balance, subscriber, plan)

    async def read(self, reading: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """Run any reading of `ledger` in a thread: `await ledger.read(ledger.ledger.statement, "alice", "pro")`.

        Raises the errors of that reading.
        """
        return await asyncio.to_thread(reading, *arguments, **options)

    async def close(self) -> None:
        """Close the log, after the queued commands are executed. Raises the errors of `Ledger.close`."""
        await asyncio.to_thread(self._executor.shutdown)
        await asyncio.to_thread(self.ledger.close)

    async def __aenter__(self) -> AsyncLedger:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Check at intervals that the waiting callers of a loop have a leader: unlike threads, they cannot check that
        themselves. One timer serves all callers of a loop; it ends when none waits."""
        for other in [other for other in self._watched if other.is_closed()]:
            del self._watched[other]
        self._watched[loop] = loop.call_later(WAKE_INTERVAL.total_seconds(), self._check_leader, loop)

    def _check_leader(self, loop: asyncio.AbstractEventLoop) -> None:
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
        except RuntimeError:  # it is shut down, or there is no thread left: the queue must be drained all the same
            job()

    def _submit_lead(self, ticket: AsyncTicket, gather: Callable[[], None]) -> None:
        try:
            self._executor.submit(self._lead, ticket, gather)
        except RuntimeError:
            self._lead(ticket, _no_gathering)

    def _lead(self, ticket: AsyncTicket, gather: Callable[[], None]) -> None:
        try:
            if not ticket.outcomes:
                gather()
        finally:
            self.ledger.queue.lead_in_executor(ticket)
