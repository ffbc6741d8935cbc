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
    `example`, the text of one, as on the command line; its docstring, how it charges. What it does not say is None.
    """
    accepts, example = getattr(factory, "accepts", None), getattr(factory, "example", None)
    charged = None if example is None else _charged(factory, example)
    return {
        "policy": name,
        "distribution": origin.distribution,
        "version": origin.version,
        "scope": getattr(factory, "scope", None),
        "charges": _sentence(factory.__doc__),
        "parameters": None if accepts is None else _parameters(accepts),
        "about_parameters": _text(getattr(accepts, "__doc__", None)),
        "example": example,
        "example_usage": charged and charged.usage,
        "example_credits": charged and charged.credits,
    }


def _parameters(accepts: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - a model's class, of any release of pydantic
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


def _text(doc: str | None) -> str | None:
    return None if doc is None else " ".join(doc.split())


def _sentence(doc: str | None) -> str | None:
    """Return the first paragraph of a docstring as one line."""
    return None if doc is None else _text(doc.strip().split("\n\n")[0])
