"""Commands with odd values in their fields, for hypothesis: made from the types of the fields, so that a new command
or field is tried by itself."""

import decimal
import enum
import fractions
from typing import Any

from hypothesis import strategies as st
from msgspec import inspect

from ledger.commands import Command

NAMES = ["ann", "ben", "pro", "free", "bot", "acme", "USD", "mock:local", "mock", "per_credit", "calls", "2023-11"]


class Number(int):
    """A whole number that is more than one."""


class Text(str):
    """Text whose every comparison fails."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError

    def __hash__(self) -> int:
        raise ZeroDivisionError


class Sly(dict[Any, Any]):
    """A map that does not tell what it holds."""

    def __iter__(self) -> Any:
        raise ZeroDivisionError

    def keys(self) -> Any:
        raise ZeroDivisionError

    def items(self) -> Any:
        raise ZeroDivisionError


class Unlike(type):
    @property
    def __dataclass_fields__(cls) -> Any:
        raise ZeroDivisionError


class Nothing(metaclass=Unlike):
    """An object that raises whatever is asked of it."""

    def __repr__(self) -> str:
        return "Nothing()"

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__") and name not in ("__len__", "__iter__", "__index__", "__eq__", "__hash__"):
            return super().__getattribute__(name)
        raise ZeroDivisionError

    def __len__(self) -> int:
        raise ZeroDivisionError

    def __iter__(self) -> Any:
        raise ZeroDivisionError

    def __index__(self) -> int:
        raise ZeroDivisionError


class Colour(enum.Enum):
    RED = 1


def nested(deep: int, map_: bool) -> Any:
    value: Any = {} if map_ else []
    for _ in range(deep):
        value = {"a": value} if map_ else [value]
    return value


def endless() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


NUMBERS = [True, -0.0, 1.0, 1e300, float("nan"), float("inf"), -float("inf"), decimal.Decimal(5), 3j, Number(5)]
NUMBERS += [fractions.Fraction(1, 3), Colour.RED, 0, -1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 2**64]
NUMBERS += [10**30, 10**1000 + 1, 10**4_299, 10**5_000]
TEXTS = ["", " ", "\x00", "a\x00b", "\ud800", "x\udfff", "\U0001f600\u200d\U0001f469", "\u202eben", "e\u0301\u0301"]
TEXTS += ["\ufb03", "\ufeff", "a\nb", "\x1b[31m", "'; DROP TABLE commits; --", '"', "\\", "../..", "%00", "<script>"]
TEXTS += ["x" * 513, "é" * 5_000, "y" * 2_000_000, Text("ann"), "NaN", "null", "0"]
CONTAINERS = [[], {}, (), set(), {1, 2}, frozenset("ab"), {1: 1, "1": 2}, {"calls": float("nan")}, {None: 1}]
CONTAINERS += [
    {"\ud800": 1},
    Sly(calls=1),
    {"calls": True},
    {"calls": 10**30},
    {"": 1},
    {"x" * 600: 1},
    [[]],
    endless(),
]
CONTAINERS += [{"a": [1, {"b": None}]}, {"calls": Number(3)}, {"a": b"x"}, {"a": float("inf")}]
CONTAINERS += [nested(deep, map_) for deep in (30, 70, 500, 990, 5_000) for map_ in (False, True)]
CONTAINERS += [{str(number): number for number in range(3_000)}]
OTHERS = [None, b"ann", bytearray(b"x"), object, object(), Nothing(), print, ...]
odd = st.one_of(
    *(st.sampled_from(range(len(each))).map(each.__getitem__) for each in (NUMBERS, TEXTS, CONTAINERS, OTHERS)),
    st.text(max_size=5),
)


def likely(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a field's type, of those that mean something in a small world."""
    match kind:
        case inspect.IntType():
            return st.integers(0, 12) | st.just(1_700_000_000_000_000)
        case inspect.StrType():
            return st.sampled_from(NAMES)
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.LiteralType():
            return st.sampled_from(kind.values)
        case inspect.UnionType():
            return st.one_of(*map(likely, kind.types))
        case inspect.DictType():
            return st.dictionaries(likely(kind.key_type), likely(kind.value_type), max_size=2)
        case inspect.VarTupleType() | inspect.ListType():
            return st.lists(likely(kind.item_type), max_size=2).map(tuple)
        case inspect.TupleType():
            return st.tuples(*map(likely, kind.item_types))
        case inspect.Metadata():
            return likely(kind.type)
        case inspect.StructType():
            return fields_of(kind).flatmap(lambda fields: made(kind.cls, fields))
        case inspect.AnyType():
            return st.none() | st.integers(0, 9) | st.sampled_from(NAMES)
    raise AssertionError(f"nothing is known of {kind}: add it here")


def made(kind: type, fields: dict[str, Any]) -> st.SearchStrategy[Any]:
    """A struct of these values, or nothing where its own invariants refuse them."""
    try:
        return st.just(kind(**fields))
    except (ValueError, TypeError, ArithmeticError):
        return st.nothing()


def fields_of(kind: Any) -> st.SearchStrategy[dict[str, Any]]:
    needed = {field.encode_name: likely(field.type) for field in kind.fields if field.required}
    others = {field.encode_name: likely(field.type) for field in kind.fields if not field.required}
    return st.fixed_dictionaries(needed, optional=others)


@st.composite
def commands(draw: st.DrawFn, kind: type[Command]) -> Command:
    """A command of that kind with an odd value in one or two of its fields, or in none."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    fields = draw(fields_of(info))
    for name in draw(st.lists(st.sampled_from([field.encode_name for field in info.fields]), max_size=2)):
        fields[name] = draw(odd)
    return kind(**fields)
