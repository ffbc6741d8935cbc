"""The state of the catalogue: plans with their tariffs, and agents."""

from __future__ import annotations

import msgspec

from .events import AgentRegistered, AgentUpdated, PlanCreated, Tariff


class Plan(msgspec.Struct):
    """A plan as it was created, and its tariffs, oldest first."""

    terms: PlanCreated
    tariffs: tuple[Tariff, ...]
    retired: bool = False

    @property
    def tariff(self) -> Tariff:
        """The tariff of new requests and direct charges."""
        return self.tariffs[-1]


class Agent(msgspec.Struct):
    """An agent as it was last registered or updated."""

    terms: AgentRegistered | AgentUpdated
    retired: bool = False
