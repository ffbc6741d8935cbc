"""The catalogue of a log: plans and agents as rows, in the order in which they were made; their keys are stable."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from ledger.books import Books
from ledger.events import AgentRegistered, AgentUpdated, PlanCreated


def plans_of(books: Books) -> list[dict[str, Any]]:
    """Return the plans: each with its owner, tariff, terms, number of accounts, and whether it is retired."""
    accounts = Counter(plan for _, plan in books.names)
    return [
        {
            "plan": name,
            "owner": plan.terms.owner,
            "retired": plan.retired,
            "accounts": accounts[name],
            "tariff": msgspec.to_builtins(plan.tariff),
            "terms": _terms(plan.terms, "plan", "owner", "tariff"),
        }
        for name, plan in books.plans.items()
    ]


def agents_of(books: Books) -> list[dict[str, Any]]:
    """Return the agents: each with its number, owner and terms, and whether it is retired."""
    return [
        {
            "agent": agent.terms.name,
            "number": number,
            "owner": agent.terms.owner,
            "retired": agent.retired,
            "plans": agent.terms.plans,
            "terms": _terms(agent.terms, "agent", "name", "owner", "plans"),
        }
        for number, agent in books.agents.items()
    ]


def _terms(terms: PlanCreated | AgentRegistered | AgentUpdated, *shown: str) -> dict[str, Any]:
    """Return all fields of an event but its type and those that are shown elsewhere."""
    fields = {
        name: getattr(terms, name) for name in terms.__struct_fields__ if name not in (*shown, "key", "fingerprint")
    }
    built: dict[str, Any] = msgspec.to_builtins(fields)
    return built
