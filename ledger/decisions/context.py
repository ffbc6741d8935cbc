"""The context of a decision, and the lookups and checks that several decisions share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..accounts import Account
from ..amounts import money_text
from ..books import Books, KeyUse
from ..catalogue import Agent, Plan
from ..endpoints import allows
from ..events import Draws, Recorded, Usage
from ..expiry import due
from ..identity import OlderKey
from ..log import Entry, Head
from ..rating import PolicyFailed, PriceTooLarge, unpriced
from ..refusals import Reason, Refusal
from ..tariffs import Tariffs

if TYPE_CHECKING:
    from .refusal_facts import Assessment

NO_EVIDENCE: Mapping[int, Entry] = {}


@dataclass(slots=True, frozen=True)
class PriceList:
    """The parts of a plan that the fast path needs at one time. Without `credits_of` it decides none of its charges."""

    plan: Plan
    credits_of: Callable[[Mapping[str, int], Mapping[str, str]], int] | None = None
    reads: Callable[[Mapping[str, str]], frozenset[str] | None] | None = None
    version: int = 0
    period: str = ""


def no_older_key(digest: bytes) -> KeyUse | None:
    """Find no key: the books have all of them."""
    return None


@dataclass(slots=True)
class Context:
    """Input of a decision: the books as the group's earlier commands leave them, the commit's time
    (`at`, UTC microseconds), the policies, the log's id and head, the events read from the log for the command, and
    what finds an older key than the books hold.

    `prices` caches price lists by plan for the group. `behind` is how far the clock is behind `at`, in microseconds,
    because the log's head is ahead of the clock.
    """

    books: Books
    at: int
    tariffs: Tariffs
    ledger: str
    head: Head
    evidence: Mapping[int, Entry] = field(default_factory=lambda: NO_EVIDENCE)
    prices: dict[str, PriceList] = field(default_factory=dict)
    behind: int = 0
    older_key: OlderKey = no_older_key


@dataclass(slots=True)
class Decision:
    """The events of an accepted command: those that are due on its account before it, then its own, of which the first
    is its answer."""

    due: list[Recorded]
    own: list[Recorded]


@dataclass(slots=True)
class Replay:
    """Answer to a command that was executed before: the event at sequence `seq`."""

    seq: int


def plan_of(context: Context, name: str) -> Plan:
    """Return the plan of that name. Raises Refusal."""
    plan = context.books.plans.get(name)
    if plan is None:
        raise Refusal(Reason.plan_unknown, detail=f"there is no plan {name!r}")
    return plan


def shown_with(plan: Plan) -> dict[str, int]:
    """Return the fact that says how a refusal's credits are shown: `decimals`, if the plan has any."""
    return {"decimals": plan.terms.decimals} if plan.terms.decimals else {}


def money_in(context: Context, asset: str, amount: int) -> str:
    """Return an amount of an asset as a refusal's detail has it: `5.00 USD`."""
    return money_text(amount, asset, context.books.decimals(asset)).rstrip()


def no_longer_sold(plan: str) -> str:
    """Return the detail of a refusal for a retired plan."""
    return f"the plan {plan!r} is retired: it is no longer sold or repriced"


def retired_agent(name: str) -> str:
    """Return the detail of a refusal for a retired agent."""
    return f"the agent {name!r} is retired: name another agent, or none"


def agent_of(context: Context, plan: Plan, name: str, method: str = "", url: str = "") -> int:
    """Return the number of an agent that serves the plan and allows the endpoint; 0 if none is named. Raises
    Refusal."""
    if not name:
        return 0
    agent = registered(context, name)
    if agent.retired:
        raise Refusal(Reason.agent_retired, detail=retired_agent(name))
    terms = agent.terms
    if plan.terms.plan not in terms.plans:
        raise Refusal(
            Reason.agent_not_in_plan, detail=f"the agent {name!r} does not serve the plan {plan.terms.plan!r}"
        )
    listed = (*terms.endpoints, *terms.open_endpoints)
    if url and terms.endpoints and not allows(listed, method, url):
        raise Refusal(Reason.endpoint_not_allowed, detail=f"the agent {name!r} does not allow {method} {url}")
    return terms.agent


def registered(context: Context, name: str) -> Agent:
    """Return the agent of that name. Raises Refusal."""
    number = context.books.agent_names.get(name)
    if number is None:
        raise Refusal(Reason.agent_unknown, detail=f"there is no agent {name!r}")
    return context.books.agents[number]


def account_of(
    context: Context, subscriber: str, plan: Plan, assessment: Assessment[Any] | None = None
) -> tuple[Account, list[Recorded]]:
    """Return a subscriber's account as it is due, and the events that are due on it.

    Raises Refusal if there is no account; an `assessment` adds the facts of what would let the command pass.
    """
    account = context.books.find(subscriber, plan.terms.plan)
    if account is None:
        refusal = Refusal(Reason.not_subscribed)
        raise refusal if assessment is None else assessment.with_facts(refusal, Account(0, subscriber, plan.terms.plan))
    return due(account, plan, context.at, context.tariffs)


def check_policy(context: Context, plan: Plan) -> None:
    """Refuse to sell a plan whose policy cannot be made, so that each of its charges would be refused.

    Raises PolicyFailed.
    """
    context.tariffs.policy(plan, plan.tariff.version)


def check_priced(context: Context, plan: Plan, usage: Usage, labels: Mapping[str, str]) -> None:
    """Refuse an estimate with units that no rate of the tariff prices, unless the plan makes them free."""
    if not usage or plan.terms.unpriced == "free":
        return
    policy = context.tariffs.policy(plan, plan.tariff.version)
    if dimensions := unpriced(policy, usage, labels):
        model = labels.get("model")
        detail = f"no rate of the tariff {plan.tariff.policy!r} reads {', '.join(sorted(dimensions))}"
        raise Refusal(Reason.unpriced, detail=detail + (f" of the model {model!r}" if model is not None else ""))


def check_access(account: Account, plan: Plan, at: int) -> None:
    """Refuse an account on which no lot has started, that is frozen, or whose lots have all expired.

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
    """Return a failure to compute a price as a refusal."""
    if isinstance(error, Refusal):
        return error
    reason = Reason.overflow if isinstance(error, PriceTooLarge) else Reason.policy_failed
    return Refusal(reason, detail=str(error))


def take(account: Account, credits: int) -> Draws:
    """Return draws of up to `credits` available credits, in burn order; fewer if fewer are available."""
    available = account.available
    if 0 < credits <= available and credits <= account.lots[account.burn[0]].left:
        return ((account.burn[0], credits),)
    wanted = min(credits, max(0, available))
    draws: list[tuple[int, int]] = []
    for lot_id in account.burn:
        if not wanted:
            break
        part = min(wanted, account.lots[lot_id].left)
        draws.append((lot_id, part))
        wanted -= part
    return tuple(draws)


def overrun(account: Account, plan: Plan, credits: int) -> tuple[Draws, int]:
    """Split credits that exceed the available ones: a draw on debt as far as the plan's rule and limit allow, and the
    shortfall."""
    room = max(0, plan.terms.debt_limit - account.debt) if plan.terms.overrun == "debt" else 0
    owed = min(credits, room)
    return (((0, owed),) if owed else ()), credits - owed
