"""References of events about plans and agents."""

from __future__ import annotations

from ledger.events import (
    AgentRegistered,
    AgentRetired,
    AgentUpdated,
    PlanCreated,
    PlanRepriced,
    PlanRetired,
    RefusedRequests,
)
from ledger.refusals import Reason

from .case import Case
from .lookups import (
    has_agent,
    missing,
)


def plan_created(case: Case, event: PlanCreated) -> bool:
    """True if the plan's name and its id on a chain are new. Its asset has the decimals that it had before."""
    decimals = case.books.assets.get(event.asset)
    if decimals is not None and event.asset_decimals != decimals:
        found = f"{event.asset} has one number of decimals in a ledger"
        missing(case, "asset_decimals", decimals, event.asset_decimals, found)
    if event.plan in case.books.plans:
        return missing(case, "plan", "a new name", event.plan, "a plan's name is used once")
    for field, name in (("plan", event.plan), ("onchain_id", event.onchain_id)):
        if name and (name in case.books.onchain or (field == "onchain_id" and name in case.books.plans)):
            return missing(case, field, "a new name", name, "leaves name plans by one or the other")
    return True


def plan_changed(case: Case, event: PlanRepriced | PlanRetired) -> bool:
    """True if the plan exists, and a new tariff has the next version."""
    plan = case.books.plans.get(event.plan)
    if plan is None:
        return missing(case, "plan", "a plan", event.plan, f"there is no plan {event.plan!r}")
    if isinstance(event, PlanRepriced) and event.tariff.version != plan.tariff.version + 1:
        expected, found = plan.tariff.version + 1, event.tariff.version
        return missing(case, "tariff.version", expected, found, "tariff versions count up one by one")
    return True


def agent_registered(case: Case, event: AgentRegistered) -> bool:
    """True if the agent has the next number and a new name."""
    if event.agent != case.books.registered + 1:
        return missing(case, "agent", case.books.registered + 1, event.agent, "agents are numbered one by one")
    if event.name in case.books.agent_names:
        return missing(case, "name", "a new name", event.name, "an agent's name is used once")
    return _plans_of(case, event)


def agent_updated(case: Case, event: AgentUpdated) -> bool:
    """True if the agent exists and keeps its name."""
    agent = case.books.agents.get(event.agent)
    if agent is None:
        return missing(case, "agent", "an agent", event.agent, f"there is no agent {event.agent}")
    if agent.terms.name != event.name:
        return missing(case, "name", agent.terms.name, event.name, "an agent keeps its name")
    return _plans_of(case, event)


def _plans_of(case: Case, event: AgentRegistered) -> bool:
    for name in event.plans:
        if name not in case.books.plans:
            missing(case, "plans", "plans", name, f"there is no plan {name!r}")
    return True


def agent_retired(case: Case, event: AgentRetired) -> bool:
    """True if the agent exists."""
    if event.agent not in case.books.agents:
        return missing(case, "agent", "an agent", event.agent, f"there is no agent {event.agent}")
    return True


def refused(case: Case, event: RefusedRequests) -> bool:
    """True if the agent of the refused requests exists."""
    if event.reason not in Reason.__members__.values():
        missing(case, "reason", "a reason of the closed list", event.reason, "there is no such reason to refuse")
    if event.plan not in case.books.plans:
        missing(case, "plan", "a plan", event.plan, f"there is no plan {event.plan!r}")
    return has_agent(case, event.agent)
