"""The conformance suite of chains, as one function that needs no test framework.

    from chains.testing import RULES, Harness, check

    class MyHarness(Harness): ...        # accounts that buy, and control over blocks; `mock_harness` is an example

    check(MyHarness())                   # raises ConformanceError; returns the rules that could not be tried, and why
    check(MyHarness(), "a batch pays once")

On the command line: `python -m chains.testing my_package.harness:MyHarness`. README.md beside this folder says how to
write a chain plugin.
"""

from ledger.testing.conformance import ConformanceError, Failure

from .availability import UnusableHarness
from .harness import Elsewhere, Harness
from .run import RULES, NotTried, Outcome, check, outcomes
from .steps import Rule, Subject

__all__ = [
    "RULES",
    "ConformanceError",
    "Elsewhere",
    "Failure",
    "Harness",
    "NotTried",
    "Outcome",
    "Rule",
    "Subject",
    "UnusableHarness",
    "check",
    "outcomes",
]
