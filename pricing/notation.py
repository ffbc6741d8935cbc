"""Policies on the command line: `NAME`, `NAME:key=value,…`, or `NAME:@FILE.json`.

    time:credits_per_second=1/60
    complexity:weights.input_tokens=3/1000,models."gpt-4.1".output_tokens=12/1000,minimum=1
    graduated:dimension=calls,tiers=1000@3/1000+5/inf@1/1000

A value is an integer, a fraction or a decimal number (kept as text, since JSON has no exact ones), a rate as price
lists have it (`3.00 per million`), or a word; `none`, `true` and `false` are JSON's constants. On a plan whose credits
have decimals a price that is an integer is in their smallest unit: write `25.00` or `"25"` for 25 credits. A dotted key
is a key in a map: the first dot ends the option's name and the rest is the dimension; for `models` the next dot ends
the model's name. `tiers` are `UPTO@UNIT+FLAT`, the flat fee optional, separated by slashes. Text with a dot, comma or
other separator, or that would be read as another value, is quoted as in JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ledger.errors import BadData

HINT = "write NAME, NAME:key=value,… or NAME:@FILE.json"

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_ITEM = re.compile(rf'(?:{_QUOTED}|[^",])+')
_PAIR = re.compile(rf'\s*([\w-]+)(?:\.((?:{_QUOTED}|[^"=])+?))?\s*=\s*({_QUOTED}|[^"\s][^"]*?)\s*')
_IN_MAP = re.compile(rf'({_QUOTED}|[^"]+)')
_IN_MODELS = re.compile(rf'({_QUOTED}|[^".]+)\.({_QUOTED}|[^"]+)')
_INTEGER = re.compile(r"-?[0-9]+")
_FRACTION = re.compile(r"-?[0-9]+/[0-9]+")
_BETWEEN_TIERS = re.compile(r"/(?=(?:[0-9]+|inf)@)")  # a tier begins with UPTO@; any other slash is a fraction's
_DECIMAL = re.compile(r"[0-9]+\.[0-9]+")
_TIER = re.compile(r"([0-9]+|inf)@([0-9]+(?:/[0-9]+|\.[0-9]+)?)(?:\+([0-9]+(?:\.[0-9]+)?))?")
_PLAIN = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)
_CONSTANTS = {"none": None, "true": True, "false": False}


def parse(text: str) -> tuple[str, dict[str, Any]]:
    """Return a policy's name and its parameters as JSON values, not yet checked by the policy. Raises BadData."""
    name, colon, rest = text.partition(":")
    if not name.strip() or (colon and not rest.strip()):
        raise _bad(f"{text!r} is not a policy")
    if rest.startswith("@"):
        return name.strip(), _read(Path(rest[1:]))
    parameters: dict[str, Any] = {}
    for path, value in _pairs(rest) if colon else ():
        target = parameters
        for key in path[:-1]:
            target = target.setdefault(key, {})
            if not isinstance(target, dict):
                raise _bad(f"{path[0]} is both a value and a map")
        if path[-1] in target:
            raise _bad(f"{'.'.join(path)} is given twice")
        target[path[-1]] = value
    return name.strip(), parameters


def notation(name: str, parameters: Mapping[str, Any]) -> str:
    """Return the text that `parse` reads as these. Raises ValueError for parameters that need a file."""
    pairs = [f"{'.'.join([path[0], *map(_word, path[1:])])}={_written(value)}" for path, value in _leaves(parameters)]
    text = f"{name}:{','.join(pairs)}" if pairs else name
    try:
        parsed = parse(text)
    except BadData:
        parsed = None
    if parsed != (name, parameters):
        raise ValueError(f"{name!r} with {parameters} cannot be written on one line; write NAME:@FILE.json")
    return text


def _bad(message: str, hint: str = HINT) -> BadData:
    return BadData(message, hint)


def _pairs(text: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    items = _ITEM.findall(text)
    if ",".join(items) != text:
        raise _bad(f"there is an open quote or an empty item between commas in {text!r}")
    for item in items:
        if not (match := _PAIR.fullmatch(item)):
            raise _bad(f"{item!r} is not key=value")
        option, inside, value = match.groups()
        path = (option, *_inside(option, inside)) if inside else (option,)
        yield path, tiers(value) if path == ("tiers",) else _value(value)


def _inside(option: str, inside: str) -> list[str]:
    match = (_IN_MODELS if option == "models" else _IN_MAP).fullmatch(inside)
    if match is None:
        form = "models.MODEL.DIMENSION" if option == "models" else f"{option}.DIMENSION"
        raise _bad(f"{option}.{inside} is not {form}", 'quote a name that holds dots: models."gpt-4.1".input_tokens=1')
    return [_unquoted(part) if part.startswith('"') else part for part in match.groups()]


def _unquoted(text: str) -> str:
    try:
        return str(json.loads(text))
    except ValueError as error:
        raise _bad(f"{text} is not quoted as in JSON: {error}") from error


def _value(text: str) -> str | int | None:
    if text.startswith('"'):
        return _unquoted(text)
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    return _integer(text) if _INTEGER.fullmatch(text) else text


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:  # thousands of digits, which Python refuses to parse
        raise _bad(f"a number of {len(text)} digits is too long") from error


def tiers(text: str) -> list[dict[str, Any]]:
    """Return tiers as JSON values from their text, `100@3/inf@1`. Raises BadData."""
    found = []
    for written in _BETWEEN_TIERS.split(text):
        if not (match := _TIER.fullmatch(written)):
            raise _bad(f"{written!r} is not a tier", "write tiers=UPTO@UNIT+FLAT/…/inf@UNIT+FLAT")
        bound, unit, flat = match.groups()
        tier: dict[str, Any] = {"up_to": None if bound == "inf" else _integer(bound), "unit": str(_value(unit))}
        found.append(tier if flat is None else {**tier, "flat": _value(flat)})
    return found


def _read(file: Path) -> dict[str, Any]:
    hint = 'give a file with one JSON object, such as {"credits": 2}'
    try:
        parameters = json.loads(file.read_text("utf-8"))
    except OSError as error:
        raise BadData(f"cannot be read: {error.strerror}", hint, str(file)) from error
    except json.JSONDecodeError as error:
        raise BadData(f"is not JSON: {error.msg}", hint, str(file), error.lineno) from error
    except (ValueError, RecursionError) as error:  # not UTF-8, nested too deeply, or numbers too long
        raise BadData(f"is not JSON that can be read: {error}", hint, str(file)) from error
    if not isinstance(parameters, dict):
        raise BadData("is not a JSON object", hint, str(file), 1)
    return parameters


def _leaves(parameters: Mapping[str, object], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*above, name))
        else:
            yield (*above, name), value


def _written(value: object) -> str:
    match value:
        case str() if _FRACTION.fullmatch(value) or _DECIMAL.fullmatch(value):
            return value
        case str():
            return _word(value)
        case list():
            return "/".join(map(_written_tier, value))
    return next((word for word, constant in _CONSTANTS.items() if value is constant), str(value))


def _written_tier(tier: object) -> str:
    match tier:
        case {"up_to": bound, "unit": unit, **rest}:
            return f"{'inf' if bound is None else bound}@{unit}" + (f"+{rest['flat']}" if "flat" in rest else "")
    return "?"  # not a tier, and not parsed as one


def _word(text: str) -> str:
    plain = _PLAIN.fullmatch(text) and text not in _CONSTANTS
    return text if plain else json.dumps(text, ensure_ascii=False)
