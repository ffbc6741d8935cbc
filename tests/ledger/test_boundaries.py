"""What goes in and what comes out is its caller's: whatever is done with it changes nothing that the log does not say.

And what surrounds a ledger (its folder, its process, its threads) may change or fail under it.
"""

import asyncio
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE
from standing_clock import Clock

from ledger import Adjust, AsyncLedger, Charge, CreatePlan, Ledger, Purchase, RegisterAgent, Request
from ledger.commands import RepricePlan
from ledger.errors import LedgerError
from ledger.folding import refold
from ledger.plugins import Price, policies
from ledger.refusals import Reason
from ledger.stores.memory import MemoryStore

PLAN = CreatePlan(plan="pro", owner="acme", credits=100, policy="per_credit", parameters={"credits": 5})
BUY = Purchase(subscriber="ann", plan="pro")
USE = Charge(subscriber="ann", plan="pro", usage={"calls": 1}, labels={"model": "m"})


@pytest.fixture
def ledger():
    with Ledger.open(clock=Clock()) as opened:
        opened.execute_many([PLAN, BUY])
        yield opened


def says_what_its_log_says(ledger: Ledger) -> bool:
    return ledger.state() == refold(ledger.commits()).dump()


def test_answers_may_be_changed_by_their_callers(ledger):
    repriced = ledger.execute(RepricePlan(plan="pro", policy="per_credit", parameters={"credits": 7})).unwrap()
    agent = ledger.execute(RegisterAgent(agent="bot", owner="acme", plans=("pro",), metadata={"a": {}})).unwrap()
    asked = Request(subscriber="ann", plan="pro", estimate={"calls": 1}, labels={"model": "m"})
    request = ledger.execute(asked).unwrap()
    part = ledger.execute(Charge(request=request.seq, usage={"calls": 1}, labels={"kind": "k"}, final=False)).unwrap()
    direct = ledger.execute(USE).unwrap()
    repriced.event.tariff.parameters["credits"] = 1
    agent.event.metadata["a"]["b"] = 1
    for given in (request.event.estimate, part.event.usage, direct.event.usage):
        given["calls"] = 99
    for given in (request.event.labels, part.event.labels, direct.event.labels):
        given["model"] = "other"
    assert says_what_its_log_says(ledger)
    assert ledger.execute(USE).unwrap().event.credits == 7


def test_a_plan_is_not_changed_by_what_became_of_its_answer():
    with Ledger.open(clock=Clock()) as ledger:
        ledger.execute(PLAN).unwrap().event.tariff.parameters["credits"] = 1
        ledger.execute(BUY)
        assert ledger.execute(USE).unwrap().event.credits == 5


def test_the_answer_to_a_repeated_key_may_be_changed(ledger):
    keyed = Charge(subscriber="ann", plan="pro", usage={"calls": 1}, key="k")
    first = ledger.execute(keyed).unwrap().seq
    ledger.execute(keyed).unwrap().event.usage["calls"] = 777
    assert ledger.execute(keyed).unwrap().event.usage == {"calls": 1}
    assert ledger.execute(Adjust(charge=first, usage={"calls": -2})).reason == Reason.adjustment_exceeds


class Flat:
    """A policy of somebody else, which costs 1."""

    version, scope, monotone = 1, "request", True

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.parameters = dict(given)

    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        return Price(1)


class Keeper(Flat):
    """It counts in its own parameters."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.parameters = {"seen": {"times": 0}, **given}

    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        self.parameters["seen"]["times"] += 1
        return Price(1)


class Popper(Flat):
    """It takes what it was given apart."""

    def __init__(self, given: Any) -> None:
        self.rate = given.pop("rate", 1)
        self.parameters = {"rate": self.rate}

    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        return Price(self.rate)


class Absent(Flat):
    """It can no longer say what it costs, once its plan was sold."""

    gone = False

    @property
    def credits_of(self) -> Any:
        if self.gone:
            raise RuntimeError("the table is not there")
        return lambda usage, labels: self.total(usage, labels).credits


def sold(policy: type, parameters: dict[str, Any]) -> Ledger:
    with suppress(LedgerError):  # it is registered once for all tests
        policies.register(f"boundaries.{policy.__name__}", policy)
    ledger = Ledger.open(clock=Clock())
    plan = CreatePlan(
        plan="pro", owner="acme", credits=100, policy=f"boundaries.{policy.__name__}", parameters=parameters
    )
    ledger.execute_many([plan, BUY])
    return ledger


def test_a_policy_may_change_its_own_parameters():
    with sold(Keeper, {}) as ledger:
        ledger.execute(USE).unwrap()
        assert says_what_its_log_says(ledger)


def test_a_policy_may_take_apart_what_it_is_given():
    with sold(Popper, {"rate": 50}) as ledger:
        assert ledger.execute(USE).unwrap().event.credits == 50


def test_a_policy_that_cannot_be_looked_at_refuses_its_own_charges_and_only_after_all_else(
    monkeypatch: pytest.MonkeyPatch,
):
    with sold(Absent, {}) as ledger:
        monkeypatch.setattr(Absent, "gone", True)
        stranger = Charge(subscriber="bob", plan="pro", usage={"calls": 1})
        answers = ledger.execute_many([stranger, USE, Request(subscriber="ann", plan="pro", estimate={"calls": 1})])
        assert [each.reason for each in answers] == [
            Reason.not_subscribed,
            Reason.policy_failed,
            Reason.policy_failed,
        ]


# -- folders, forks and threads ----------------------------------------------------------------------------------------

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system with fork")


def fork() -> None:
    if (child := os.fork()) == 0:
        os._exit(0)
    os.waitpid(child, 0)


@needs_fork
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_process_may_go_to_another_folder_and_fork(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its log stays where it was, also where another lies at the same relative place."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with Ledger.open("books.db", clock=Clock()) as ledger:
        ledger.execute_many([PLAN, BUY])
        monkeypatch.chdir(tmp_path / "elsewhere")
        Ledger.open("books.db").close()
        fork()
        assert ledger.execute(USE).unwrap().seq == 4


class Stubborn(MemoryStore):
    """A store that cannot let go of its file."""

    def pause(self) -> None:
        raise OSError("the disk is gone")


@needs_fork
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_store_that_fails_at_a_fork_locks_nobody_out() -> None:
    with Ledger(Stubborn(), Clock()) as ledger:
        fork()
        heads = []
        thread = threading.Thread(target=lambda: heads.append(ledger.head.seq), daemon=True)
        thread.start()
        thread.join(PATIENCE)
        assert heads == [0]


def test_a_job_that_is_left_over_leads_no_queue_that_is_not_its_own() -> None:
    """No thread could be had for it, so its caller led at once; it runs later, beside whoever leads then."""

    async def main() -> None:
        async with AsyncLedger(Ledger.open(clock=Clock())) as crowd:
            await crowd.execute_many([PLAN, BUY])
            stale = crowd.ticket([USE])
            crowd.enqueue(stale)
            await stale.answered
            queue, inside, go_on = crowd.ledger.queue, threading.Event(), threading.Event()
            do = queue._do

            def slow(commands: list[object]) -> Any:
                inside.set()
                assert go_on.wait(PATIENCE)
                return do(commands)

            queue._do = slow
            told: list[Any] = []
            caller = threading.Thread(target=lambda: told.append(crowd.ledger.execute(USE)), daemon=True)
            caller.start()
            await asyncio.to_thread(inside.wait, 30)
            await asyncio.to_thread(queue.lead_in_executor, stale)  # the job that was left over
            go_on.set()
            await asyncio.to_thread(caller.join, 30)
            assert [each.seq for each in told] == [5]

    asyncio.run(main())
