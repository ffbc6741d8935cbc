"""Trying a harness against rules, one after the other, and what comes of it."""

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
from .steps import Broken, CannotTry, NoContract, Rules, Subject, said

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
    """The outcome of one rule. It is kept if nothing was found and nothing was lacking.

    `found` are up to three cases in which it is broken, `lacking` is why it could not be tried (to its end), `error`
    what the chain or the harness raised.
    """

    rule: str
    found: tuple[str, ...] = ()
    lacking: str = ""
    error: Exception | None = None


def outcomes(harness: Harness, *names: str) -> Iterator[Outcome]:
    """Try the rules of these names, or else all `RULES`, one at each turn.

    Raises ValueError for a name that is no rule's, and UnusableHarness where no rule would say anything.
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

    Returns the rules that the harness lacks something for. Raises ValueError for a name that is no rule's, or
    UnusableHarness (which is one) for a harness with which no rule can be tried.
    """
    ends = list(outcomes(harness, *names))
    failures = [Failure(end.rule, found) for end in ends for found in end.found]
    if failures:
        raise ConformanceError(failures)
    return [NotTried(end.rule, end.lacking) for end in ends if end.lacking]


def no_rule(name: str) -> str:
    """The message about a name that is no rule's."""
    near = get_close_matches(name, RULES, n=1)
    return f"there is no rule {name!r}" + (f"; did you mean {near[0]!r}?" if near else "; see chains.testing.RULES")


def _try(subject: Subject, name: str) -> Outcome:
    """Try one rule. Raises NoContract where it gets no contract."""
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
    except Exception as error:  # noqa: BLE001 - foreign code: whatever it raises is the finding
        raised = error
        found.append(f"it raised {said(error)}")
    try:
        subject.close()
    except Exception as error:  # noqa: BLE001 - as above
        raised = raised or error
        found.append(f"closing it raised {type(error).__name__}: {error}")
    return Outcome(name, tuple(found), "" if found else lacking, raised)
