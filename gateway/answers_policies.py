"""Policies as the JSON answer of `policies`, and tariffs as text; keys are stable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from ledger.errors import BadData
from ledger.plugins import Origin, PolicyFactory
from pricing.notation import notation, parse

SAMPLE = 1_000
"""Units of each dimension that a policy's example reads."""


class Charged(NamedTuple):
    """The usage that the example of a policy is shown with, and the credits that it charges for it."""

    usage: dict[str, int]
    credits: int


def policy(name: str, factory: PolicyFactory, origin: Origin) -> dict[str, Any]:
    """Return a policy in the answer of `policies`.

    A factory may say more about itself: `accepts`, a model of pydantic, its parameters with their descriptions;
    `example`, the text of one, as on the command line; its docstring, in the first paragraph how it charges, in the
    others its parameters. What it does not say, or not in that form, is None.
    """
    accepts, example, scope = (_attribute(factory, name) for name in ("accepts", "example", "scope"))
    example = example if isinstance(example, str) else None
    parameters, doc = _parameters(accepts), _attribute(factory, "__doc__")
    about = _attribute(accepts, "__doc__") if parameters is not None else _after_first(doc)
    charged = None if example is None else _charged(factory, example)
    return {
        "policy": name,
        "distribution": origin.distribution,
        "version": origin.version,
        "scope": scope if isinstance(scope, str) else None,
        "charges": _sentence(doc),
        "parameters": parameters,
        "about_parameters": _text(about),
        "example": example,
        "example_parameters": None if example is None else _example(example),
        "example_usage": charged and charged.usage,
        "example_credits": charged and charged.credits,
    }


def _attribute(of: object, name: str) -> Any:  # noqa: ANN401 - a plugin is foreign code
    try:
        return getattr(of, name, None)
    except Exception:  # noqa: BLE001 - a plugin is foreign code
        return None


def _parameters(accepts: Any) -> list[dict[str, Any]] | None:  # noqa: ANN401 - a model's class of any release of pydantic
    """Return what a model says of its fields; None if it is no model."""
    try:
        defaults = accepts.model_json_schema(mode="serialization")["properties"]
        return [
            {
                "name": name,
                "required": field.is_required(),
                "default": defaults[name].get("default"),
                "description": field.description,
            }
            for name, field in accepts.model_fields.items()
        ]
    except Exception:  # noqa: BLE001 - a plugin is foreign code
        return None


def _example(example: str) -> dict[str, Any] | None:
    try:
        return parse(example)[1]
    except BadData:
        return None


def _charged(factory: PolicyFactory, example: str) -> Charged | None:
    """Return what an example charges; None if it reads no usage by name, or cannot be made."""
    try:
        made = factory(parse(example)[1])
        dimensions = made.reads({}) if hasattr(made, "reads") else None
        if dimensions is None:
            return None
        usage = dict.fromkeys(sorted(dimensions), SAMPLE)
        return Charged(usage, made.total(usage, {}).credits)
    except Exception:  # noqa: BLE001 - a plugin is foreign code; the list of the others goes on
        return None


def tariff_text(policy: str, parameters: Mapping[str, Any]) -> str:
    """Return a tariff as it is written on the command line, or in JSON where that is not possible."""
    try:
        return notation(policy, parameters)
    except (ValueError, BadData):
        return f"{policy} {msgspec.json.encode(parameters).decode()}"


def _text(doc: object) -> str | None:
    return " ".join(doc.split()) or None if isinstance(doc, str) else None


def _sentence(doc: object) -> str | None:
    """Return the first paragraph of a docstring as one line."""
    return _text(doc.strip().split("\n\n")[0]) if isinstance(doc, str) else None


def _after_first(doc: object) -> str | None:
    """Return a docstring without its first paragraph."""
    return doc.strip().partition("\n\n")[2] if isinstance(doc, str) else None
