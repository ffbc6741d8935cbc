"""A program that starts again: `ensure_plan` and `ensure_agent`; and what a ledger has on sale."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from standing_clock import Clock

from ledger import (
    AsyncLedger,
    CreatePlan,
    Endpoint,
    Ledger,
    Limits,
    PaymentRequired,
    RegisterAgent,
    RepricePlan,
    RetireAgent,
    RetirePlan,
    UpdateAgent,
)
from ledger.errors import TermsDiffer
from ledger.offers import PlanReading

PRICED: dict[str, Any] = {"policy": "complexity", "parameters": {"weights": {"calls": "1"}}}
PRO = CreatePlan(plan="pro", owner="acme", price={"acme": 90, "fee": 10}, credits=100, **PRICED)
BOT = RegisterAgent(agent="bot", owner="acme", plans=("pro",), endpoints=(Endpoint("*", "https://bot.example/**"),))


def changed(command: Any, **fields: Any) -> Any:
    return msgspec.structs.replace(command, **fields)


@pytest.fixture
def ledger() -> Any:
    with Ledger.open(clock=Clock()) as ledger:
        yield ledger


def test_a_program_that_starts_again_finds_its_plan_and_agent(tmp_path: Path) -> None:
    path, heads = tmp_path / "toll.db", set()
    for _ in range(3):
        with Ledger.open(path) as ledger:
            plan, agent = ledger.ensure_plan(PRO), ledger.ensure_agent(BOT)
            assert (plan.plan, plan.terms.credits, plan.tariff.version, plan.retired) == ("pro", 100, 1, False)
            assert (agent.agent, agent.number, agent.terms.plans, agent.retired) == ("bot", 1, ("pro",), False)
            assert (ledger.plans(), ledger.agents()) == ([plan], [agent])
            heads.add(ledger.head.seq)
    assert heads == {2}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("owner", "eve"),
        ("price", {"acme": 91, "fee": 10}),
        ("credits", 101),
        ("seconds", 60),
        ("parameters", {"weights": {"calls": "2"}}),
        ("policy", "per_credit"),
        ("overrun", "debt"),
        ("decimals", 2),
        ("period", "day"),
    ],
)
def test_other_terms_raise_with_field_present_and_given_value(ledger: Ledger, field: str, value: Any) -> None:
    ledger.ensure_plan(PRO)
    other = changed(PRO, **{field: value} | ({"parameters": {}} if field == "policy" else {}))
    with pytest.raises(TermsDiffer, match=f"the plan 'pro' has other terms: .*{field} is ") as caught:
        ledger.ensure_plan(other)
    assert caught.value.differences[field] == (getattr(PRO, field), value)
    assert ledger.head.seq == 1


def test_every_term_of_a_plan_is_compared(ledger: Ledger) -> None:
    """A field that is forgotten would let a program sell what it does not expect."""
    compared = {"policy", "parameters", *msgspec.structs.asdict(ledger.ensure_plan(PRO).terms)}
    assert set(PRO.__struct_fields__) - {"key", "issued_at"} <= compared


def test_after_a_repricing_the_present_tariff_counts(ledger: Ledger) -> None:
    ledger.ensure_plan(PRO)
    dearer = {"weights": {"calls": 2}}
    ledger.execute(RepricePlan(plan="pro", policy="complexity", parameters=dearer)).unwrap()
    with pytest.raises(TermsDiffer, match="parameters"):
        ledger.ensure_plan(PRO)
    assert ledger.ensure_plan(changed(PRO, parameters=dearer)).tariff.version == 2


def test_equal_terms_in_another_spelling_are_equal(ledger: Ledger) -> None:
    """Parameters are compared in the policy's own form, and a default as what it is."""
    given = CreatePlan(plan="p", owner="acme", credits=5)
    spelled = changed(given, policy="per_credit", parameters={"per": "request"}, asset_decimals=2, hold_seconds=600)
    assert ledger.ensure_plan(given) == ledger.ensure_plan(spelled)


def test_what_is_retired_is_told(ledger: Ledger) -> None:
    ledger.ensure_plan(PRO)
    ledger.ensure_agent(BOT)
    ledger.execute_many([RetirePlan(plan="pro"), RetireAgent(agent="bot")])
    for ensure in (lambda: ledger.ensure_plan(PRO), lambda: ledger.ensure_agent(BOT)):
        with pytest.raises(TermsDiffer, match="retired is True, not False"):
            ensure()
    assert ([plan.retired for plan in ledger.plans()], [agent.retired for agent in ledger.agents()]) == ([True], [True])


def test_an_agent_is_compared_as_it_was_updated(ledger: Ledger) -> None:
    ledger.ensure_plan(PRO)
    ledger.ensure_agent(BOT)
    ledger.execute(UpdateAgent(agent="bot", metadata={"tier": 2})).unwrap()
    with pytest.raises(TermsDiffer, match=r"the agent 'bot' has other terms: metadata is \{'tier': 2\}, not \{\}"):
        ledger.ensure_agent(BOT)
    ledger.ensure_agent(changed(BOT, metadata={"tier": 2}))


def test_what_cannot_be_created_raises_and_says_why(ledger: Ledger) -> None:
    with pytest.raises(PaymentRequired, match="no such policy"):
        ledger.ensure_plan(changed(PRO, policy="no such policy"))
    with pytest.raises(PaymentRequired, match="plan_unknown"):
        ledger.ensure_agent(BOT)
    with pytest.raises(TypeError, match="credits: a whole number is needed"):
        ledger.ensure_plan(changed(PRO, credits=1.5))
    ledger.ensure_plan(PRO)
    with pytest.raises(PaymentRequired, match="asset_decimals"):
        ledger.ensure_plan(changed(PRO, asset_decimals=3))


@pytest.mark.parametrize(
    "terms",
    [
        {"due_days": 14},
        {"overdue": "stop"},
        {"credit_limit": 5},
        {"trial": True},
        {"credits": 0},
    ],
    ids=str,
)
def test_terms_that_contradict_each_other_are_refused_whether_or_not_the_plan_is_there(
    ledger: Ledger, terms: dict[str, Any]
) -> None:
    found = []
    for _ in range(2):
        with pytest.raises(PaymentRequired) as caught:
            ledger.ensure_plan(changed(PRO, **terms))
        found.append(caught.value.refused)
        ledger.ensure_plan(PRO)
    assert (found[0], found[0].reason) == (found[1], "malformed")


def test_two_programs_that_start_at_once_both_find_the_plan(tmp_path: Path) -> None:
    """The other process creates it between the look and the command."""
    path = tmp_path / "toll.db"
    with Ledger.open(path) as mine, Ledger.open(path) as other:
        found = mine._found

        def late(wanted: CreatePlan, find: Any) -> Any:
            present = found(wanted, find)
            other.ensure_plan(PRO)
            return present

        mine._found = late  # type: ignore[method-assign, assignment]
        assert isinstance(mine.ensure_plan(PRO), PlanReading)
        assert mine.head.seq == 1


def test_an_async_ledger_does_the_same() -> None:
    async def story() -> None:
        async with await AsyncLedger.open() as ledger:
            for _ in range(2):
                assert (await ledger.ensure_plan(PRO)).plan == "pro"
                assert (await ledger.ensure_agent(BOT)).agent == "bot"
            with pytest.raises(TermsDiffer):
                await ledger.ensure_plan(changed(PRO, credits=7))

    asyncio.run(story())


def test_what_is_not_set_is_said_in_words():
    with Ledger.open() as ledger:
        terms: dict[str, Any] = {"owner": "acme", "asset": "points", "credits": 1}
        ledger.ensure_plan(CreatePlan(plan="pro", limits=Limits(open=1), **terms))
        with pytest.raises(TermsDiffer) as caught:
            ledger.ensure_plan(CreatePlan(plan="pro", asset_decimals=3, **terms))
    said = "the plan 'pro' has other terms: asset_decimals is unset, not 3; limits is {'open': 1}, not {}"
    assert str(caught.value) == said
