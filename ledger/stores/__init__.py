"""Stores of the log: `sqlite`, the embedded default, and `memory`, for tests. Others are plugins."""

from __future__ import annotations

import re
from os import PathLike, fspath
from typing import Any, TypeAlias

from ..errors import NotFound
from ..forking import opening
from ..plugins import Store, stores
from .lock_wait import checked_lock_seconds as checked_lock_seconds

Location: TypeAlias = str | PathLike[str] | None
"""The path of a log file; `:memory:` or None for a log in memory; or `scheme://…` for the store plugin of that name."""

MEMORY = ":memory:"
"""The location of a log in memory, as SQLite has it."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+._-]+)://")


def open(
    location: Location = None,
    *,
    store: str | None = None,
    lock_seconds: float | None = None,
    **options: Any,  # noqa: ANN401 - the plugin's
) -> Store:
    """Open the log at a location, or create one there, and return its store.

    `store` names a store plugin, which takes precedence over the location's scheme. `options` go to the plugin: `id`
    (of a new ledger), `read_only` and its own; so does `lock_seconds`, unless it is None. Raise UnknownPlugin if no
    plugin has the name or scheme, WrongType or WrongValue for `lock_seconds`, else as the plugin does: NotFound,
    NotALog, WrongVersion, Locked or Damaged.
    """
    if lock_seconds is not None:
        options["lock_seconds"] = checked_lock_seconds(lock_seconds)
    name, target = _resolve(location)
    if store == "sqlite" and name == "memory":
        raise NotFound(f"{location} is no file", "give the path of a file, or leave out `store`")
    with opening:
        return stores.get(store or name)(target, **options)


def _resolve(location: Location) -> tuple[str, Location]:
    """Return the name of a location's store plugin, and the location as that plugin takes it."""
    text = None if location is None else fspath(location)
    if text is None or text in (MEMORY, f"sqlite://{MEMORY}"):
        return "memory", None
    if not isinstance(location, str) or (scheme := _SCHEME.match(text)) is None:
        return "sqlite", location
    return scheme[1], text[scheme.end() :] if scheme[1] == "sqlite" else text
