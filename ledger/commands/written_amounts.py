"""Amounts and rates as people write them, turned into whole numbers and text when a command is admitted.

    CreatePlan(plan="pro", owner="acme", price={"acme": "9.50"}, credits="1000", decimals=2)
    Give(subscriber="ann", plan="pro", credits="9.50")

A plan says itself how many decimals there are; for other commands the ledger says it, when they are given to it.

This is the one place where text or a Decimal becomes an amount. It is exact: what has more decimals than there are is
an error, never rounded. Whole numbers are left as they are: they are in the smallest unit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, TypeVar

from msgspec.structs import replace

from ..amounts import exact_text
from ..currencies import minor_units
from ..errors import WrongValue
from .catalogue import CreatePlan, RepricePlan
from .command import Command
from .invoices import PayInvoice, Subscribe, WriteOff
from .purchases import Give, Reverse, Withdraw
from .requests import Adjust

C = TypeVar("C", bound=Command[Any])

_FIELDS: Mapping[type, str] = {
    Give: "credits",
    Withdraw: "credits",
    Adjust: "credits",
    Subscribe: "credit_limit",
    Reverse: "amount",
    PayInvoice: "amount",
    WriteOff: "amount",
}
"""The commands with an amount in the units of a plan that they name, and that field: credits, or money."""

_NUMBER = re.compile(r"[0-9]{1,80}(?:\.[0-9]{1,255})?")
_MAX_EXPONENT = 1_100
"""The largest power of ten of a Decimal that is an amount; beyond it, making it exact takes too long."""


def as_whole_numbers(command: CreatePlan | RepricePlan) -> CreatePlan | RepricePlan:
    """Return a command with whole numbers for what was written, and exact rates as text.

    Raises WrongValue for what is not exact, with the field's full name.
    """
    command = _with_plain_parameters(command)
    return command if isinstance(command, RepricePlan) else _in_smallest_units(command)


def is_written(command: object) -> bool:
    """True if a command has an amount that only a ledger can read, by the decimals of a plan that the command names."""
    field = _FIELDS.get(type(command))
    return field is not None and _is_written(getattr(command, field))


def is_in_credits(command: Command) -> bool:
    """True if a command's amount is in credits, False if it is money."""
    return _FIELDS[type(command)] != "amount"


def in_units(command: C, decimals: int) -> C:
    """Return a command whose written amount is a whole number, by that many decimals. Raises WrongValue."""
    field = _FIELDS[type(command)]
    return with_amount(command, _amount(field, getattr(command, field), decimals, signed=isinstance(command, Adjust)))


def with_amount(command: C, amount: int) -> C:
    """Return a command with another amount."""
    return replace(command, **{_FIELDS[type(command)]: amount})


def _in_smallest_units(command: CreatePlan) -> CreatePlan:
    """Return a plan with its price, credits and limits as whole numbers of the smallest unit.

    Raises WrongValue for text or a Decimal that is no such amount, with the field's full name.
    """
    credits = {
        name: _amount(name, value, command.decimals)
        for name in ("credits", "debt_limit", "credit_limit")
        if _is_written(value := getattr(command, name))
    }
    price = _price(command)
    if not credits and price is None:
        return command
    command = replace(command, **credits)
    if price is None:
        return command
    # The decimals that were used are part of the command, so that a ledger that knows others refuses it.
    return replace(command, price=price, asset_decimals=_asset_decimals(command))


def _with_plain_parameters(command: CreatePlan | RepricePlan) -> CreatePlan | RepricePlan:
    """Return a command whose parameters have Decimals and Fractions as text, which every policy can read."""
    if not _any_exact(command.parameters):
        return command
    return replace(command, parameters=_plain("parameters", command.parameters))


def _price(command: CreatePlan) -> dict[str, object] | None:
    """Return the price in the asset's smallest unit; None if it is already."""
    given = command.price
    if not isinstance(given, dict) or not any(map(_is_written, given.values())):
        return None
    decimals = _asset_decimals(command)
    if decimals is None:
        hint = "give `asset_decimals`, or whole numbers of its smallest unit"
        raise WrongValue(f"price: the decimals of {command.asset!r} are not known", hint)
    return {
        receiver: _amount(f'price["{receiver}"]', value, decimals) if _is_written(value) else value
        for receiver, value in given.items()
    }


def _asset_decimals(command: CreatePlan) -> int | None:
    return minor_units(command.asset) if command.asset_decimals is None else command.asset_decimals


def _is_written(value: object) -> bool:
    return isinstance(value, str | Decimal)


def _amount(name: str, value: object, decimals: object, signed: bool = False) -> int:
    """Return an amount in the smallest unit. Raises WrongValue."""
    if isinstance(value, Decimal):
        exact = Fraction(value) if value.is_finite() and abs(value.adjusted()) < _MAX_EXPONENT else None
    else:
        exact = Fraction(str(value)) if _NUMBER.fullmatch(str(value).removeprefix("-" * signed)) else None
    if exact is None or (exact < 0 and not signed):
        raise WrongValue(f"{name}: {str(value)[:60]!r} is not an amount, such as '9.50'")
    if not isinstance(decimals, int) or not 0 <= decimals <= 255:
        return 0  # the decimals themselves are at fault, which admission says
    amount = exact * 10**decimals
    if amount.denominator != 1:
        raise WrongValue(f"{name}: {exact_text(exact)} has more decimals than {decimals}")
    return int(amount)


def _any_exact(value: object) -> bool:
    match value:
        case Mapping():
            return any(map(_any_exact, value.values()))
        case list() | tuple():
            return any(map(_any_exact, value))
    return isinstance(value, Decimal | Fraction)


def _plain(name: str, value: object) -> object:
    """Return a value with exact numbers as text: `0.001`, or `1/3` where a fraction has no end."""
    match value:
        case Mapping():
            return {key: _plain(f'{name}["{key}"]', item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(f"{name}[{index}]", item) for index, item in enumerate(value)]
        case Decimal():
            if not value.is_finite() or abs(value.adjusted()) >= _MAX_EXPONENT:
                raise WrongValue(f"{name}: {value} is not a rate")
            return format(value, "f")
        case Fraction():
            return str(value)
    return value
