"""A plan whose policy cannot be used is neither created nor sold; what needs no price works without the policy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from said_policy import Said, installed

from ledger import (
    Adjust,
    Charge,
    CreatePlan,
    Extend,
    Freeze,
    Give,
    Ledger,
    PayInvoice,
    Purchase,
    Refused,
    Reinstate,
    Release,
    RepricePlan,
    Request,
    Reverse,
    Subscribe,
    Tick,
    Unfreeze,
    Withdraw,
    WriteOff,
)
from ledger.commands import Terms
from ledger.errors import UnknownPlugin
from ledger.events import Escrow, EscrowFunding
from ledger.plugins import policies
from replay import audit

DAY = 86_400_000_000
BEGIN = 1_700_000_000_000_000
USE: dict[str, Any] = {"usage": {"calls": 5}}
ANN: dict[str, Any] = {"subscriber": "ann", "plan": "odd"}
LATER: dict[str, Any] = {"subscriber": "ann", "plan": "later"}


@pytest.fixture
def policy(monkeypatch: pytest.MonkeyPatch) -> type[Said]:
    return installed(monkeypatch)


def refusal(outcome: object) -> tuple[str, str]:
    assert isinstance(outcome, Refused)
    return outcome.reason.value, str(outcome.facts["detail"])


UNUSABLE: dict[str, tuple[dict[str, Any], str]] = {
    "no scope": ({"scope": None}, "its scope is None: it must be 'request' or 'period'"),
    "another scope": ({"scope": "day"}, "its scope is 'day': it must be 'request' or 'period'"),
    "no total": ({"total": None}, "it has no method `total`"),
    "no monotone": ({"monotone": None}, "its monotone is None: it must be True or False"),
    "a version below 1": ({"version": 0}, "its version is 0: it must be a whole number from 1"),
    "a reading that is none": ({"reads": frozenset({"calls"})}, "its reads is no method"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_policy_that_nobody_can_use_makes_no_plan(policy: type[Said], name: str) -> None:
    parts, why = UNUSABLE[name]
    with Ledger.open(":memory:") as ledger:
        ledger.execute(CreatePlan(plan="odd", owner="acme", credits=1)).unwrap()
        for part, value in parts.items():
            setattr(policy, part, value)
        before = ledger.state()
        for command in (
            CreatePlan(plan="new", owner="acme", credits=1, policy="said"),
            RepricePlan(plan="odd", policy="said"),
        ):
            assert refusal(ledger.execute(command)) == ("policy_failed", f"policy said cannot be used: {why}")
        assert ledger.state() == before


def test_a_policy_without_a_part_is_told_so(policy: type[Said], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Said, "scope")
    with Ledger.open(":memory:") as ledger:
        refused = ledger.execute(CreatePlan(plan="new", owner="acme", credits=1, policy="said"))
        assert "has no attribute 'scope'" in refusal(refused)[1]


@pytest.fixture
def shop(tmp_path: Path, policy: type[Said]) -> Any:
    """Opens a log on which Ann has used and holds some of two plans, prepaid and postpaid, whose policy has gone."""
    path, clock = tmp_path / "toll.db", [BEGIN]
    with Ledger.open(path, clock=lambda: clock[0]) as ledger:
        for plan in (
            CreatePlan(plan="odd", owner="acme", credits=100, price={"acme": 100}, policy="said"),
            CreatePlan(
                plan="later",
                owner="acme",
                credits=1,
                price={"acme": 1},
                policy="said",
                billing="postpaid",
                credit_limit=100,
                period="day",
            ),
        ):
            ledger.execute(plan).unwrap()
        ledger.execute(Subscribe(**LATER)).unwrap()
        ledger.execute(Charge(**LATER, **USE)).unwrap()
        lot = ledger.execute(Purchase(**ANN, payment="bill")).unwrap().seq
        charge = ledger.execute(Charge(**ANN, **USE)).unwrap().seq
        request = ledger.execute(Request(**ANN, estimate={"calls": 7})).unwrap().seq
    honest = policies.get

    def get(name: str) -> Any:
        if name == "said":
            raise UnknownPlugin("there is no pricing policy 'said'", "install it")
        return honest(name)

    with pytest.MonkeyPatch.context() as uninstalled:
        uninstalled.setattr(policies, "get", get)
        with Ledger.open(path, clock=lambda: clock[0]) as ledger:
            yield ledger, {"lot": lot, "charge": charge, "request": request}, clock
        report = audit(path)
        assert report.findings == ()
        assert report.unverified.prices


WITHOUT: dict[str, Callable[[dict[str, int]], Any]] = {
    "a correction by credits": lambda seq: Adjust(charge=seq["charge"], credits=-1),
    "a correction upwards": lambda seq: Adjust(charge=seq["charge"], credits=2),
    "a gift": lambda _: Give(**ANN, credits=5),
    "a withdrawal": lambda seq: Withdraw(**ANN, lot=seq["lot"], credits=3),
    "a reversal": lambda seq: Reverse(**ANN, lot=seq["lot"]),
    "a release": lambda seq: Release(request=seq["request"]),
    "an extension": lambda seq: Extend(request=seq["request"], seconds=60),
    "a freeze": lambda _: Freeze(**ANN),
    "a tick": lambda _: Tick(),
    "a chain's purchase": lambda _: Purchase(
        **ANN,
        funding=EscrowFunding(Escrow(chain="elsewhere:1", contract="c", purchase="1")),
        terms=Terms(asset="USD", shares={"acme": 7}, credits=9),
    ),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_what_needs_no_price_needs_no_policy(shop: Any, name: str) -> None:
    ledger, seq, _ = shop
    ledger.execute(WITHOUT[name](seq)).unwrap()


def test_what_was_reversed_or_frozen_comes_back_without_the_policy(shop: Any) -> None:
    ledger, seq, _ = shop
    for command in (Reverse(**ANN, lot=seq["lot"]), Reinstate(**ANN, lot=seq["lot"]), Freeze(**ANN), Unfreeze(**ANN)):
        ledger.execute(command).unwrap()
    assert ledger.balance("ann", "odd").available == 88


def test_invoices_are_paid_and_written_off_without_the_policy(shop: Any) -> None:
    ledger, _, clock = shop
    clock[0] += 2 * DAY
    ledger.execute(Tick()).unwrap()
    ledger.execute(PayInvoice(**LATER, invoice=1, payment="p", amount=2)).unwrap()
    ledger.execute(WriteOff(**LATER, invoice=1)).unwrap()


@pytest.mark.parametrize(
    "command",
    [
        Purchase(subscriber="ben", plan="odd"),
        Purchase(**ANN),
        Subscribe(subscriber="ben", plan="later"),
        Charge(**ANN, **USE),
        Request(**ANN, estimate={"calls": 1}),
    ],
    ids=lambda command: f"{type(command).__name__} {command.subscriber}",
)
def test_what_needs_a_price_is_refused_with_the_cause(shop: Any, command: Any) -> None:
    ledger, _, _ = shop
    before = ledger.state()
    why = "the tariff's policy 'said' cannot be made: there is no pricing policy 'said'"
    assert refusal(ledger.execute(command)) == ("policy_failed", why)
    assert ledger.state() == before


def test_a_correction_by_usage_needs_the_policy(shop: Any) -> None:
    ledger, seq, _ = shop
    assert refusal(ledger.execute(Adjust(charge=seq["charge"], usage={"calls": -1})))[0] == "policy_failed"
