"""What every chain must keep, as one function that needs no test framework.

    from chains.testing import RULES, Bench, check

    class MyBench(Bench): ...          # somebody who buys, and blocks that pass: see `Bench`, and `example` for one

    check(MyBench())                   # raises ConformanceError; returns the rules that could not be tried, and why
    check(MyBench(), "a batch pays once")

On the command line: `python -m chains.testing my_package.bench:MyBench`. README.md beside this folder says how to
write a chain plugin.
"""

from ledger.testing.conformance import ConformanceError, Failure

from .availability import UnusableBench
from .harness import Bench, Elsewhere
from .run import RULES, NotTried, Outcome, check, outcomes
from .steps import Rule, Trial

__all__ = [
    "RULES",
    "Bench",
    "ConformanceError",
    "Elsewhere",
    "Failure",
    "NotTried",
    "Outcome",
    "Rule",
    "Trial",
    "UnusableBench",
    "check",
    "outcomes",
]
