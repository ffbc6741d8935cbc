"""Request contexts: hold credits, do the work, charge what it cost.

    with ledger.request("alice", "pro", agent="writer", estimate={"calls": 1}) as request:
        answer = work()
        request.charge({"calls": 1})

Entering raises PaymentRequired if the request is refused. Leaving without a final charge releases the hold, also after
an exception in the body. So does entering that is cancelled or interrupted, at any point: a command that was not
started is not executed, and an admitted request is released (by this thread, or by the leader of the queue; a task does
not wait for it). Closing the ledger does that first; a release that cannot be written then ends at the request's
deadline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar, cast

from .commands import Charge, Extend, Release, Request
from .events import Charged, Extended, Requested
from .outcomes import Answer, Outcome
from .queue import ThreadTicket, outcomes_of
from .refusals import PaymentRequired

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

    It is `repeated` if it was admitted before, by the same key: its work may be done already, and it may be closed.
    """

    def __init__(self, answer: Answer[Requested]) -> None:
        self.repeated = answer.repeated
        self.id = answer.seq
        self.hold = answer.event.hold
        self.deadline = answer.event.deadline
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

    def __init__(self, ledger: Ledger, answer: Answer[Requested]) -> None:
        super().__init__(answer)
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
            self._held = HeldRequest(self._ledger, cast("Answer[Requested]", outcome.unwrap()))
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

    def __init__(self, ledger: AsyncLedger, answer: Answer[Requested]) -> None:
        super().__init__(answer)
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
            self._held = AsyncHeldRequest(ledger, cast("Answer[Requested]", outcomes[0].unwrap()))
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
