"""From usage to credits: the built-in pricing policies, their notation, and what a policy is.

A policy is made from its parameters and is pure: `total(usage, labels)` is the price of all usage in its scope so far.
What one charge costs follows from two totals (`ledger.rating`). Every built-in total is an exact fraction that is
rounded up once, at the end, so that a request costs the same in however many parts it is charged.

Every built-in offers more than its total (the protocols are in `ledger.plugins`; a policy without them is priced as any
other):

    credits_of   the total without its lines, which follow from the parameters and are computed when asked for
    reads        the dimensions that have a rate, so that usage that no rate reads is not taken for free usage
    by_label     whether labels can change the total
    peak         the largest total on the way to some usage: with falling tiers it is not at the end
    dearest      (period) the most that usage adds to a meter that requests under another tariff move too

A policy of your own comes in by the same door as these (`pricing.plugin`). `pricing.testing.conformance` checks it.
"""

from ledger.events import Line
from ledger.plugins import Policy, Price, Scope

from .notation import parse
from .per_period import Graduated, Package, Volume
from .per_request import Complexity, CostPlus, PerCredit, Time

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
