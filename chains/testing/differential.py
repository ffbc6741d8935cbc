"""Differential test: the same random steps on a reference chain and on the chain under test, compared after each.

    from chains.testing.differential import compare

    compare(MyHarness(), seed=1, walks=10, steps=40)     # raises DifferenceFound with the shortest list of steps

The reference is the mock chain, whose contract (chains/mock/contract.py) is this project's statement of the rules.
Steps are drawn from a seed: purchases, batches of any content, exits, claims, and hostile calls (strangers, wrong
numbers and digests, forged leaves, too early, once more). Each must be accepted by both contracts, or refused by both
for the same reason; then escrow, holdings, dues, claims, batches and facts must be equal. `walk.py` has the steps,
`sides.py` the comparison. On the command line: `python -m chains.testing MODULE:HARNESS --differential`.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from ..mock import MockChain
from .harness import Harness
from .mock_harness import MockHarness
from .sides import Difference, Pair
from .walk import Step, Walk, draw, possible

_MAX_SHORTENINGS = 200
"""Maximum number of shorter lists of steps that are tried before a difference is reported."""


class DifferenceFound(AssertionError):
    """The chain under test differs from the reference: `steps` lead there, `seed` is that of their walk."""

    def __init__(self, seed: int, steps: Sequence[Step], narrative: Sequence[str], difference: str) -> None:
        self.seed, self.steps, self.difference = seed, tuple(steps), difference
        lines = "\n".join(f"  {number}. {words}" for number, words in enumerate(narrative, 1))
        super().__init__(f"seed {seed}, after these steps:\n{lines}\n{difference}")


class Compared(NamedTuple):
    """The number of compared steps, and the actions for which the harness lacks methods."""

    steps: int
    lacking: tuple[str, ...]


def reference(window: bool, steps: int = 40) -> MockHarness:
    """Return the harness of a mock chain with the same kind of contract. Its delays are longer than a walk of that many
    steps, so that they end only where the walk lets time pass."""
    blocks = 3 * steps + 20 if window else 0
    delay = (blocks + 10) * steps
    model = MockHarness(
        lambda: MockChain(window=blocks, exit_delay=delay, automine=False), window=blocks, exit_delay=delay
    )
    model.subscribers = ("alice", "bob", "carol", "dave")
    return model


def compare(subject: Harness, *, seed: int = 0, walks: int = 5, steps: int = 40) -> Compared:
    """Take `walks` walks of `steps` steps on the subject and on the reference, each on new contracts.

    Raises DifferenceFound, and ValueError for a harness that lacks the methods of every action.
    """
    model = reference(subject.window, steps)
    actions = possible(model, subject)
    if "record" not in actions:
        raise ValueError(
            "the harness lacks `record`, without which no batch can be compared; see chains.testing.Harness"
        )
    for number in range(seed, seed + walks):
        drawn = draw(Random(number), actions, steps)
        if (found := run(model, subject, drawn)) is not None:
            shortest = shorten(model, subject, drawn[: found.taken], found)
            raise DifferenceFound(number, *shortest)
    lacking = [action for action in possible(model) if action not in actions]
    return Compared(walks * steps, tuple(lacking))


class Found(NamedTuple):
    """A walk that ended in a difference: the number of steps taken, their narrative, and the difference."""

    taken: int
    narrative: list[str]
    difference: str


def run(model: Harness, subject: Harness, steps: Sequence[Step]) -> Found | None:
    """Take the steps on new contracts. Return the first difference, if there is one."""
    pair = Pair(model, subject)
    walk, taken = Walk(pair), 0
    try:
        walk.begin()
        for step in steps:
            taken += 1
            walk.take(step)
    except Difference as error:
        return Found(taken, walk.narrative, str(error))
    finally:
        pair.close()
    return None


def shorten(model: Harness, subject: Harness, steps: list[Step], found: Found) -> tuple[list[Step], list[str], str]:
    """Leave out steps as long as any difference remains: halves, then quarters, then single ones."""
    tries, size = 0, max(len(steps) // 2, 1)
    while size and tries < _MAX_SHORTENINGS:
        start = 0
        while start < len(steps) and tries < _MAX_SHORTENINGS:
            shorter = steps[:start] + steps[start + size :]
            tries += 1
            if (still := run(model, subject, shorter)) is not None:
                steps, found = shorter[: still.taken], still
            else:
                start += size
        size //= 2
    return steps, found.narrative, found.difference
