"""Parameters of the built-in policies: their types, and how they are read and written.

Parameters are plain JSON values. A whole number is a JSON integer. A price is exact: a JSON integer, which is in the
smallest unit of the plan's credits as everywhere, or text as price lists have it, which is in credits (`"0.001"`,
`"3/1000"`, `"3.00 per million"`, `"3 per 1k"`, `"3 / 1M"`: a number of units, never their name). A ratio is written
alike, without percent signs. Floats and bools are not numbers here.

The policy of a plan whose credits have decimals is made with `with_decimals`, and gives totals in the smallest unit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Generic, Self, TypeAlias, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    SerializationInfo,
    ValidationError,
    ValidationInfo,
)

from ledger.amounts import MAX_CREDITS, add_usage, exact_text
from ledger.plugins import Scope

_FRACTION = re.compile(r"([0-9]{1,19})/([0-9]{1,19})")
_RATE = re.compile(
    r"([0-9]{1,19}(?:\.[0-9]{1,19})?)(?: *(?:per|/) *([0-9]{1,19}|(?:1 ?)?(?:[kKM]|thousand|million|billion)))?"
)
_MANY = {"k": 10**3, "K": 10**3, "M": 10**6, "thousand": 10**3, "million": 10**6, "billion": 10**9}

_MAX_DIGITS = 20
"""More digits than a whole number of 64 bits has."""


def _read_ratio(value: object) -> Fraction:
    return _read_exact(value, 1, "write '0.2' or '1/5' for 20 percent; 1 is 100 percent")


def _read_price(value: object, info: ValidationInfo) -> Fraction:
    return _read_exact(value, info.context or 1, _AS_PRICES)


_AS_PRICES = (
    "write a whole number, or text such as '0.001', '3/1000', '3.00 per million' or '3.00 per 1k', "
    "without the name of a unit or a currency"
)


def _read_exact(value: object, smallest: int, todo: str) -> Fraction:
    rate = Fraction(-1)
    if type(value) is int:
        rate = Fraction(value, smallest)
    elif isinstance(value, Decimal):
        small = value.is_finite() and abs(value.adjusted()) < _MAX_DIGITS  # larger ones would take too long
        rate = Fraction(value) if small else rate
    elif isinstance(value, str):
        if (fraction := _FRACTION.fullmatch(value)) and int(fraction[2]):
            rate = Fraction(int(fraction[1]), int(fraction[2]))
        elif (match := _RATE.fullmatch(value)) and (units := _units(match[2] or "1")):
            rate = Fraction(match[1]) / units
    # Both parts in 64 bits: beyond that, other readers of JSON lose digits.
    if not 0 <= rate.numerator <= MAX_CREDITS >= rate.denominator:
        raise ValueError(f"{value!r} is not an exact number of 0 or more: {todo}")
    return rate


def _units(text: str) -> int:
    """Return the number of units that a price is per: `1000`, `1k` and `thousand` are the same."""
    return int(text) if text.isdecimal() else _MANY[text.removeprefix("1").lstrip()]


def _write_amount(amount: Fraction, info: SerializationInfo) -> int | str:
    whole = amount.denominator == 1 == (info.context or 1)  # an integer is read in the smallest unit again
    return int(amount) if whole else exact_text(amount).replace(",", "")


Ratio = Annotated[Fraction, PlainValidator(_read_ratio), PlainSerializer(str)]
"""An exact part of another amount, 0 or more; written as text in lowest terms, `"7"` or `"3/1000"`."""

Rate = Annotated[Fraction, PlainValidator(_read_price), PlainSerializer(str)]
"""Exact credits a unit, 0 or more; written as text in lowest terms, `"7"` or `"3/1000"`."""

Amount = Annotated[Fraction, PlainValidator(_read_price), PlainSerializer(_write_amount)]
"""An amount of credits, 0 or more, that must fit the plan's decimals; written as text, `"0.05"`, or as an integer where
credits have no decimals."""

Whole = Annotated[int, Field(strict=True, ge=0, le=MAX_CREDITS)]
"""A whole number of units, from 0 to 2^63-1."""

Positive = Annotated[int, Field(strict=True, ge=1, le=MAX_CREDITS)]
"""A whole number from 1 to 2^63-1."""

Name = Annotated[str, Field(strict=True, min_length=1)]
"""The name of a dimension or of a model."""

RateByDimension: TypeAlias = dict[Name, Rate]
"""Credits a unit, by dimension."""


class Parameters(BaseModel):
    """Parameters of one policy. Unknown parameters are rejected, so that a typo cannot make usage free."""

    model_config = ConfigDict(frozen=True, extra="forbid")


P = TypeVar("P", bound=Parameters)


class BuiltIn(Generic[P]):
    """Base of the built-in policies. Two are equal if they have the same name, equal parameters and equal decimals.

    `smallest` is the number of smallest units in a credit: totals are in that unit, `given` in credits. Every
    built-in policy offers `credits_of`, `reads`, `by_label` and `peak`, and those of scope `period` `dearest`
    (`ledger.plugins`). Raises ValueError for invalid parameters.
    """

    name: ClassVar[str]
    example: ClassVar[str]
    version = 1
    scope: Scope
    monotone = True
    by_label = False
    accepts: type[P]

    def __init__(self, parameters: Mapping[str, Any], decimals: int = 0) -> None:
        self.smallest = 10**decimals
        try:
            self.given = self.accepts.model_validate(dict(parameters), context=self.smallest)
        except ValidationError as error:
            raise ValueError(f"{self.name}: {'; '.join(_messages(error))}") from error

    @classmethod
    def with_decimals(cls, parameters: Mapping[str, Any], decimals: int) -> Self:
        """Return the policy of a plan whose credits have so many decimals."""
        return cls(parameters, decimals)

    def in_smallest(self, parameter: str, credits: Fraction) -> int:
        """Return credits in the smallest unit. Raises ValueError for more decimals than the plan has, or too many."""
        amount = credits * self.smallest
        if amount.denominator != 1 or amount > MAX_CREDITS:
            decimals = len(str(self.smallest)) - 1
            fault = "is too large" if amount.denominator == 1 else f"does not fit credits of {decimals} decimals"
            raise ValueError(f"{self.name}: {parameter}: {exact_text(credits)} {fault}")
        return int(amount)

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters as plain JSON values, prices in credits, fractions in lowest terms, defaults left out."""
        return self.given.model_dump(mode="json", exclude_defaults=True, context=self.smallest)

    def credits_of(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> int:
        """Return the credits of all usage in the scope so far."""
        raise NotImplementedError

    def exact(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Fraction:
        """Return the total before it is rounded; it is the total itself where nothing is."""
        return Fraction(self.credits_of(usage, labels))

    def peak(self, before: Mapping[str, int], usage: Mapping[str, int], labels: Mapping[str, str]) -> int:
        """Return the largest total from `before` to `before` + `usage`: the last one, unless the total may fall."""
        return self.credits_of(add_usage(before, usage), labels)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BuiltIn) and (self.name, self.smallest, self.parameters) == (
            other.name,
            other.smallest,
            other.parameters,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.parameters})"


def _messages(error: ValidationError) -> list[str]:
    messages = []
    for detail in error.errors(include_url=False):
        own = detail["type"] == "value_error"  # raised by a validator here, to which pydantic adds a prefix
        reason = str(detail["ctx"]["error"]) if own else detail["msg"]
        messages.append(": ".join(filter(None, [".".join(map(str, detail["loc"])), reason])))
    return messages
