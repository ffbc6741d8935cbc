"""The demo's shop: plans, agents, and customers with their habits.

A plan's credits are a number of requests at their mean price under any policy; limits follow the trace, so that
both a busy hour and a quiet fortnight exceed them now and then.
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

from .usage import MAX_DURATION, PricedDimensions, is_timed, labels, work_of

ASSET, CENTS = "USD", 2
"""The asset of the shop, and its decimals."""

FEE_PERCENT = 5
DAY = 86_400
TRIAL, STARTER, SCALE, DAYPASS, UNLIMITED = "trial", "starter", "scale", "daypass", "unlimited"
FIRST_PLANS = (STARTER, DAYPASS, TRIAL, STARTER, UNLIMITED)
"""The customers' first plans, in turn; the largest tenth are on `scale`."""

_SAMPLE_ROWS = 200
_BURST = 5


class Habit(Enum):
    """The occasion on which a customer buys again."""

    before_it_runs_out = auto()
    when_refused = auto()
    never = auto()


class Customer(msgspec.Struct):
    """A subscriber, the plan it uses where the trace names none, and its habit."""

    subscriber: str
    plan: str
    habit: Habit


class Shop(msgspec.Struct, frozen=True):
    """Plans and agents by name, the customers by subscriber, and the dimensions that the plans' policies read."""

    plans: dict[str, CreatePlan]
    agents: dict[str, RegisterAgent]
    customers: dict[str, Customer]
    priced: PricedDimensions


class Tariff(msgspec.Struct, frozen=True):
    """The policy of the shop's plans: its name, its parameters and the policy itself."""

    name: str
    parameters: dict[str, Any]
    policy: Policy


def open_shop(trace: Trace, tariff: Tariff, slice_length: int) -> Shop:
    """Return plans, agents and customers for a trace; `slice_length` is the story's, in microseconds."""
    customers = _customers(trace.rows)
    mean = _mean_price(tariff.policy, trace)
    names = dict.fromkeys(row.plan for row in trace.rows if row.plan is not None)
    plans = _plans(tariff, mean, _fair_use(trace.rows, customers), names, 900 + 4 * slice_length // SECOND)
    agents = dict.fromkeys(row.agent for row in trace.rows if row.agent is not None)
    priced = dict.fromkeys(plans, tariff.policy) | {UNLIMITED: policies.get("time")({})}
    return Shop(
        plans, _agents(["assistant", "reader", *agents], tuple(plans)), customers, PricedDimensions(priced, trace)
    )


def price_of(plan: CreatePlan) -> dict[str, int]:
    """Return the price of a plan of the shop by receiver, in the asset's smallest unit, in which the shop writes it."""
    return {receiver: int(amount) for receiver, amount in plan.price.items()}


def _mean_price(policy: Policy, trace: Trace) -> int:
    """Return the mean price of a sample of the trace's requests, in credits, rounded up; at least 1."""
    sample, timed = trace.rows[:: -(-len(trace.rows) // _SAMPLE_ROWS)], is_timed(trace)
    usage: dict[str, int] = {}
    credits = 0
    try:
        for row in sample:
            used = work_of(row, timed).usage
            if policy.scope == "period":
                usage = add_usage(usage, used)
                credits = total(policy, usage, labels(row.model)).credits
            else:
                credits += total(policy, used, labels(row.model)).credits
    except LedgerError:
        return 1  # the policy fails, or a price is out of bounds: requests will be refused for the same reason
    return max(1, -(-credits // len(sample)))


def agent_for(row: Row) -> str:
    """Return the agent of a request: the trace's, else `assistant` for long answers and `reader` for long questions."""
    if row.agent is not None:
        return row.agent
    long_answer = row.usage.get("output_tokens", 0) * 4 >= row.usage.get("input_tokens", 0)
    return "assistant" if long_answer else "reader"


def _customers(rows: Sequence[Row]) -> dict[str, Customer]:
    """Return the customers: the largest tenth on `scale`, the others on the first plans in turn."""
    requests = Counter(row.subscriber or "" for row in rows)
    largest_first = sorted(requests, key=lambda name: (-requests[name], name))
    large = max(1, len(largest_first) // 10)
    habits = {3: Habit.never, 5: Habit.when_refused}
    return {
        name: Customer(
            subscriber=name,
            plan=SCALE if rank < large else FIRST_PLANS[(rank - large) % len(FIRST_PLANS)],
            habit=habits.get(rank % 7, Habit.before_it_runs_out),
        )
        for rank, name in enumerate(largest_first)
    }


def _fair_use(rows: Sequence[Row], customers: dict[str, Customer]) -> RateLimit:
    """Return the rate of the busiest customer on the unlimited plan, were its requests evenly spaced."""
    requests = Counter(row.subscriber for row in rows if customers[row.subscriber or ""].plan == UNLIMITED)
    busiest = max(requests.values(), default=1)
    span = (rows[-1].at - rows[0].at) // SECOND
    return RateLimit(requests=_BURST, seconds=max(1, _BURST * span // busiest))


def _plans(
    tariff: Tariff, mean: int, fair_use: RateLimit, names: Sequence[str] | dict[str, None], hold_seconds: int
) -> dict[str, CreatePlan]:
    def plan(name: str, cents: int, requests: int, **terms: Any) -> CreatePlan:  # noqa: ANN401 - a plan's own fields
        fee, price = split(cents, [FEE_PERCENT, 100 - FEE_PERCENT])
        return CreatePlan(
            plan=name,
            owner="acme",
            asset=ASSET,
            price={"acme": price, "platform": fee} if cents else {},
            credits=_round(mean * requests),
            hold_seconds=hold_seconds,
            longest_seconds=hold_seconds + 2 * MAX_DURATION // SECOND,
            record_refusals=True,
            **{"policy": tariff.name, "parameters": tariff.parameters, **terms},
        )

    debt = _round(mean * 10)
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
    """Round up to two significant digits, as plans are sold; far below the most that an account may hold."""
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
