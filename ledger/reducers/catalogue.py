"""Reducers of the catalogue: plans and agents."""

from __future__ import annotations

from typing import TypeVar, cast

from ..books import Books
from ..catalogue import Agent, Plan
from ..events import (
    AgentRegistered,
    AgentRetired,
    AgentUpdated,
    Event,
    PlanCreated,
    PlanRepriced,
    PlanRetired,
    decode_one,
    encode,
)

E = TypeVar("E", bound=Event)


def reduce_catalogue(
    books: Books, event: PlanCreated | PlanRepriced | PlanRetired | AgentRegistered | AgentRetired
) -> None:
    """Apply an event of the catalogue to the books."""
    match event:
        case PlanCreated():
            event = _detached_copy(event)
            books.plans[event.plan] = Plan(event, (event.tariff,))
            if event.asset_decimals is not None:
                books.assets[event.asset] = event.asset_decimals
            if event.onchain_id:
                books.onchain[event.onchain_id] = event.plan
        case PlanRepriced():
            plan = books.plans[event.plan]
            books.plans[event.plan] = Plan(plan.terms, (*plan.tariffs, _detached_copy(event).tariff), plan.retired)
        case PlanRetired():
            plan = books.plans[event.plan]
            books.plans[event.plan] = Plan(plan.terms, plan.tariffs, retired=True)
        case AgentUpdated() | AgentRegistered():
            books.agents[event.agent] = Agent(_detached_copy(event))
            books.agent_names[event.name] = event.agent
            books.registered = max(books.registered, event.agent)
        case AgentRetired():
            books.agents[event.agent] = Agent(books.agents[event.agent].terms, retired=True)


def _detached_copy(event: E) -> E:
    """Return a deep copy, so that a caller who changes the parameters of the returned event cannot change the books."""
    return cast(E, decode_one(encode(event)))
