"""Write docs/reference/ from the code: `python docs/reference.py`. A test compares the pages with it."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect as shapes

from gateway import answers_policies
from gateway.cli.errors import exit_code
from ledger import errors
from ledger.amounts import MAX_CREDITS
from ledger.commands import COMMAND_TYPES, Command
from ledger.described import docs, shown
from ledger.errors import LedgerError
from ledger.events import EVENT_TYPES, Event, tag
from ledger.plugins import Origin, PolicyFactory
from ledger.refusals import PaymentRequired, Reason, Refused
from pricing import plugin
from pricing.per_period import Tier

FOLDER = Path(__file__).with_suffix("")
WIDTH = 120

_AMOUNT = "whole number of the smallest unit, or text or Decimal"
_WRITTEN = {
    "WrittenCredits": f"{_AMOUNT} in whole credits",
    "WrittenCredits | None": f"{_AMOUNT} in whole credits, or None",
    "WrittenLimit | None": f"{_AMOUNT} in whole credits, at least 1, or None",
    "WrittenSigned": f"{_AMOUNT} in whole credits, below 0 too",
    "WrittenMoney | None": f"{_AMOUNT} in the asset, or None",
    "WrittenPrice": f"map of receivers to {_AMOUNT} in the asset",
}
"""Types by the name of their annotation, where admission takes more than is stored."""

_PARAMETERS = {
    "Rate": "rate",
    "Ratio": "exact number",
    "Amount": "amount",
    "Amount | None": "amount, or None",
    "Name": "text",
    "Whole": "whole number from 0",
    "Positive": "whole number from 1",
    "Positive | None": "whole number from 1, or None",
    "RateByDimension": "map of dimensions to rates",
    "dict[Name, RateByDimension]": "map of models to maps of dimensions to rates",
    "tuple[Tier, ...]": "list of tiers",
    "Literal['request', 'call']": '"request" or "call"',
}
"""Types of policies' parameters, by their annotations."""


def pages() -> dict[str, str]:
    """Return the text of each page by its name."""
    written = {
        "commands.md": _page("Commands", COMMANDS, [_base("All commands", Command), *map(_command, COMMAND_TYPES)]),
        "events.md": _page("Events", EVENTS, [_base("All events", Event), *map(_event, EVENT_TYPES)]),
        "values.md": _page("Values", VALUES, map(_struct, values())),
        "policies.md": _page("Policies", POLICIES, map(_policy, policies())),
        "refusals.md": _page("Refusals", REFUSALS, map(_refusal, Reason)),
        "errors.md": _page("Errors", ERRORS, map(_error, _errors(LedgerError))),
    }
    return {"README.md": _contents(written), **written}


INTRODUCTION = """\
Every command, event, value, policy, refusal and error, with all fields, as the code says them; `help(CreatePlan)` in
Python shows the same of a class. How to use them is in the [guides](../guides/README.md), what the words mean in the
[glossary](../../ARCHITECTURE.md#words), and the command line has [its own page](../command_line.md). `python
docs/reference.py` writes these pages.

Amounts are whole numbers of the smallest unit: credits of the plan's decimals, money of the asset's. Times are whole
numbers of microseconds since 1970-01-01, in UTC. A request, a charge and a lot have the number of their event (`seq`).
"""

COMMANDS = """\
`ledger.execute(command)` returns an `Answer` or a [refusal](refusals.md). An answer has the first `event` that the
command wrote, its sequence `seq` and time `at`, and is `repeated` if the command was executed before.

All fields are given by name. A value of a wrong type, or out of its bounds, raises an [error](errors.md) at the call.
In the examples `request` and `charge` are answers to earlier commands, `published` is a batch from its leaf file and
`found` what the chain has of it.
"""

EVENTS = """\
Events are what a ledger stores, as JSON objects with their `type` first; a field at its default is left out. `tollbook
events LOG --json` shows them. Ids of requests, charges and lots are sequences of events; lot 0 is debt.
"""

VALUES = "Structs in the fields of commands and events.\n"

POLICIES = """\
A tariff is a policy with its parameters: `CreatePlan(policy="time", parameters={"credits_per_second": "1/60"})`, or
`--policy 'time:credits_per_second=1/60'` on the command line. A rate (credits a unit) and an amount (credits) are
exact, 0 or more. As text they are in credits, as price lists have them: `"0.001"`, `"3/1000"`, `"3.00 per million"`,
`"3.00 per 1k"` (a number, `k`, `K`, `M`, `thousand`, `million` or `billion`, without the name of the unit); as a whole
number in the smallest unit of the plan's credits. A ratio of 20 percent is `"0.2"` or `"1/5"`. A rate may be finer than
the plan's decimals, since the total is rounded up; an amount must fit them. Your own policies:
[pricing](../../pricing/README.md).
"""

REFUSALS = """\
A refused command changed nothing. `execute` returns it as a value, which is false; `unwrap()`, `charge()` and context
managers raise `PaymentRequired` with it. They are in order of precedence: of several the first is returned. Credits
among the facts come with the plan's `decimals`, if it has any, and waits with `clock_behind_us` where the clock is
behind the log.
"""

ERRORS = """\
Errors of the ledger are a `LedgerError`, from `ledger.errors` (`PaymentRequired` from `ledger`). `hint` is the remedy,
and ends a traceback; `code` names the error on the command line, which then ends with the exit code.
"""


def _page(title: str, introduction: str, sections: Iterable[str]) -> str:
    parts = [f"# {title}", "<!-- Written by docs/reference.py: change the code's docstrings. -->", introduction.strip()]
    return "\n\n".join([*parts, *sections]) + "\n"


def _contents(written: dict[str, str]) -> str:
    lines = ["# Reference", "", INTRODUCTION]
    for name, text in written.items():
        title, *headings = [line.lstrip("# ") for line in text.splitlines() if line.startswith(("# ", "## "))]
        links = ", ".join(f"[{heading}]({name}#{heading.lower().replace(' ', '-')})" for heading in headings)
        lines += [f"## [{title}]({name})", "", _filled(links), ""]
    return "\n".join(lines)


def _filled(text: str, first: str = "", others: str = "") -> str:
    return textwrap.fill(
        text, WIDTH, initial_indent=first, subsequent_indent=others, break_long_words=False, break_on_hyphens=False
    )


def _prose(text: str) -> list[str]:
    return [_filled(paragraph) for paragraph in text.split("\n\n")]


# -- commands, events and values ---------------------------------------------------------------------------------------


def _base(title: str, kind: type[msgspec.Struct]) -> str:
    """Return the section of the fields that all commands, or all events, have."""
    return f"## {title}\n\n{_fields(kind)}"


def _command(kind: type[msgspec.Struct]) -> str:
    (answer,) = kind.__orig_bases__[0].__args__  # type: ignore[attr-defined]
    events = [each for each in getattr(answer, "__args__", (answer,)) if each is not type(None)]
    answered = " or ".join(f"[{tag(event)}](events.md#{tag(event)})" for event in events if event is not None)
    lead = f"Answered by {answered}." if answered else "Its answer has no event."
    example = f"```python\n{docs(kind).example}\n```"
    return "\n\n".join([f"## {kind.__name__}", *_prose(docs(kind).text), lead, _fields(kind), example])


def _event(kind: type[msgspec.Struct]) -> str:
    return "\n\n".join([f"## {tag(kind)}", f"`{kind.__name__}`", *_prose(docs(kind).text), _fields(kind)])


def _struct(kind: type[msgspec.Struct]) -> str:
    return "\n\n".join([f"## {kind.__name__}", *_prose(docs(kind).text), _fields(kind)])


def values() -> list[type[msgspec.Struct]]:
    """Return the structs in the fields of commands and events, by name."""
    found: set[type[msgspec.Struct]] = set()
    for shape in shapes.multi_type_info([*COMMAND_TYPES, *EVENT_TYPES]):
        found |= set(_structs_in(shape))
    return sorted(found - {*COMMAND_TYPES, *EVENT_TYPES}, key=lambda kind: kind.__name__)


def _structs_in(shape: shapes.Type) -> Iterator[type[msgspec.Struct]]:
    if isinstance(shape, shapes.StructType):
        yield shape.cls
        for field in shape.fields:
            yield from _structs_in(field.type)
    for name in ("item_type", "value_type"):
        if (inside := getattr(shape, name, None)) is not None:
            yield from _structs_in(inside)
    for each in getattr(shape, "types", ()):
        yield from _structs_in(each)


def _fields(kind: type[msgspec.Struct]) -> str:
    shape = shapes.type_info(kind)
    assert isinstance(shape, shapes.StructType)
    by_name = {field.name: field for field in shape.fields}
    lines = []
    of_all = () if kind in (Command, Event) else (*docs(Command).fields, *docs(Event).fields)
    for name, text in docs(kind).fields.items():
        if name in of_all:
            continue
        field = by_name[name]
        default = "required" if field.required else f"default `{shown(_default(field))}`"
        lines.append(_filled(f"- `{name}` ({_type(kind, field)}; {default}): {text}", others="  "))
    return "\n".join(lines) or "It has no further fields."


def _default(field: shapes.Field) -> object:
    return field.default_factory() if field.default is msgspec.NODEFAULT else field.default


def _type(kind: type[msgspec.Struct], field: shapes.Field) -> str:
    annotation = next(base.__annotations__[field.name] for base in kind.__mro__ if field.name in base.__annotations__)
    return _WRITTEN.get(annotation) or _in_words(field.type)


def _in_words(shape: shapes.Type) -> str:
    """Return a type and its bounds in words: `text of 1 to 512 characters, or None`."""
    match shape:
        case shapes.UnionType(types=types):
            return ", or ".join(map(_in_words, sorted(types, key=lambda each: isinstance(each, shapes.NoneType))))
        case shapes.LiteralType(values=literals):
            return " or ".join(f'"{value}"' for value in literals)
        case shapes.IntType(ge=least, le=most):
            return "whole number" + _bounds(least, most)
        case shapes.StrType(min_length=least, max_length=most):
            return "text" if most is None else f"text of {least or 0} to {most:,} characters"
        case shapes.DictType(key_type=key, value_type=value):
            return f"map of {_in_words(key)} to {_in_words(value)}"
        case shapes.VarTupleType(item_type=shapes.TupleType()):
            return "list of pairs (lot, credits)"
        case shapes.VarTupleType(item_type=item):
            return f"list of {_in_words(item)}"
        case shapes.StructType(cls=cls):
            return f"[{cls.__name__}](values.md#{cls.__name__.lower()})"
        case shapes.BoolType():
            return "True or False"
        case shapes.NoneType():
            return "None"
        case shapes.AnyType():
            return "any JSON value"
    raise NotImplementedError(f"no words for {shape}")


def _bounds(least: int | None, most: int | None) -> str:
    if least is None:
        return ""
    named = {MAX_CREDITS: "2^63-1", -MAX_CREDITS: "-(2^63-1)"}
    bounds = [named.get(bound, f"{bound:,}") for bound in (least, most) if bound is not None]
    return f" from {' to '.join(bounds)}"


# -- policies, refusals and errors -------------------------------------------------------------------------------------


def policies() -> list[Any]:
    """Return the built-in policies."""
    found: list[PolicyFactory] = []
    plugin.register_policies(lambda name, factory: found.append(factory))
    return found


def _policy(policy: Any) -> str:  # noqa: ANN401 - a class with more than every factory has
    scope = "one request" if policy.scope == "request" else "an account in a metering period"
    answer = answers_policies.policy(policy.name, policy, Origin("tollbook", ""))
    usage = ", ".join(f"{units:,} {dimension}" for dimension, units in (answer["example_usage"] or {}).items())
    charged = f"  # {usage}: {answer['example_credits']:,} credits"
    text = inspect.cleandoc(policy.__doc__ or "")
    parts = [f"## {policy.name}", *_prose(text), f"Its scope is {scope}.", _parameters(policy.accepts)]
    if "tiers" in policy.accepts.model_fields:
        parts += ["A tier:", _parameters(Tier)]
    return "\n\n".join([*parts, f"```sh\n--policy '{policy.example}'{charged}\n```"])


def _parameters(model: Any) -> str:  # noqa: ANN401 - a model of pydantic
    schema = model.model_json_schema(mode="serialization")["properties"]
    lines = []
    for name, field in model.model_fields.items():
        annotation = next(base.__annotations__[name] for base in model.__mro__ if name in base.__annotations__)
        default = "required" if field.is_required() else f"default `{shown(schema[name].get('default'))}`"
        lines.append(_filled(f"- `{name}` ({_PARAMETERS[annotation]}; {default}): {field.description}", others="  "))
    return "\n".join(lines)


def _refusal(reason: Reason) -> str:
    refused, text = Refused(reason), docs(Reason).fields[reason]
    meaning, _, facts = text.partition(" Facts: ")
    lines = [
        _filled(meaning),
        f"- HTTP status: {refused.http_status}",
        _filled(f"- remedy: {refused.hint}", others="  "),
    ]
    if facts:
        lines.append("- facts: " + ", ".join(f"`{fact}`" for fact in facts.strip(".").split(", ")))
    return f"## {reason}\n\n{lines[0]}\n\n" + "\n".join(lines[1:])


def _errors(kind: type[LedgerError]) -> Iterator[type[LedgerError]]:
    """Yield an error and all below it that Tollbook's core has, each before those below it."""
    yield kind
    for below in kind.__subclasses__():
        if below.__module__ == errors.__name__ or below is PaymentRequired:
            yield from _errors(below)


def _error(kind: type[LedgerError]) -> str:
    bases: Sequence[str] = [base.__name__ for base in kind.__bases__ if base is not LedgerError]
    lines = [f"- code: `{kind.code}`, exit code {exit_code(kind.__new__(kind))}"]
    if kind is not LedgerError and bases:
        lines.append(f"- is also: {', '.join(f'`{base}`' for base in bases)}")
    if kind.hint != LedgerError.hint:
        lines.append(_filled(f"- remedy: {kind.hint}", others="  "))
    return "\n\n".join([f"## {kind.__name__}", *_prose(inspect.cleandoc(kind.__doc__ or "")), "\n".join(lines)])


def main() -> None:
    """Write the pages."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text)


if __name__ == "__main__":
    main()
