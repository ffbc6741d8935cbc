"""The SQLite schema of a log's file, compared with that of a new log: tables, triggers, views and indexes.

The triggers keep the log append-only for every program that opens the file, and the views are what other programs
read: one that was dropped, added or changed is a finding. The caches may be missing, and what is a user's own (tables
beside the log, with what belongs to them, and indexes) is noted.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from typing import NamedTuple

from ledger.stores.schema import CACHES, SCHEMA, statements

from .rows import BROKEN, Flaw


class Defined(NamedTuple):
    """One object of a schema; `table` is what an index or a trigger belongs to, in lower case."""

    type: str
    name: str
    table: str
    sql: str


def differences(connection: sqlite3.Connection) -> Iterator[Flaw]:
    """Yield what is missing, what is otherwise, and what was added to the log's own tables and views."""
    try:
        found = list(_objects(connection))
    except BROKEN as error:
        yield Flaw("schema", "ok", None, str(error))
        return
    declared = _declared()
    for name, due in declared.items():
        if name not in CACHES and name not in {each.name.lower() for each in found}:
            yield Flaw(f"{due.type} {due.name}", due.sql, None, f"the {due.type} {due.name} is missing")
    for each in found:
        made = declared.get(each.name.lower())
        if made is not None and (each.type, each.sql) != (made.type, made.sql):
            yield Flaw(f"{each.type} {each.name}", made.sql, each.sql, f"{each.name} is not defined as it was made")
        elif made is None and _harms(each):
            message = f"the {each.type} {each.name} is not the log's own"
            yield Flaw(f"{each.type} {each.name}", None, each.sql, message)


def additions(connection: sqlite3.Connection) -> list[str]:
    """Name what a user added to the file beside the log, sorted."""
    try:
        found = list(_objects(connection))
    except BROKEN:
        return []
    own = _declared()
    return sorted(f"{each.type} {each.name}" for each in found if each.name.lower() not in own and not _harms(each))


def _harms(added: Defined) -> bool:
    """True for a trigger on the log's own tables or views, and an index there that keeps commits out."""
    if added.table not in _declared():
        return False
    return added.type == "trigger" or (added.type == "index" and added.sql.upper().startswith("CREATE UNIQUE"))


def _objects(connection: sqlite3.Connection) -> Iterator[Defined]:
    """Yield the objects of a schema, as they are stored; not SQLite's own."""
    sql = (
        "SELECT CAST(type AS BLOB), CAST(name AS BLOB), CAST(lower(tbl_name) AS BLOB), CAST(sql AS BLOB) "
        "FROM sqlite_master WHERE NOT (name LIKE 'sqlite\\_%' ESCAPE '\\' AND type IN ('table', 'index'))"
    )
    for row in connection.execute(sql):
        yield Defined(*((field or b"").decode(errors="replace") for field in row))


@cache
def _declared() -> dict[str, Defined]:
    """Return the objects of a new log's schema, by name."""
    with closing(sqlite3.connect(":memory:")) as made:
        for statement in statements(SCHEMA):
            made.execute(statement)
        return {each.name.lower(): each for each in _objects(made)}
