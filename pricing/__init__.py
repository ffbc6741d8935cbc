"""From usage to credits: the built-in pricing policies, their notation, and what a policy is.

A policy is made from its parameters and is pure: `total(usage, labels)` is the price of all usage in its scope so far.
What one charge costs follows from two totals (`ledger.rating`). Every built-in total is an exact fraction that is
rounded up once, at the end, so that a request costs the same in however many parts it is charged.

A policy of your own comes in by the same door as these (`pricing.plugin`); `pricing.conformance` checks it first.
"""

from ledger.events import Line
from ledger.plugins import Policy, Price, Scope

from .notation import parse
from .period import Graduated, Package, Volume
from .request import Complexity, CostPlus, PerCredit, Time

__all__ = [
    "Complexity",
    "CostPlus",
    "Graduated",
    "Line",
    "Package",
    "PerCredit",
    "Policy",
    "Price",
    "Scope",
    "Time",
    "Volume",
    "parse",
]
