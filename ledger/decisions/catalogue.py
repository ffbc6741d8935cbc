"""Decisions on the catalogue: plans and agents."""

from __future__ import annotations

import msgspec

from ..amounts import duration_text
from ..catalogue import Agent
from ..commands import (
    MAX_NESTED,
    CreatePlan,
    RegisterAgent,
    RepricePlan,
    RetireAgent,
    RetirePlan,
    UpdateAgent,
    check_kept,
)
from ..currencies import minor_units
from ..endpoints import check
from ..errors import UnknownPlugin
from ..events import (
    KEY_SECONDS,
    AgentRegistered,
    AgentRetired,
    AgentUpdated,
    Endpoint,
    PlanCreated,
    PlanRepriced,
    PlanRetired,
    Recorded,
    Share,
    Tariff,
)
from ..plugins.discovery import described
from ..rating import fault_of
from ..refusals import Reason, Refusal
from .context import Context, no_longer_sold, plan_of, registered, retired_agent

_TERMS = {
    field.name: field.default
    for field in msgspec.structs.fields(PlanCreated)
    if field.name not in ("price", "tariff", "key", "fingerprint")
}


_ALL_FREE = (
    "policy time: every request would be free, although the plan sells credits: give `credits_per_second`, or "
    "unpriced='free'"
)


def create_plan(context: Context, command: CreatePlan) -> list[Recorded]:
    """Create a plan. Its name, and its id on a chain, must be new."""
    if command.plan in context.books.plans:
        raise Refusal(Reason.key_reused, detail=_taken(f"plan {command.plan!r}", "ensure_plan"))
    for name in (command.plan, command.onchain_id):  # leaves name plans by either, so both must be unique
        if name and (name in context.books.onchain or name in context.books.plans):
            raise Refusal(Reason.key_reused, detail=f"{name!r} already is the name of a plan, or its id on a chain")
    return [plan_terms(context, command)]


def _taken(what: str, ensure: str) -> str:
    """Return the detail of a refusal for a name that is taken, perhaps by this very command, whose key is forgotten."""
    remembered = duration_text(KEY_SECONDS)
    detail = f"there already is the {what}: `{ensure}` takes it as it is, if it has these terms; or choose another name"
    return f"{detail} (the key of the command that made it is remembered for {remembered})"


def plan_terms(context: Context, command: CreatePlan) -> PlanCreated:
    """Return the terms of a plan that a command creates, whether or not there is one already. Raises Refusal."""
    price = tuple(Share(receiver, int(amount)) for receiver, amount in command.price.items())
    # msgspec leaves out what *is* a default, not what equals it: equal content must be equal bytes
    given = {name: getattr(command, name) for name in _TERMS} | {"asset_decimals": _asset_decimals(context, command)}
    terms = {name: value for name, value in given.items() if value != _TERMS[name]}
    return PlanCreated(price=price, tariff=tariff(context, 1, command), **terms)


def _asset_decimals(context: Context, command: CreatePlan) -> int | None:
    """Return the decimals of the plan's asset: as given, else as the ledger has them, else by its ISO 4217 code.

    An asset has one number of decimals in a ledger: other ones are refused.
    """
    known, given = context.books.assets.get(command.asset), command.asset_decimals
    if known is not None and given not in (None, known):
        detail = f"asset_decimals: {command.asset} has {known} decimals in this ledger, not {given}"
        raise Refusal(Reason.malformed, detail=detail)
    return next((one for one in (given, known, minor_units(command.asset)) if one is not None), None)


def policy_of(command: CreatePlan | RepricePlan) -> str:
    """Return the policy that a command names; by default a request costs 1 credit, or nothing if only time is sold."""
    if isinstance(command, CreatePlan) and command.policy is None:
        return "per_credit" if command.credits else "time"
    assert command.policy is not None  # only `CreatePlan` has a default
    return command.policy


def _decimals(context: Context, command: CreatePlan | RepricePlan) -> int:
    """Return the decimals of a plan's credits; 0 for an unknown plan, which is refused later."""
    if isinstance(command, CreatePlan):
        return command.decimals
    plan = context.books.plans.get(command.plan)
    return 0 if plan is None else plan.terms.decimals


def _sells_credits(context: Context, command: CreatePlan | RepricePlan) -> bool:
    """True if a command's plan sells credits, and does not say that usage without a price is free."""
    plan = context.books.plans.get(command.plan)
    terms = command if isinstance(command, CreatePlan) else plan and plan.terms
    return bool(terms and terms.credits and terms.unpriced == "refuse")


def reprice_plan(context: Context, command: RepricePlan) -> list[Recorded]:
    """Add the plan's next tariff version."""
    plan = plan_of(context, command.plan)
    _check_sold(plan.retired, command.plan)
    new = tariff(context, plan.tariff.version + 1, command)
    return [PlanRepriced(plan=command.plan, tariff=new)]


def retire_plan(context: Context, command: RetirePlan) -> list[Recorded]:
    """Retire a plan: it is no longer sold. It retires once."""
    _check_sold(plan_of(context, command.plan).retired, command.plan)
    return [PlanRetired(plan=command.plan)]


def register_agent(context: Context, command: RegisterAgent) -> list[Recorded]:
    """Register an agent. Its name must be new."""
    if command.agent in context.books.agent_names:
        raise Refusal(Reason.key_reused, detail=_taken(f"agent {command.agent!r}", "ensure_agent"))
    _check_terms(context, command.plans, (*command.endpoints, *command.open_endpoints))
    return [agent_terms(command, context.books.registered + 1)]


def agent_terms(command: RegisterAgent, number: int) -> AgentRegistered:
    """Return the terms of an agent that a command registers under a number."""
    return AgentRegistered(
        agent=number,
        name=command.agent,
        owner=command.owner,
        plans=command.plans,
        endpoints=command.endpoints,
        open_endpoints=command.open_endpoints,
        metadata=command.metadata,
    )


def update_agent(context: Context, command: UpdateAgent) -> list[Recorded]:
    """Update an agent. Fields that are not given stay as they are."""
    agent = _active(context, command.agent)
    terms = agent.terms
    updated = AgentUpdated(
        agent=terms.agent,
        name=terms.name,
        owner=terms.owner,
        plans=terms.plans if command.plans is None else command.plans,
        endpoints=terms.endpoints if command.endpoints is None else command.endpoints,
        open_endpoints=terms.open_endpoints if command.open_endpoints is None else command.open_endpoints,
        metadata=terms.metadata if command.metadata is None else command.metadata,
    )
    _check_terms(context, updated.plans, (*updated.endpoints, *updated.open_endpoints))
    return [updated]


def retire_agent(context: Context, command: RetireAgent) -> list[Recorded]:
    """Retire an agent. It retires once."""
    agent = _active(context, command.agent)
    return [AgentRetired(agent=agent.terms.agent)]


def _active(context: Context, name: str) -> Agent:
    """Return an agent that is not retired. Raises Refusal."""
    agent = registered(context, name)
    if agent.retired:
        raise Refusal(Reason.agent_retired, detail=retired_agent(name))
    return agent


def _check_sold(retired: bool, plan: str) -> None:
    if retired:
        raise Refusal(Reason.plan_retired, detail=no_longer_sold(plan))


def _check_terms(context: Context, plans: tuple[str, ...], endpoints: tuple[Endpoint, ...]) -> None:
    for plan in plans:
        plan_of(context, plan)
    for endpoint in endpoints:
        check(endpoint)


def tariff(context: Context, version: int, command: CreatePlan | RepricePlan) -> Tariff:
    """Return a command's tariff with the parameters in the policy's own form, so that equal tariffs are equal bytes.
    Raises Refusal."""
    name = policy_of(command)
    if name == "time" and not command.parameters and _sells_credits(context, command):
        raise Refusal(Reason.malformed, detail=_ALL_FREE)
    try:
        policy = context.tariffs.make(name, command.parameters, _decimals(context, command))
        fault = fault_of(policy)
        made = Tariff(version=version, policy=name, policy_version=policy.version, parameters=dict(policy.parameters))
    except (UnknownPlugin, ValueError) as error:
        raise Refusal(Reason.malformed, detail=f"policy {name}: {error}") from error
    except Exception as error:
        raise Refusal(Reason.policy_failed, detail=f"policy {name} raised {described(error)}") from error
    if fault:
        raise Refusal(Reason.policy_failed, detail=f"policy {name} cannot be used: {fault}")
    try:
        kept = msgspec.json.decode(msgspec.json.encode(made), type=Tariff)
        check_kept(made, kept, MAX_NESTED)
    except Exception as error:
        detail = f"the version and parameters of policy {name} cannot be written as JSON: {error}"
        raise Refusal(Reason.policy_failed, detail=detail) from error
    return kept  # a copy: it shares nothing with the policy
