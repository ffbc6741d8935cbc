"""The simulator as its users have it: clean runs, the same run again, and failures that can be had again."""

import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest

import replay.simulator
from chains.mock import MockChain
from ledger import CreatePlan, Entry, Ledger, PaymentRequired
from ledger.errors import BadData, NotWritten
from ledger.events import Charged, Recorded
from ledger.log import Commit
from ledger.writer import Writer
from replay.simulator import (
    KINDS,
    MockMarket,
    SimulationFailed,
    SimulationReport,
    explore,
    repeated,
    simulate,
)
from replay.simulator import run as runs
from replay.simulator.faults import chosen

FIXED = range(4)
FRESH = 150
"""Seeds that each run of the sweep adds."""


@pytest.mark.smoke
@pytest.mark.parametrize("seed", FIXED)
def test_every_law_holds(seed: int) -> None:
    assert simulate(seed).seq > 0


@pytest.mark.usefixtures("small_generations")
@pytest.mark.parametrize("seed", FIXED)
def test_every_law_holds_while_keys_leave_the_books(seed: int) -> None:
    assert simulate(seed).seq > 0


@pytest.mark.sweep
def test_every_law_holds_by_fresh_seeds() -> None:
    """From TOLLBOOK_SEED on, or from anywhere; a failure says how to have it again."""
    first = int(os.environ.get("TOLLBOOK_SEED") or Random().randrange(2**32))
    reports = list(explore(range(first, first + FRESH)))
    assert {kind for report in reports for kind in report.faults} == set(KINDS)


@pytest.mark.sweep
def test_every_law_holds_in_long_runs() -> None:
    first = int(os.environ.get("TOLLBOOK_SEED") or Random().randrange(2**32))
    assert len(list(explore(range(first, first + 5), steps=3_000))) == 5


def test_some_seeds_meet_everything() -> None:
    """Each kind of fault strikes, each kind of step is done, and most of what can happen does: within 60 seeds, those
    first that met most when this was written."""
    missing = {
        *KINDS,
        *("Adjusted", "Charged", "Extended", "Frozen", "Lapsed", "Released", "Reversed", "Withdrawn"),
        *("SettlementConfirmed", "SettlementUnknown", "RefusedRequests", "Reheld", "Reinstated", "Unfrozen"),
        *("Subscribed", "Invoiced", "InvoicePaid", "Overdue", "WrittenOff", "overdue"),
        *("insufficient_credits", "in_debt", "rate_limited", "key_reused", "overflow", "expired"),
        "unheard",
    }
    for seed in sorted(range(60), key=lambda seed: seed not in (11, 16, 26, 33)):
        report = simulate(seed)
        missing -= {*report.faults, *report.events, *report.refused, *(["unheard"] if report.unheard else [])}
        if not missing:
            return
    pytest.fail(f"not met: {missing}")


# -- the same run again ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [3, 4])
def test_the_same_seed_gives_the_same_run(seed: int) -> None:
    assert repeated(seed) == simulate(seed)
    assert simulate(seed).head != simulate(seed + 100).head


def test_no_hash_seed_changes_a_run() -> None:
    """This process has another one, drawn at random unless it is set."""
    program = "from replay.simulator import simulate; print([simulate(seed) for seed in (1, 2)])"
    other = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    told = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": other},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert told == f"{[simulate(seed) for seed in (1, 2)]}\n"


def test_a_run_that_is_not_the_same_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    die = Random(0)
    plain = runs.simulate

    def moody(seed: int, **options: Any) -> SimulationReport:
        return plain(seed + die.randrange(2**20), **options)

    monkeypatch.setattr(runs, "simulate", moody)
    with pytest.raises(SimulationFailed, match="the same seed gives the same run"):
        repeated(1, steps=5)


# -- a failure ---------------------------------------------------------------------------------------------------------


class HopefulWriter(Writer):
    """Takes an append that failed for one that was done."""

    def _append(self, commit: Commit, events: list[Recorded]) -> None:
        try:
            super()._append(commit, events)
        except NotWritten:
            self._fold(commit, events)


class Hopes(Ledger):
    """A ledger with that writer."""

    _writer_class = HopefulWriter


def failure(**options: Any) -> SimulationFailed:
    with pytest.raises(SimulationFailed) as caught:
        list(explore(range(60), engine=Hopes, **options))
    return caught.value


def test_a_failure_says_what_and_where_and_how_to_have_it_again() -> None:
    failed = failure(shrink=False)
    assert failed.trace
    assert f"seed {failed.seed}, step {failed.step}: {failed.law}" in str(failed)
    assert f"simulate({failed.seed}, steps={failed.steps}, faults='all', engine=…)" in str(failed)
    with pytest.raises(SimulationFailed) as caught:
        simulate(failed.seed, steps=failed.steps, engine=Hopes)
    assert str(caught.value) == str(failed)


def test_a_failure_is_made_as_small_as_it_can_be() -> None:
    large, small = failure(shrink=False), failure()
    assert small.law == large.law
    assert small.step <= large.step
    assert small.faults < large.faults
    assert small.faults & {"write", "space"}
    with pytest.raises(SimulationFailed, match=re.escape(small.law)):
        simulate(small.seed, steps=small.steps, faults=small.faults, engine=Hopes)


def test_the_command_of_a_failure_has_its_policies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "Ledger", Hopes)
    policies = ["package:dimension=calls,size=10,credits=25", ("complexity", {"weights": {"calls": "1/3"}})]
    with pytest.raises(SimulationFailed) as caught:
        list(explore(range(60), shrink=False, policies=policies))
    words = shlex.split(caught.value.command)
    assert words[:3] == ["tollbook", "simulate", "--seed"]
    said = [word for before, word in pairwise(words) if before == "--policy"]
    assert said == [policies[0], "complexity:weights.calls=1/3"]


# -- what users bring --------------------------------------------------------------------------------------------------


def test_policies_are_sold_each_on_a_plan() -> None:
    report = simulate(1, policies=["per_credit:credits=3", "volume:dimension=calls,tiers=10@2/inf@1"], steps=60)
    assert report.policies == ("per_credit", "volume")


def test_plans_are_sold_as_they_are() -> None:
    plan = CreatePlan(plan="gold", owner="acme", credits=100, price={"acme": 7}, onchain_id="p1")
    report = simulate(1, plans=[plan], steps=60)
    assert report.policies == ("per_credit",)
    assert report.events["PlanCreated"] == 1


def test_a_plan_that_no_ledger_would_sell_is_said_at_once() -> None:
    with pytest.raises(PaymentRequired, match="there is no pricing policy 'nonesuch'"):
        simulate(1, policies=["nonesuch"])


def revenue(state: Counter[str] | None, entry: Entry) -> Counter[str]:
    state = state or Counter()
    if isinstance(entry.event, Charged):
        state[str(entry.event.account)] += entry.event.credits
    return state


def test_a_projection_goes_on_from_where_it_was() -> None:
    for seed in range(3):
        assert simulate(seed, projections={"revenue": revenue}).seq


def test_a_projection_that_cannot_take_an_event_is_found() -> None:
    def narrow(state: int | None, entry: Entry) -> int:
        return (state or 0) + entry.event.credits  # type: ignore[union-attr]

    with pytest.raises(SimulationFailed, match="the projection narrow takes every event"):
        list(explore(range(5), shrink=False, projections={"narrow": narrow}))


def test_another_chain_takes_part_by_its_harness() -> None:
    def slow(random: Random) -> MockMarket:
        return MockMarket(lambda: MockChain(finality=1, window=5), finality=1, window=5)

    assert simulate(2, harness=slow).seq


def test_faults_are_named_by_kind() -> None:
    assert chosen("all") == chosen(list(KINDS)) == frozenset(KINDS)
    assert chosen("none") == chosen([]) == frozenset()
    assert chosen("crash,power") == {"crash", "power"}
    with pytest.raises(BadData, match="there is no fault 'flood'"):
        simulate(1, faults="crash,flood")


def test_what_is_left_out_never_strikes() -> None:
    for seed in range(2):
        assert set(simulate(seed, faults="overtake,read").faults) <= {"overtake", "read"}
        assert simulate(seed, faults="none").faults == {}


def test_its_page_runs_and_names_every_fault() -> None:
    page = Path(replay.simulator.__file__).with_name("README.md")
    text = page.read_text()
    session: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block, str(page), "exec"), session)
    session["test_our_policies_keep_the_laws"]()
    assert dict(re.findall(r"^\| `([a-z]+)` \| (.*) \|$", text.partition("## What happens")[2], re.MULTILINE)) == KINDS
