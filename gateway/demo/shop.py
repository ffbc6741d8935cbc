"""What the demo sells: plans whose credits suit the policy, agents, and what each customer does with them.

Every plan is worth so many requests of the usual price, whatever the policy makes of a request; limits follow the
trace, so that a plan for a busy hour and one for a quiet fortnight are both tight now and then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import Enum, auto
from typing import Any

import msgspec

from ledger import CreatePlan, Endpoint, Limits, RateLimit, RegisterAgent, split
from ledger.amounts import MAX_CREDITS, SECOND, add_usage
from ledger.errors import LedgerError
from ledger.plugins import Policy, policies
from ledger.rating import total
from replay.workload.traces import Row, Trace

from .priced import Priced
from .work import MAX_LENGTH, work_of

ASSET = "USD"
FEE_PERCENT = 5
DAY = 86_400
TRIAL, STARTER, SCALE, DAYPASS, UNLIMITED = "trial", "starter", "scale", "daypass", "unlimited"
OFFERS = (STARTER, DAYPASS, TRIAL, STARTER, UNLIMITED)
"""What customers begin with, in turn, once the largest tenth has chosen `scale`."""

_SAMPLE = 200
_BURST = 5


class Habit(Enum):
    """When a customer buys again."""

    before_it_runs_out = auto()
    when_refused = auto()
    never = auto()


class Customer(msgspec.Struct):
    """A subscriber, the plan it uses where the trace names none, and its habit."""

    subscriber: str
    plan: str
    habit: Habit


class Shop(msgspec.Struct, frozen=True):
    """Plans and agents by name, the customers by subscriber, and what the plans' policies read."""

    plans: dict[str, CreatePlan]
    agents: dict[str, RegisterAgent]
    customers: dict[str, Customer]
    priced: Priced


class Tariff(msgspec.Struct, frozen=True):
    """The policy that the shop's plans price by: its name, its parameters and the policy itself."""

    name: str
    parameters: dict[str, Any]
    policy: Policy


def open_shop(trace: Trace, tariff: Tariff, slice_length: int) -> Shop:
    """Plans, agents and customers for a trace whose requests come in time slices of that many microseconds."""
    customers = _customers(trace.rows)
    usual = usual_price(tariff.policy, trace.rows)
    names = dict.fromkeys(row.plan for row in trace.rows if row.plan is not None)
    plans = _plans(tariff, usual, _fair_use(trace.rows, customers), names, 900 + 4 * slice_length // SECOND)
    agents = dict.fromkeys(row.agent for row in trace.rows if row.agent is not None)
    priced = dict.fromkeys(plans, tariff.policy) | {UNLIMITED: policies.get("time")({})}
    return Shop(plans, _agents(["assistant", "reader", *agents], tuple(plans)), customers, Priced(priced, trace))


def usual_price(policy: Policy, rows: Sequence[Row]) -> int:
    """The mean price of a sample of the trace's requests, in credits, rounded up; at least 1."""
    sample = rows[:: -(-len(rows) // _SAMPLE)]
    usage: dict[str, int] = {}
    credits = 0
    try:
        for row in sample:
            labels = {} if row.model is None else {"model": row.model}
            if policy.scope == "period":
                usage = add_usage(usage, work_of(row).usage)
                credits = total(policy, usage, labels).credits
            else:
                credits += total(policy, work_of(row).usage, labels).credits
    except LedgerError:
        return 1  # a policy that fails, or a price beyond bounds: every request will be refused for that very reason
    return max(1, -(-credits // len(sample)))


def agent_for(row: Row) -> str:
    """The agent that a request goes to: the trace's, else by what is asked of it."""
    if row.agent is not None:
        return row.agent
    long_answer = row.usage.get("output_tokens", 0) * 4 >= row.usage.get("input_tokens", 0)
    return "assistant" if long_answer else "reader"


def _customers(rows: Sequence[Row]) -> dict[str, Customer]:
    """The largest tenth is on `scale`, the others begin in turn with the other plans; habits go round in sevens."""
    requests = Counter(row.subscriber or "" for row in rows)
    largest_first = sorted(requests, key=lambda name: (-requests[name], name))
    large = max(1, len(largest_first) // 10)
    habits = {3: Habit.never, 5: Habit.when_refused}
    return {
        name: Customer(
            subscriber=name,
            plan=SCALE if rank < large else OFFERS[(rank - large) % len(OFFERS)],
            habit=habits.get(rank % 7, Habit.before_it_runs_out),
        )
        for rank, name in enumerate(largest_first)
    }


def _fair_use(rows: Sequence[Row], customers: dict[str, Customer]) -> RateLimit:
    """A rate that the busiest customer on the unlimited plan would keep if its requests were evenly spaced."""
    requests = Counter(row.subscriber for row in rows if customers[row.subscriber or ""].plan == UNLIMITED)
    busiest = max(requests.values(), default=1)
    span = (rows[-1].at - rows[0].at) // SECOND
    return RateLimit(requests=_BURST, seconds=max(1, _BURST * span // busiest))


def _plans(
    tariff: Tariff, usual: int, fair_use: RateLimit, names: Sequence[str] | dict[str, None], hold_seconds: int
) -> dict[str, CreatePlan]:
    def plan(name: str, cents: int, requests: int, **terms: Any) -> CreatePlan:  # noqa: ANN401 - a plan's own fields
        fee, price = split(cents, [FEE_PERCENT, 100 - FEE_PERCENT])
        return CreatePlan(
            plan=name,
            owner="acme",
            asset=ASSET,
            price={"acme": price, "platform": fee} if cents else {},
            credits=_round(usual * requests),
            hold_seconds=hold_seconds,
            longest_seconds=hold_seconds + 2 * MAX_LENGTH // SECOND,
            record_refusals=True,
            **{"policy": tariff.name, "parameters": tariff.parameters, **terms},
        )

    debt = _round(usual * 10)
    offers = [
        plan(TRIAL, 0, 10, trial=True, seconds=DAY, limits=Limits(open=2)),
        plan(STARTER, 500, 50),
        plan(SCALE, 4_000, 500, overrun="debt", debt_limit=debt),
        plan(DAYPASS, 800, 100, seconds=DAY),
        plan(UNLIMITED, 2_900, 0, seconds=30 * DAY, limits=Limits(rate=fair_use), policy="time", parameters={}),
    ]
    known = {offer.plan: offer for offer in offers}
    return known | {name: plan(name, 500, 50) for name in names if name not in known}


def _round(credits: int) -> int:
    """Up to two significant digits, as plans are sold; far from the largest number that an account may hold."""
    step = int(10 ** max(0, len(str(credits)) - 2))
    return min(-(-credits // step) * step, MAX_CREDITS // 10**6)


def _agents(names: Sequence[str], plans: tuple[str, ...]) -> dict[str, RegisterAgent]:
    return {
        name: RegisterAgent(
            agent=name,
            owner="acme",
            plans=plans,
            endpoints=(Endpoint("POST", f"https://agent-{number}.example/v1/:action"),),
            open_endpoints=(Endpoint("GET", f"https://agent-{number}.example/health"),),
        )
        for number, name in enumerate(dict.fromkeys(names), 1)
    }
