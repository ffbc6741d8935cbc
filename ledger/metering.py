"""The natural form of use: hold, do the work, charge what it cost.

    with ledger.request("alice", "pro", agent="writer", estimate={"calls": 1}) as request:
        answer = work()
        request.charge({"calls": 1})

Entering raises PaymentRequired where the request is refused. Leaving without a final charge gives back what is held; an
exception in the body does so too.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from .commands import Charge, Extend, Release, Request
from .engine import Answer, Ledger
from .events import Requested

if TYPE_CHECKING:
    from .aio import AsyncLedger


class Held:
    """An admitted request: its number, and what it holds."""

    def __init__(self, answer: Answer) -> None:
        assert isinstance(answer.event, Requested)
        self.id = answer.seq
        self.hold = answer.event.hold
        self.deadline = answer.event.deadline
        self.open = True

    def __repr__(self) -> str:
        return f"<request {self.id}: holds {self.hold}{'' if self.open else ', closed'}>"

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

    def __enter__(self) -> HeldRequest:
        self._held = HeldRequest(self._ledger, self._ledger.execute(self._command).unwrap())
        return self._held

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        held = self._held
        if held is not None and held.open:
            # A refusal here means that it has expired meanwhile: then nothing is held any more.
            self._ledger.execute(Release(request=held.id, reason="failed" if error else "voided"))


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
        self._held = AsyncHeldRequest(self._ledger, (await self._ledger.execute(self._command)).unwrap())
        return self._held

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        held = self._held
        if held is not None and held.open:
            await self._ledger.execute(Release(request=held.id, reason="failed" if error else "voided"))
