"""Refusals that a plan records, kept until a commit can carry them."""

from __future__ import annotations

from .amounts import SECOND
from .books import Books
from .commands import Request
from .events import RefusedRequests
from .refusals import Refused


class RefusalRecords:
    """Refusals that a plan records: in the next commit, never one of their own, one a second for each kind at most."""

    def __init__(self) -> None:
        self._notes: dict[tuple[str, str, int], tuple[int, int, dict[str, int]]] = {}

    def add(self, books: Books, request: Request, refused: Refused) -> None:
        """Note a refused request, where its plan records refusals."""
        plan = books.plans.get(request.plan)
        if plan is not None and plan.terms.record_refusals:
            place = (str(refused.reason), request.plan, books.agent_names.get(request.agent, 0))
            count, written, _ = self._notes.get(place, (0, 0, {}))
            self._notes[place] = (count + 1, written, request.estimate)

    def ready(self, at: int) -> list[RefusedRequests]:
        """What may be written at that time."""
        if not self._notes:
            return []
        return [
            RefusedRequests(reason=reason, plan=plan, agent=agent, estimate=estimate, count=count)
            for (reason, plan, agent), (count, written, estimate) in self._notes.items()
            if count and at - written >= SECOND
        ]

    def written(self, at: int, events: list[RefusedRequests]) -> None:
        """These stand in the log now."""
        for event in events:
            self._notes[event.reason, event.plan, event.agent] = (0, at, {})
