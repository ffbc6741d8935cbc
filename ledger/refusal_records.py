"""Refusals that a plan records, kept in memory until a commit can carry them."""

from __future__ import annotations

from .amounts import SECOND
from .books import Books
from .commands import Request
from .events import RefusedRequests
from .refusals import Refused


class RefusalRecords:
    """Counts of refused requests, written with a next commit and never in a commit alone: one event a second for each
    reason, plan and agent at most."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, int], tuple[int, int, dict[str, int]]] = {}

    def add(self, books: Books, request: Request, refused: Refused) -> None:
        """Count a refused request, if its plan records refusals."""
        plan = books.plans.get(request.plan)
        if plan is not None and plan.terms.record_refusals:
            kind = (str(refused.reason), request.plan, books.agent_names.get(request.agent, 0))
            count, written, _ = self._counts.get(kind, (0, 0, {}))
            self._counts[kind] = (count + 1, written, request.estimate)

    def ready(self, at: int) -> list[RefusedRequests]:
        """Return the events that may be written at time `at` (UTC microseconds)."""
        if not self._counts:
            return []
        return [
            RefusedRequests(reason=reason, plan=plan, agent=agent, estimate=estimate, count=count)
            for (reason, plan, agent), (count, written, estimate) in self._counts.items()
            if count and at - written >= SECOND
        ]

    def written(self, at: int, events: list[RefusedRequests]) -> None:
        """Reset the counts of events that were written."""
        for event in events:
            self._counts[event.reason, event.plan, event.agent] = (0, at, {})
