"""A policy that breaks a question of the suite is a named failure of a rule, never an error of the suite itself."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pytest

from ledger.events import Line
from ledger.plugins import Price, policies
from pricing.testing.conformance import ConformanceError, check, main
from pricing.testing.optional_methods import EXACT, READS
from pricing.testing.rules import MADE, RULES

LINES, WHOLE, PRICE, ALONE = (
    "lines sum to the price",
    "whole numbers",
    "answers with a price",
    "the same without its lines",
)


class Flat:
    """A policy that is right: a credit a call."""

    version, scope, monotone = 1, "request", True

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self.parameters: Any = dict(parameters)

    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Any:
        calls = usage.get("calls", 0)
        return Price(calls, (Line(dimension="calls", units=calls, rate="1", credits=str(calls)),))


def leaves(*_: object) -> Any:
    raise SystemExit(3)


def fails(*_: object) -> Any:
    raise RuntimeError("out of the policy")


class Once:
    """An attribute that may be read once, and then raises."""

    def __init__(self) -> None:
        self.left = 1

    def __get__(self, policy: Any, of: object) -> Any:
        self.left -= 1
        return {} if self.left >= 0 else fails()

    def __set__(self, policy: object, value: object) -> None:
        """Take what the constructor gives."""


PLANTED: list[tuple[str, dict[str, Any], str]] = [
    ("a line that is text", {"total": lambda *_: Price(1, ("calls",))}, LINES),  # type: ignore[arg-type]
    ("lines that are a number", {"total": lambda *_: Price(1, 7)}, LINES),  # type: ignore[arg-type]
    ("a line of half a unit", {"total": lambda *_: Price(1, (Line(units=0.5, credits="1"),))}, LINES),  # type: ignore[arg-type]
    ("credits over nothing", {"total": lambda *_: Price(1, (Line(credits="1/0"),))}, LINES),
    ("no parameters", {"parameters": property(fails, lambda *_: None)}, MADE),
    ("parameters that are a list", {"parameters": property(lambda _: [], lambda *_: None)}, MADE),
    ("parameters that go away", {"parameters": Once()}, "parameters round-trip"),
    ("no total", {"total": None}, MADE),
    ("far too much", {"total": lambda *_: Price(10**5_000)}, WHOLE),
    ("far too little", {"total": lambda *_: Price(-(10**5_000))}, WHOLE),
    ("an end of the program", {"total": leaves}, PRICE),
    ("an end of the program when it is made", {"__init__": leaves}, MADE),
    ("an error without lines", {"credits_of": fails}, ALONE),
    ("an end of the program without lines", {"credits_of": leaves}, ALONE),
    ("too much without lines", {"credits_of": lambda *_: 10**5_000}, ALONE),
    ("an end of the program when it reads", {"reads": leaves}, READS),
    ("an exact price that is too much", {"exact": lambda *_: Fraction(10**5_000)}, EXACT),
]


@pytest.mark.parametrize(("parts", "rule"), [each[1:] for each in PLANTED], ids=[each[0] for each in PLANTED])
def test_what_breaks_a_question_fails_its_rule(parts: dict[str, Any], rule: str) -> None:
    broken = type("Broken", (Flat,), parts)
    with pytest.raises(ConformanceError) as raised:
        check(broken, {}, usages=[{}, {"calls": 2}], labels=[{}])
    assert rule in raised.value.rules
    assert all(len(failure.detail) < 400 for failure in raised.value.failures)
    ends = [failure for failure in raised.value.failures if failure.detail.startswith("cannot be checked")]
    assert bool(ends) == isinstance(parts.get("parameters"), Once), "each rule says itself what breaks it"


def test_the_honest_one_conforms() -> None:
    check(Flat, {})


def test_what_ends_a_check_is_the_cause_of_its_failure() -> None:
    """It is in the traceback, for an author who wonders where the policy raised."""
    policy = type("Broken", (Flat,), {"parameters": Once()})
    with pytest.raises(ConformanceError) as raised:
        check(policy, {}, usages=[{}], labels=[{}])
    assert isinstance(raised.value.__cause__, RuntimeError)


def test_help_lists_the_rules(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert all(f"  {rule}\n" in out for rule in RULES)
    assert "exit codes: 0 it conforms" in out


def test_another_seed_draws_other_usages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["per_credit", "--seed", "7"]) == 0
    assert main(["per_credit", "--seed", "x"]) == 2
    assert "seed" in capsys.readouterr().err


def test_a_policy_that_ends_the_program_does_not_end_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(policies, "get", lambda _: type("Leaving", (Flat,), {"total": leaves}))
    assert main(["leaving"]) == 1
    assert PRICE in capsys.readouterr().err
