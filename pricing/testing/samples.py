"""Samples of usage and labels for a policy, guessed from its parameters; the same seed gives the same samples.

Words in the parameters may be dimensions or models, and numbers may be bounds or sizes: so each word is used as both,
and each number with its two neighbours, where a price is likely to jump.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from ledger.amounts import MAX_CREDITS, add_usage

_DIMENSIONS = ("calls", "input_tokens", "output_tokens", "seconds")
_UNITS = (0, 1, 2, 3, 7, 10, 11, 99, 1_000, 1_001, 123_457, 10**9, 10**12)
_MAX_WORDS, _MAX_NUMBERS, _STEPS = 6, 16, 30


def usages_for(parameters: Mapping[str, object], seed: int = 0) -> list[dict[str, int]]:
    """Return the empty usage, each dimension alone in all sizes, and a growing sequence over several dimensions."""
    random = Random(f"usages {seed}")
    dimensions = sorted({*_some(set(_words(parameters)), _MAX_WORDS, random), *_DIMENSIONS})
    bounds = {near for number in _numbers(parameters) for near in (number - 1, number, number + 1)}
    bounds = {units for units in bounds if 0 <= units <= MAX_CREDITS}
    sizes = sorted({*_UNITS, *_some(bounds, 3 * _MAX_NUMBERS, random)})
    alone = [{dimension: units} for dimension in dimensions for units in sizes]
    walk: list[dict[str, int]] = [{}]
    for step in range(_STEPS):
        more = {random.choice(dimensions): random.randrange(10 ** (1 + step % 9)) for _ in range(3)}
        walk.append(add_usage(walk[-1], more))
    return [*walk, *alone]


def labels_for(parameters: Mapping[str, object], seed: int = 0) -> list[dict[str, str]]:
    """Return no labels, an unknown model, and the parameters' words as models."""
    words = _some(set(_words(parameters)), _MAX_WORDS, Random(f"labels {seed}"))
    return [{}, {"model": "a model of no name"}, *({"model": word} for word in words)]


def _some(choices: set[str] | set[int], limit: int, random: Random) -> list[Any]:
    ordered: list[Any] = sorted(choices)
    return ordered if len(ordered) <= limit else sorted(random.sample(ordered, limit))


def _words(value: object) -> Iterator[str]:
    match value:
        case str():
            if not value[:1].isdigit():
                yield value
        case Mapping():
            for inside in value.values():
                if isinstance(inside, Mapping):
                    yield from map(str, inside)
                yield from _words(inside)
        case list() | tuple():
            for inside in value:
                yield from _words(inside)


def _numbers(value: object) -> Iterator[int]:
    match value:
        case bool():
            return
        case int():
            yield value
        case str():
            yield from map(int, re.findall(r"[0-9]{1,18}", value))
        case Mapping():
            for inside in value.values():
                yield from _numbers(inside)
        case list() | tuple():
            for inside in value:
                yield from _numbers(inside)
