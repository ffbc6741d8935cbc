"""Parameters of the built-in policies: their types, and how they are read and written.

Parameters are plain JSON values. A whole number is a JSON integer; a rate is exact, a JSON integer or a fraction as
text (`"3/1000"`). Floats and bools are not numbers here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Generic, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, ValidationError

from ledger.amounts import MAX_CREDITS, add_usage
from ledger.plugins import Scope

_FRACTION = re.compile(r"([0-9]{1,19})(?:/([0-9]{1,19}))?")


def _read_rate(value: object) -> Fraction:
    numerator, denominator = -1, 1
    if type(value) is int:
        numerator = value
    elif isinstance(value, str) and (match := _FRACTION.fullmatch(value)):
        numerator, denominator = int(match[1]), int(match[2] or 1)
    # Both parts in 64 bits: beyond that, other readers of JSON lose digits.
    if not (0 <= numerator <= MAX_CREDITS and 1 <= denominator <= MAX_CREDITS):
        raise ValueError(f"{value!r} is neither a whole number nor a fraction as text, such as 3/1000, of 0 or more")
    return Fraction(numerator, denominator)


def _write_rate(rate: Fraction) -> str:
    return str(rate)


Rate = Annotated[Fraction, PlainValidator(_read_rate), PlainSerializer(_write_rate)]
"""An exact factor of 0 or more, mostly credits a unit; written as text in lowest terms, `"7"` or `"3/1000"`."""

Whole = Annotated[int, Field(strict=True, ge=0, le=MAX_CREDITS)]
"""A whole number of credits or units, from 0 to 2^63-1."""

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
    """Base of the built-in policies. Two are equal if they have the same name and equal parameters.

    Every built-in policy offers `credits_of`, `reads`, `by_label` and `peak`, and those of scope `period` `dearest`
    (`ledger.plugins`). Raises ValueError for invalid parameters.
    """

    name: ClassVar[str]
    example: ClassVar[str]
    version = 1
    scope: Scope
    monotone = True
    by_label = False
    accepts: type[P]

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        try:
            self.given = self.accepts.model_validate(dict(parameters))
        except ValidationError as error:
            raise ValueError(f"{self.name}: {'; '.join(_messages(error))}") from error

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters as plain JSON values, fractions in lowest terms, defaults left out."""
        return self.given.model_dump(mode="json", exclude_defaults=True)

    def credits_of(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> int:
        """Return the credits of all usage in the scope so far."""
        raise NotImplementedError

    def peak(self, before: Mapping[str, int], usage: Mapping[str, int], labels: Mapping[str, str]) -> int:
        """Return the largest total from `before` to `before` + `usage`: the last one, unless the total may fall."""
        return self.credits_of(add_usage(before, usage), labels)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BuiltIn) and self.name == other.name and self.parameters == other.parameters

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.parameters})"


def _messages(error: ValidationError) -> list[str]:
    messages = []
    for detail in error.errors(include_url=False):
        own = detail["type"] == "value_error"  # raised by a validator here, to which pydantic adds a prefix
        reason = str(detail["ctx"]["error"]) if own else detail["msg"]
        messages.append(": ".join(filter(None, [".".join(map(str, detail["loc"])), reason])))
    return messages
