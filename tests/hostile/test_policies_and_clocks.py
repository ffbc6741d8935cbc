"""Plugins and clocks that say anything: what they say is written only where it can be read again.

A log that holds one event that cannot be read is lost to everybody, whatever else is in it.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from said_policy import Said, installed

from ledger import Answer, Charge, CreatePlan, Give, Ledger, Purchase, Refused, RepricePlan, Request
from ledger.errors import BadData
from ledger.events import Line
from ledger.plugins import Price
from replay import audit

BEGIN = 1_700_000_000_000_000
GIFT = Give(subscriber="ben", plan="pro", credits=1)
USE = Charge(subscriber="ann", plan="odd", usage={"calls": 1}, labels={"model": "m"})
ASK = Request(subscriber="ann", plan="odd", estimate={"calls": 1}, labels={"model": "m"})


class Telling:
    """A price that raises when its lines are asked for."""

    credits = 1

    @property
    def lines(self) -> Any:
        raise ZeroDivisionError


def raising(error: type[BaseException]) -> Callable[..., Any]:
    def raise_(*_: Any) -> Any:
        raise error("out of the policy")

    return raise_


def changing(self: Said, usage: dict[str, Any], labels: dict[str, Any]) -> Price:
    """Changes what it is given, which the books hold."""
    price = Price(sum(usage.values()))
    usage.clear()
    labels.clear()
    usage["calls"] = -(10**30)
    return price


def again(self: Said, usage: Any, labels: Any) -> Any:
    return again(self, usage, labels)


def line(**said: Any) -> Callable[..., Price]:
    return lambda *_: Price(1, (Line(**({"units": 1, "rate": "1", "credits": "1"} | said)),))


NO_PRICES: dict[str, Callable[..., Any]] = {
    "None": lambda *_: None,
    "an object": lambda *_: object(),
    "a float": lambda *_: Price(1.0),  # type: ignore[arg-type]
    "a bool": lambda *_: Price(True),
    "NaN": lambda *_: Price(float("nan")),  # type: ignore[arg-type]
    "less than nothing": lambda *_: Price(-1),
    "too much": lambda *_: Price(2**63),
    "far too much": lambda *_: Price(10**5_000),
    "lines that are text": lambda *_: Price(1, "lines"),  # type: ignore[arg-type]
    "lines that are a number": lambda *_: Price(1, 7),  # type: ignore[arg-type]
    "lines that are objects": lambda *_: Price(1, (object(),)),  # type: ignore[arg-type]
    "lines that are maps": lambda *_: Price(1, ({"text": "x"},)),  # type: ignore[arg-type]
    "a line whose text is a number": line(text=5),
    "a line whose text is no Unicode": line(text="\ud800"),
    "a line whose units are text": line(units="1"),
    "a line whose units are a float": line(units=1.5),
    "a line whose rate is a number": line(rate=1),
    "a line whose credits are a number": line(credits=1),
    "a line whose dimension is a number": line(dimension=3),
    "a line whose credits are a word": line(credits="five"),
    "a line whose rate is a word": line(rate="three"),
    "a line over nothing": line(credits="1/0"),
    "a line without an end": line(credits="1" * 5_000),
    "a line that sums to more": line(credits="3"),
    "far less than nothing": lambda *_: Price(-(10**5_000)),
    "lines that raise": lambda *_: Telling(),
    "an error": raising(ZeroDivisionError),
    "a refusal to go on": raising(RecursionError),
    "no memory": raising(MemoryError),
    "no end": again,
    "the end of an iteration": raising(StopIteration),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "toll.db"


@pytest.fixture
def policy(monkeypatch: pytest.MonkeyPatch) -> type[Said]:
    return installed(monkeypatch)


@pytest.fixture
def ledger(path: Path, policy: type[Said]) -> Any:
    with Ledger.open(path, clock=lambda: BEGIN) as opened:
        pro = CreatePlan(plan="pro", owner="acme", credits=100)
        its = CreatePlan(plan="odd", owner="acme", credits=100, policy="said")
        assert all(opened.execute_many([pro, its, Purchase(subscriber="ann", plan="odd")]))
        yield opened


def is_readable(path: Path, ledger: Ledger) -> None:
    """Everybody can read what was written."""
    with Ledger.open(path, read_only=True) as again:
        assert again.state() == ledger.state()
    report = audit(path)
    assert [finding for finding in report.findings if finding.kind not in ("price",)] == []


@pytest.mark.parametrize("name", NO_PRICES)
def test_what_is_no_price_refuses_its_own_command(name: str, ledger: Ledger, path: Path, policy: type[Said]) -> None:
    policy.total = NO_PRICES[name]  # type: ignore[method-assign]
    before = ledger.state()
    refused = [ledger.execute(command) for command in (USE, ASK)]
    assert {outcome.reason for outcome in refused if isinstance(outcome, Refused)} <= {"policy_failed", "overflow"}
    assert [type(outcome) for outcome in refused] == [Refused, Refused]
    assert ledger.state() == before
    outcomes = ledger.execute_many([GIFT, USE, GIFT, ASK, GIFT])
    assert [type(outcome) for outcome in outcomes] == [Answer, Refused, Answer, Refused, Answer]
    is_readable(path, ledger)


@pytest.mark.parametrize("scope", ["request", "period"])
def test_a_policy_cannot_change_what_the_books_hold(ledger: Ledger, path: Path, policy: type[Said], scope: str) -> None:
    policy.total, policy.scope = changing, scope  # type: ignore[method-assign, assignment]
    for command in (USE, ASK, USE, Charge(request=ledger.execute(ASK).unwrap().seq, usage={"calls": 2})):
        assert ledger.execute(command)
    events = [entry.event for entry in ledger.events()]
    charges = [event for event in events if type(event).__name__ == "Charged"]
    assert [charge.usage for charge in charges] == [{"calls": 1}, {"calls": 1}, {"calls": 2}]  # type: ignore[attr-defined]
    assert {tuple(charge.labels.items()) for charge in charges} == {(("model", "m"),)}  # type: ignore[attr-defined]
    is_readable(path, ledger)


NO_POLICIES: list[dict[str, Any]] = [
    {"version": 1.5},
    {"version": "1"},
    {"version": None},
    {"version": float("nan")},
    {"version": property(raising(ZeroDivisionError))},
    {"parameters": property(lambda _: None)},
    {"parameters": property(lambda _: {"x": object()})},
    {"parameters": property(lambda _: {"x": float("nan")})},
    {"parameters": property(lambda _: {"x": "\ud800"})},
    {"parameters": property(lambda _: {"x": b"x"})},
    {"parameters": property(lambda _: {1: 2})},
    {"parameters": property(raising(ZeroDivisionError))},
    {"__init__": raising(TypeError)},
    {"__init__": raising(KeyError)},
    {"__init__": raising(RecursionError)},
]


@pytest.mark.parametrize("parts", NO_POLICIES, ids=lambda parts: next(iter(parts)))
def test_what_is_no_policy_makes_no_tariff(
    ledger: Ledger, path: Path, policy: type[Said], parts: dict[str, Any]
) -> None:
    for name, part in ({"__init__": lambda self, _: None} | parts).items():
        setattr(policy, name, part)
    if "parameters" not in parts:
        policy.parameters = {}
    create = CreatePlan(plan="new", owner="acme", credits=1, policy="said")
    outcomes = ledger.execute_many([GIFT, create, GIFT, RepricePlan(plan="pro", policy="said"), GIFT])
    assert [type(outcome) for outcome in outcomes] == [Answer, Refused, Answer, Refused, Answer]
    assert {outcome.reason for outcome in outcomes if isinstance(outcome, Refused)} <= {"policy_failed", "malformed"}
    is_readable(path, ledger)


def test_a_policy_that_cannot_be_made_again_refuses_its_own_commands(
    ledger: Ledger, path: Path, policy: type[Said]
) -> None:
    """It was made when its plan was, and in the next process it raises, or has another version, or no scope."""
    for name, part in (
        ("scope", "galaxy"),
        ("scope", property(raising(KeyError))),
        ("version", 2),
        ("__init__", raising(KeyError)),
    ):
        setattr(policy, name, part)
        with Ledger.open(path, clock=lambda: BEGIN) as again:
            outcomes = again.execute_many([GIFT, USE, ASK, GIFT])
            assert [type(outcome) for outcome in outcomes] == [Answer, Refused, Refused, Answer]


@pytest.mark.parametrize("error", [SystemExit, GeneratorExit, asyncio.CancelledError, KeyboardInterrupt])
def test_what_ends_a_program_ends_it_and_writes_nothing(
    ledger: Ledger, path: Path, policy: type[Said], error: type[BaseException]
) -> None:
    """Whoever asks for the end of the program, a policy too, is not answered with a refusal."""
    policy.total = raising(error)  # type: ignore[method-assign]
    before = ledger.state()
    with pytest.raises(error):
        ledger.execute_many([GIFT, USE, GIFT])
    assert ledger.state() == before
    assert ledger.execute(GIFT)
    is_readable(path, ledger)


# -- clocks ------------------------------------------------------------------------------------------------------------

NO_TIMES = [1.7e15, float("nan"), True, None, "now", 2**62, 2**63, 10**30, 10**5_000, object()]


@pytest.mark.parametrize("time", NO_TIMES, ids=lambda time: f"{type(time).__name__}")
def test_a_clock_that_tells_no_time_is_an_error_and_writes_nothing(path: Path, time: Any) -> None:
    clock = [BEGIN]
    with Ledger.open(path, clock=lambda: clock[0]) as ledger:
        pro = CreatePlan(plan="pro", owner="acme", credits=1)
        assert ledger.execute(pro)
        before = ledger.state()
        clock[0] = time
        for use in (lambda: ledger.execute(GIFT), lambda: ledger.execute_many([GIFT, GIFT]), ledger.balances):
            with pytest.raises(BadData, match="clock"):
                use()
        assert ledger.state() == before
        clock[0] = BEGIN
        assert ledger.execute(GIFT)
        is_readable(path, ledger)


@pytest.mark.parametrize("time", [0, -1, -(2**63), -(10**30), BEGIN - 1])
def test_a_clock_that_goes_back_does_not_take_the_log_with_it(path: Path, time: int) -> None:
    clock = [BEGIN]
    with Ledger.open(path, clock=lambda: clock[0]) as ledger:
        assert ledger.execute(CreatePlan(plan="pro", owner="acme", credits=1))
        clock[0] = time
        assert ledger.execute(GIFT).unwrap().at == BEGIN
        is_readable(path, ledger)


def test_a_clock_that_begins_before_all_time_begins_at_the_epoch(path: Path) -> None:
    with Ledger.open(path, clock=lambda: -5) as ledger:
        assert ledger.execute(CreatePlan(plan="pro", owner="acme", credits=1)).unwrap().at == 0
        assert ledger.execute(GIFT)
        is_readable(path, ledger)


def test_a_clock_that_raises_gives_its_error_to_the_whole_group(path: Path) -> None:
    clock: list[Callable[[], int]] = [lambda: BEGIN]
    with Ledger.open(path, clock=lambda: clock[0]()) as ledger:
        assert ledger.execute(CreatePlan(plan="pro", owner="acme", credits=1))
        before = ledger.state()
        clock[0] = raising(OSError)
        with pytest.raises(OSError, match="out of"):
            ledger.execute_many([GIFT, GIFT])
        assert ledger.state() == before
        clock[0] = lambda: BEGIN + 1
        assert ledger.execute(GIFT)
        is_readable(path, ledger)
