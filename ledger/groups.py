"""Group commit without a background thread: callers queue, one of them leads, and hands over when it is done.

A bare lock does not group under the GIL (1 to 2 commands a commit with 100 threads); followers that sleep on a lock of
their own, and a leader that names its successor, do.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar, cast

from .errors import NotWritten, OutcomeUnknown

T = TypeVar("T")

MOST_IN_GROUP = 8_192
"""Commands that one group takes at most; a single caller's list may be longer."""


class Ticket(Protocol[T]):
    """A caller's commands in the queue, and how that caller is told."""

    commands: Sequence[object]
    outcomes: list[T | Exception]
    error: BaseException | None
    leads: bool

    @property
    def loop(self) -> object | None:
        """The event loop in which the caller waits, if it is not a thread that sleeps."""

    def wake(self, beside: Sequence[Any] = ()) -> None:
        """Let the caller read its outcomes, and those `beside` it in the same loop."""

    def lead(self) -> None:
        """Make the caller the next leader."""


def outcomes_of(ticket: Ticket[T]) -> list[T]:
    """What a ticket's caller is told: its outcomes; or raise the error that its group or one of its commands met."""
    if ticket.error is not None:
        raise ticket.error
    for outcome in ticket.outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    return cast(list[T], ticket.outcomes)


class ThreadTicket(Generic[T]):
    """A caller that sleeps on a lock of its own until it is answered, or named leader."""

    loop = None

    def __init__(self, commands: Sequence[object]) -> None:
        self.commands = commands
        self.outcomes: list[T | Exception] = []
        self.error: BaseException | None = None
        self.leads = False
        self._asleep = threading.Lock()
        self._asleep.acquire()

    def wait(self) -> None:
        """Sleep until woken."""
        self._asleep.acquire()

    def wake(self, beside: Sequence[Any] = ()) -> None:
        """Wake the caller: it is answered."""
        with suppress(RuntimeError):  # it is awake
            self._asleep.release()

    def lead(self) -> None:
        """Wake the caller: it leads."""
        self.leads = True
        self.wake()


class CommandQueue(Generic[T]):
    """The queue in front of `do`, which takes the commands of a whole group and gives their outcomes, in order."""

    def __init__(self, do: Callable[[list[object]], list[T | Exception]]) -> None:
        self._do = do
        self._mutex = threading.Lock()
        self._queue: deque[Ticket[T]] = deque()
        self._leader: Ticket[T] | None = None
        self._group: list[Ticket[T]] = []
        self._begun: Ticket[T] | None = None  # the last one whose job has begun to lead

    def run(self, commands: Sequence[object]) -> list[T]:
        """Queue commands, wait, and lead if named: what a thread does."""
        ticket: ThreadTicket[T] = ThreadTicket(commands)
        try:
            if not self.enqueue(ticket):
                ticket.wait()
            if ticket.leads:
                self.lead()
        except BaseException:
            self._abandon(ticket)
            raise
        return outcomes_of(ticket)

    def enqueue(self, ticket: Ticket[T]) -> bool:
        """Put a ticket in the queue; True where its caller must lead."""
        with self._mutex:
            self._queue.append(ticket)
            if self._leader is None:
                self._leader = ticket
                ticket.leads = True
            return ticket.leads

    def lead(self) -> None:
        """Take the whole queue, do it as one group, answer, and name the next leader."""
        self._take()
        try:
            outcomes = self._do([command for ticket in self._group for command in ticket.commands])
            place = 0
            for ticket in self._group:
                ticket.outcomes = outcomes[place : place + len(ticket.commands)]
                place += len(ticket.commands)
        except Exception as error:  # noqa: BLE001 - every caller of the group gets it, the leader too
            for ticket in self._group:
                ticket.error = error
        self._wake()
        self._hand_over()

    def _wake(self) -> None:
        """Tell every caller; those of one event loop at once, since waking a loop costs more than a charge."""
        loops: dict[object, list[Ticket[T]]] = {}
        for ticket in self._group:
            if ticket.loop is None:
                ticket.wake()
            else:
                loops.setdefault(ticket.loop, []).append(ticket)
        for first, *others in loops.values():
            first.wake(others)

    def lead_for(self, ticket: Ticket[T]) -> None:
        """Lead in a job of its own for a caller who waits elsewhere, if that one still leads: a job may come twice, or
        late. Whatever ends the job, nobody waits for it."""
        with self._mutex:
            if self._leader is not ticket or self._begun is ticket:
                return
            self._begun = ticket
        try:
            self.lead()
        except BaseException:
            self._abandon(ticket)
            raise

    def _take(self) -> None:
        with self._mutex:
            group: list[Ticket[T]] = []
            self._group, size = group, 0
            while self._queue and (not group or size + len(self._queue[0].commands) <= MOST_IN_GROUP):
                group.append(self._queue[0])
                size += len(self._queue.popleft().commands)

    def _hand_over(self) -> None:
        # The next one is told outside the lock, since a ticket may lead at once; if an interrupt comes before it is
        # told, `_abandon` tells it.
        with self._mutex:
            self._group = []
            successor = self._leader = self._queue[0] if self._queue else None
        if successor is not None:
            successor.lead()

    def _abandon(self, ticket: Ticket[T]) -> None:
        """The caller was interrupted: take its commands back if nobody has taken them; nobody must wait for it."""
        with self._mutex:
            if ticket in self._queue:
                self._queue.remove(ticket)
                ticket.error = NotWritten("the writing thread was interrupted before it wrote")
                ticket.wake()
            leader = self._leader
        if leader is ticket:
            for other in self._group:
                if not other.outcomes:
                    other.error = OutcomeUnknown("the writing thread was interrupted")
                other.wake()
            self._hand_over()
        elif leader is not None and ticket.leads:
            leader.lead()
