"""Rules of conformance for pricing policies, each a function that yields the cases in which it is broken."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from fractions import Fraction
from itertools import product
from operator import itemgetter
from random import Random
from typing import Any, get_args

from ledger.amounts import add_usage, split
from ledger.events import Line
from ledger.plugins import DecimalFactory, Policy, Price, Scope
from ledger.plugins.discovery import described
from ledger.rating import MAX_BITS, PolicyFailed, PriceTooLarge, derivable, is_exact, marginal, shown

from .optional_methods import OFFERED
from .purity import STARTS, modules_beside, patched_clocks
from .subject import QUESTIONS, Labels, Subject, Usage, answer_of, attempt, questions

MADE = "is made"
SAME = "equal usage costs the same"
PARTS = "parts cost the whole"
SUMS = "charges sum to the total"
DECIMALS = "decimals change no price"


def _made(subject: Subject) -> Iterator[str]:
    try:
        policy = subject.policy()
        version, scope, monotone, stated = policy.version, policy.scope, policy.monotone, policy.parameters
    except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code
        yield f"{subject.parameters} are refused: {described(error)}"
        return
    if not isinstance(stated, dict):
        yield f"parameters are {shown(stated)}, not a dict"
    if not callable(getattr(policy, "total", None)):
        yield "it has no method `total`"
    if type(version) is not int or version < 1:
        yield f"version is {version!r}, not a whole number from 1"
    if scope not in get_args(Scope):
        yield f"scope is {scope!r}, not one of {', '.join(get_args(Scope))}"
    if type(monotone) is not bool:
        yield f"monotone is {monotone!r}, not true or false"
    if type(by_label := getattr(policy, "by_label", False)) is not bool:
        yield f"by_label is {by_label!r}, not true or false"
    for offered, needed in (("peak", "by_label"), ("dearest", "peak")):
        if hasattr(policy, offered) and not hasattr(policy, needed):
            yield f"{offered} is offered without {needed}, so that it is never used"


def _answers(subject: Subject) -> Iterator[str]:
    for usage, labels, answer in subject.answers():
        if not isinstance(answer, Price):
            yield f"{usage} {labels} has no price but {answer}"


def _whole(subject: Subject) -> Iterator[str]:
    for usage, labels, answer in subject.answers():
        if isinstance(answer, Price) and type(answer.credits) is not int:
            yield f"{usage} {labels} costs {shown(answer.credits)}, of the type {type(answer.credits).__name__}"
        elif isinstance(answer, Price) and answer.credits.bit_length() > MAX_BITS:
            yield f"{usage} {labels} costs a number of {answer.credits.bit_length():,} bits, of at most {MAX_BITS:,}"


def _negative(subject: Subject) -> Iterator[str]:
    for usage, labels, price in subject.prices():
        if price.credits < 0:
            yield f"{usage} {labels} costs {price.credits}"


def _same(subject: Subject) -> Iterator[str]:
    used = subject.policy()
    modules = modules_beside(subject.factory, type(used))
    cases = [(usage, labels, method) for _, usage, labels in subject.some(SAME) for method in questions(used)]
    first: list[object] = []
    for start in STARTS:
        with patched_clocks(start, modules):
            fresh = subject.policy()
            answers = [answer_of(policy, *case) for case in cases for policy in (used, fresh, used)]
        first = first or answers[::3]
        for at, answer in enumerate(answers):
            if answer != first[at // 3]:
                usage, labels, method = cases[at // 3]
                yield f"{method} of {usage} {labels} has been {_short(first[at // 3])} and {_short(answer)}"


def _short(answer: object) -> str:
    return f"{shown(answer.credits)} credits" if isinstance(answer, Price) else str(answer)


def _untouched(subject: Subject) -> Iterator[str]:
    given = deepcopy(subject.parameters)
    policy = subject.factory(given)
    if given != subject.parameters:
        yield f"the parameters {subject.parameters} became {given}"
    for labels, usage, method in product(subject.labels, subject.usages, questions(policy)):
        measured, labelled = dict(usage), dict(labels)
        try:
            QUESTIONS[method](policy, measured, labelled)
        except (Exception, SystemExit):  # noqa: BLE001 - foreign code; another rule reports it
            continue
        if (measured, labelled) != (usage, labels):
            yield f"{usage} {labels} became {measured} {labelled} when {method} was called"


def _monotone(subject: Subject) -> Iterator[str]:
    if not subject.policy().monotone:
        return
    for labels in subject.labels:
        # Dearest first: each need only be compared with those after it.
        prices = [(price.credits, usage) for usage, _, price in replace(subject, labels=[labels]).prices()]
        prices.sort(key=itemgetter(0), reverse=True)
        for at, (dearer, less) in enumerate(prices):
            for cheaper, more in prices[at + 1 :]:
                if cheaper < dearer and all(units <= more.get(name, 0) for name, units in less.items()):
                    yield f"{less} {labels} costs {dearer}, and {more} only {cheaper}"


def _lines(subject: Subject) -> Iterator[str]:
    for usage, labels, price in subject.prices():
        case = f"{usage} {labels} costs {price.credits}"
        if not isinstance(price.lines, tuple | list):
            yield f"{case}, and its lines are {shown(price.lines)}, not a tuple"
            continue
        if others := [line for line in price.lines if type(line) is not Line or type(line.units) is not int]:
            yield f"{case}, with {shown(others[0])} for a line, which is no Line of whole units"
            continue
        if wrong := [text for line in price.lines for text in (line.rate, line.credits) if not is_exact(text)]:
            yield f"{case}, with {wrong[0]!r} in a line, which is not a fraction as text"
            continue
        if (total := sum((Fraction(line.credits) for line in price.lines), Fraction(0))) != price.credits:
            yield f"{case}, and its lines sum to {total}"
        for line in price.lines:
            if line.dimension is not None and line.units * Fraction(line.rate) != Fraction(line.credits):
                yield f"{case}, with a line of {line.units} {line.dimension} at {line.rate} for {line.credits}"


def _alone(subject: Subject) -> Iterator[str]:
    policy = subject.policy()
    if derivable(policy):
        for usage, labels, price in subject.prices():
            if (answer := attempt(policy.credits_of, usage, labels)) != price.credits:
                yield f"{usage} {labels} costs {price.credits}, and {shown(answer)} without its lines"


def _parts(subject: Subject) -> Iterator[str]:
    for random, usage, labels in subject.some(PARTS):
        before = random.choice([None, random.choice(subject.usages)])
        parts = _parted(usage, random)
        try:
            whole = marginal(subject.policy(), before, usage, labels)[0]
            charges = list(_charges(subject.policy(), before, [(part, labels) for part in parts]))
        except (PolicyFailed, PriceTooLarge, SystemExit):  # another rule reports it
            continue
        if sum(charges) != whole:
            yield f"{usage} {labels} after {before} costs {whole}, and in the parts {parts} {charges}"


def _parted(usage: Usage, random: Random) -> list[dict[str, int]]:
    weights = [random.randrange(1, 10) for _ in range(random.randrange(2, 6))]
    parts = {dimension: split(units, random.sample(weights, len(weights))) for dimension, units in usage.items()}
    return [{dimension: units[at] for dimension, units in parts.items()} for at in range(len(weights))]


def _sums(subject: Subject) -> Iterator[str]:
    for random, first, labels in subject.some(SUMS):
        policy = subject.policy()
        usages = [first, *random.choices(subject.usages, k=4)]
        # The charges of a period have different labels, so its total cannot depend on them.
        labels_of = random.choices(subject.labels, k=5) if policy.scope == "period" else [labels] * 5
        total: Usage = {}
        for usage in usages:
            total = add_usage(total, usage)
        try:
            whole = marginal(subject.policy(), None, total, labels)[0]
            charges = list(_charges(policy, None, list(zip(usages, labels_of, strict=True))))
        except (PolicyFailed, PriceTooLarge, SystemExit):  # another rule reports it
            continue
        if sum(charges) != whole:
            yield f"{total} costs {whole}, and in the charges {usages} with labels {labels_of} {charges}"


def _charges(policy: Policy, before: Usage | None, parts: Sequence[tuple[Usage, Labels]]) -> Iterator[int]:
    for usage, labels in parts:
        yield marginal(policy, before, usage, labels)[0]
        before = add_usage(before or {}, usage)


def _round_trip(subject: Subject) -> Iterator[str]:
    policy = subject.policy()
    stated = policy.parameters
    try:
        stored = json.loads(json.dumps(stated, allow_nan=False))
        again = subject.factory(deepcopy(stored))
    except Exception as error:  # noqa: BLE001 - foreign code
        yield f"{stated} cannot be stored and read again: {type(error).__name__}: {error}"
        return
    if stored != stated or _has_float(stored):
        yield f"{stated} are not plain JSON values without floats"
    if again.parameters != stated:
        yield f"{stated} make a policy whose parameters are {again.parameters}"
    if (again.version, again.scope, again.monotone) != (policy.version, policy.scope, policy.monotone):
        yield f"{stated} make a policy of another version, scope or monotony"
    for usage, labels, method in product(subject.usages, subject.labels, questions(policy)):
        answer, other = (answer_of(one, usage, labels, method) for one in (policy, again))
        if answer != other:
            yield f"{stated} make a policy whose {method} of {usage} {labels} is {_short(other)}, not {_short(answer)}"


def _decimals(subject: Subject) -> Iterator[str]:
    if not isinstance(subject.factory, DecimalFactory):
        return
    written = _written(subject)
    for decimals in (0, 1, 6):
        try:
            finer = subject.factory.with_decimals(deepcopy(written), decimals)
            again = subject.factory.with_decimals(deepcopy(finer.parameters), decimals)
        except Exception as error:  # noqa: BLE001 - foreign code
            yield f"{written} are refused with {decimals} decimals: {type(error).__name__}: {error}"
            return
        if finer.parameters != again.parameters or _texts(finer.parameters) != _texts(subject.policy().parameters):
            yield f"with {decimals} decimals the parameters are {finer.parameters}, and then {again.parameters}"
        for usage, labels, price in subject.prices():
            answer = answer_of(finer, usage, labels)
            if answer != answer_of(again, usage, labels):
                yield f"with {decimals} decimals {finer.parameters} make a policy with other prices"
            # Either may be rounded, by less than a credit.
            if not isinstance(answer, Price) or abs(answer.credits - price.credits * 10**decimals) >= 10**decimals:
                yield f"{usage} {labels} costs {price.credits}, and {_short(answer)} of {decimals} decimals"


def _written(subject: Subject) -> dict[str, Any]:
    """Return the parameters with prices as text, which are in credits, where whole ones are in the smallest unit: that
    is each whole number from whose text the factory makes the same policy."""
    written, stated = deepcopy(subject.parameters), subject.policy().parameters

    def try_each(values: dict[Any, Any] | list[Any]) -> None:
        places: Any = values  # by key or by index
        for key, value in list(values.items() if isinstance(values, dict) else enumerate(values)):
            if isinstance(value, dict | list):
                try_each(value)
            elif type(value) is int:
                places[key] = str(value)
                try:
                    same = subject.factory(deepcopy(written)).parameters == stated
                except Exception:  # noqa: BLE001 - foreign code: this one is a count
                    same = False
                places[key] = str(value) if same else value

    try_each(written)
    return written


def _texts(value: object) -> object:
    match value:
        case dict():
            return {key: _texts(each) for key, each in value.items()}
        case list():
            return list(map(_texts, value))
    return str(value)


def _has_float(value: object) -> bool:
    match value:
        case dict():
            return any(map(_has_float, value.values()))
        case list():
            return any(map(_has_float, value))
    return isinstance(value, float)


RULES: Mapping[str, Callable[[Subject], Iterator[str]]] = {
    MADE: _made,
    "answers with a price": _answers,
    "whole numbers": _whole,
    "never negative": _negative,
    SAME: _same,
    "does not change its arguments": _untouched,
    "monotone": _monotone,
    "lines sum to the price": _lines,
    "the same without its lines": _alone,
    PARTS: _parts,
    SUMS: _sums,
    "parameters round-trip": _round_trip,
    DECIMALS: _decimals,
    **OFFERED,
}
"""The rules by name: each a function that yields the cases in which it is broken."""
