"""Rating: from a policy's total to the price of one charge.

    charge = total(before + usage) − total(before)

`before` is the usage that was already charged in the policy's scope. None means that nothing was charged: then the
total before is 0, even if the policy gives empty usage a minimum or a flat fee, which the first charge pays.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TypeGuard

from . import policy_answers
from .amounts import MAX_CREDITS, add_usage
from .errors import LedgerError
from .events import Line
from .plugins import ExactPolicy, PeakingPolicy, Policy, ReadingPolicy, SharingPolicy
from .policy_answers import MAX_BITS as MAX_BITS
from .policy_answers import PolicyFailed as PolicyFailed
from .policy_answers import ask_credits
from .policy_answers import credits as credits
from .policy_answers import derivable as derivable
from .policy_answers import fault_of as fault_of
from .policy_answers import fault_of_lines as fault_of_lines
from .policy_answers import is_exact as is_exact
from .policy_answers import name_of as name_of
from .policy_answers import shown as shown
from .policy_answers import total as total

EMPTY: Mapping[str, int] = {}


class PriceTooLarge(LedgerError):
    """A charge beyond 2^63-1 credits. The total of a scope may be larger, since its meter may never be reset."""

    code = "bad_data"
    hint = "charge the usage in smaller parts, or price it in larger units"


def _bounded(difference: int) -> int:
    """Check that an event can hold a charge or a correction. Raises PriceTooLarge."""
    if abs(difference) > MAX_CREDITS:
        raise PriceTooLarge("the price is beyond 2^63-1 credits")
    return difference


def marginal(
    policy: Policy, before: Mapping[str, int] | None, usage: Mapping[str, int], labels: Mapping[str, str]
) -> tuple[int, tuple[Line, ...]]:
    """Return the price of `usage` on top of `before` in credits, negative if the total falls, and the lines that sum to
    it.

    Raises PolicyFailed or PriceTooLarge.
    """
    if before is None:
        price = total(policy, add_usage(EMPTY, usage), labels)
        return _bounded(price.credits), price.lines
    after = total(policy, add_usage(before, usage), labels)
    earlier = credits(policy, before, labels)
    paid = Line(text="charged before in this scope", credits=str(-earlier))
    return _bounded(after.credits - earlier), (*after.lines, paid) if earlier and after.lines else after.lines


def difference(
    policy: Policy, before: Mapping[str, int] | None, usage: Mapping[str, int], labels: Mapping[str, str]
) -> int:
    """Return the price of `usage` on top of `before` in credits, as `marginal` does, without its lines.

    Raises PolicyFailed or PriceTooLarge.
    """
    if before is None:
        return _bounded(credits(policy, add_usage(EMPTY, usage) if 0 in usage.values() else usage, labels))
    return _bounded(credits(policy, add_usage(before, usage), labels) - credits(policy, before, labels))


def exact(
    policy: Policy, before: Mapping[str, int] | None, usage: Mapping[str, int], labels: Mapping[str, str]
) -> Fraction | None:
    """Return the price of `usage` on top of `before` before rounding, never below 0; None if the policy does not offer
    it. Raises PolicyFailed."""
    if not isinstance(policy, ExactPolicy):
        return None
    price = policy_answers.exact(policy, add_usage(before or EMPTY, usage), labels)
    return max(Fraction(0), price if before is None else price - policy_answers.exact(policy, before, labels))


def quote(
    policy: Policy, before: Mapping[str, int] | None, estimate: Mapping[str, int], labels: Mapping[str, str]
) -> int:
    """Return the price of `estimate` on top of `before` in credits, never below 0. Raises as `difference` does."""
    return max(0, difference(policy, before, estimate, labels))


def peak(policy: Policy, before: Mapping[str, int], usage: Mapping[str, int], labels: Mapping[str, str]) -> int:
    """Return the largest total of any usage from `before` to `before + usage`, in credits.

    The policy computes it if it offers `peak`; otherwise it is the larger total of those two. Raises PolicyFailed.
    """
    if _offers_peak(policy):
        return ask_credits(policy, "peak", before, usage, labels)
    return max(credits(policy, before, labels), credits(policy, add_usage(before, usage), labels))


def dearest(
    policy: Policy,
    before: Mapping[str, int],
    usage: Mapping[str, int],
    among: Mapping[str, int],
    labels: Mapping[str, str],
) -> int:
    """Return the most that `usage` can cost anywhere between `before` and `before + among`, in credits.

    The policy computes it if it offers `dearest`; otherwise it is the price of the whole range. Raises PolicyFailed.
    """
    if _offers_dearest(policy):
        return ask_credits(policy, "dearest", before, usage, among, labels)
    return max(0, credits(policy, add_usage(before, among), labels) - credits(policy, before, labels))


def reads_labels(policy: Policy) -> bool:
    """True if labels may change the price; assumed if the policy does not offer `by_label`."""
    return bool(getattr(policy, "by_label", True))


def unpriced(policy: Policy, usage: Mapping[str, int], labels: Mapping[str, str]) -> dict[str, int]:
    """Return the units that no rate of the policy reads. A policy that does not offer `reads` reads every dimension."""
    read = reads(policy, labels) if usage else None
    if read is None or read.issuperset(usage):
        return {}
    return {dimension: units for dimension, units in usage.items() if units and dimension not in read}


def reads(policy: Policy, labels: Mapping[str, str]) -> frozenset[str] | None:
    """Return the dimensions that the policy has a rate for; None if any may count. Raises PolicyFailed."""
    return policy_answers.reads(policy, labels) if declares_dimensions(policy) else None


def _offers_peak(policy: Policy) -> TypeGuard[PeakingPolicy]:
    return hasattr(type(policy), "peak")


def _offers_dearest(policy: Policy) -> TypeGuard[SharingPolicy]:
    return hasattr(type(policy), "dearest")


def declares_dimensions(policy: Policy) -> TypeGuard[ReadingPolicy]:
    """True if a policy declares the dimensions that it prices (it offers `reads`)."""
    return hasattr(type(policy), "reads")
