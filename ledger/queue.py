"""Group commit without a background thread: callers queue, one of them leads, and hands over when it is done.

A bare lock does not group under the GIL (1 to 2 commands a commit with 100 threads); followers that sleep on a lock of
their own, and a leader that names its successor, do.

An interrupt (Ctrl-C, an exception from another thread) may come at any moment and any number of times, so nobody's
progress hangs on a cleanup that it could cut short:

- Who leads is only a name, by which newcomers know that they may sleep. What makes a leader is the turn, a lock that is
  held by a plain `with` (the interpreter takes no interrupt between its body and its release). Whoever has slept for
  `PATIENCE` while nobody had the turn leads, named or not; two who lead do so one after the other.
- A ticket is in the queue, or in the group of who has the turn, or in both; the group stays in its place until all of
  it are answered. Who finds a group when it takes the turn answers it for the leader that is gone: with what that
  leader decided, where the log has it, and else that nothing was written.
- Who gives up on an admission says so by one step (`CommandQueue.abandoned`), and whoever leads next takes it back.
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
"""Commands that one group takes at most; a single caller's list may be longer."""
PATIENCE = timedelta(milliseconds=200)
"""Seconds that a caller sleeps before it looks whether anybody leads."""


class Ticket(Protocol[T]):
    """A caller's commands (at least one) in the queue, and how that caller is told."""

    commands: Sequence[object]
    outcomes: list[T | Exception]
    error: BaseException | None
    leads: bool

    @property
    def loop(self) -> object | None:
        """The event loop in which the caller waits, if it is not a thread that sleeps."""

    def wake(self, beside: Sequence[Any] = ()) -> None:
        """Let the caller read its outcomes, and those `beside` it in the same loop. It may be told twice."""

    def lead(self) -> None:
        """Make the caller the next leader. It may be told twice."""


class Abandoned(Protocol):
    """A ticket whose caller is gone, and who wants nothing of it to last."""

    def undo(self) -> Sequence[object]:
        """The commands that take back what its outcomes did; none where it was never done."""


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
        """Sleep until woken, or for `PATIENCE`."""
        self._asleep.acquire(timeout=PATIENCE.total_seconds())

    def wake(self, beside: Sequence[Any] = ()) -> None:
        """Wake the caller: it is answered."""
        with suppress(RuntimeError):  # it is awake
            self._asleep.release()

    def lead(self) -> None:
        """Wake the caller: it leads."""
        self.leads = True
        self.wake()


class _Undoing:
    """A ticket of the queue's own: what takes back what others abandoned. It stays to be done until it is answered."""

    loop, leads = None, False

    def __init__(self, abandoned: deque[Abandoned]) -> None:
        self._abandoned, self._these = abandoned, list(abandoned)
        self.commands: Sequence[object] = [command for each in self._these for command in each.undo()]
        self.outcomes: list[Any] = []
        self.error: BaseException | None = None

    def wake(self, beside: Sequence[Any] = ()) -> None:
        """It is answered; where it could not be written, the next leader tries again."""
        if self.error is None:
            for each in self._these:
                with suppress(ValueError):
                    self._abandoned.remove(each)

    def lead(self) -> None:
        """It is never named."""


class CommandQueue(Generic[T]):
    """The queue in front of `do`, which takes the commands of a whole group and gives their outcomes, in order.

    `recall` is asked after a `do` that was interrupted, perhaps before it began, with the very list that it was given:
    it gives the outcomes of those commands, the first ones, of which the log has what they came to, and raises where
    that cannot be known.
    """

    def __init__(
        self, do: Callable[[list[object]], list[T | Exception]], recall: Callable[[list[object]], list[T | Exception]]
    ) -> None:
        self._do, self._recall = do, recall
        self._queue: deque[Ticket[T]] = deque()
        self._leader: Ticket[T] | None = None  # who is named: a hint, see above
        self._turn = threading.Lock()
        self._group: list[Ticket[T]] = []  # of who has the turn
        self._begun: list[object] | None = None  # the commands of the group, once they may have been given to `do`
        self.abandoned: deque[Abandoned] = deque()
        """Tickets whose callers are gone: to append one here is all that it takes to have it taken back, by whoever
        leads next; `lead` makes that now."""

    def run(self, commands: Sequence[object]) -> list[T]:
        """Queue commands, wait, and lead if named, or if nobody leads: what a thread does.

        A caller that is interrupted takes its commands back, if no leader has taken them yet.
        """
        return self.serve(ThreadTicket(commands)) if commands else cast(list[T], self._do([]))

    def serve(self, ticket: ThreadTicket[T]) -> list[T]:
        """As `run`, for a thread's own ticket."""
        try:
            leads = self.enqueue(ticket)
            while not ticket.outcomes and ticket.error is None:
                if leads:
                    self.lead(ticket)
                else:
                    ticket.wait()
                leads = ticket.leads or not self._turn.locked()
        except BaseException:
            # One step, before which there is no call and so no interrupt: nobody does this command later.
            try:  # noqa: SIM105 - `suppress` is a call
                self._queue.remove(ticket)
            except ValueError:
                pass
            self._pass_on(ticket)
            raise
        return outcomes_of(ticket)

    def enqueue(self, ticket: Ticket[T]) -> bool:
        """Put a ticket in the queue; True where its caller must lead."""
        self._queue.append(ticket)
        if self._leader is None:
            self._leader = ticket
            ticket.leads = True
        return ticket.leads

    def lead(self, ticket: Ticket[T] | None = None) -> None:
        """Take the whole queue, do it as one group, answer, and name the next leader.

        Who leads for its own `ticket`, and finds it answered when its turn comes, leaves the rest to who did that: two
        leaders, each with its half of a crowd, would go on for ever.
        """
        again = True
        while again:
            with self._turn:
                if self._group:
                    self._answer_for_the_gone()
                elif ticket is not None and (ticket.outcomes or ticket.error is not None):
                    return
                self._begun = None
                undoing = self._take_back() if self.abandoned else None
                self._take()
                if self._group:
                    self._do_group()
            self._hand_over()
            ticket = None
            # What was abandoned meanwhile has nobody else to wait for; what could not be taken back waits.
            again = bool(self.abandoned) and self._leader is None and (undoing is None or undoing.error is None)

    def lead_in_executor(self, ticket: Ticket[T]) -> None:
        """Lead in a job of its own for a caller who waits elsewhere, if that one still waits: a job may come twice, or
        late. Whatever ends the job, nobody waits for it."""
        if ticket.outcomes or ticket.error is not None:
            return
        try:
            self.lead(ticket)
        except BaseException:
            self._pass_on(ticket)
            raise

    @property
    def has_waiting(self) -> bool:
        """True if a caller may wait for an answer."""
        return bool(self._queue or self._group)

    @property
    def has_leader(self) -> bool:
        """True if a leader has the turn. What was queued or abandoned before its end is done or handed on after it."""
        return self._turn.locked()

    # -- by who has the turn -------------------------------------------------------------------------------------------

    def _take(self) -> None:
        """The group is what stands in the queue. A ticket leaves the queue by one step, which its caller may be the
        first to make, and is in the group before."""
        group, queue, size = self._group, self._queue, 0
        while queue:
            try:
                first = queue[0]
                size += len(first.commands)
                if size > MAX_IN_GROUP and group:
                    return
                group.append(first)
                queue.remove(first)
            except IndexError:  # its caller took the last one back
                return
            except ValueError:  # its caller took it back
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
        place = 0
        for ticket in self._group:
            ticket.outcomes = outcomes[place : place + len(ticket.commands)]
            place += len(ticket.commands)

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

    def _take_back(self) -> _Undoing | None:
        """What was abandoned is not begun, or is undone first of all; every step of it may be repeated."""
        for each in tuple(self.abandoned):
            with suppress(ValueError):
                self._queue.remove(cast(Ticket[T], each))
        undoing = _Undoing(self.abandoned)
        if not undoing.commands:
            undoing.wake()
            return None
        self._group = [undoing]
        return undoing

    def _answer_for_the_gone(self) -> None:
        """A leader was interrupted: its group is told what the log says of it. It may be interrupted again."""
        if self._begun is None:  # who is still in the queue keeps its place
            gone: list[T | Exception] = []
            self._group = [ticket for ticket in self._group if ticket not in self._queue]
        else:
            try:
                gone = self._recall(self._begun)
            except Exception as error:  # noqa: BLE001 - what cannot be found out is unknown
                unknown = OutcomeUnknown(f"the writing thread was interrupted, and the log could not be read: {error}")
                unknown.__cause__ = error
                for ticket in self._group:
                    if not ticket.outcomes and ticket.error is None:
                        ticket.error = unknown
        place = 0
        for ticket in self._group:
            end = place + len(ticket.commands)
            if not ticket.outcomes and ticket.error is None:
                if end <= len(gone):
                    ticket.outcomes = gone[place:end]
                else:
                    ticket.error = NotWritten("the writing thread was interrupted before it wrote", "run again")
            place = end
        self._wake()
        self._group = []

    # -- by whoever leaves ---------------------------------------------------------------------------------------------

    def _hand_over(self) -> None:
        """Name the first in the queue. Who comes or goes after the look sees the name, or is seen by the next look."""
        while True:
            successor = self._leader = self._first()
            if successor is self._first():
                break
        if successor is not None:
            successor.lead()

    def _first(self) -> Ticket[T] | None:
        try:
            return self._queue[0] if self._queue else None
        except IndexError:  # it went just now
            return None

    def _pass_on(self, ticket: Ticket[T]) -> None:
        """Its caller was interrupted: another leads now, rather than when somebody has lost patience."""
        if ticket.leads:
            self._hand_over()
