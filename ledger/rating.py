"""From a policy's total to the price of one charge: rating, in the field's word.

    charge = total(before + usage) − total(before)

`before` is what was already charged in the policy's scope; None says that nothing was, and then the total before is 0
even where the policy gives an empty usage a minimum or a flat fee: the first charge takes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeGuard

from .amounts import MAX_CREDITS, add_usage, is_whole
from .errors import LedgerError
from .events import Line
from .plugins import DerivablePolicy, PeakingPolicy, Policy, Price, ReadingPolicy, SharingPolicy

EMPTY: Mapping[str, int] = {}


class PolicyFailed(LedgerError):
    """A policy raised, or answered with something that is not a price."""

    code = "internal"
    hint = "correct the pricing policy; `pricing.testing.conformance` checks one"


class PriceTooLarge(LedgerError):
    """A charge beyond 2^63-1 credits. The total of a scope may be larger: it counts for a lifetime."""

    code = "bad_data"
    hint = "charge the usage in smaller parts, or price it in larger units"


def total(policy: Policy, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
    """The policy's total, checked. Raises PolicyFailed where the policy raises or its answer is not a price."""
    try:
        answer = policy.total(dict(usage), dict(labels))  # a policy may keep them, or change them
        price = Price(answer.credits, tuple(answer.lines))
        lines = all(map(_is_line, price.lines))
    except Exception as error:
        raise PolicyFailed(f"the pricing policy raised {type(error).__name__}: {error}") from error
    _check(price.credits)
    if not lines:
        raise PolicyFailed(f"the pricing policy answered lines that cannot be written: {price.lines!r:.200}")
    return price


def credits(policy: Policy, usage: Mapping[str, int], labels: Mapping[str, str]) -> int:
    """The credits of the policy's total, checked. Raises as `total` does."""
    if not derivable(policy):
        return total(policy, usage, labels).credits
    try:
        answer = policy.credits_of({**usage}, {**labels})
    except Exception as error:
        raise PolicyFailed(f"the pricing policy raised {type(error).__name__}: {error}") from error
    _check(answer)
    return answer


def derivable(policy: Policy) -> TypeGuard[DerivablePolicy]:
    """Whether a policy's lines follow from its parameters, the usage and the meter alone."""
    return hasattr(type(policy), "credits_of")


def _check(credits: int) -> None:
    if type(credits) is not int or credits < 0:
        raise PolicyFailed(f"the pricing policy answered {credits!r:.100}: not a whole number, 0 or more")


def _bounded(difference: int) -> int:
    """A charge or a correction, which an event must hold."""
    if abs(difference) > MAX_CREDITS:
        raise PriceTooLarge("the price is beyond 2^63-1 credits")
    return difference


def _is_line(line: object) -> bool:
    """Whether a line holds what its fields say: constructors check no types, and what is written must be read again."""
    if type(line) is not Line or not is_whole(line.units, most=None):
        return False
    dimension = line.dimension or ""
    texts = type(line.text) is type(line.rate) is type(line.credits) is type(dimension) is str
    return texts and _is_unicode(f"{line.text}{line.rate}{line.credits}{dimension}")


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in text)


def marginal(
    policy: Policy, before: Mapping[str, int] | None, usage: Mapping[str, int], labels: Mapping[str, str]
) -> tuple[int, tuple[Line, ...]]:
    """What `usage` costs on top of `before`, negative where the total falls, and the lines that come to it."""
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
    """What `usage` costs on top of `before`, negative where the total falls: `marginal` without its lines."""
    if before is None:
        return _bounded(credits(policy, add_usage(EMPTY, usage) if 0 in usage.values() else usage, labels))
    return _bounded(credits(policy, add_usage(before, usage), labels) - credits(policy, before, labels))


def quote(
    policy: Policy, before: Mapping[str, int] | None, estimate: Mapping[str, int], labels: Mapping[str, str]
) -> int:
    """What `estimate` would be charged on top of `before`; never below 0."""
    return max(0, difference(policy, before, estimate, labels))


def peak(policy: Policy, before: Mapping[str, int], usage: Mapping[str, int], labels: Mapping[str, str]) -> int:
    """The largest total that any usage from `before` to `before + usage` comes to, as the policy says; without a word
    of its own the larger of those two."""
    if _peaks(policy):
        return _said(policy.peak, before, usage, labels)
    return max(credits(policy, before, labels), credits(policy, add_usage(before, usage), labels))


def dearest(
    policy: Policy,
    before: Mapping[str, int],
    usage: Mapping[str, int],
    among: Mapping[str, int],
    labels: Mapping[str, str],
) -> int:
    """The most that `usage` can be charged anywhere between `before` and `before + among`, as the policy says; without
    a word of its own what the whole range costs."""
    if _shares(policy):
        return _said(policy.dearest, before, usage, among, labels)
    return max(0, credits(policy, add_usage(before, among), labels) - credits(policy, before, labels))


def reads_labels(policy: Policy) -> bool:
    """Whether labels may change the price, as far as the policy says."""
    return bool(getattr(policy, "by_label", True))


def unpriced(policy: Policy, usage: Mapping[str, int], labels: Mapping[str, str]) -> dict[str, int]:
    """The units that no rate of the policy reads. A policy that does not say what it reads, reads everything."""
    read = reads(policy, labels) if usage else None
    if read is None or read.issuperset(usage):
        return {}
    return {name: units for name, units in usage.items() if units and name not in read}


def reads(policy: Policy, labels: Mapping[str, str]) -> frozenset[str] | None:
    """The dimensions that the policy has a rate for, as it says; None where any may count. Raises PolicyFailed."""
    if not declares_dimensions(policy):
        return None
    try:
        read = policy.reads({**labels})
    except Exception as error:
        raise PolicyFailed(f"the pricing policy raised {type(error).__name__}: {error}") from error
    if read is not None and not isinstance(read, frozenset):
        raise PolicyFailed(f"the pricing policy reads {read!r:.100}: not a frozenset of dimensions, and not None")
    return read


def _peaks(policy: Policy) -> TypeGuard[PeakingPolicy]:
    return hasattr(type(policy), "peak")


def _shares(policy: Policy) -> TypeGuard[SharingPolicy]:
    return hasattr(type(policy), "dearest")


def declares_dimensions(policy: Policy) -> TypeGuard[ReadingPolicy]:
    """Whether a policy tells priced units from others."""
    return hasattr(type(policy), "reads")


def _said(ask: Callable[..., object], *arguments: Mapping[str, int] | Mapping[str, str]) -> int:
    try:
        answer = ask(*({**argument} for argument in arguments))
    except Exception as error:
        raise PolicyFailed(f"the pricing policy raised {type(error).__name__}: {error}") from error
    if type(answer) is not int or answer < 0:
        raise PolicyFailed(f"the pricing policy answered {answer!r:.100}: not a whole number, 0 or more")
    return answer
