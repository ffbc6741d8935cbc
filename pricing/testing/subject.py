"""One policy and what it is tried on: the ground that the rules of conformance stand on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from random import Random
from typing import Any

from ledger.amounts import add_usage
from ledger.plugins import Policy, PolicyFactory, Price

Usage = Mapping[str, int]
Labels = Mapping[str, str]

_SAMPLE = 40


@dataclass(frozen=True)
class Trial:
    """A policy's factory and parameters, and what to try it on."""

    factory: PolicyFactory
    parameters: dict[str, Any]
    usages: Sequence[Usage]
    labels: Sequence[Labels]
    seed: int

    def policy(self) -> Policy:
        """The policy, made anew."""
        return self.factory(deepcopy(self.parameters))

    def answers(self) -> Iterator[tuple[Usage, Labels, object]]:
        """Each case with what the policy answers: a price, as it should be, or anything else."""
        policy = self.policy()
        for labels in self.labels:
            for usage in self.usages:
                yield usage, labels, answer_of(policy, usage, labels)

    def prices(self) -> Iterator[tuple[Usage, Labels, Price]]:
        """Each case with its price, where there is one and it is whole: other rules name those that are not."""
        for usage, labels, answer in self.answers():
            if isinstance(answer, Price) and type(answer.credits) is int:
                yield usage, labels, answer

    def some(self, rule: str) -> Iterator[tuple[Random, Usage, Labels]]:
        """A sample of cases, with a die of its own for the rule."""
        random = Random(f"{rule} {self.seed}")
        for _ in range(_SAMPLE if self.usages and self.labels else 0):
            yield random, random.choice(self.usages), random.choice(self.labels)


def answer_of(policy: Policy, usage: Usage, labels: Labels, method: str = "total") -> object:
    """What the policy answers, be it to one of the other `QUESTIONS`, or the text of what it raises."""
    return attempt(lambda *given: QUESTIONS[method](policy, *given), usage, labels)


QUESTIONS: Mapping[str, Callable[[Any, Usage, Labels], object]] = {
    "total": lambda policy, usage, labels: policy.total(usage, labels),
    "reads": lambda policy, _, labels: policy.reads(labels),
    "by_label": lambda policy, *_: policy.by_label,
    "peak": lambda policy, usage, labels: policy.peak(usage, usage, labels),
    "dearest": lambda policy, usage, labels: policy.dearest(usage, usage, add_usage(usage, {"calls": 9}), labels),
}
"""What a policy may be asked about a usage and labels, by the name of the method."""


def questions(policy: Policy) -> list[str]:
    """The names of those `QUESTIONS` that the policy can be asked."""
    return [method for method in QUESTIONS if hasattr(policy, method)]


def attempt(ask: Callable[..., object], *given: Mapping[str, object]) -> object:
    """The answer to copies of what is given, or the text of what is raised."""
    try:
        return ask(*map(dict, given))
    except Exception as error:  # noqa: BLE001 - foreign code: whatever it raises is its answer
        return f"{type(error).__name__}: {error}"
