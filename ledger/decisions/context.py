"""What a decision is made on, and the questions that several decisions ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..accounts import Account
from ..books import Books
from ..catalogue import Agent, Plan
from ..endpoints import allows
from ..events import Draws, Recorded, Usage
from ..expiry import due
from ..log import Entry, Head
from ..rating import PolicyFailed, PriceTooLarge, unpriced
from ..refusals import Reason, Refusal
from ..tariffs import Tariffs

if TYPE_CHECKING:
    from .refusal_facts import Passing

NO_EVIDENCE: Mapping[int, Entry] = {}


@dataclass(slots=True, frozen=True)
class PriceList:
    """What a plan's ordinary charges have in common; without `credits_of` none of them is ordinary."""

    plan: Plan
    credits_of: Callable[[Mapping[str, int], Mapping[str, str]], int] | None = None
    reads: Callable[[Mapping[str, str]], frozenset[str] | None] | None = None
    version: int = 0
    period: str = ""


@dataclass(slots=True)
class Context:
    """The books as the next command of a group finds them, the commit's time, the log's id and head, and what was read
    from the log for the command. `prices` are those that commands of the group asked for before, by plan. `behind` is
    how far the clock is behind that time, in microseconds, because the log's head is ahead of it."""

    books: Books
    at: int
    tariffs: Tariffs
    ledger: str
    head: Head
    evidence: Mapping[int, Entry] = field(default_factory=lambda: NO_EVIDENCE)
    prices: dict[str, PriceList] = field(default_factory=dict)
    behind: int = 0


@dataclass(slots=True)
class Decision:
    """What a command comes to: what must happen on its account before it (`due`: by time, above all), then its own
    events, the first of which is its answer."""

    due: list[Recorded]
    own: list[Recorded]


@dataclass(slots=True)
class Replay:
    """The command was done before; its answer is the event at this sequence."""

    seq: int


def plan_of(context: Context, name: str) -> Plan:
    """The plan of that name, or a refusal."""
    plan = context.books.plans.get(name)
    if plan is None:
        raise Refusal(Reason.plan_unknown, detail=name)
    return plan


def agent_of(context: Context, plan: Plan, name: str, method: str = "", url: str = "") -> int:
    """The number of an agent that is open to the plan and allows the endpoint; 0 where none is named."""
    if not name:
        return 0
    agent = registered(context, name)
    if agent.retired:
        raise Refusal(Reason.agent_retired, detail=name)
    terms = agent.terms
    if plan.terms.plan not in terms.plans:
        raise Refusal(Reason.agent_not_in_plan, detail=name)
    listed = (*terms.endpoints, *terms.open_endpoints)
    if url and terms.endpoints and not allows(listed, method, url):
        raise Refusal(Reason.endpoint_not_allowed, detail=f"{method} {url}")
    return terms.agent


def registered(context: Context, name: str) -> Agent:
    """The agent of that name, or a refusal."""
    number = context.books.agent_names.get(name)
    if number is None:
        raise Refusal(Reason.agent_unknown, detail=name)
    return context.books.agents[number]


def account_of(
    context: Context, subscriber: str, plan: Plan, passing: Passing[Any] | None = None
) -> tuple[Account, list[Recorded]]:
    """A subscriber's account as it is due, and what became due; refused where there is none.

    `passing` is what the account is wanted for, which then says what would let it pass.
    """
    account = context.books.find(subscriber, plan.terms.plan)
    if account is None:
        refusal = Refusal(Reason.not_subscribed)
        raise refusal if passing is None else passing.explained(refusal, Account(0, subscriber, plan.terms.plan))
    return due(account, plan, context.at, context.tariffs)


def check_priced(context: Context, plan: Plan, usage: Usage, labels: Mapping[str, str]) -> None:
    """Refuse an estimate with units that no rate of the tariff reads, unless the plan says that they are free."""
    if not usage or plan.terms.unpriced == "free":
        return
    policy = context.tariffs.policy(plan, plan.tariff.version)
    if names := unpriced(policy, usage, labels):
        model = labels.get("model")
        told = f"no rate of the tariff {plan.tariff.policy!r} reads {', '.join(sorted(names))}"
        raise Refusal(Reason.unpriced, detail=told + (f" of the model {model!r}" if model is not None else ""))


def check_access(account: Account, plan: Plan, at: int) -> None:
    """Refuse an account that no lot ever started on, that is frozen, or whose lots are all past their expiry.

    On a plan that sells only time, credits give no access.
    """
    if not account.frozen and account.burn and plan.terms.grants_credits and account.lots[account.burn[0]].lives(at):
        return
    started = [lot for lot in account.lots.values() if lot.started]
    if not started:
        raise Refusal(Reason.not_subscribed)
    if account.frozen:
        raise Refusal(Reason.frozen)
    if not any(lot.lives(at) and (plan.terms.grants_credits or lot.expiry is not None) for lot in started):
        raise Refusal(Reason.expired)


def refusal_of(error: Refusal | PolicyFailed | PriceTooLarge) -> Refusal:
    """What goes wrong while a price is computed is a refusal too."""
    if isinstance(error, Refusal):
        return error
    reason = Reason.overflow if isinstance(error, PriceTooLarge) else Reason.policy_failed
    return Refusal(reason, detail=str(error))


def take(account: Account, credits: int) -> Draws:
    """Draws of up to `credits` from what is available, in burn order; less where there is less."""
    available = account.available
    if 0 < credits <= available and credits <= account.lots[account.burn[0]].left:
        return ((account.burn[0], credits),)
    wanted = min(credits, max(0, available))
    draws: list[tuple[int, int]] = []
    for name in account.burn:
        if not wanted:
            break
        part = min(wanted, account.lots[name].left)
        draws.append((name, part))
        wanted -= part
    return tuple(draws)


def overrun(account: Account, plan: Plan, credits: int) -> tuple[Draws, int]:
    """What goes beyond the available: a draw on debt as far as the plan's rule and limit go, and the shortfall."""
    room = max(0, plan.terms.debt_limit - account.debt) if plan.terms.overrun == "debt" else 0
    owed = min(credits, room)
    return (((0, owed),) if owed else ()), credits - owed
