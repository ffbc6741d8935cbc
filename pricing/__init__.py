"""Pricing: the built-in policies, which turn usage into credits, and their notation.

A policy is made from its parameters and is pure: `total(usage, labels)` is the price of all usage in its scope so far,
in credits. The price of one charge is the difference of two totals (`ledger.rating`). Every built-in total is an exact
fraction that is rounded up once, at the end, so that a request costs the same in however many parts it is charged.

Every built-in policy offers optional methods, too (their protocols are in `ledger.plugins`; none is required):

    credits_of   the total without its lines, which follow from the parameters and are computed when asked for
    exact        the total before it is rounded
    reads        the dimensions that have a rate, so that usage without a rate can be refused
    by_label     whether labels can change the total
    peak         the largest total on the way to some usage: with falling tiers it is not at the end
    dearest      (period) the most that usage adds to a meter that requests under another tariff share

Your own policy is registered by an entry point, as these are (`pricing.plugin`); README.md has a whole package.
Check it with `pricing.testing.conformance`.
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
