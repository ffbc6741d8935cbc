"""A policy whose answers contradict each other: whoever asks says which policy, which method, and what it returned."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from said_policy import Said, installed

from gateway.cli.main import main
from ledger import Charge, CreatePlan, Ledger, Purchase, Refused
from ledger.errors import PluginFailed
from ledger.events import Line
from ledger.plugins import Price
from replay import audit

USE = Charge(subscriber="ann", plan="odd", usage={"calls": 5})


def lines_of(*credits: str) -> Callable[..., Price]:
    """A policy's `total`: a price of 5 with lines of so many credits."""
    return lambda *_: Price(5, tuple(Line(text="calls", credits=each) for each in credits))


@pytest.fixture
def policy(monkeypatch: pytest.MonkeyPatch) -> type[Said]:
    own = installed(monkeypatch)
    own.name = "said"  # type: ignore[attr-defined]
    return own


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "toll.db"


@pytest.fixture
def ledger(path: Path, policy: type[Said]) -> Any:
    with Ledger.open(path) as opened:
        opened.execute(CreatePlan(plan="odd", owner="acme", credits=100, policy="said")).unwrap()
        opened.execute(Purchase(subscriber="ann", plan="odd")).unwrap()
        yield opened


def say(policy: type[Said], **methods: Any) -> None:
    for name, method in methods.items():
        setattr(policy, name, method)


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    code = main([str(word) for word in words])
    out = capsys.readouterr()
    assert out.err == ""
    return code, out.out


def test_lines_that_do_not_sum_to_the_price_refuse_the_charge(ledger: Ledger, policy: type[Said]) -> None:
    say(policy, total=lines_of("3"))
    refused = ledger.execute(USE)
    assert isinstance(refused, Refused)
    assert refused.reason == "policy_failed"
    detail = refused.facts["detail"]
    assert detail == (
        "the pricing policy said: `total` returned a price of which the lines sum to 3, and the price is 5, "
        "in the smallest unit"
    )


def test_a_total_that_differs_without_its_lines_refuses_a_charge_with_lines(policy: type[Said]) -> None:
    say(policy, total=lines_of("5"), credits_of=lambda *_: 4)
    with Ledger.open(":memory:") as ledger:
        ledger.execute(CreatePlan(plan="odd", owner="acme", credits=9, policy="said", record_lines=True)).unwrap()
        ledger.execute(Purchase(subscriber="ann", plan="odd")).unwrap()
        refused = ledger.execute(USE)
        assert isinstance(refused, Refused)
        assert "`credits_of` returned 4, and `total` 5" in str(refused.facts["detail"])


def test_a_total_that_differs_without_its_lines_is_not_verified(
    ledger: Ledger, path: Path, policy: type[Said], capsys: pytest.CaptureFixture[str]
) -> None:
    """Charged by `credits_of`, since the lines follow: audit and explanation derive them, and say the same."""
    say(policy, total=lines_of("5"), credits_of=lambda *_: 4)
    charge = ledger.execute(USE).unwrap().seq
    report = audit(path)
    assert (report.verdict, report.passed, report.findings) == ("clean, 1 price not verified", True, ())
    (gap,) = report.unverified.by_policy
    code, out = run(capsys, "explain", path, charge)
    assert code == 0
    assert f"not computed again: {gap.reason}" in " ".join(out.split())
    assert "`credits_of` returned 4, and `total` 5" in gap.reason


@pytest.mark.parametrize("now", [lines_of("5"), lines_of("3"), None], ids=["well", "as badly", "not at all"])
def test_lines_in_the_log_that_do_not_sum_are_a_finding(
    ledger: Ledger,
    path: Path,
    policy: type[Said],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    now: Any,
) -> None:
    """An earlier release wrote them; whatever the policy computes now."""
    say(policy, total=lines_of("3"))
    with monkeypatch.context() as unchecked:
        unchecked.setattr("ledger.policy_answers.fault_of_lines", lambda *_, **__: "")
        charge = ledger.execute(USE).unwrap().seq
    say(policy, total=now)
    (finding,) = audit(path).findings
    assert (finding.kind, finding.field, finding.seq) == ("price", "lines", charge)
    code, out = run(capsys, "explain", path, charge)
    assert code == 1
    assert "DISAGREES" in out
    assert "the lines sum to 3, and the price is 5" in out


def test_lines_in_the_log_that_are_no_amounts_are_shown_as_they_are(
    ledger: Ledger, path: Path, policy: type[Said], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say(policy, total=lines_of("five"))
    with monkeypatch.context() as unchecked:
        unchecked.setattr("ledger.policy_answers.fault_of_lines", lambda *_, **__: "")
        charge = ledger.execute(USE).unwrap().seq
    code, out = run(capsys, "explain", path, charge)
    assert code == 1
    assert "five" in out
    assert [finding.field for finding in audit(path).findings] == ["lines"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Fraction(99), "`exact` returned Fraction(99, 1) where the total is 5: not less than 1 away"),
        (Fraction(6), "where the total is 5"),
        (4.5, "`exact` returned 4.5: not a Fraction"),
        ("five", "`exact` returned 'five'"),
        (None, "`exact` returned None"),
        (10**5_000, "`exact` returned a value of the type int that cannot be shown"),
    ],
    ids=lambda part: str(part)[:20] if not isinstance(part, int) else "huge",
)
def test_an_exact_price_away_from_the_price_is_not_shown_as_rounding(
    ledger: Ledger, path: Path, policy: type[Said], capsys: pytest.CaptureFixture[str], answer: Any, why: str
) -> None:
    say(policy, exact=lambda *_: answer)
    charge = ledger.execute(USE).unwrap().seq
    code, out = run(capsys, "statement", path, "--subscriber", "ann", "--plan", "odd")
    assert code == 0
    assert "what rounding added to 1 of the charges is not known" in " ".join(out.split())
    assert why in " ".join(out.split())
    assert run(capsys, "statement", path, "--subscriber", "ann", "--plan", "odd", "--json")[0] == 0
    explained = ledger.explain(charge)
    assert explained is not None
    assert (explained.exact, explained.recomputed, explained.agrees) == (None, 5, True)
    assert why in str(explained.fault)
    assert run(capsys, "explain", path, charge)[0] == 0


def test_an_exact_price_less_than_one_away_is_rounding(ledger: Ledger, policy: type[Said]) -> None:
    say(policy, exact=lambda *_: Fraction(9, 2))
    explained = ledger.explain(ledger.execute(USE).unwrap().seq)
    assert explained is not None
    assert (explained.exact, explained.fault) == ("9/2", None)


def test_a_policy_without_lines_explains_nothing(
    ledger: Ledger, path: Path, policy: type[Said], capsys: pytest.CaptureFixture[str]
) -> None:
    charge = ledger.execute(USE).unwrap().seq
    _, out = run(capsys, "explain", path, charge)
    assert "the policy gives no lines" in out
    assert "credits\n" not in out  # no table without rows


def twice(*_: object) -> Any:
    raise PluginFailed("the pricing policy 'said' of a 1 cannot be used: it is registered twice, by a 1 and b 1")


@pytest.mark.parametrize(
    "parts", [{"version": 2}, {"__init__": twice}, {"scope": "day"}], ids=lambda parts: next(iter(parts))
)
def test_an_explanation_gives_the_cause_that_the_audit_gives(
    ledger: Ledger, path: Path, policy: type[Said], capsys: pytest.CaptureFixture[str], parts: dict[str, Any]
) -> None:
    charge = ledger.execute(USE).unwrap().seq
    say(policy, **parts)
    (gap,) = audit(path).unverified.by_policy
    code, out = run(capsys, "explain", path, charge)
    assert code == 0
    assert f"not computed again: {gap.reason}" in " ".join(out.split())
