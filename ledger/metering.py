"""The natural form of use: hold, do the work, charge what it cost.

    with ledger.request("alice", "pro", agent="writer", estimate={"calls": 1}) as request:
        answer = work()
        request.charge({"calls": 1})

Entering raises PaymentRequired where the request is refused. Leaving without a final charge gives back what is held; an
exception in the body does so too. So does an entering that is cancelled or interrupted, wherever it stands: what was
not begun is not done, and what was admitted is released (by this thread, or by who leads the queue at that time; a task
does not wait for it). A ledger that is closed does that first; what could not be written then ends at its deadline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from .commands import Charge, Extend, Release, Request
from .events import Requested
from .outcomes import Answer, Outcome
from .queue import ThreadTicket, outcomes_of
from .refusals import PaymentRequired

if TYPE_CHECKING:
    from .aio import AsyncLedger
    from .engine import Ledger


def releases(outcomes: Sequence[Outcome | Exception]) -> list[Release]:
    """What takes back an admission that nobody has entered; one that was repeated is the hold of somebody else."""
    return [
        Release(request=outcome.seq, reason="failed")
        for outcome in outcomes
        if isinstance(outcome, Answer) and not outcome.repeated and isinstance(outcome.event, Requested)
    ]


class _Entering(ThreadTicket[Outcome]):
    """The ticket of a thread that asks for admission."""

    def undo(self) -> Sequence[object]:
        """Give back what was admitted."""
        return releases(self.outcomes)


class Held:
    """An admitted request: its number, and what it holds. One that is `repeated` was asked for before, by the same key:
    its work may be done, and it may be closed."""

    def __init__(self, answer: Answer) -> None:
        assert isinstance(answer.event, Requested)
        self.repeated = answer.repeated
        self.id = answer.seq
        self.hold = answer.event.hold
        self.deadline = answer.event.deadline
        self.open = True

    def __repr__(self) -> str:
        state = ", repeated" if self.repeated else ""
        return f"<request {self.id}: holds {self.hold}{state}{'' if self.open else ', closed'}>"

    def undo(self) -> Sequence[object]:
        """Give back what is still held."""
        return [Release(request=self.id, reason="failed")] if self.open else ()

    def release(self, error: BaseException | None) -> Release:
        """What gives back what is still held when the work has ended, by an error or without one."""
        return Release(request=self.id, reason="failed" if error else "voided")

    def _charge(self, usage: Mapping[str, int], labels: Mapping[str, str], final: bool) -> Charge:
        return Charge(request=self.id, usage=dict(usage), labels=dict(labels), final=final)


class HeldRequest(Held):
    """An admitted request in a `with`."""

    def __init__(self, ledger: Ledger, answer: Answer) -> None:
        super().__init__(answer)
        self._ledger = ledger

    def charge(
        self, usage: Mapping[str, int], *, labels: Mapping[str, str] | None = None, final: bool = True
    ) -> Answer:
        """Charge what was used; the last charge of a request is final. Raises PaymentRequired where refused."""
        answer = self._ledger.execute(self._charge(usage, labels or {}, final)).unwrap()
        self.open = self.open and not final
        return answer

    def extend(self, seconds: int) -> Answer:
        """Move the deadline to `seconds` from now."""
        return self._ledger.execute(Extend(request=self.id, seconds=seconds)).unwrap()


class RequestContext:
    """What `Ledger.request` returns: entering it asks for admission."""

    def __init__(self, ledger: Ledger, command: Request) -> None:
        self._ledger, self._command = ledger, command
        self._held: HeldRequest | None = None
        self._abandoned = ledger.queue.abandoned

    def __enter__(self) -> HeldRequest:
        queue, ticket = self._ledger.queue, _Entering([self._command])
        try:
            (outcome,) = queue.serve(ticket)
            self._held = HeldRequest(self._ledger, outcome.unwrap())
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
                # A refusal here means that it has expired meanwhile: then nothing is held any more.
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

    def __init__(self, ledger: AsyncLedger, answer: Answer) -> None:
        super().__init__(answer)
        self._ledger = ledger

    async def charge(
        self, usage: Mapping[str, int], *, labels: Mapping[str, str] | None = None, final: bool = True
    ) -> Answer:
        """Charge what was used; the last charge of a request is final. Raises PaymentRequired where refused."""
        answer = (await self._ledger.execute(self._charge(usage, labels or {}, final))).unwrap()
        self.open = self.open and not final
        return answer

    async def extend(self, seconds: int) -> Answer:
        """Move the deadline to `seconds` from now."""
        return (await self._ledger.execute(Extend(request=self.id, seconds=seconds))).unwrap()


class AsyncRequestContext:
    """What `AsyncLedger.request` returns: entering it asks for admission."""

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
            self._held = AsyncHeldRequest(ledger, outcomes[0].unwrap())
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
            # It is done also where the wait for it is cut short.
            await self._ledger.execute(held.release(error))
