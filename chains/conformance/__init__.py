"""What every chain must keep, as one function that needs no test framework.

    from chains.conformance import RULES, Bench, check

    class MyBench(Bench): ...          # somebody who buys, and blocks that pass: see `Bench`, and `example` for one

    check(MyBench())                   # raises ConformanceError; returns the rules that could not be tried, and why
    check(MyBench(), "a batch pays once")

On the command line: `python -m chains.conformance my_package.bench:MyBench`. README.md beside this folder says how to
write a chain plugin.
"""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

from ledger.conformance import ConformanceError, Failure
from ledger.errors import LedgerError

from . import batches, facts, pure, troubles, whole
from .bench import Bench, Elsewhere
from .trial import Broken, CannotTry, Rule, Rules, Trial

__all__ = ["RULES", "Bench", "ConformanceError", "Elsewhere", "Failure", "NotTried", "Rule", "Trial", "check"]

_EXAMPLES = 3

RULES: Rules = {**pure.RULES, **facts.RULES, **batches.RULES, **troubles.RULES, **whole.RULES}
"""All rules by name, in the order in which they are tried."""


class NotTried(NamedTuple):
    """A rule that the bench could not try, and why."""

    rule: str
    reason: str


def check(bench: Bench, *names: str) -> list[NotTried]:
    """Try a chain against the rules of these names, or else against all `RULES`. Raises ConformanceError.

    Returns the rules that the bench lacks something for.
    """
    failures: list[Failure] = []
    untried: list[NotTried] = []
    for name in names or RULES:
        trial = Trial(bench)
        try:
            failures += [Failure(name, found) for found in _broken(RULES[name], trial)]
        except CannotTry as lacking:
            untried.append(NotTried(name, str(lacking)))
    if failures:
        raise ConformanceError(failures)
    return untried


def _broken(rule: Rule, trial: Trial) -> list[str]:
    """Up to three cases in which a rule is broken. Raises CannotTry where it is kept as far as it can be tried."""
    found: list[str] = []
    lacking: CannotTry | None = None
    try:
        found.extend(islice(rule(trial), _EXAMPLES))
    except CannotTry as error:
        lacking = error
    except Broken as error:
        found.append(str(error))
    except Exception as error:  # noqa: BLE001 - foreign code: whatever it raises is the finding
        hint = f" ({error.hint})" if isinstance(error, LedgerError) else ""
        found.append(f"it raised {type(error).__name__}: {error}{hint}")
    try:
        trial.close()
    except Exception as error:  # noqa: BLE001 - as above
        found.append(f"closing it raised {type(error).__name__}: {error}")
    if lacking and not found:
        raise lacking
    return found
