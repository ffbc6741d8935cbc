"""Refusals that a plan records: in the next commit, limited in number, without effect on the books."""

from pathlib import Path
from typing import Any

import pytest
from small_ledger import BUY, PRO, REFUSED, Overtaken, Unlucky, commits, photograph, refolded, stored
from standing_clock import SECOND, Clock

from ledger import CreatePlan, Ledger, RegisterAgent, Request, Tick
from ledger.errors import NotWritten
from ledger.events import RefusedRequests
from ledger.stores.sqlite import SQLiteStore

RECORDING = CreatePlan(plan="noted", owner="acme", credits=10, record_refusals=True)
UNKNOWN = Request(subscriber="nobody", plan="noted", estimate={"calls": 7})


@pytest.fixture
def noting(ledger: Ledger) -> Ledger:
    ledger.execute_many([RECORDING, RegisterAgent(agent="writer", owner="acme", plans=("noted",))])
    return ledger


def refusals(ledger: Ledger) -> list[RefusedRequests]:
    return [entry.event for entry in ledger.events() if isinstance(entry.event, RefusedRequests)]


def test_a_recorded_refusal_comes_in_the_next_commit_and_never_in_one_of_its_own(noting: Ledger, path: Path) -> None:
    before = photograph(noting)
    for _ in range(3):
        noting.execute(UNKNOWN)
    noting.execute_many([UNKNOWN, UNKNOWN])
    noting.execute(Tick())
    assert photograph(noting) == before
    noting.execute(BUY).unwrap()
    assert stored(noting)[-3:] == ["purchased", "started", "refused"]
    assert commits(path)[-1][1] == 3
    assert refusals(noting) == [RefusedRequests(reason="not_subscribed", plan="noted", estimate={"calls": 7}, count=5)]


def test_a_refusal_is_recorded_only_where_the_plan_says_so(noting: Ledger) -> None:
    noting.execute(REFUSED)
    noting.execute(Request(subscriber="nobody", plan="none"))
    noting.execute(BUY).unwrap()
    assert refusals(noting) == []


def test_a_refusal_moves_nothing(noting: Ledger) -> None:
    noting.execute(UNKNOWN)
    balances = noting.balances()
    noting.execute(RegisterAgent(agent="other", owner="acme")).unwrap()
    assert len(refusals(noting)) == 1
    assert noting.balances() == balances


def test_recorded_refusals_are_limited_to_one_a_second_for_each_kind(noting: Ledger, clock: Clock) -> None:
    noting.execute(UNKNOWN)
    noting.execute(BUY).unwrap()
    for _ in range(20):
        noting.execute(UNKNOWN)
        noting.execute(Request(subscriber="nobody", plan="noted", agent="writer"))
        noting.execute(BUY).unwrap()
    assert [(event.agent, event.count) for event in refusals(noting)] == [(0, 1), (1, 1)]
    clock.now += SECOND
    noting.execute(BUY).unwrap()
    assert [(event.agent, event.count) for event in refusals(noting)[2:]] == [(0, 20), (1, 19)]


def test_refusals_are_not_lost_when_another_process_gets_in_before_them(
    noting: Ledger, path: Path, clock: Clock
) -> None:
    """The first append meets a Conflict; what it was going to write must be in the second."""
    noting.execute(UNKNOWN)
    noting._writer.store = Overtaken(noting._writer.store, path)
    noting.execute(BUY).unwrap()
    assert len(commits(path)) == 4
    assert [event.count for event in refusals(noting)] == [1]


def test_refusals_are_not_lost_when_an_append_fails(path: Path, clock: Clock) -> None:
    store = Unlucky(SQLiteStore(path, id="test"))
    with Ledger(store, clock) as ledger:
        ledger.execute_many([PRO, RECORDING])
        ledger.execute(UNKNOWN)
        store.fail_with(NotWritten("no space"))
        with pytest.raises(NotWritten):
            ledger.execute(BUY)
        ledger.execute(BUY).unwrap()
        assert [event.count for event in refusals(ledger)] == [1]


def test_what_is_recorded_is_what_was_asked_and_not_what_became_of_it(noting: Ledger, path: Path) -> None:
    """The caller's own dict may change before the next commit; the log must not take that in."""
    estimate: dict[str, Any] = {"calls": 7}
    noting.execute(Request(subscriber="nobody", plan="noted", estimate=estimate))
    estimate["calls"] = 1.5
    estimate["more"] = object
    noting.execute(BUY).unwrap()
    assert [event.estimate for event in refusals(noting)] == [{"calls": 7}]
    assert refolded(path) == noting.state()
