"""The subject of a conformance run: a policy, and the usages and labels that it is checked on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from random import Random
from typing import Any

from ledger.amounts import add_usage
from ledger.plugins import Policy, PolicyFactory, Price
from ledger.plugins.discovery import described
from ledger.rating import MAX_BITS

Usage = Mapping[str, int]
Labels = Mapping[str, str]

_SAMPLE = 40


@dataclass(frozen=True)
class Subject:
    """A policy's factory and parameters, and the usages and labels to check it on."""

    factory: PolicyFactory
    parameters: dict[str, Any]
    usages: Sequence[Usage]
    labels: Sequence[Labels]
    seed: int

    def policy(self) -> Policy:
        """Return a new instance of the policy."""
        return self.factory(deepcopy(self.parameters))

    def answers(self) -> Iterator[tuple[Usage, Labels, object]]:
        """Yield each case with the policy's answer: a price, or anything else that it returned or raised."""
        policy = self.policy()
        for labels in self.labels:
            for usage in self.usages:
                yield usage, labels, answer_of(policy, usage, labels)

    def prices(self) -> Iterator[tuple[Usage, Labels, Price]]:
        """Yield each case with its price, if it is whole credits that can be shown; other rules report the others."""
        for usage, labels, answer in self.answers():
            if isinstance(answer, Price) and type(answer.credits) is int and answer.credits.bit_length() <= MAX_BITS:
                yield usage, labels, answer

    def some(self, rule: str) -> Iterator[tuple[Random, Usage, Labels]]:
        """Yield a sample of cases, with the rule's own random generator."""
        random = Random(f"{rule} {self.seed}")
        for _ in range(_SAMPLE if self.usages and self.labels else 0):
            yield random, random.choice(self.usages), random.choice(self.labels)


def answer_of(policy: Policy, usage: Usage, labels: Labels, method: str = "total") -> object:
    """Return the answer of one of the `QUESTIONS`, or the text of the error that it raised."""
    return attempt(lambda *arguments: QUESTIONS[method](policy, *arguments), usage, labels)


QUESTIONS: Mapping[str, Callable[[Any, Usage, Labels], object]] = {
    "total": lambda policy, usage, labels: policy.total(usage, labels),
    "exact": lambda policy, usage, labels: policy.exact(usage, labels),
    "reads": lambda policy, _, labels: policy.reads(labels),
    "by_label": lambda policy, *_: policy.by_label,
    "peak": lambda policy, usage, labels: policy.peak(usage, usage, labels),
    "dearest": lambda policy, usage, labels: policy.dearest(usage, usage, add_usage(usage, {"calls": 9}), labels),
}
"""Calls of a policy's methods with a usage and labels, by the name of the method."""


def questions(policy: Policy) -> list[str]:
    """Return the names of the `QUESTIONS` whose methods the policy offers."""
    return [method for method in QUESTIONS if hasattr(policy, method)]


def attempt(method: Callable[..., object], *arguments: Mapping[str, object]) -> object:
    """Call a method with copies of the arguments. Return its result, or the text of the error that it raised."""
    try:
        return method(*map(dict, arguments))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code: any error is its answer
        return described(error)
