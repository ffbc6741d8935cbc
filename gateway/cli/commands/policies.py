"""`tollbook policies`."""

from __future__ import annotations

from typing import Any

from ledger.plugins import policies as installed

from ... import answers_policies
from .. import render
from ..options import Json


def policies(json: Json = False) -> None:
    """List the installed pricing policies, with parameters, an example, and what it charges.

    \b
    Examples:
      tollbook policies
      tollbook policies --json

    The example is what --policy takes, in `tollbook demo` and `tollbook simulate`. A plan has the same parameters:
    CreatePlan(policy="time", parameters={"credits_per_second": "1/60"}); --json has those of each example. A policy of
    another package says as much about itself as its author wrote. `tollbook plugins` says what could not be loaded.

    Exit codes: 0 done; 2 could not run.
    """
    origins = installed.origins()
    answer = [answers_policies.policy(name, installed.get(name), origins[name]) for name in installed.names()]
    if json:
        render.json({"policies": answer})
        return
    with render.paged():
        for index, each in enumerate(answer):
            if index:
                render.line()
            _show(each)


def _show(each: dict[str, Any]) -> None:
    scope = f", for each {each['scope']}" * bool(each["scope"])
    render.line(f"{each['policy']}  ({each['distribution']} {each['version']}{scope})", "bold")
    if each["charges"]:
        render.line(f"  {each['charges']}")
    if each["parameters"] is None and each["about_parameters"]:
        render.line(f"  {each['about_parameters']}")
    for parameter in each["parameters"] or ():
        default = "required" if parameter["required"] else f"default {render.compact(parameter['default'])}"
        about = f". {parameter['description']}" if parameter["description"] else ""
        render.line(f"  {parameter['name']}: {default}{about}")
    if each["example"]:
        render.line("  example:")
        render.command(f"    --policy '{each['example']}'", "command")
    if each["example_credits"] is not None:
        usage = ", ".join(f"{units:,} {dimension}" for dimension, units in each["example_usage"].items())
        render.line(f"    {usage}: {each['example_credits']:,} credits")
