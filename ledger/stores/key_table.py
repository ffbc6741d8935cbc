"""The table of older keys: rows in the order of their digests, each of which names the next.

So a lost row shows. A key is not in the table if the row before it names a row after it; if that row is gone, too, the
one before says so. The first row has an empty digest, and the last one names `END_OF_TABLE`. Rows that were changed
deliberately, with their neighbours, are what the audit finds.

Invariant: each row's `next` is the digest of the next row, in every state that a transaction leaves.

Rows whose time is over are swept away a few at a time: an insertion looks at twice as many rows as it adds, from where
the one before stopped (`swept`). So about half of the rows may be dead, and not more.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from ..errors import Damaged
from ..log import KeysEnd, StoredKey

FIRST, END_OF_TABLE = b"", b"\xff" * 17
"""The digest of the first row, before all of 16 bytes, and what the last row names as the next, after all of them."""

END = "SELECT upto, hash, at FROM older_keys_end"
AT_OR_BEFORE = (
    "SELECT digest, seq, next, (SELECT upto FROM older_keys_end) FROM older_keys "
    "WHERE digest <= ? ORDER BY digest DESC LIMIT 1"
)
LIVING = "SELECT count(*) FROM older_keys WHERE digest > x'' AND until > (SELECT at FROM older_keys_end)"
_FROM = "SELECT digest, until, next FROM older_keys WHERE digest >= ? ORDER BY digest LIMIT ?"
_LINK = "UPDATE older_keys SET next = ? WHERE digest = ?"


def end_of(rows: Sequence[Any]) -> KeysEnd | None:
    """Return the end that was read; None if it is not one row of the right types."""
    if len(rows) != 1 or tuple(map(type, rows[0])) != (int, bytes, int):
        return None
    return KeysEnd(*rows[0])


def found(rows: Sequence[Any], digest: bytes, upto: int) -> int:
    """Return the sequence of a key from the row at or before it; 0 if it is not in the table. Raises Damaged."""
    for at, seq, following, end in rows:
        whole = type(seq) is type(end) is int and type(following) is bytes
        if whole and end >= upto and following > digest:
            return seq if at == digest else 0
    raise Damaged("rows of the older keys were lost or changed")


def clear(connection: sqlite3.Connection) -> None:
    """Empty the table."""
    connection.execute("DELETE FROM older_keys")
    connection.execute("DELETE FROM older_keys_end")
    connection.execute("INSERT INTO older_keys VALUES (?, 0, 0, ?)", (FIRST, END_OF_TABLE))
    connection.execute("INSERT INTO older_keys_end VALUES (0, x'', 0, ?)", (FIRST,))


def insert(connection: sqlite3.Connection, keys: Sequence[StoredKey], end: KeysEnd) -> None:
    """Add keys or give them new sequences, sweep, and set the end. Raises Damaged where a row is missing."""
    for digest, seq, until in sorted(keys):
        rows = connection.execute(AT_OR_BEFORE, (digest,)).fetchall()
        if found(rows, digest, 0):
            connection.execute("UPDATE older_keys SET seq = ?, until = ? WHERE digest = ?", (seq, until, digest))
        else:
            before, _, following, _ = rows[0]
            connection.execute("INSERT INTO older_keys VALUES (?, ?, ?, ?)", (digest, seq, until, following))
            connection.execute(_LINK, (digest, before))
    swept = _sweep(connection, 2 * len(keys) + 1, end.at)
    connection.execute("UPDATE older_keys_end SET upto = ?, hash = ?, at = ?, swept = ?", (*end, swept))


def _sweep(connection: sqlite3.Connection, size: int, at: int) -> bytes:
    """Delete the rows whose time is over, among so many from where the last sweep stopped. Return where to go on."""
    ((begin,),) = connection.execute("SELECT swept FROM older_keys_end").fetchall()
    rows = connection.execute(_FROM, (begin, size + 1)).fetchall()
    if not rows or rows[0][0] != begin:
        raise Damaged("a row of the older keys was lost")
    kept, linked, following = begin, rows[0][2], rows[0][2]
    for digest, until, after in rows[1:]:
        if digest != following:
            raise Damaged("a row of the older keys was lost")
        following = after
        if until <= at:
            connection.execute("DELETE FROM older_keys WHERE digest = ?", (digest,))
            continue
        if linked != digest:
            connection.execute(_LINK, (digest, kept))
        kept, linked = digest, after
    if linked != following:
        connection.execute(_LINK, (following, kept))
    return kept if len(rows) > size else FIRST
