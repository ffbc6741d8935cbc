"""The plans of a run: of every shape, with policies that are given or drawn from the built-in ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, TypeAlias

from msgspec.structs import replace

from ledger.amounts import MAX_CREDITS
from ledger.commands import CreatePlan
from ledger.events import DAY_SECONDS, KEY_SECONDS, CreditsLimit, Limits, RateLimit
from pricing.notation import parse

Tariff: TypeAlias = str | tuple[str, Mapping[str, Any]]
"""A policy as on the command line (`per_credit:credits=2`), or its name and parameters."""

BUILT_IN: Sequence[tuple[str, dict[str, Any]]] = (
    ("per_credit", {"credits": 2}),
    ("per_credit", {"credits": 1, "per": "call"}),
    ("complexity", {"weights": {"tokens": "1"}}),
    ("complexity", {"weights": {"tokens": "2/3", "calls": "1"}, "minimum": 2, "maximum": 9}),
    ("cost_plus", {"costs": {"tokens": "3/7"}, "margin": "1/5"}),
    (
        "graduated",
        {
            "dimension": "tokens",
            "tiers": [{"up_to": 5, "unit": "3/2", "flat": 2}, {"up_to": None, "unit": "1/2", "flat": 1}],
        },
    ),
    ("volume", {"dimension": "tokens", "tiers": [{"up_to": 6, "unit": "2"}, {"up_to": None, "unit": "1/2"}]}),
    ("volume", {"dimension": "tokens", "tiers": [{"up_to": 4, "unit": "1"}, {"up_to": None, "unit": "3"}]}),
    ("package", {"dimension": "tokens", "size": 4, "credits": 3, "free": 2}),
    ("time", {}),
    ("time", {"credits_per_second": "1/2"}),
)
"""Policies with thresholds that a few units reach."""

OWNER = "acme"
MAX_PLANS = 3
KEY_SECONDS_OF_PLANS = (KEY_SECONDS, DAY_SECONDS, 20)
"""How long keys are remembered, plan by plan: longer than a run, about as long, and shorter than many pauses in it."""


def drawn(random: Random, tariffs: Sequence[Tariff], asset: str, names: Sequence[str]) -> list[CreatePlan]:
    """Return a run's plans: one for each given tariff, or for some of the built-in ones."""
    given = [parse(tariff) if isinstance(tariff, str) else tariff for tariff in tariffs]
    chosen = given or random.sample(BUILT_IN, MAX_PLANS)
    return [
        _plan(random, number, asset, tariff, names[number - 1] if number <= len(names) else "")
        for number, tariff in enumerate(chosen, 1)
    ]


def _plan(random: Random, number: int, asset: str, tariff: tuple[str, Mapping[str, Any]], onchain: str) -> CreatePlan:
    policy, parameters = tariff
    in_time = policy == "time" and not parameters
    overrun, trial = random.choice(("cap", "debt")), random.randrange(8) == 0
    plan = CreatePlan(
        plan=f"plan {number}",
        owner=OWNER,
        onchain_id=onchain,
        asset=random.choice((asset, asset, "EUR")),
        price={} if trial else _price(random),
        credits=0 if in_time else random.choice((1, 5, 12, 12, 40, 40, 1_000, MAX_CREDITS // 4)),
        seconds=random.choice((20, 60)) if in_time else random.choice((0, 0, 0, 15, 50)),
        policy=policy,
        parameters=dict(parameters),
        priority=random.choice((0, 0, -1, 1)),
        trial=trial,
        on_lapse="refund" if random.randrange(3) == 0 else "earn",
        limits=_limits(random),
        hold_seconds=random.randint(1, 20),
        longest_seconds=random.randint(20, 40),
        late_seconds=random.randint(0, 40),
        overrun="debt" if overrun == "debt" else "cap",
        debt_limit=random.choice((0, 3, 9)) if overrun == "debt" else 0,
        period=random.choice(("month", "day", "purchase", "forever")),
        record_refusals=random.randrange(3) == 0,
        unpriced="refuse" if random.randrange(3) == 0 else "free",
        key_seconds=KEY_SECONDS_OF_PLANS[number % len(KEY_SECONDS_OF_PLANS)],
    )
    return _postpaid(random, plan) if random.randrange(3) == 0 else plan


def _postpaid(random: Random, plan: CreatePlan) -> CreatePlan:
    """Return a plan that sells credits as a postpaid one, which has a price."""
    if plan.trial or not plan.credits:
        return plan
    return replace(
        plan,
        price=plan.price if any(plan.price.values()) else {OWNER: 7},
        seconds=0,
        period=random.choice(("day", "month")),
        billing="postpaid",
        credit_limit=random.choice((5, 12, 40, 1_000, MAX_CREDITS // 4)),
        due_days=random.choice((0, 1, 7, 30)),
        overdue=random.choice(("serve", "serve", "stop")),
    )


def _price(random: Random) -> dict[str, int]:
    return {
        receiver: random.choice((0, 1, 7, 950, 10**20 + 1))
        for receiver in random.sample((OWNER, "fee", "zoe"), random.randint(0, 3))
    }


def _limits(random: Random) -> Limits:
    rate = RateLimit(random.randint(1, 4), random.choice((6, 12))) if random.randrange(6) == 0 else None
    credits = CreditsLimit(random.randint(0, 20), random.randint(5, 40)) if random.randrange(6) == 0 else None
    return Limits(rate=rate, credits=credits, open=random.randint(1, 3) if random.randrange(4) == 0 else None)
