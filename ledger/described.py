"""Docstrings that say what each field is: read in the source, in an editor, by `help`, and by the reference in docs/.

A class lists its fields in its docstring, and a base also those that several of its subclasses have:

    Fields:
        credits: Credits of one purchase.

    Shared fields:
        plan: Name of the plan.

    Example:
        Give(subscriber="alice", plan="pro", credits=500)

No docstring says a default: `describe` adds those, since `help` shows a struct's own signature as one endless line.
"""

from __future__ import annotations

import inspect
import re
from functools import lru_cache
from typing import NamedTuple

import msgspec

WIDTH = 76
"""Columns of a docstring in `help`, which adds four, on a terminal of 80."""

_SECTION = re.compile(r"^(Fields|Members|Shared fields|Example):\n((?: {4}.*\n|\n)+)", re.MULTILINE)
_ENTRY = re.compile(r"^ {4}(\w+)(?: \(default .*?\))?: (.*(?:\n {8}.*)*)", re.MULTILINE)

_EVERYWHERE = ("key", "issued_at", "fingerprint")
"""Fields of all commands or all events, which are listed last."""
_HANGING = (" " * 4, " " * 8)
"""Indents of the first and the other lines of a field."""


class Docs(NamedTuple):
    """A docstring in parts: its text; the texts of fields (of an enumeration, its members) by name, without defaults;
    and the code of its example."""

    text: str
    fields: dict[str, str]
    shared: dict[str, str]
    example: str


def docs(kind: type) -> Docs:
    """Return the parts of a class's own docstring."""
    source = inspect.cleandoc(vars(kind).get("__doc__") or "") + "\n"
    parts = dict(_SECTION.findall(source))
    example = re.sub(r"^ {4}", "", parts.get("Example", ""), flags=re.MULTILINE).strip()
    fields = _entries(parts.get("Fields") or parts.get("Members") or "")
    return Docs(_SECTION.sub("", source).strip(), fields, _entries(parts.get("Shared fields", "")), example)


def _entries(section: str) -> dict[str, str]:
    return {name: " ".join(text.split()) for name, text in _ENTRY.findall(section)}


def describe(kind: type[msgspec.Struct]) -> None:
    """Complete the docstring of a struct, for `help`: the fields of its bases, all defaults, and lines that fit."""
    if not kind.__doc__:  # Python runs without docstrings
        return
    own = docs(kind)
    known = _of_bases(kind.__mro__[1:])
    lines = ["Fields:"]
    for name in sorted(kind.__struct_fields__, key=_EVERYWHERE.__contains__):
        default = _default(kind, name)
        text = own.fields.get(name) or known.get(name, "")
        lines.append(_wrapped(f"{name} (default {default}): {text}" if default else f"{name}: {text}", *_HANGING))
    parts = [_wrapped(paragraph) for paragraph in own.text.split("\n\n")] + ["\n".join(lines)]
    if own.example:
        parts.append("Example:\n" + re.sub("^", "    ", own.example, flags=re.MULTILINE))
    kind.__doc__ = "\n\n".join(parts)


@lru_cache
def _of_bases(bases: tuple[type, ...]) -> dict[str, str]:
    """Return the texts of fields that the bases of a class have, nearest first, by name."""
    known: dict[str, str] = {}
    for base in reversed(bases):
        if "ields:\n" in (base.__doc__ or ""):
            known |= docs(base).shared | docs(base).fields
    return known


def _default(kind: type[msgspec.Struct], name: str) -> str:
    """Return a field's default as code; empty if the field is required."""
    position = kind.__struct_fields__.index(name) - len(kind.__struct_fields__)
    defaults = kind.__struct_defaults__
    value = defaults[position] if -position <= len(defaults) else msgspec.NODEFAULT
    if value is msgspec.NODEFAULT:
        return ""
    return shown(value.factory() if hasattr(value, "factory") else value)


def shown(value: object) -> str:
    """Return a default as code."""
    if isinstance(value, str):
        return f'"{value}"'
    return f"{value:,}".replace(",", "_") if type(value) is int else str(value)


def _wrapped(text: str, first: str = "", others: str = "") -> str:
    """Return text in lines of WIDTH columns at most, with these indents: `textwrap`, without the time that it takes."""
    lines, line = [], first + " ".join(text.split())
    while len(line) > WIDTH and (end := line.rfind(" ", len(others), WIDTH + 1)) > 0:
        lines.append(line[:end])
        line = others + line[end + 1 :]
    return "\n".join([*lines, line])
