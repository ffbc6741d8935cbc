"""Trying a bench against rules, one after the other, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from difflib import get_close_matches
from itertools import islice
from typing import NamedTuple

from ledger.testing.conformance import ConformanceError, Failure

from . import batches, determinism, end_to_end, escrow, exits, facts, outages
from .availability import UnusableBench, require_usable
from .harness import Bench
from .steps import Broken, CannotTry, NoContract, Rules, Trial, said

_EXAMPLES = 3

RULES: Rules = {
    **determinism.RULES,
    **facts.RULES,
    **exits.RULES,
    **batches.RULES,
    **escrow.RULES,
    **outages.RULES,
    **end_to_end.RULES,
}
"""All rules by name, in the order in which they are tried."""


class NotTried(NamedTuple):
    """A rule that the bench could not try, and why."""

    rule: str
    reason: str


class Outcome(NamedTuple):
    """What came of one rule. It is kept if nothing was found and nothing was lacking.

    `found` are up to three cases in which it is broken, `lacking` is why it could not be tried (to its end), `error`
    what the chain or the bench raised.
    """

    rule: str
    found: tuple[str, ...] = ()
    lacking: str = ""
    error: Exception | None = None


def outcomes(bench: Bench, *names: str) -> Iterator[Outcome]:
    """Try the rules of these names, or else all `RULES`, one at each turn.

    Raises ValueError for a name that is no rule's, and UnusableBench where no rule would say anything.
    """
    for name in names:
        if name not in RULES:
            raise ValueError(no_rule(name))
    require_usable(bench, installed=any(name in end_to_end.RULES for name in names or RULES))
    reached = False
    for name in names or RULES:
        trial = Trial(bench)
        try:
            end = _try(trial, name)
        except NoContract as error:
            if not reached and not trial.reached:
                raise UnusableBench(f"the bench cannot be used: {error}; mend that first") from error
            end = Outcome(name, (str(error),), error=error)
        reached = reached or trial.reached
        yield end


def check(bench: Bench, *names: str) -> list[NotTried]:
    """Try a chain against the rules of these names, or else against all `RULES`. Raises ConformanceError.

    Returns the rules that the bench lacks something for. Raises ValueError for a name that is no rule's, or
    UnusableBench (which is one) for a bench with which no rule can be tried.
    """
    ends = list(outcomes(bench, *names))
    failures = [Failure(end.rule, found) for end in ends for found in end.found]
    if failures:
        raise ConformanceError(failures)
    return [NotTried(end.rule, end.lacking) for end in ends if end.lacking]


def no_rule(name: str) -> str:
    """What to say of a name that is no rule's."""
    near = get_close_matches(name, RULES, n=1)
    return f"there is no rule {name!r}" + (f"; did you mean {near[0]!r}?" if near else "; see chains.testing.RULES")


def _try(trial: Trial, name: str) -> Outcome:
    """Try one rule. Raises NoContract where it gets no contract."""
    found: list[str] = []
    lacking = ""
    raised: Exception | None = None
    try:
        found.extend(islice(RULES[name](trial), _EXAMPLES))
    except CannotTry as error:
        lacking = str(error)
    except Broken as error:
        found.append(str(error))
    except NoContract:
        with suppress(Exception):
            trial.close()
        raise
    except Exception as error:  # noqa: BLE001 - foreign code: whatever it raises is the finding
        raised = error
        found.append(f"it raised {said(error)}")
    try:
        trial.close()
    except Exception as error:  # noqa: BLE001 - as above
        raised = raised or error
        found.append(f"closing it raised {type(error).__name__}: {error}")
    return Outcome(name, tuple(found), "" if found else lacking, raised)
