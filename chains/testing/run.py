"""Trying a harness against rules, one after the other, and the outcomes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from difflib import get_close_matches
from itertools import islice
from typing import NamedTuple

from ledger.testing.conformance import ConformanceError, Failure

from . import batch_order, batches, determinism, end_to_end, escrow, exits, facts, outages
from .availability import UnusableHarness, require_usable
from .harness import Harness
from .steps import Broken, CannotTry, NoContract, Rules, Subject, describe

_EXAMPLES = 3

RULES: Rules = {
    **determinism.RULES,
    **facts.RULES,
    **exits.RULES,
    **batches.RULES,
    **batch_order.RULES,
    **escrow.RULES,
    **outages.RULES,
    **end_to_end.RULES,
}
"""All rules by name, in the order in which they are tried."""


class NotTried(NamedTuple):
    """A rule that the harness could not try, and why."""

    rule: str
    reason: str


class Outcome(NamedTuple):
    """The outcome of one rule. The rule is kept if `found` and `lacking` are empty.

    `found` has up to three cases in which it is broken, `lacking` the reason why it could not be tried completely,
    `error` the exception of the chain or the harness.
    """

    rule: str
    found: tuple[str, ...] = ()
    lacking: str = ""
    error: Exception | None = None


def outcomes(harness: Harness, *names: str) -> Iterator[Outcome]:
    """Try the rules of these names, or else all `RULES`, and yield an outcome for each.

    Raises ValueError for an unknown rule, and UnusableHarness if no rule can be tried.
    """
    for name in names:
        if name not in RULES:
            raise ValueError(no_rule(name))
    require_usable(harness, installed=any(name in end_to_end.RULES for name in names or RULES))
    reached = False
    for name in names or RULES:
        subject = Subject(harness)
        try:
            end = _try(subject, name)
        except NoContract as error:
            if not reached and not subject.reached:
                raise UnusableHarness(f"the harness cannot be used: {error}; fix that first") from error
            end = Outcome(name, (str(error),), error=error)
        reached = reached or subject.reached
        yield end


def check(harness: Harness, *names: str) -> list[NotTried]:
    """Try a chain against the rules of these names, or else against all `RULES`. Raises ConformanceError.

    Return the rules that could not be tried. Raises ValueError for an unknown rule, or UnusableHarness (a ValueError)
    for a harness with which no rule can be tried.
    """
    ends = list(outcomes(harness, *names))
    failures = [Failure(end.rule, found) for end in ends for found in end.found]
    if failures:
        raise ConformanceError(failures)
    return [NotTried(end.rule, end.lacking) for end in ends if end.lacking]


def no_rule(name: str) -> str:
    """Return the message for an unknown rule's name, with the closest known one."""
    near = get_close_matches(name, RULES, n=1)
    return f"there is no rule {name!r}" + (f"; did you mean {near[0]!r}?" if near else "; see chains.testing.RULES")


def _try(subject: Subject, name: str) -> Outcome:
    """Try one rule. Raises NoContract if it gets no contract."""
    found: list[str] = []
    lacking = ""
    raised: Exception | None = None
    try:
        found.extend(islice(RULES[name](subject), _EXAMPLES))
    except CannotTry as error:
        lacking = str(error)
    except Broken as error:
        found.append(str(error))
    except NoContract:
        with suppress(Exception):
            subject.close()
        raise
    except Exception as error:  # noqa: BLE001 - foreign code: any error is a finding
        raised = error
        found.append(f"it raised {describe(error)}")
    try:
        subject.close()
    except Exception as error:  # noqa: BLE001 - as above
        raised = raised or error
        found.append(f"closing it raised {type(error).__name__}: {error}")
    return Outcome(name, tuple(found), "" if found else lacking, raised)
