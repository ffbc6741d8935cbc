"""What an audit could not verify, its verdict says: policies and chains that are missing, other, or broken."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from every_way import audit

from gateway.cli.main import main
from ledger import Adjust, Charge, CreatePlan, Ledger, Purchase, Request
from ledger.plugins import chains, policies
from ledger.plugins.discovery import Found, Origin
from replay import html
from replay.audit.unverified import BUILT_IN_CHAINS, BUILT_IN_POLICIES

pytestmark = pytest.mark.smoke

SIX = {"policy": "complexity", "parameters": {"weights": {"tokens": 2}}}


class Flat:
    """3 credits a request."""

    version, scope, monotone = 1, "request", True

    def __init__(self, parameters: Any) -> None:
        self.parameters: dict[str, Any] = {}

    def total(self, usage: Any, labels: Any) -> Any:
        from ledger.plugins import Price

        return Price(3 if usage.get("tokens") else 0)


class Fails(Flat):
    def total(self, usage: Any, labels: Any) -> Any:
        raise ConnectionError("the table of prices does not answer")


class Later(Flat):
    version = 2


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Per plan (`ours` by complexity, `theirs` by a plugin): two requests, two charges and a correction by usage."""
    with with_policies({"flat": Flat}), Ledger.open(tmp_path / "log.db") as ledger:
        for plan, terms in {"ours": SIX, "theirs": {"policy": "flat"}}.items():
            at = {"subscriber": "ann", "plan": plan}
            ledger.execute(CreatePlan(plan=plan, owner="acme", credits=1_000, **terms)).unwrap()
            ledger.execute(Purchase(**at)).unwrap()
            for _ in range(2):
                request = ledger.execute(Request(**at, estimate={"tokens": 3})).unwrap().seq
                charge = ledger.execute(Charge(request=request, usage={"tokens": 3})).unwrap().seq
            ledger.execute(Adjust(charge=charge, usage={"tokens": 1})).unwrap()
    return tmp_path / "log.db"


@contextmanager
def with_policies(changes: dict[str, Any]) -> Iterator[None]:
    """Register these policies, or remove those that are None, in the block."""
    found = policies._load()
    left = {name: each for name, each in {**found.factories, **changes}.items() if each is not None}
    origins = {name: found.origins.get(name, Origin()) for name in left}
    with patch.object(policies, "_found", Found(left, origins, found.failures)):
        yield


def test_where_all_policies_are_installed_the_verdict_is_clean(log):
    with with_policies({"flat": Flat}):
        report = audit(log)
    assert (report.verdict, report.clean, report.passed) == ("clean", True, True)
    assert (report.unverified.prices, report.unverified.by_policy) == (0, ())


REASONS = {
    "is not installed": (None, False, "there is no pricing policy 'flat'"),
    "has another version": (Later, True, "version 2 is installed"),
    "fails": (Fails, True, "the table of prices does not answer"),
    "cannot be made": (lambda parameters: 1 / 0, True, "division by zero"),
}


@pytest.mark.parametrize("name", REASONS)
def test_the_verdict_counts_the_prices_of_a_policy_that(log, name):
    policy, installed, why = REASONS[name]
    with with_policies({"flat": policy}):
        report = audit(log)
    assert (report.verdict, report.findings) == ("clean, 3 prices not verified", ())
    assert (report.clean, report.passed) == (False, True)
    [flat] = report.unverified.by_policy
    assert (flat.policy, flat.version, flat.charges, flat.corrections, flat.holds) == ("flat", 1, 2, 1, 2)
    assert (flat.installed, flat.built_in, why in flat.reason) == (installed, False, True)
    assert (report.unverified.charges, report.unverified.policies) == (2, ("flat",))


def test_holds_are_named_where_no_price_is(tmp_path):
    with with_policies({"flat": Flat}), Ledger.open(tmp_path / "log.db") as ledger:
        ledger.execute(CreatePlan(plan="p", owner="acme", credits=9, policy="flat")).unwrap()
        ledger.execute(Purchase(subscriber="ann", plan="p")).unwrap()
        ledger.execute(Request(subscriber="ann", plan="p", estimate={"tokens": 3})).unwrap()
    assert audit(tmp_path / "log.db").verdict == "clean, 1 hold not verified"


def test_the_reason_of_a_plugin_that_failed_is_its_own(log, monkeypatch):
    with with_policies({"flat": None}):
        from ledger.plugins import Failure

        failed = Failure(Origin("main", "acme", "acme-flat", "2.5"), ("flat",), "RuntimeError: no licence")
        monkeypatch.setattr(policies, "_found", policies._load()._replace(failures=[failed]))
        [flat] = audit(log).unverified.by_policy
    assert "RuntimeError: no licence" in flat.reason
    assert "acme-flat 2.5" in flat.reason


# -- what comes with Tollbook ------------------------------------------------------------------------------------------


def test_the_built_in_plugins_are_listed():
    for registry, built_in in ((policies, BUILT_IN_POLICIES), (chains, BUILT_IN_CHAINS)):
        assert {name for name, origin in registry.origins().items() if origin.built_in} == built_in


def test_a_built_in_policy_that_cannot_be_loaded_fails_the_audit(log):
    with with_policies({"flat": Flat, "complexity": None}):
        report = audit(log)
    assert (report.verdict, report.findings) == ("clean, 3 prices not verified", ())
    assert (report.clean, report.passed, report.unverified.built_in_missing) == (False, False, ("complexity",))


@pytest.fixture
def command(log, capsys) -> Iterator[Any]:
    def run(*words: str) -> tuple[int, str]:
        return main(["audit", str(log), *words]), capsys.readouterr().out

    return run


def test_the_command_says_it_beside_the_verdict_and_exits_0_for_others_policies(command, log):
    with with_policies({"flat": None}):
        code, out = command()
    assert (code, out.splitlines()[0]) == (0, f"{log}: clean, 3 prices not verified")
    said = (
        "not verified: 2 charges, 1 correction, 2 holds by 'flat', version 1: the tariff's policy 'flat' cannot be made"
    )
    assert said in out


def test_the_command_exits_1_where_a_built_in_policy_is_missing(command):
    with with_policies({"flat": Flat, "complexity": None}):
        code, out = command()
    assert code == 1
    assert "not verified: Tollbook is not installed whole, since it brings: complexity" in out


def test_the_page_says_it(log):
    with with_policies({"flat": None}):
        page = html(audit(log))
    assert '<span class="unverified">clean, 3 prices not verified</span>' in page
    assert "2 charges, 1 correction, 2 holds by &#x27;flat&#x27;, version 1" in page
