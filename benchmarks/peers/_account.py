"""The aggregate of `eventsourced`, in a module of its own: importing it needs the library."""

from __future__ import annotations

from eventsourcing.domain import Aggregate, event


class Account(Aggregate):
    """An account that refuses what it cannot pay."""

    @event("Opened")
    def __init__(self, balance: int) -> None:
        self.balance = balance

    def charge(self, credits: int, usage: dict[str, int]) -> None:
        """Charge, if there is enough."""
        if credits > self.balance:
            raise ValueError("not enough")
        self._charge(credits, usage)

    @event("Charged")
    def _charge(self, credits: int, usage: dict[str, int]) -> None:
        self.balance -= credits
