"""Plans and agents as they are now: readings of the catalogue, and a comparison with terms that a program expects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from .books import Books
from .commands import CreatePlan, RegisterAgent
from .decisions.catalogue import agent_terms, plan_terms
from .decisions.context import Context
from .errors import TermsDiffer
from .events import AgentRegistered, AgentUpdated, PlanCreated, Tariff
from .log import Head
from .refusals import Reason, Refusal
from .shown import Shown
from .tariffs import Tariffs

E = TypeVar("E")

_APART = ("tariff", "key", "fingerprint")
"""Fields of an event that are no terms, or are compared apart."""


class PlanReading(Shown, frozen=True, kw_only=True):
    """A plan: its terms as it was created, its present tariff, and whether it is retired (no longer sold).

    `tariff` is that of new requests and direct charges; it differs from `terms.tariff` after a repricing.
    """

    plan: str
    terms: PlanCreated
    tariff: Tariff
    retired: bool


class AgentReading(Shown, frozen=True, kw_only=True):
    """An agent: its number in events, its terms as last registered or updated, and whether it is retired (takes no new
    requests)."""

    agent: str
    number: int
    terms: AgentRegistered | AgentUpdated
    retired: bool


def plans(books: Books) -> list[PlanReading]:
    """Return all plans, by name."""
    return [_plan(books, name) for name in sorted(books.plans)]


def agents(books: Books) -> list[AgentReading]:
    """Return all agents, by name."""
    return [_agent(books, name) for name in sorted(books.agent_names)]


def matching_plan(books: Books, tariffs: Tariffs, command: CreatePlan) -> PlanReading | None:
    """Return the plan that a command would create, if it is there with the command's terms now; None if it is not.

    After a repricing its present tariff counts. Raises TermsDiffer, and Refusal for a command that no books would take.
    """
    present = _plan(books, command.plan) if command.plan in books.plans else None
    if present is not None:
        context = Context(books, books.at, tariffs, "", Head(books.seq, b"", books.at))
        wanted = _wanted(lambda: plan_terms(context, command))
        _check(
            f"the plan {command.plan!r}",
            _terms(present.terms, present.tariff) | {"retired": present.retired},
            _terms(wanted, wanted.tariff) | {"retired": False},
            "give its present terms, reprice it (`RepricePlan`), or sell other terms under another name",
        )
    return present


def matching_agent(books: Books, command: RegisterAgent) -> AgentReading | None:
    """Return the agent that a command would register, if it is there with the command's terms now; None if it is not.
    Raises TermsDiffer, and Refusal for a command that no books would take."""
    present = _agent(books, command.agent) if command.agent in books.agent_names else None
    if present is not None:
        _check(
            f"the agent {command.agent!r}",
            _terms(present.terms) | {"retired": present.retired},
            _terms(_wanted(lambda: agent_terms(command, present.number))) | {"retired": False},
            "give its present terms, or change it (`UpdateAgent`)",
        )
    return present


def _wanted(terms: Callable[[], E]) -> E:
    """Return the terms of a command. Raises Refusal where they contradict each other, as deciding the command would."""
    try:
        return terms()
    except ValueError as error:
        raise Refusal(Reason.malformed, detail=str(error)) from error


def _plan(books: Books, name: str) -> PlanReading:
    plan = books.plans[name]
    return PlanReading(plan=name, terms=plan.terms, tariff=plan.tariff, retired=plan.retired)


def _agent(books: Books, name: str) -> AgentReading:
    number = books.agent_names[name]
    agent = books.agents[number]
    return AgentReading(agent=name, number=number, terms=agent.terms, retired=agent.retired)


def _terms(event: PlanCreated | AgentRegistered | AgentUpdated, tariff: Tariff | None = None) -> dict[str, Any]:
    """Return the terms of an event as its command has them. The version of the policy is none of them."""
    terms = {name: getattr(event, name) for name in event.__struct_fields__ if name not in _APART}
    if isinstance(event, PlanCreated) and tariff is not None:
        terms["price"] = {share.receiver: share.amount for share in event.price}
        terms |= {"policy": tariff.policy, "parameters": tariff.parameters}
    return terms


def _check(what: str, present: dict[str, Any], given: dict[str, Any], hint: str) -> None:
    differences = {name: (present[name], value) for name, value in given.items() if present[name] != value}
    if differences:
        listed = "; ".join(f"{name} is {_said(now)}, not {_said(value)}" for name, (now, value) in differences.items())
        raise TermsDiffer(f"{what} has other terms: {listed}", differences, hint)


def _said(term: object) -> str:
    """Return a term as text, without what is not set in it."""
    return "unset" if term is None else repr(msgspec.to_builtins(term))
