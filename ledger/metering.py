"""Request contexts: hold credits, do the work, charge what it cost.

    with ledger.request("alice", "pro", agent="writer", estimate={"calls": 1}) as request:
        answer = work()
        request.charge({"calls": 1})

Entering raises PaymentRequired if the request is refused, and if its key admitted a request that is closed by now: no
work may run that could not be charged. Leaving without a final charge releases the hold, also after
an exception in the body. So does entering that is cancelled or interrupted, at any point: a command that was not
started is not executed, and an admitted request is released (by this thread, or by the leader of the queue; a task does
not wait for it). Closing the ledger does that first; a release that cannot be written then ends at the request's
deadline.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar, cast

from .commands import Charge, Extend, Release, Request
from .events import Charged, Extended, Released, Requested
from .log import Entry
from .outcomes import Answer, Outcome
from .queue import ThreadTicket, outcomes_of
from .readings import RequestReading
from .refusals import PaymentRequired, Reason, Refused

if TYPE_CHECKING:
    from .aio import AsyncLedger
    from .engine import Ledger

V = TypeVar("V")


def releases(outcomes: Sequence[Outcome | Exception]) -> list[Release]:
    """Return the commands that release admissions which were not entered; a replay's hold belongs to another caller."""
    return [
        Release(request=outcome.seq, reason="failed")
        for outcome in outcomes
        if isinstance(outcome, Answer) and not outcome.repeated and isinstance(outcome.event, Requested)
    ]


def still_open(ledger: Ledger, command: Request, request: int) -> RequestReading:
    """Return the request that a repeated command admitted before, as it is now.

    Raises PaymentRequired (`request_closed`, with how it ended and its charge) if it is open no longer, and the errors
    of readings.
    """
    account = command.subscriber, command.plan
    for reading in ledger.requests(*account):
        if reading.id == request:
            return reading
    ended = _end(request, ledger.account_events(*account, after=request))
    detail = f"the key {command.key!r} admitted request {request}, which {ended}: give new work a key of its own"
    raise PaymentRequired(Refused(Reason.request_closed, {"detail": detail}))


def _end(request: int, events: Iterable[Entry]) -> str:
    """Return how a closed request ended and its last charge, as a phrase, from the events of its account after it."""
    ended, charge = "has expired", 0
    for seq, _, event in events:
        if isinstance(event, Charged) and event.request == request:
            charge = seq
            if event.final:  # it may come after the deadline
                return f"was charged (charge {charge})"
        elif isinstance(event, Released) and event.request == request and event.reason != "expired":
            ended = f"was released ({event.reason})"
            break
    return f"{ended}, {f'and charged in part until then (charge {charge})' if charge else 'and not charged'}"


def _as_dict(given: Mapping[str, V]) -> dict[str, V]:
    """Return a mapping as a dict; what is no mapping is left for `execute`, which raises with the field's name."""
    return dict(given) if isinstance(given, Mapping) else given


class _Entering(ThreadTicket[Outcome]):
    """The ticket of a thread that requests admission."""

    def undo(self) -> Sequence[object]:
        """Return the commands that release the admitted request."""
        return releases(self.outcomes)


class Held:
    """An admitted request: its id, its hold in credits and its deadline (UTC microseconds).

    It is `repeated` if it was admitted before, by the same key, and is still open: another caller may be at work on it.
    Then `now` is its reading, since charges and extensions may have moved its hold and its deadline.
    """

    def __init__(self, answer: Answer[Requested], now: RequestReading | None) -> None:
        self.repeated = answer.repeated
        self.id = answer.seq
        self.hold = answer.event.hold if now is None else now.hold
        self.deadline = answer.event.deadline if now is None else now.deadline
        self.open = True

    def __repr__(self) -> str:
        state = ", repeated" if self.repeated else ""
        return f"<request {self.id}: holds {self.hold}{state}{'' if self.open else ', closed'}>"

    def undo(self) -> Sequence[object]:
        """Return the command that releases what is still held."""
        return [Release(request=self.id, reason="failed")] if self.open else ()

    def release(self, error: BaseException | None) -> Release:
        """Return the command that releases what is still held after the work has ended, by an error or without one."""
        return Release(request=self.id, reason="failed" if error else "voided")

    def _charge(self, usage: Mapping[str, int], labels: Mapping[str, str], final: bool) -> Charge:
        return Charge(request=self.id, usage=_as_dict(usage), labels=_as_dict(labels), final=final)


class HeldRequest(Held):
    """An admitted request in a `with`."""

    def __init__(self, ledger: Ledger, answer: Answer[Requested], now: RequestReading | None) -> None:
        super().__init__(answer, now)
        self._ledger = ledger

    def charge(
        self, usage: Mapping[str, int], *, labels: Mapping[str, str] | None = None, final: bool = True
    ) -> Answer[Charged]:
        """Charge usage; the last charge of a request is final. Raises PaymentRequired, and the errors of `execute`."""
        answer = self._ledger.execute(self._charge(usage, labels or {}, final)).unwrap()
        self.open = self.open and not final
        return answer

    def extend(self, seconds: int) -> Answer[Extended]:
        """Move the deadline to `seconds` from now. Raises PaymentRequired, and the errors of `execute`."""
        return self._ledger.execute(Extend(request=self.id, seconds=seconds)).unwrap()


class RequestContext:
    """The context that `Ledger.request` returns for an admitted command: entering it requests admission."""

    def __init__(self, ledger: Ledger, command: Request) -> None:
        self._ledger, self._command = ledger, command
        self._held: HeldRequest | None = None
        self._abandoned = ledger.queue.abandoned

    def __enter__(self) -> HeldRequest:
        queue, ticket = self._ledger.queue, _Entering([self._command])
        try:
            (outcome,) = queue.serve(ticket)
            answer = cast("Answer[Requested]", outcome.unwrap())
            now = still_open(self._ledger, self._command, answer.seq) if answer.repeated else None
            self._held = HeldRequest(self._ledger, answer, now)
            return self._held
        except PaymentRequired:
            raise
        except BaseException:
            if ticket.error is None:
                self._abandoned.append(ticket)  # no other interrupt comes before this one step
                queue.lead()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        held = self._held
        if held is not None and held.open:
            try:
                # A refusal here means that the request has expired meanwhile: then it holds nothing.
                self._ledger.execute(held.release(error))
            except Exception:
                self._abandoned.append(held)  # it could not be written now
                raise
            except BaseException:
                self._abandoned.append(held)  # no other interrupt comes before this one step
                self._ledger.queue.lead()
                raise


class AsyncHeldRequest(Held):
    """An admitted request in an `async with`."""

    def __init__(self, ledger: AsyncLedger, answer: Answer[Requested], now: RequestReading | None) -> None:
        super().__init__(answer, now)
        self._ledger = ledger

    async def charge(
        self, usage: Mapping[str, int], *, labels: Mapping[str, str] | None = None, final: bool = True
    ) -> Answer[Charged]:
        """Charge usage; the last charge of a request is final. Raises PaymentRequired, and the errors of `execute`."""
        answer = (await self._ledger.execute(self._charge(usage, labels or {}, final))).unwrap()
        self.open = self.open and not final
        return answer

    async def extend(self, seconds: int) -> Answer[Extended]:
        """Move the deadline to `seconds` from now. Raises PaymentRequired, and the errors of `execute`."""
        return (await self._ledger.execute(Extend(request=self.id, seconds=seconds))).unwrap()


class AsyncRequestContext:
    """The context that `AsyncLedger.request` returns: entering it requests admission."""

    def __init__(self, ledger: AsyncLedger, command: Request) -> None:
        self._ledger, self._command = ledger, command
        self._held: AsyncHeldRequest | None = None

    async def __aenter__(self) -> AsyncHeldRequest:
        ledger = self._ledger
        ticket = ledger.ticket([self._command])
        try:
            ledger.enqueue(ticket)
            await ticket.answered
            outcomes: list[Outcome] = outcomes_of(ticket)
            answer = cast("Answer[Requested]", outcomes[0].unwrap())
            now = None
            if answer.repeated:
                now = await ledger.read(still_open, ledger.ledger, self._command, answer.seq)
            self._held = AsyncHeldRequest(ledger, answer, now)
            return self._held
        except PaymentRequired:
            raise
        except BaseException:
            if ticket.error is None:
                ledger.abandon(ticket)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        held = self._held
        if held is not None and held.open:
            # The release is executed even if waiting for it is cancelled.
            await self._ledger.execute(held.release(error))
