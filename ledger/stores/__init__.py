"""Stores of the log: `sqlite`, the embedded default, and `memory`, for tests. Others are plugins."""

from __future__ import annotations

import re
from os import PathLike, fspath
from typing import Any, TypeAlias

from ..errors import NotFound, WrongType, WrongValue
from ..forking import opening
from ..plugins import Store, stores
from .lock_wait import checked_lock_seconds as checked_lock_seconds
from .paths import MEMORY as MEMORY

Location: TypeAlias = str | PathLike[str] | None
"""The path of a log file; `:memory:` or None for a log in memory; or `scheme://…` for the store plugin of that name."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+._-]+)://")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
"""What begins a URI, such as SQLite's `file:…`; a single letter is a drive."""


def open(
    location: Location = None,
    *,
    store: str | None = None,
    lock_seconds: float | None = None,
    create: bool = True,
    **options: Any,  # noqa: ANN401 - the plugin's
) -> Store:
    """Open the log at a location, or create one there, and return its store.

    `store` names a store plugin, which takes precedence over the location's scheme. `options` go to the plugin: `id`
    (of a new ledger; one that exists must have it), `read_only` and its own; so do `lock_seconds`, unless it is None,
    and `create=False`, by which a log that does not exist is NotFound and not a new one.
    Raise UnknownPlugin if no plugin has the name or scheme, WrongType or WrongValue for `lock_seconds`, `id` and a
    location that is neither a path nor `scheme://…`, else as the plugin does: NotFound, NotALog, WrongVersion, Locked
    or Damaged.
    """
    wanted = _checked_id(options.get("id"))
    if lock_seconds is not None:
        options["lock_seconds"] = checked_lock_seconds(lock_seconds)
    if not create:
        options["create"] = False
    name, target = _resolve(location)
    if store == "sqlite" and name == "memory":
        raise NotFound(f"{location} is no file", "give the path of a file, or leave out `store`")
    with opening:
        opened = stores.get(store or name)(target, **options)
    if wanted is not None and opened.id != wanted:
        opened.close()
        message = f"id: the ledger at {location} is {opened.id!r}, not {wanted!r}"
        raise WrongValue(message, "leave out `id`, which names a new ledger, or give another location")
    return opened


def _checked_id(id: object) -> str | None:
    if id is not None and not isinstance(id, str):
        raise WrongType(f"id: text is needed, {id!r} is of type {type(id).__name__}")
    if id == "":
        raise WrongValue("id: it is empty", "leave it out, and a new ledger gets one of its own")
    return id


def _resolve(location: Location) -> tuple[str, Location]:
    """Return the name of a location's store plugin, and the location as that plugin takes it."""
    text = None if location is None else fspath(location)
    if text is None or text in (MEMORY, f"sqlite://{MEMORY}"):
        return "memory", None
    if not isinstance(location, str):
        return "sqlite", location
    if (scheme := _SCHEME.match(text)) is None:
        if _URI.match(text):
            hint = f"write the path of a file alone (./{text} for a file of this name), or {MEMORY!r}"
            raise WrongValue(f"where: {text!r} is neither a path nor a location of the form scheme://…", hint)
        return "sqlite", location
    target = text[scheme.end() :]
    if scheme[1] == "sqlite" and target.count("/") == 1 and target.startswith("/"):
        # Elsewhere three slashes begin a relative path; a log in the root folder is an accident.
        hint = f"write {target[1:]!r} for a file in the working folder, or {target!r}"
        raise WrongValue(f"where: {text!r} names a file in the root folder", hint)
    return scheme[1], target if scheme[1] == "sqlite" else text
