"""`tollbook plugins`."""

from __future__ import annotations

import warnings
from typing import Any

from ledger.plugins import Origin, PluginWarning, Registry, chains, policies, stores

from .. import render
from ..errors import BAD_ANSWER, DONE
from ..options import Json

_KINDS: dict[str, Registry[Any]] = {"pricing": policies, "chains": chains, "stores": stores}
_COLUMNS = ("kind", "name", "distribution", "version")


def plugins(json: Json = False) -> int:
    """List the installed policies, chains and stores, and the plugins that failed.

    \b
    Examples:
      tollbook plugins
      tollbook plugins --json

    Plugins are found by entry point, in the groups tollbook.pricing, tollbook.chains and tollbook.stores. One that
    cannot be loaded, or whose name is taken, is listed with the reason; it harms no other, and a built-in keeps its
    name. Using it is an error.

    Exit codes: 0 all can be used; 1 some cannot.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)  # they are the answer here
        installed: list[dict[str, Any]] = [
            {"kind": kind, "name": name, **_origin(origin)}
            for kind, registry in _KINDS.items()
            for name, origin in registry.origins().items()
        ]
        failed: list[dict[str, Any]] = [
            {"kind": kind, "names": each.names, **_origin(each.origin), "reason": each.reason}
            for kind, registry in _KINDS.items()
            for each in registry.failures()
        ]
    if json:
        render.json({"plugins": installed, "failed": failed})
    else:
        render.table(_COLUMNS, [[each[column] for column in _COLUMNS] for each in installed])
        for each in failed:
            what = ", ".join(each["names"]) or each["entry_point"] or "all"
            render.line()
            render.line(f"failed: {each['kind']} {what}, of {each['distribution']} {each['version']}: {each['reason']}")
    return BAD_ANSWER if failed else DONE


def _origin(origin: Origin) -> dict[str, str]:
    return {"distribution": origin.distribution, "version": origin.version, "entry_point": origin.point}
