"""Rating: from a policy's total to the price of one charge.

    charge = total(before + usage) − total(before)

`before` is the usage that was already charged in the policy's scope. None means that nothing was charged: then the
total before is 0, even if the policy gives empty usage a minimum or a flat fee, which the first charge pays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import TypeGuard

from .amounts import MAX_CREDITS, add_usage, is_whole
from .errors import LedgerError
from .events import Line
from .plugins import DerivablePolicy, ExactPolicy, PeakingPolicy, Policy, Price, ReadingPolicy, SharingPolicy

EMPTY: Mapping[str, int] = {}


class PolicyFailed(LedgerError):
    """A policy raised, or returned something that is not a price."""

    code = "internal"
    hint = "correct the pricing policy; `pricing.testing.conformance` checks one"


class PriceTooLarge(LedgerError):
    """A charge beyond 2^63-1 credits. The total of a scope may be larger, since its meter may never be reset."""

    code = "bad_data"
    hint = "charge the usage in smaller parts, or price it in larger units"


def total(policy: Policy, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
    """Return the policy's total, checked. Raises PolicyFailed if the policy raises or does not return a price."""
    try:
        answer = policy.total(dict(usage), dict(labels))  # a policy may keep them, or change them
        price = Price(answer.credits, tuple(answer.lines))
        lines = all(map(_is_line, price.lines))
    except Exception as error:
        raise PolicyFailed(f"the pricing policy raised {type(error).__name__}: {error}") from error
    _check(price.credits)
    if not lines:
        raise PolicyFailed(f"the pricing policy returned lines that cannot be written: {price.lines!r:.200}")
    return price


def credits(policy: Policy, usage: Mapping[str, int], labels: Mapping[str, str]) -> int:
    """Return the credits of the policy's total, checked. Raises PolicyFailed."""
    if not derivable(policy):
        return total(policy, usage, labels).credits
    try:
        answer = policy.credits_of({**usage}, {**labels})
    except Exception as error:
        raise PolicyFailed(f"the pricing policy raised {type(error).__name__}: {error}") from error
    _check(answer)
    return answer


def derivable(policy: Policy) -> TypeGuard[DerivablePolicy]:
    """True if a policy's lines follow from its parameters, the usage and the meter alone (it offers `credits_of`)."""
    return hasattr(type(policy), "credits_of")


def _check(credits: int) -> None:
    if type(credits) is not int or credits < 0:
        raise PolicyFailed(f"the pricing policy returned {credits!r:.100} credits: not a whole number, 0 or more")


def _bounded(difference: int) -> int:
    """Check that an event can hold a charge or a correction. Raises PriceTooLarge."""
    if abs(difference) > MAX_CREDITS:
        raise PriceTooLarge("the price is beyond 2^63-1 credits")
    return difference


def _is_line(line: object) -> bool:
    """True if a line's fields have their types: constructors do not check them, and what is written must be
    readable."""
    if type(line) is not Line or not is_whole(line.units, maximum=None):
        return False
    dimension = line.dimension or ""
    texts = type(line.text) is type(line.rate) is type(line.credits) is type(dimension) is str
    return texts and _is_unicode(f"{line.text}{line.rate}{line.credits}{dimension}")


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


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
    earlier = total(policy, before, labels).credits
    paid = Line(text="charged before in this scope", credits=str(-earlier))
    return _bounded(after.credits - earlier), (*after.lines, paid) if earlier else after.lines


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
    try:
        price = policy.exact(add_usage(before or EMPTY, usage), {**labels})
        return max(Fraction(0), price if before is None else price - policy.exact({**before}, {**labels}))
    except Exception as error:
        raise PolicyFailed(f"the pricing policy raised {type(error).__name__}: {error}") from error


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
        return _ask(policy.peak, before, usage, labels)
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
        return _ask(policy.dearest, before, usage, among, labels)
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
    if not declares_dimensions(policy):
        return None
    try:
        read = policy.reads({**labels})
    except Exception as error:
        raise PolicyFailed(f"the pricing policy raised {type(error).__name__}: {error}") from error
    if read is not None and not isinstance(read, frozenset):
        raise PolicyFailed(
            f"`reads` of the pricing policy returned {read!r:.100}: not a frozenset of dimensions or None"
        )
    return read


def _offers_peak(policy: Policy) -> TypeGuard[PeakingPolicy]:
    return hasattr(type(policy), "peak")


def _offers_dearest(policy: Policy) -> TypeGuard[SharingPolicy]:
    return hasattr(type(policy), "dearest")


def declares_dimensions(policy: Policy) -> TypeGuard[ReadingPolicy]:
    """True if a policy declares the dimensions that it prices (it offers `reads`)."""
    return hasattr(type(policy), "reads")


def _ask(method: Callable[..., object], *arguments: Mapping[str, int] | Mapping[str, str]) -> int:
    try:
        answer = method(*({**argument} for argument in arguments))
    except Exception as error:
        raise PolicyFailed(f"the pricing policy raised {type(error).__name__}: {error}") from error
    if type(answer) is not int or answer < 0:
        raise PolicyFailed(f"the pricing policy returned {answer!r:.100}: not a whole number, 0 or more")
    return answer
