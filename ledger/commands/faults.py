"""The fault of a command: the first of its fields that has a wrong type or is out of its bounds, by full name.

`first_fault` runs only after a command could not be admitted, so it may be slow; `check_kept` and `as_plain` run where
an admission is not plain.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Iterator

import msgspec
from msgspec import inspect

from ..errors import BadData, WrongType, WrongValue

MAX_NESTED = 64
"""Maximum nesting of parameters and metadata: a stored event must be readable by a program with a small stack."""
_MAX_SHOWN = 60
"""The most characters of a value that a message shows."""


def as_plain(value: object) -> int | str:
    """Return what another library has for a whole number or for text (NumPy's integers and strings) as an int or a str.
    Raises TypeError for anything that is neither text nor an index in Python's sense."""
    return str.__str__(value) if isinstance(value, str) else operator.index(value)  # type: ignore[arg-type]


_encoder = msgspec.json.Encoder(enc_hook=as_plain)


def check_kept(given: object, kept: object, deep: int) -> None:
    """Raise ValueError if JSON changes a given value (a NaN becomes null, bytes and decimals become text), or if it is
    nested deeper than `deep`. A list may replace a tuple."""
    if not deep:
        raise ValueError(f"the value is nested more than {MAX_NESTED} levels deep")
    if isinstance(kept, msgspec.Struct) and type(given) is type(kept):
        for name in kept.__struct_fields__:
            check_kept(getattr(given, name), getattr(kept, name), deep - 1)
    elif isinstance(kept, dict) and isinstance(given, dict) and given.keys() == kept.keys():
        for name, value in kept.items():
            check_kept(given[name], value, deep - 1)
    elif isinstance(kept, list | tuple) and isinstance(given, list | tuple) and len(given) == len(kept):
        for given_item, kept_item in zip(given, kept, strict=True):
            check_kept(given_item, kept_item, deep - 1)
    elif given != kept:
        raise ValueError(f"a value of type {type(given).__name__} cannot be stored as JSON without change")


def first_fault(command: msgspec.Struct, error: Exception) -> BadData:
    """Return what is wrong with a command that could not be admitted because of an error: WrongType or WrongValue, with
    the field's full name (`usage["tokens"]`) and its value."""
    try:
        for fault in _of_struct("", command, inspect.type_info(type(command))):
            return fault
    except Exception:  # noqa: BLE001 - an object may do anything while it is looked at
        pass
    rule, _, name = str(error).partition(" - at `$.")  # msgspec's way to locate a value whose own invariant fails
    return WrongValue(f"{name.rstrip('`')}: {rule}" if name else f"the command cannot be stored: {error!r}")


def not_a_command(value: object) -> WrongType:
    """Return the error for a value that is not a command."""
    return WrongType(f"a command is needed, {_described(value)}", "make one of `ledger.commands`, such as Charge(…)")


def not_several(value: object) -> WrongType:
    """Return the error for a value that is no iterable of commands."""
    return WrongType(f"commands are needed, {_described(value)}", "give a list of commands; `execute` takes one")


def _faults(name: str, value: object, kind: inspect.Type) -> Iterator[BadData]:
    """Yield the faults of a field's value of a declared type, in order."""
    match kind:
        case inspect.Metadata():
            yield from _faults(name, value, kind.type)
        case inspect.UnionType():
            yield from _of_union(name, value, kind)
        case inspect.IntType():
            yield from _of_number(name, value, kind)
        case inspect.StrType():
            yield from _of_text(name, value, kind)
        case inspect.BoolType() if type(value) is not bool:
            yield _wrong_type(name, "True or False", value)
        case inspect.LiteralType() if value not in kind.values:
            allowed = ", ".join(map(repr, kind.values))
            yield WrongValue(f"{name}: {_shown(value)} is none of {allowed}")
        case inspect.DictType():
            if not isinstance(value, dict):
                yield _wrong_type(name, "a dict", value)
                return
            for key, item in value.items():
                yield from _of_key(name, key, kind.key_type)
                yield from _faults(f"{name}[{_quoted(key)}]", item, kind.value_type)
        case inspect.VarTupleType():
            if not isinstance(value, list | tuple):
                yield _wrong_type(name, "a tuple", value)
                return
            for index, item in enumerate(value):
                yield from _faults(f"{name}[{index}]", item, kind.item_type)
        case inspect.StructType():
            yield from _of_struct(name, value, kind)
        case inspect.AnyType():
            yield from _of_json(name, value, MAX_NESTED - 1)


def _of_struct(name: str, value: object, kind: inspect.Type) -> Iterator[BadData]:
    assert isinstance(kind, inspect.StructType)
    if type(value) is not kind.cls:
        yield _wrong_type(name, f"`{kind.cls.__name__}(…)`", value)
        return
    for field in kind.fields:
        full = f"{name}.{field.name}" if name else field.name
        yield from _faults(full, getattr(value, field.name), field.type)


def _of_union(name: str, value: object, kind: inspect.UnionType) -> Iterator[BadData]:
    """Yield the faults under the member of the union that the value was most likely meant for."""
    members = [member for member in kind.types if not isinstance(member, inspect.NoneType)]
    if value is None and len(members) < len(kind.types):
        return
    structs = [member for member in members if isinstance(member, inspect.StructType)]
    meant = structs if isinstance(value, msgspec.Struct) and structs else members
    yield from _faults(name, value, meant[-1])


def _of_number(name: str, value: object, kind: inspect.IntType) -> Iterator[BadData]:
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        yield _wrong_type(name, "a whole number", value)
    elif kind.ge is not None and number < kind.ge:
        yield WrongValue(f"{name}: {_shown(number)} is below {kind.ge}")
    elif kind.le is not None and number > kind.le:
        yield WrongValue(f"{name}: {_shown(number)} is above {kind.le}")


def _of_text(name: str, value: object, kind: inspect.StrType) -> Iterator[BadData]:
    if not isinstance(value, str):
        yield _wrong_type(name, "text", value)
        return
    longest = kind.max_length
    if kind.min_length and len(value) < kind.min_length:
        yield WrongValue(f"{name}: empty text is not allowed")
    elif longest is not None and len(value) > longest:
        yield WrongValue(f"{name}: at most {longest:,} characters are allowed, these are {len(value):,}")
    elif not _is_unicode(value):
        yield WrongValue(f"{name}: {_shown(value)} has a lone surrogate, which is no character")


def _of_key(name: str, key: object, kind: inspect.Type) -> Iterator[BadData]:
    if isinstance(key, str):
        yield from _faults(f"the key {_quoted(key)} of {name}", key, kind)
    else:
        yield _wrong_type(name, "text as a key", key)


def _of_json(name: str, value: object, deep: int) -> Iterator[BadData]:
    """Yield the faults of a value that may be anything JSON can hold, nested at most `deep` times."""
    if not deep:
        yield WrongValue(f"{name.partition('[')[0]}: the value is nested more than {MAX_NESTED} levels deep")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _of_key(name, key, inspect.StrType())
            yield from _of_json(f"{name}[{_quoted(key)}]", item, deep - 1)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _of_json(f"{name}[{index}]", item, deep - 1)
    else:
        try:
            check_kept(value, msgspec.json.decode(_encoder.encode(value)), 1)
        except Exception:  # noqa: BLE001 - an object may do anything while it is encoded or compared
            yield WrongType(f"{name}: {_described(value)}, which JSON cannot hold without change")


def _wrong_type(name: str, needed: str, value: object) -> WrongType:
    return WrongType(f"{name}: {needed} is needed, {_described(value)}")


def _described(value: object) -> str:
    """Return a value with its type: `1.5 is a float`."""
    if value is None:
        return "not None"
    kind = type(value).__name__
    return f"{_shown(value)} is {'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"


def _shown(value: object) -> str:
    try:
        return _shortened(repr(value))
    except Exception:  # noqa: BLE001 - an object may do anything; and Python does not print a very large number
        return f"a very large {type(value).__name__}" if isinstance(value, int) else f"this {type(value).__name__}"


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"


def _quoted(key: object) -> str:
    """Return a key of a dict as it is written in the source, so that a message can be searched for."""
    return json.dumps(_shortened(key), ensure_ascii=not key.isprintable()) if isinstance(key, str) else _shown(key)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
