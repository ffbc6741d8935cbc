"""The conformance suite: it passes what is right, and names what is wrong. Each bad policy has one planted fault."""

import datetime
import random
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from datetime import datetime as moment
from fractions import Fraction
from time import time as now
from typing import Any

import pytest

from ledger.events import Line
from ledger.plugins import (
    PeakingPolicy,
    PolicyFactory,
    Price,
    ReadingPolicy,
    Scope,
    SharingPolicy,
    policies,
)
from pricing import parse
from pricing.notation import notation
from pricing.plugin import register_policies
from pricing.testing.conformance import ConformanceError, check, main
from pricing.testing.optional_methods import BY_LABEL, DEAREST, EXACT, OFFERED, PEAK, READS
from pricing.testing.purity import STARTS, patched_clocks
from pricing.testing.rules import DECIMALS, MADE, PARTS, RULES, SAME, SUMS

SAMPLES = {
    "time": ["time", "time:credits_per_second=1/60", "time:credits_per_second=7"],
    "per_credit": ["per_credit", "per_credit:credits=0", "per_credit:credits=3,per=call"],
    "complexity": [
        "complexity:minimum=3",
        "complexity:weights.input_tokens=3/1000,weights.output_tokens=15/1000,weights.calls=1/7",
        "complexity:weights.input_tokens=3/1000,minimum=5,maximum=50,"
        'models."gpt-4.1"."cache_read.input_tokens"=1/1000,models.large.input_tokens=2',
    ],
    "cost_plus": [
        "cost_plus:costs.calls=0,margin=0",
        'cost_plus:costs.input_tokens=7/1000,models."gpt-4.1".seconds=1/3,margin=1/5',
    ],
    "graduated": [
        "graduated:dimension=calls,tiers=inf@1",
        "graduated:dimension=cache_read.input_tokens,tiers=1000@3/1000+5/123456@0/inf@1/1000+7",
    ],
    "volume": [
        "volume:dimension=calls,tiers=10@1/100@2/inf@3+1",
        "volume:dimension=calls,tiers=10@3+9/1000@2/inf@1/7+5",
    ],
    "package": ["package:dimension=seconds,size=60,credits=7", "package:dimension=calls,size=1,credits=0,free=999"],
}


def built_in() -> dict[str, PolicyFactory]:
    found: dict[str, PolicyFactory] = {}
    register_policies(register=found.__setitem__)
    return found


def test_every_built_in_policy_has_a_sample_here() -> None:
    assert set(SAMPLES) == set(built_in())


@pytest.mark.parametrize("text", [text for texts in SAMPLES.values() for text in texts])
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.sweep)])
def test_every_built_in_policy_conforms(text: str, seed: int) -> None:
    name, parameters = parse(text)
    check(built_in()[name], parameters, seed=seed)


@pytest.mark.parametrize("text", [text for texts in SAMPLES.values() for text in texts])
def test_every_built_in_policy_can_be_written_on_one_line(text: str) -> None:
    name, parameters = parse(text)
    policy = built_in()[name](parameters)
    assert built_in()[name](parse(notation(name, policy.parameters))[1]) == policy


@pytest.mark.smoke
@pytest.mark.parametrize("name", SAMPLES)
def test_built_in_policies_come_in_by_the_door_of_all_plugins(name: str) -> None:
    assert policies.get(name) is built_in()[name]


def flat(credits: Any) -> Price:
    return Price(credits, (Line(text="all of it", credits=str(credits)),))


class Honest:
    """Two credits a call: nothing is wrong with it."""

    version = 1
    scope: Scope = "request"
    monotone = True

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self.parameters = dict(parameters)

    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        return flat(2 * usage.get("calls", 0))


class HonestPeriod(Honest):
    scope: Scope = "period"


class DearAtNight(Honest):
    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        return flat(9 if time.time() // 3600 % 24 == 3 else 1)


class DearAtNightByAnotherName(Honest):
    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        return flat(9 if now() // 3600 % 24 == 3 else 1)


class DearAtNoon(Honest):
    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        return flat(9 if datetime.datetime.now(datetime.UTC).hour == 12 else 1)


class DearOnSundays(Honest):
    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        return flat(9 if date.today().weekday() == 6 else 1)


class DearInMay(Honest):
    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        return flat(9 if moment.today().month == 5 else 1)


class DearInWinter(Honest):
    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        return flat(9 if time.strftime("%m") in ("12", "01") or time.gmtime().tm_mon == 2 else 1)


class DatedWhenMade(Honest):
    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self.rate = time.time_ns() // 10**9 // 86_400 % 7

    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        return flat(self.rate)


class PaidByItsOwnTime(Honest):
    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        began = time.perf_counter_ns()
        return flat((time.perf_counter_ns() - began) // 10**6)


class Dice(Honest):
    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        return flat(random.randint(0, 1))


class DiceWhenMade(Honest):
    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self.rate = random.choice([1, 2, 3])

    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        return flat(self.rate)


class CountsItsCallers(Honest):
    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self.callers = 0

    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        self.callers += 1
        return flat(self.callers)


class Float(Honest):
    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        return flat(usage.get("calls", 0) * 0.5)


class Bool(Honest):
    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        return Price(bool(usage), ())


class Negative(Honest):
    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        return flat(usage.get("calls", 0) - 1)


class CheaperByTheDozen(Honest):
    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        calls = usage.get("calls", 0)
        return flat(2 * calls if calls < self.parameters["dozen"] else calls)


class TakesUsage(Honest):
    def total(self, usage: Any, labels: Mapping[str, str]) -> Price:
        return flat(2 * usage.pop("calls", 0))


class TakesLabels(Honest):
    def total(self, usage: Mapping[str, int], labels: Any) -> Price:
        labels.clear()
        return super().total(usage, labels)


class TakesParameters(Honest):
    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters)
        parameters["seen"] = True


class NoLines(Honest):
    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        return Price(usage.get("calls", 0))


class DearerAlone(Honest):
    def credits_of(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> int:
        return self.total(usage, labels).credits + 1


class DecimalLines(Honest):
    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        return Price(1, (Line(credits="0.5"), Line(credits="0.5")))


class WrongRate(Honest):
    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        calls = usage.get("calls", 0)
        return Price(2 * calls, (Line(dimension="calls", units=calls, rate="3", credits=str(2 * calls)),))


class RoundsEachPart(Honest):
    """Half a credit a call, each charge rounded up by itself: the policy keeps what it has charged so far."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self.charged = {0: 0}

    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        calls = usage.get("calls", 0)
        last = max(seen for seen in self.charged if seen <= calls)
        self.charged.setdefault(calls, self.charged[last] + (calls - last + 1) // 2)
        return flat(self.charged[calls])


class CountsZeros(Honest):
    """A credit for each dimension that is named, so that naming one without units costs more than not naming it."""

    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        return flat(len(usage))


class PeriodByModel(HonestPeriod):
    """The labels of the last charge reprice the whole period."""

    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        return flat((2 if "model" in labels else 1) * usage.get("calls", 0))


class Fails(Honest):
    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        return flat(usage["calls"])


class BareNumber(Honest):
    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Any:
        return 5


class Forgets(Honest):
    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__({})
        self.rate = parameters.get("dozen", 1)

    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        return flat(self.rate * usage.get("calls", 0))


class StatesFloats(Honest):
    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__({**parameters, "rate": 0.5})


class StatesTuples(Honest):
    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__({**parameters, "pair": (1, 2)})


class Offers(HonestPeriod):
    """Two credits a call, four from the dozenth on, and all that a policy may offer. The bad ones below fail in one."""

    by_label: Any = False

    def at(self, calls: int) -> int:
        dozen: int = self.parameters["dozen"]
        return 2 * calls + 2 * max(0, calls + 1 - dozen)

    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        return flat(self.at(usage.get("calls", 0)))

    def reads(self, labels: Mapping[str, str]) -> Any:
        return frozenset({"calls"})

    def peak(self, before: Mapping[str, int], usage: Mapping[str, int], labels: Mapping[str, str]) -> Any:
        return self.at(before.get("calls", 0) + usage.get("calls", 0))

    def dearest(
        self, before: Mapping[str, int], usage: Mapping[str, int], among: Mapping[str, int], labels: Mapping[str, str]
    ) -> Any:
        end = before.get("calls", 0) + among.get("calls", 0)
        return self.at(end) - self.at(end - usage.get("calls", 0))


class OffersTheDozen(Offers):
    """A dozen costs half: the total falls, and nobody hides it."""

    monotone = False

    def at(self, calls: int) -> int:
        return 2 * calls if calls < self.parameters["dozen"] else calls

    def peak(self, before: Mapping[str, int], usage: Mapping[str, int], labels: Mapping[str, str]) -> Any:
        start, dozen = before.get("calls", 0), self.parameters["dozen"]
        end = start + usage.get("calls", 0)
        return max(self.at(start), self.at(end), self.at(dozen - 1) if start < dozen <= end else 0)

    def dearest(
        self, before: Mapping[str, int], usage: Mapping[str, int], among: Mapping[str, int], labels: Mapping[str, str]
    ) -> Any:
        if usage.get("calls", 0) == among.get("calls", 0):
            return self.peak(before, usage, labels) - self.at(before.get("calls", 0))
        return 2 * usage.get("calls", 0)


class ReadsWithoutSaying(Offers):
    def reads(self, labels: Mapping[str, str]) -> Any:
        return frozenset({"seconds"})


class SaysThatNothingCounts(Offers):
    def reads(self, labels: Mapping[str, str]) -> Any:
        return None


class ReadsAList(Offers):
    def reads(self, labels: Mapping[str, str]) -> Any:
        return ["calls"]


class ReadsByLuck(Offers):
    def reads(self, labels: Mapping[str, str]) -> Any:
        return frozenset({"calls", random.choice(["seconds", "input_tokens"])})


class TakesLabelsToRead(Offers):
    def reads(self, labels: Any) -> Any:
        labels.clear()
        return frozenset({"calls"})


class ForgetsWhatItReads(Offers):
    """States a parameter that it was not given, and reads more for it."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__({"dozen": 12, "again": True})
        self.read = frozenset({"calls", "seconds"} if "again" in parameters else {"calls"})

    def reads(self, labels: Mapping[str, str]) -> Any:
        return self.read


class ModelsUntold(Honest):
    by_label = False

    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        return flat((2 if "model" in labels else 1) * usage.get("calls", 0))

    def peak(self, before: Mapping[str, int], usage: Mapping[str, int], labels: Mapping[str, str]) -> Any:
        return self.total({"calls": before.get("calls", 0) + usage.get("calls", 0)}, labels).credits


class PerhapsByLabel(Offers):
    by_label = None


class PeakWithoutByLabel(Honest):
    def peak(self, before: Mapping[str, int], usage: Mapping[str, int], labels: Mapping[str, str]) -> Any:
        return 2 * (before.get("calls", 0) + usage.get("calls", 0))


class DearestWithoutPeak(HonestPeriod):
    def dearest(
        self, before: Mapping[str, int], usage: Mapping[str, int], among: Mapping[str, int], labels: Mapping[str, str]
    ) -> Any:
        return 2 * usage.get("calls", 0)


class PeakAtTheEnd(OffersTheDozen):
    """Forgets what the total was before it fell."""

    def peak(self, before: Mapping[str, int], usage: Mapping[str, int], labels: Mapping[str, str]) -> Any:
        return self.at(before.get("calls", 0) + usage.get("calls", 0))


class PeakTooHigh(OffersTheDozen):
    def peak(self, before: Mapping[str, int], usage: Mapping[str, int], labels: Mapping[str, str]) -> Any:
        return 2 * (before.get("calls", 0) + usage.get("calls", 0))


class PeakInHalves(Offers):
    def peak(self, before: Mapping[str, int], usage: Mapping[str, int], labels: Mapping[str, str]) -> Any:
        return float(super().peak(before, usage, labels))


class PeakOfItsOwnTime(Offers):
    def peak(self, before: Mapping[str, int], usage: Mapping[str, int], labels: Mapping[str, str]) -> Any:
        return super().peak(before, usage, labels) + time.time_ns() // 10**9 % 2


class DearestInOnePlace(Offers):
    """Takes it that its units come first: others may push them over the dozen."""

    def dearest(
        self, before: Mapping[str, int], usage: Mapping[str, int], among: Mapping[str, int], labels: Mapping[str, str]
    ) -> Any:
        calls = before.get("calls", 0)
        return self.at(calls + usage.get("calls", 0)) - self.at(calls)


class DearestOfEverybody(Offers):
    """Takes it that all is charged at the dearest price, also where nobody else is there."""

    def dearest(
        self, before: Mapping[str, int], usage: Mapping[str, int], among: Mapping[str, int], labels: Mapping[str, str]
    ) -> Any:
        return 4 * usage.get("calls", 0) + 2


class DearestRaises(Offers):
    def dearest(
        self, before: Mapping[str, int], usage: Mapping[str, int], among: Mapping[str, int], labels: Mapping[str, str]
    ) -> Any:
        return self.at(before["calls"] + among["calls"])


class IgnoresDecimals(Honest):
    @classmethod
    def with_decimals(cls, parameters: Mapping[str, Any], decimals: int) -> "IgnoresDecimals":
        return cls(parameters)


class RefusesDecimals(Honest):
    @classmethod
    def with_decimals(cls, parameters: Mapping[str, Any], decimals: int) -> "RefusesDecimals":
        raise ValueError("this policy has no decimals")


class WritesDecimals(Honest):
    @classmethod
    def with_decimals(cls, parameters: Mapping[str, Any], decimals: int) -> "WritesDecimals":
        return cls({**parameters, "decimals": decimals})


class ExactlyTooLittle(Honest):
    def exact(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Fraction:
        return Fraction(3 * usage.get("calls", 0), 2)


class ExactlyAFloat(Honest):
    def exact(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> float:
        return 2.0 * usage.get("calls", 0)


class Refuses(Honest):
    def __init__(self, parameters: Mapping[str, Any]) -> None:
        raise ValueError("dozen: not today")


class OddScope(Honest):
    scope: Any = "eternity"


class NoVersion(Honest):
    version: Any = None


ANSWERS, WHOLE, NEGATIVE, ALONE, MONOTONE, LINES, LINELESS, AGAIN = (
    name for name in RULES if name not in (MADE, SAME, PARTS, SUMS, DECIMALS, *OFFERED)
)

PLANTED: list[tuple[PolicyFactory, str]] = [
    (ExactlyTooLittle, EXACT),
    (ExactlyAFloat, EXACT),
    (IgnoresDecimals, DECIMALS),
    (RefusesDecimals, DECIMALS),
    (WritesDecimals, DECIMALS),
    (Refuses, MADE),
    (OddScope, MADE),
    (NoVersion, MADE),
    (Fails, ANSWERS),
    (BareNumber, ANSWERS),
    (Float, WHOLE),
    (Bool, WHOLE),
    (Negative, NEGATIVE),
    (DearAtNight, SAME),
    (DearAtNightByAnotherName, SAME),
    (DearAtNoon, SAME),
    (DearOnSundays, SAME),
    (DearInMay, SAME),
    (DearInWinter, SAME),
    (DatedWhenMade, SAME),
    (PaidByItsOwnTime, SAME),
    (Dice, SAME),
    (DiceWhenMade, SAME),
    (CountsItsCallers, SAME),
    (TakesUsage, ALONE),
    (TakesLabels, ALONE),
    (TakesParameters, ALONE),
    (CheaperByTheDozen, MONOTONE),
    (NoLines, LINES),
    (DearerAlone, LINELESS),
    (DecimalLines, LINES),
    (WrongRate, LINES),
    (RoundsEachPart, PARTS),
    (CountsZeros, MONOTONE),
    (PeriodByModel, SUMS),
    (Forgets, AGAIN),
    (StatesFloats, AGAIN),
    (StatesTuples, AGAIN),
    (ForgetsWhatItReads, AGAIN),
    (ReadsWithoutSaying, READS),
    (SaysThatNothingCounts, READS),
    (ReadsAList, READS),
    (ReadsByLuck, SAME),
    (TakesLabelsToRead, ALONE),
    (ModelsUntold, BY_LABEL),
    (PerhapsByLabel, MADE),
    (PeakWithoutByLabel, MADE),
    (DearestWithoutPeak, MADE),
    (PeakAtTheEnd, PEAK),
    (PeakTooHigh, PEAK),
    (PeakInHalves, PEAK),
    (PeakOfItsOwnTime, SAME),
    (DearestInOnePlace, DEAREST),
    (DearestOfEverybody, DEAREST),
    (DearestRaises, DEAREST),
]


@pytest.mark.parametrize(("factory", "rule"), PLANTED)
def test_each_planted_fault_is_found_under_its_rule(factory: PolicyFactory, rule: str) -> None:
    with pytest.raises(ConformanceError, match=rule) as raised:
        check(factory, {"dozen": 12})
    assert rule in raised.value.rules


def test_every_rule_has_a_planted_fault() -> None:
    assert {rule for _, rule in PLANTED} == set(RULES)


def test_the_built_in_policies_offer_all_that_a_policy_may_offer() -> None:
    for text in [text for texts in SAMPLES.values() for text in texts]:
        name, parameters = parse(text)
        policy = built_in()[name](parameters)
        assert isinstance(policy, ReadingPolicy)
        assert isinstance(policy, PeakingPolicy)
        assert isinstance(policy, SharingPolicy) is (policy.scope == "period")


@pytest.mark.parametrize("factory", [Honest, HonestPeriod, Offers, OffersTheDozen])
def test_a_policy_of_ones_own_conforms_if_it_keeps_the_rules(factory: PolicyFactory) -> None:
    check(factory, {"dozen": 12})


def test_a_fault_is_told_with_the_case_that_shows_it() -> None:
    with pytest.raises(ConformanceError) as raised:
        check(Negative, {}, usages=[{}, {"calls": 1}], labels=[{}])
    assert [tuple(failure) for failure in raised.value.failures] == [(NEGATIVE, "{} {} costs -1")]


def test_clocks_and_dice_are_put_back_even_when_something_is_raised() -> None:
    def seen() -> list[object]:
        return [time.time, time.strftime, datetime.datetime, datetime.date, now, moment, date, random.getstate()]

    before = seen()
    with suppress(KeyError), patched_clocks(STARTS[3], [sys.modules[__name__]]):
        during = seen()
        raise KeyError
    assert all(one is not other for one, other in zip(during, before, strict=True))
    assert seen() == before


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["package:dimension=calls,size=10,credits=1"], 0, "package conforms\n"),
        (["package:dimension=calls"], 1, "is made: {'dimension': 'calls'} are refused: ValueError: package: size"),
        (["no_such_policy"], 2, "there is no pricing policy 'no_such_policy'"),
        (["package:"], 2, "'package:' is not a policy"),
        ([], 2, "usage: "),
    ],
)
def test_an_installed_policy_can_be_checked_on_the_command_line(
    arguments: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == status
    out, err = capsys.readouterr()
    assert (out if status == 0 else err).startswith(said)
