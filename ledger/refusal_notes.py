"""Refusals that a plan records, kept until a commit can carry them."""

from __future__ import annotations

from .amounts import SECOND
from .books import Books
from .commands import Request
from .events import Recorded, RefusedRequests
from .refusals import Reason, Refused


class RefusalNotes:
    """Refusals that a plan records: in the next commit, never one of their own, one a second for each kind at most."""

    def __init__(self) -> None:
        self._notes: dict[tuple[str, str, int], tuple[int, int, dict[str, int]]] = {}

    def add(self, books: Books, command: object, outcome: object) -> None:
        """Note a refused request, where its plan records refusals."""
        if not isinstance(outcome, Refused) or not isinstance(command, Request) or outcome.reason is Reason.malformed:
            return
        plan = books.plans.get(command.plan)
        if plan is not None and plan.terms.record_refusals:
            place = (str(outcome.reason), command.plan, books.agent_names.get(command.agent, 0))
            count, written, _ = self._notes.get(place, (0, 0, {}))
            self._notes[place] = (count + 1, written, command.estimate)

    def take(self, at: int) -> list[Recorded]:
        """What may be written at that time."""
        events: list[Recorded] = []
        for place, (count, written, estimate) in self._notes.items():
            if count and at - written >= SECOND:
                reason, plan, agent = place
                events.append(RefusedRequests(reason=reason, plan=plan, agent=agent, estimate=estimate, count=count))
                self._notes[place] = (0, at, {})
        return events
