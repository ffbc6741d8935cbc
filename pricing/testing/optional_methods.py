"""Rules for the optional methods of a policy: `exact`, `reads`, `by_label`, `peak` and `dearest` (`ledger.plugins`).

A policy that does not offer a method passes its rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise, product
from operator import itemgetter
from random import Random

from ledger.amounts import MAX_CREDITS, add_usage, split
from ledger.plugins import ExactPolicy, PeakingPolicy, Policy, Price, ReadingPolicy, SharingPolicy
from ledger.rating import shown

from .subject import Labels, Subject, Usage, answer_of, attempt

_PARTS = 6


def _reads(subject: Subject) -> Iterator[str]:
    policy = subject.policy()
    if not isinstance(policy, ReadingPolicy):
        return
    for labels in subject.labels:
        dimensions = attempt(policy.reads, labels)
        names = frozenset() if dimensions is None else dimensions
        if not isinstance(names, frozenset) or not all(isinstance(name, str) for name in names):
            yield f"{labels} reads {dimensions!r}, neither a frozenset of names nor None"
            continue
        for usage, _, price in replace(subject, labels=[labels]).prices():
            read = {name: units for name, units in usage.items() if name in names}
            if (credits := _credits(policy, read, labels)) is not None and credits != price.credits:
                yield f"{usage} {labels} costs {price.credits}, and what is read of it, {read}, costs {credits}"


def _by_label(subject: Subject) -> Iterator[str]:
    policy = subject.policy()
    if not isinstance(policy, PeakingPolicy) or policy.by_label:
        return
    for usage in subject.usages:
        prices = [(price.credits, labels) for _, labels, price in replace(subject, usages=[usage]).prices()]
        prices.sort(key=itemgetter(0))
        if prices and prices[0][0] != prices[-1][0]:
            yield f"{usage} costs {prices[0][0]} with {prices[0][1]}, and {prices[-1][0]} with {prices[-1][1]}"


def _peak(subject: Subject) -> Iterator[str]:
    policy = subject.policy()
    if not isinstance(policy, PeakingPolicy):
        return
    for span in _spans(subject, "peak"):
        case = f"from {span.before} by {span.more} with {span.labels}"
        peak = attempt(policy.peak, span.before, span.more, span.labels)
        totals = [
            (credits, usage) for usage in span.between if (credits := _credits(policy, usage, span.labels)) is not None
        ]
        if not totals:
            continue
        largest, where = max(totals, key=itemgetter(0))
        if type(peak) is not int:
            yield f"{case} the peak is {peak!r}, not a whole number"
        elif peak < largest or (peak > largest and (span.whole or policy.monotone)):
            yield f"{case} the peak is {peak}, and the largest total, of {where}, is {largest}"


def _dearest(subject: Subject) -> Iterator[str]:
    policy = subject.policy()
    if not isinstance(policy, SharingPolicy):
        return
    for span in _spans(subject, "dearest"):
        case = f"from {span.before} among {span.more} with {span.labels}"
        totals = [total for meter in span.meters() if (total := _credits(policy, meter, span.labels)) is not None]
        if len(totals) <= len(span.parts):
            continue
        # The parts that raise the total most are the usage that is asked about, all others are usage on the same meter.
        rises = sorted(
            ((max(0, after - total), at) for at, (total, after) in enumerate(pairwise(totals))), reverse=True
        )
        ours = rises[: span.random.randrange(1, len(rises) + 1)]
        usage = _together([span.parts[at] for _, at in ours])
        dearest = attempt(policy.dearest, span.before, usage, span.more, span.labels)
        others = all(usage.get(name, 0) < units for name, units in span.more.items())
        if type(dearest) is not int or dearest < 0:
            yield f"{case} the dearest {usage} is {dearest!r}, not a whole number of 0 or more"
        elif others and dearest < (most := sum(rise for rise, _ in ours)):
            yield f"{case} the dearest {usage} is {dearest}, and in parts it costs {most}"
        peak = attempt(policy.peak, span.before, span.more, span.labels)
        alone = attempt(policy.dearest, span.before, span.more, span.more, span.labels)
        if isinstance(peak, int) and alone != peak - totals[0]:
            yield f"{case} all of it is {alone!r} at the dearest, and the peak is {peak} after {totals[0]}"


@dataclass(frozen=True)
class _Span:
    """A path of the meter from `before` by `more`, in `parts`, and usages in between; all of them if `whole`."""

    random: Random
    before: Usage
    more: Usage
    labels: Labels
    parts: Sequence[Usage]
    between: Sequence[Usage]
    whole: bool

    def meters(self) -> Iterator[Usage]:
        meter = self.before
        yield meter
        for part in self.parts:
            meter = add_usage(meter, part)
            yield meter


def _spans(subject: Subject, rule: str) -> Iterator[_Span]:
    """Yield from each usage a short path, unit by unit, and a long one."""
    random = Random(f"{rule} {subject.seed}")
    dimensions = sorted({name for usage in subject.usages for name in usage})
    for before in subject.usages if subject.labels and dimensions else ():
        labels = random.choice(subject.labels)
        names = random.sample(sorted(before) or dimensions, min(2, len(before) or 1))
        few = {name: random.randrange(1, _PARTS) for name in names}
        if _fits(add_usage(before, few)):
            units: list[Usage] = [{name: 1} for name in few for _ in range(few[name])]
            random.shuffle(units)
            counts = product(*(range(few[name] + 1) for name in few))
            every = [add_usage(before, dict(zip(few, units_of, strict=True))) for units_of in counts]
            yield _Span(random, before, few, labels, units, every, whole=True)
        many = random.choice(subject.usages)
        if _fits(end := add_usage(before, many)):
            shares = {name: split(many[name], [random.randrange(1, 10) for _ in range(_PARTS)]) for name in many}
            parts: list[Usage] = [{name: share[at] for name, share in shares.items()} for at in range(_PARTS)]
            some = [usage for usage in subject.usages if _within(before, usage, end)]
            yield _Span(random, before, many, labels, parts, [before, *some, end], whole=False)


def _together(usages: Iterable[Usage]) -> Usage:
    total: Usage = {}
    for usage in usages:
        total = add_usage(total, usage)
    return total


def _fits(usage: Usage) -> bool:
    return all(units <= MAX_CREDITS for units in usage.values())


def _within(low: Usage, usage: Usage, high: Usage) -> bool:
    return all(low.get(name, 0) <= usage.get(name, 0) <= high.get(name, 0) for name in {**usage, **high})


def _credits(policy: Policy, usage: Usage, labels: Labels) -> int | None:
    """Return the policy's total; None if it is not whole, which another rule reports."""
    answer = answer_of(policy, usage, labels)
    return answer.credits if isinstance(answer, Price) and type(answer.credits) is int else None


def _exact(subject: Subject) -> Iterator[str]:
    policy = subject.policy()
    if not isinstance(policy, ExactPolicy):
        return
    for usage, labels, price in subject.prices():
        exact = attempt(policy.exact, usage, labels)
        if not isinstance(exact, Fraction) or abs(exact - price.credits) >= 1:
            yield f"{usage} {labels} costs {price.credits}, and exactly {shown(exact)}"


EXACT = "the exact price is rounded to the price"
READS = "reads what changes the price"
BY_LABEL = "labels that change the price are declared"
PEAK = "the peak is the largest total on the path"
DEAREST = "the dearest is never too little"

OFFERED: Mapping[str, Callable[[Subject], Iterator[str]]] = {
    EXACT: _exact,
    READS: _reads,
    BY_LABEL: _by_label,
    PEAK: _peak,
    DEAREST: _dearest,
}
"""The rules by name: each a function that yields the cases in which it is broken."""
