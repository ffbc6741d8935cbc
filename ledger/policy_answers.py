"""Answers of pricing policies, each checked where it is asked for: a policy is foreign code.

What is checked always: types, and that a total's lines sum to it. Where a total is asked for with its lines, it is also
compared with `credits_of`; `exact` is compared with the total. A fault is PolicyFailed, which names the policy, the
method and what it returned.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any, TypeGuard, get_args

from .amounts import is_whole
from .errors import LedgerError
from .events import Line
from .plugins import DerivablePolicy, Policy, Price, Scope
from .plugins.discovery import described
from .plugins.discovery import shown as shown

_EXACT = re.compile(r"-?[0-9]+(?:/0*[1-9][0-9]*)?", re.ASCII)
_MAX_TEXT = 1_000
"""Characters of an exact amount in a line: Python refuses to read numbers that are much longer."""

MAX_BITS = 1_024
"""Bits of a total. A meter is never reset, so this is far beyond any; a larger one could not be shown."""

_OPTIONAL = ("credits_of", "exact", "reads", "peak", "dearest")


class PolicyFailed(LedgerError):
    """A policy raised, returned something that is not what its method promises, or cannot be made."""

    code = "policy_failed"
    hint = "correct the pricing policy; `pricing.testing.conformance` checks one"


def name_of(policy: object) -> str:
    """Return the name that a policy has of itself, else that of its class with its module."""
    try:
        name: object = getattr(policy, "name", None)
    except Exception:  # noqa: BLE001 - foreign code
        name = None
    return name if isinstance(name, str) else f"{type(policy).__module__}.{type(policy).__qualname__}"


def failed(policy: object, method: str, what: str) -> PolicyFailed:
    """Return the error of a policy's method; `what` it did."""
    return PolicyFailed(f"the pricing policy {name_of(policy)}: `{method}` {what}")


def ask(policy: object, method: str, *arguments: Mapping[str, int] | Mapping[str, str]) -> Any:  # noqa: ANN401 - what a policy says may be anything
    """Return the answer of a policy's method to copies of the arguments. Raises PolicyFailed if it raises."""
    try:
        return getattr(policy, method)(*[{**argument} for argument in arguments])
    except Exception as error:
        raise failed(policy, method, f"raised {described(error)}") from error


def ask_credits(policy: object, method: str, *arguments: Mapping[str, int] | Mapping[str, str]) -> int:
    """Return the answer of a method that gives credits, checked. Raises PolicyFailed."""
    return _credits(policy, method, ask(policy, method, *arguments))


def fault_of(policy: Policy) -> str:
    """Return what keeps a policy from being used at all; empty if nothing does. Raises what its properties raise."""
    if not is_whole(policy.version, minimum=1):
        return f"its version is {shown(policy.version)}: it must be a whole number from 1"
    scopes = get_args(Scope)
    if policy.scope not in scopes:
        return f"its scope is {shown(policy.scope)}: it must be {' or '.join(map(repr, scopes))}"
    if type(policy.monotone) is not bool:
        return f"its monotone is {shown(policy.monotone)}: it must be True or False"
    if not callable(getattr(policy, "total", None)):
        return "it has no method `total`"
    wrong = [name for name in _OPTIONAL if hasattr(policy, name) and not callable(getattr(policy, name))]
    return f"its {wrong[0]} is no method" if wrong else ""


def total(policy: Policy, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
    """Return the policy's total, checked: its lines, if there are any, sum to it, and `credits_of` gives the same.

    Raises PolicyFailed.
    """
    answer = ask(policy, "total", usage, labels)  # copies: a policy may keep them, or change them
    try:
        price = Price(answer.credits, tuple(answer.lines))
    except Exception as error:
        raise failed(policy, "total", f"returned {shown(answer)}: not a Price") from error
    credits = _credits(policy, "total", price.credits)
    if wrong := [line for line in price.lines if not _is_line(line)]:
        raise failed(policy, "total", f"returned a line that cannot be written: {shown(wrong[0])}")
    if price.lines and (fault := fault_of_lines(price.lines, credits)):
        raise failed(policy, "total", f"returned a price of which {fault}")
    if derivable(policy) and (alone := ask_credits(policy, "credits_of", usage, labels)) != credits:
        raise failed(policy, "credits_of", f"returned {alone}, and `total` {credits}, of the same usage")
    return price


def credits(policy: Policy, usage: Mapping[str, int], labels: Mapping[str, str]) -> int:
    """Return the credits of the policy's total, checked. Raises PolicyFailed."""
    if not derivable(policy):
        return total(policy, usage, labels).credits
    try:  # as `ask_credits`, which takes twice as long: each price without lines passes here
        answer = policy.credits_of({**usage}, {**labels})
    except Exception as error:
        raise failed(policy, "credits_of", f"raised {described(error)}") from error
    return _credits(policy, "credits_of", answer)


def exact(policy: Policy, usage: Mapping[str, int], labels: Mapping[str, str]) -> Fraction:
    """Return the total before it is rounded of a policy that offers `exact`, checked. Raises PolicyFailed."""
    answer, rounded = ask(policy, "exact", usage, labels), credits(policy, usage, labels)
    if not isinstance(answer, Fraction):
        raise failed(policy, "exact", f"returned {shown(answer)}: not a Fraction")
    if abs(answer - rounded) >= 1:
        raise failed(policy, "exact", f"returned {shown(answer)} where the total is {rounded}: not less than 1 away")
    return answer


def reads(policy: object, labels: Mapping[str, str]) -> frozenset[str] | None:
    """Return the dimensions that a policy that offers `reads` has a rate for; None if any may count.

    Raises PolicyFailed.
    """
    read = ask(policy, "reads", labels)
    if read is not None and not isinstance(read, frozenset):
        raise failed(policy, "reads", f"returned {shown(read)}: not a frozenset of dimensions or None")
    return read


def derivable(policy: Policy) -> TypeGuard[DerivablePolicy]:
    """True if a policy's lines follow from its parameters, the usage and the meter alone (it offers `credits_of`)."""
    return hasattr(type(policy), "credits_of")


def is_exact(text: object) -> bool:
    """True if a text is an exact amount as lines have it: a whole number or a fraction."""
    return isinstance(text, str) and len(text) <= _MAX_TEXT and _EXACT.fullmatch(text) is not None


def fault_of_lines(lines: Iterable[Line], price: int, falls: bool = False) -> str:
    """Return why lines do not explain a price in credits; empty if they do.

    `falls`: a total that falls is charged as 0, and its lines sum to less than that.
    """
    whole, over = 0, 1  # a fraction, summed by hand: a charge with lines waits for it
    for line in lines:
        if not (is_exact(line.credits) and is_exact(line.rate)):
            return f"a line has {shown(line.rate)} and {shown(line.credits)}: these are not whole numbers or fractions"
        numerator, _, denominator = line.credits.partition("/")
        if denominator:
            part = int(denominator)
            whole, over = whole * part + int(numerator) * over, over * part
        else:
            whole += int(numerator) * over
    if whole == price * over or (falls and whole < 0 == price):
        return ""
    return f"the lines sum to {Fraction(whole, over)}, and the price is {price}, in the smallest unit"


def _credits(policy: object, method: str, credits: object) -> int:
    if type(credits) is not int or credits < 0:
        raise failed(policy, method, f"returned {shown(credits)}: not a whole number of credits, 0 or more")
    if credits.bit_length() > MAX_BITS:
        raise failed(policy, method, f"returned a number of {credits.bit_length():,} bits: too large for credits")
    return credits


def _is_line(line: object) -> bool:
    """True if a line's fields have their types: constructors do not check them, and what is written must be
    readable."""
    if type(line) is not Line or not is_whole(line.units, maximum=None):
        return False
    dimension = line.dimension or ""
    texts = type(line.text) is type(line.rate) is type(line.credits) is type(dimension) is str
    return texts and _is_unicode(f"{line.text}{dimension}")


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)
