"""Amounts of credits and money as whole numbers, and how an amount is split into parts.

Credits are whole numbers of a plan's smallest unit and fit in 64 bits. Money is a whole number of an asset's smallest
unit, of any size (but see MAX_MONEY). Floats, booleans and decimals are not amounts. `amount_text` and `money_text`
render them for people.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import gcd

MAX_CREDITS = 2**63 - 1
"""The largest amount of credits that an event, a balance or a meter may hold."""

MAX_MONEY = 10**1000
"""The largest amount of money that an event may hold. Larger than any asset's supply, and sums of it stay below the
4,300 digits that Python parses."""

MAX_ASSET_DECIMALS = 255
"""The most decimals that an asset may have: a token's are one byte."""

SECOND = 1_000_000
"""Microseconds in a second: all times in the log are UTC microseconds."""


def split(total: int, weights: Sequence[int]) -> list[int]:
    """Split `total` by `weights`: part i is ⌊total·Sᵢ/S⌋ − ⌊total·Sᵢ₋₁/S⌋, where Sᵢ are the prefix sums of the weights.

    Invariant: the parts are never negative and always sum to the total. If all weights are 0, the last part
    is the total.

    Raises ValueError for a negative total or weight, or for no weights at all.
    """
    if total < 0 or not weights or min(weights) < 0:
        raise ValueError(f"cannot split {total} by {list(weights)}: the total and the weights must be 0 or more")
    whole = sum(weights)
    if whole == 0:
        return [0] * (len(weights) - 1) + [total]
    parts, prefix, before = [], 0, 0
    for weight in weights:
        prefix += weight
        upto = total * prefix // whole
        parts.append(upto - before)
        before = upto
    return parts


def split_steadily(total: int, weights: Sequence[int]) -> list[int]:
    """Split `total` by `weights`: each part is the floor of its weight's part of what the parts before it leave.

    Invariants: the parts sum to the total, and none of them falls when the total rises (those of `split` may).

    Raises ValueError for a negative total or weight, or for weights that are all 0.
    """
    if total < 0 or not weights or min(weights) < 0 or not any(weights):
        raise ValueError(f"cannot split {total} by {list(weights)}: the total and the weights must be 0 or more")
    parts, rest, whole = [], total, sum(weights)
    for weight in weights:
        part = rest * weight // whole if whole else 0
        parts.append(part)
        rest, whole = rest - part, whole - weight
    return parts


def amount_text(amount: int, decimals: int = 0, signed: bool = False) -> str:
    """Return an amount of the smallest unit as people read it: 1234567 with 3 decimals is `1,234.567`.

    `signed` puts a plus before what is above 0.
    """
    whole, part = divmod(abs(amount), 10**decimals)
    sign = "-" if amount < 0 else "+" if signed and amount else ""
    return f"{sign}{whole:,}" + (f".{part:0{decimals}}" if decimals else "")


def exact_text(amount: Fraction, decimals: int = 0) -> str:
    """Return an exact amount of the smallest unit as people read it: a decimal number if it has an end, else a
    fraction. 1874/1000 is `1.874`, 1/3 is `1/3`; with 2 decimals they are `0.01874` and `1/300`."""
    shown = Fraction(amount.numerator, amount.denominator * 10**decimals)
    places = _places(shown.denominator)
    return str(shown) if places is None else amount_text(int(shown * 10**places), places)


def _places(denominator: int) -> int | None:
    """Return the decimal places of fractions with a denominator; None if they have no end."""
    places = 0
    while denominator > 1:
        if (factor := gcd(denominator, 10)) == 1:
            return None
        denominator, places = denominator // factor, places + 1
    return places


def money_text(amount: int, asset: str, decimals: int = 0) -> str:
    """Return money as people read it: 29792 of USD with 2 decimals is `297.92 USD`."""
    return f"{amount_text(amount, decimals)} {asset}"


def is_whole(value: object, minimum: int = 0, maximum: int | None = MAX_CREDITS) -> bool:
    """True if `value` is an int (not a bool, not a float) from `minimum` to `maximum`."""
    return type(value) is int and value >= minimum and (maximum is None or value <= maximum)


def check_credits(*amounts: int) -> None:
    """Raise ValueError unless every amount is an amount of credits."""
    for amount in amounts:
        if type(amount) is not int or not 0 <= amount <= MAX_CREDITS:
            raise ValueError(f"{amount!r} is not an amount of credits: a whole number from 0 to 2^63-1")


def check_money(*amounts: int) -> None:
    """Raise ValueError unless every amount is an amount of money."""
    for amount in amounts:
        if type(amount) is not int or not 0 <= amount <= MAX_MONEY:
            raise ValueError(f"{amount!r:.40} is not an amount of money: a whole number from 0 to 10^1000")


def add_usage(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, int]:
    """Add two usages, dimension by dimension. Dimensions that sum to 0 are left out."""
    total = {**left}
    for dimension, units in right.items():
        total[dimension] = total[dimension] + units if dimension in total else units
    return {dimension: units for dimension, units in total.items() if units} if 0 in total.values() else total


def counted(number: int, noun: str) -> str:
    """Return a number of things, of which the noun is that of one: `1 charge`, `2,098 charges`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration_text(seconds: int) -> str:
    """Return a time in the largest unit that divides it: `35 days`, `1 hour`."""
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        if not seconds % size:
            return counted(seconds // size, unit)
    raise AssertionError("a second divides every time")
