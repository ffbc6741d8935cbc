"""Command queue for group commit without a background thread: one of the queued callers leads, then hands over.

A single lock does not group under the GIL (1 to 2 commands a commit with 100 threads). Followers that each sleep on
their own lock, and a leader that names its successor, do.

An interrupt (Ctrl-C, an exception from another thread) may come at any moment and any number of times, so no caller's
progress depends on a cleanup that an interrupt could cut short:

- The named leader is only a hint, by which new callers know that they may sleep. A leader needs the turn, a lock that
  is held by a plain `with` (the interpreter takes no interrupt between its body and its release). A caller that has
  slept for `WAKE_INTERVAL` while no leader had the turn leads, named or not; two leaders take turns.
- A ticket is in the queue, or in the group of the leader with the turn, or in both; the group is kept until all of its
  tickets are answered. A leader that finds a group when it takes the turn answers it in place of the interrupted
  leader: with the outcomes which that leader decided, if the log has them; otherwise that nothing was written.
- A caller that gives up an admission records that in one step (`CommandQueue.abandoned`), and the next leader undoes
  it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Generic, Protocol, TypeVar, cast

from .errors import NotWritten, OutcomeUnknown

T = TypeVar("T")

MAX_IN_GROUP = 8_192
"""The most commands that a group takes; a single caller's list may be longer."""
WAKE_INTERVAL = timedelta(milliseconds=200)
"""A sleeping caller wakes so often to check that there is a leader."""


class Ticket(Protocol[T]):
    """A caller's commands (at least one) in the queue, their outcomes, and how the caller is woken."""

    commands: Sequence[object]
    outcomes: list[T | Exception]
    error: BaseException | None
    leads: bool

    @property
    def loop(self) -> object | None:
        """The event loop in which the caller waits; None for a sleeping thread."""

    def wake(self, others: Sequence[Any] = ()) -> None:
        """Wake the caller to read its outcomes, and `others` that wait in the same loop. It may be called twice."""

    def lead(self) -> None:
        """Make the caller the next leader. It may be called twice."""


class Abandoned(Protocol):
    """A ticket whose caller was interrupted or cancelled, and whose effects must be undone."""

    def undo(self) -> Sequence[object]:
        """Return the commands that undo its outcomes; none if it was never executed."""


def outcomes_of(ticket: Ticket[T]) -> list[T]:
    """Return a ticket's outcomes. Raises the error of its group or of one of its commands."""
    if ticket.error is not None:
        raise ticket.error
    for outcome in ticket.outcomes:
        if isinstance(outcome, Exception):
            raise outcome
    return cast(list[T], ticket.outcomes)


class ThreadTicket(Generic[T]):
    """A caller that sleeps on its own lock until it is answered or named leader."""

    loop = None

    def __init__(self, commands: Sequence[object]) -> None:
        self.commands = commands
        self.outcomes: list[T | Exception] = []
        self.error: BaseException | None = None
        self.leads = False
        self._asleep = threading.Lock()
        self._asleep.acquire()

    def wait(self) -> None:
        """Sleep until woken, or for `WAKE_INTERVAL`."""
        self._asleep.acquire(timeout=WAKE_INTERVAL.total_seconds())

    def wake(self, others: Sequence[Any] = ()) -> None:
        """Wake the caller, which is answered."""
        with suppress(RuntimeError):  # it is awake
            self._asleep.release()

    def lead(self) -> None:
        """Wake the caller, which leads."""
        self.leads = True
        self.wake()


class _Undoing:
    """The queue's own ticket: commands that undo abandoned tickets. They stay abandoned until it is answered."""

    loop, leads = None, False

    def __init__(self, abandoned: deque[Abandoned]) -> None:
        self._abandoned, self._tickets = abandoned, list(abandoned)
        self.commands: Sequence[object] = [command for ticket in self._tickets for command in ticket.undo()]
        self.outcomes: list[Any] = []
        self.error: BaseException | None = None

    def wake(self, others: Sequence[Any] = ()) -> None:
        """Remove the tickets that were undone; after an error, the next leader retries."""
        if self.error is None:
            for ticket in self._tickets:
                with suppress(ValueError):
                    self._abandoned.remove(ticket)

    def lead(self) -> None:
        """Do nothing: this ticket is never named leader."""


class CommandQueue(Generic[T]):
    """The queue in front of `do`, which executes the commands of a whole group and returns their outcomes, in order.

    `recall` is called after a `do` that was interrupted, perhaps before it began, with the same list object: it returns
    the outcomes of the first commands, as far as the log has their events, and raises if that cannot be known.
    """

    def __init__(
        self, do: Callable[[list[Any]], list[T | Exception]], recall: Callable[[list[Any]], list[T | Exception]]
    ) -> None:
        self._do, self._recall = do, recall
        self._queue: deque[Ticket[T]] = deque()
        self._leader: Ticket[T] | None = None  # a hint, see above
        self._turn = threading.Lock()
        self._group: list[Ticket[T]] = []  # of the leader that has the turn
        self._begun: list[object] | None = None  # the commands of the group, once they may have been given to `do`
        self.abandoned: deque[Abandoned] = deque()
        """Tickets whose callers were interrupted or cancelled. To append one here is enough: the next leader undoes
        it."""

    def run(self, commands: Sequence[object]) -> list[T]:
        """Queue a thread's commands and return their outcomes; lead if named, or if there is no leader.

        An interrupted caller removes its commands from the queue, if no leader has taken them yet.
        """
        return self.serve(ThreadTicket(commands)) if commands else cast(list[T], self._do([]))

    def serve(self, ticket: ThreadTicket[T]) -> list[T]:
        """Do as `run` does, for a given ticket."""
        try:
            leads = self.enqueue(ticket)
            while not ticket.outcomes and ticket.error is None:
                if leads:
                    self.lead(ticket)
                else:
                    ticket.wait()
                leads = ticket.leads or not self._turn.locked()
        except BaseException:
            # One step, before which there is no call and so no interrupt: this command is not executed later.
            try:  # noqa: SIM105 - `suppress` is a call
                self._queue.remove(ticket)
            except ValueError:
                pass
            self._resign(ticket)
            raise
        return outcomes_of(ticket)

    def enqueue(self, ticket: Ticket[T]) -> bool:
        """Put a ticket in the queue. True if its caller must lead."""
        self._queue.append(ticket)
        if self._leader is None:
            self._leader = ticket
            ticket.leads = True
        return ticket.leads

    def lead(self, ticket: Ticket[T] | None = None) -> None:
        """Take the whole queue, execute it as one group, answer, and name the next leader.

        A caller that leads for its own `ticket`, and finds it answered when its turn comes, leaves the queue to the
        other leader: two leaders, each with half of the callers, would alternate permanently.
        """
        again = True
        while again:
            with self._turn:
                if self._group:
                    self._answer_orphaned_group()
                elif ticket is not None and (ticket.outcomes or ticket.error is not None):
                    return
                self._begun = None
                undoing = self._undo_abandoned() if self.abandoned else None
                self._take()
                if self._group:
                    self._do_group()
            self._hand_over()
            ticket = None
            # Tickets abandoned meanwhile have no other leader to wait for; those that could not be undone wait.
            again = bool(self.abandoned) and self._leader is None and (undoing is None or undoing.error is None)

    def lead_in_executor(self, ticket: Ticket[T]) -> None:
        """Run the leader's turn in an executor job for an async caller. Safe if the job runs twice or late."""
        if ticket.outcomes or ticket.error is not None:
            return
        try:
            self.lead(ticket)
        except BaseException:
            self._resign(ticket)
            raise

    @property
    def has_waiting(self) -> bool:
        """True if a caller may wait for an answer."""
        return bool(self._queue or self._group)

    @property
    def has_leader(self) -> bool:
        """True if a leader has the turn. What was queued or abandoned before its end is done or handed on after it."""
        return self._turn.locked()

    # -- by the leader that has the turn -------------------------------------------------------------------------------

    def _take(self) -> None:
        """Move tickets from the queue to the group. A ticket is removed from the queue in one step, which its caller
        may do first, and is in the group before."""
        group, queue, size = self._group, self._queue, 0
        while queue:
            try:
                first = queue[0]
                size += len(first.commands)
                if size > MAX_IN_GROUP and group:
                    return
                group.append(first)
                queue.remove(first)
            except IndexError:  # its caller removed the last one
                return
            except ValueError:  # its caller removed it
                group.remove(first)

    def _do_group(self) -> None:
        group = self._group
        self._begun = commands = [command for ticket in group for command in ticket.commands]
        try:
            self._distribute(self._do(commands))
        except Exception as error:  # noqa: BLE001 - every caller of the group gets it, the leader too
            for ticket in group:
                ticket.error = error
        self._wake()
        self._group = []

    def _distribute(self, outcomes: list[T | Exception]) -> None:
        start = 0
        for ticket in self._group:
            ticket.outcomes = outcomes[start : start + len(ticket.commands)]
            start += len(ticket.commands)

    def _wake(self) -> None:
        """Wake every caller; those of one event loop by one call, since waking a loop costs more than a charge."""
        loops: dict[object, list[Ticket[T]]] = {}
        for ticket in self._group:
            if ticket.loop is None:
                ticket.wake()
            else:
                loops.setdefault(ticket.loop, []).append(ticket)
        for first, *others in loops.values():
            first.wake(others)

    def _undo_abandoned(self) -> _Undoing | None:
        """Remove abandoned tickets from the queue, and put what undoes them first in the group. Every step may be
        repeated."""
        for ticket in tuple(self.abandoned):
            with suppress(ValueError):
                self._queue.remove(cast(Ticket[T], ticket))
        undoing = _Undoing(self.abandoned)
        if not undoing.commands:
            undoing.wake()
            return None
        self._group = [undoing]
        return undoing

    def _answer_orphaned_group(self) -> None:
        """Answer the group of an interrupted leader with what the log has of it. This may be interrupted, too."""
        if self._begun is None:  # tickets that are still in the queue stay there
            recalled: list[T | Exception] = []
            self._group = [ticket for ticket in self._group if ticket not in self._queue]
        else:
            try:
                recalled = self._recall(self._begun)
            except Exception as error:  # noqa: BLE001 - without an answer, the outcome is unknown
                unknown = OutcomeUnknown(f"the writing thread was interrupted, and the log could not be read: {error}")
                unknown.__cause__ = error
                for ticket in self._group:
                    if not ticket.outcomes and ticket.error is None:
                        ticket.error = unknown
        start = 0
        for ticket in self._group:
            end = start + len(ticket.commands)
            if not ticket.outcomes and ticket.error is None:
                if end <= len(recalled):
                    ticket.outcomes = recalled[start:end]
                else:
                    ticket.error = NotWritten("the writing thread was interrupted before it wrote", "run again")
            start = end
        self._wake()
        self._group = []

    # -- by a caller that leaves ---------------------------------------------------------------------------------------

    def _hand_over(self) -> None:
        """Name the first caller in the queue. A caller that comes or goes meanwhile sees the name, or is seen when the
        queue is read again."""
        while True:
            successor = self._leader = self._first()
            if successor is self._first():
                break
        if successor is not None:
            successor.lead()

    def _first(self) -> Ticket[T] | None:
        try:
            return self._queue[0] if self._queue else None
        except IndexError:  # it was removed just now
            return None

    def _resign(self, ticket: Ticket[T]) -> None:
        """Name another leader for an interrupted one now, rather than after `WAKE_INTERVAL`."""
        if ticket.leads:
            self._hand_over()
