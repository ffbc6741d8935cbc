"""The caches of a log in an SQLite file, as its writer keeps them: snapshots, and the older keys."""

from __future__ import annotations

import sqlite3
from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager

from ..errors import Closed, Conflict, Damaged, Locked, LogError
from ..log import KeysEnd, Snapshot, StoredKey
from . import key_table
from .schema import KEYS, KEYS_END, SNAPSHOTS
from .sqlite_rows import SQLiteRows, snapshot_digest

PAGE = 4_096


class SQLiteCaches(SQLiteRows):
    """Writes the caches of a log. All of them may be dropped from the file, and are made again."""

    @abstractmethod
    def _cache_transaction(self, pages: int) -> AbstractContextManager[sqlite3.Connection]:
        """Change about so many pages of caches in one transaction. Raises LogError."""

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep this snapshot and the one before it. Raises LogError."""
        with self._cache_transaction(len(snapshot.body) // PAGE) as connection:
            connection.execute(_if_dropped(SNAPSHOTS))
            row = (*snapshot, snapshot_digest(snapshot))
            connection.execute("INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?, ?)", row)
            connection.execute(
                "DELETE FROM snapshots WHERE seq > 0 "
                "AND seq NOT IN (SELECT seq FROM snapshots ORDER BY seq DESC LIMIT 2)"
            )

    def keys_end(self) -> KeysEnd | None:
        """Return the end of the stored keys; None if there are none, or if that cannot be read."""
        try:
            return key_table.end_of(self._execute(key_table.END))
        except (Locked, Closed):
            raise
        except LogError:  # a cache that is gone or cannot be read is no cache
            return None

    def find_key(self, digest: bytes, upto: int) -> int:
        """Return the sequence stored with a key; 0 if there is no such key. Raises Damaged, Locked or Closed."""
        try:
            rows = self._execute(key_table.AT_OR_BEFORE, digest)
        except (Locked, Closed):
            raise
        except LogError as error:
            raise Damaged(f"{self.path}: the older keys cannot be read: {error}") from error
        return key_table.found(rows, digest, upto)

    def save_keys(self, before: KeysEnd | None, keys: Sequence[StoredKey], end: KeysEnd) -> None:
        """Store keys and their end in one transaction, and drop some of those whose time is over.

        Raises Conflict, Damaged or another LogError.
        """
        with self._cache_transaction(2 * len(keys)) as connection:
            for made in (KEYS, KEYS_END):
                connection.execute(_if_dropped(made))
            if before is None:
                key_table.clear(connection)
            elif key_table.end_of(connection.execute(key_table.END).fetchall()) != before:
                raise Conflict("another process stored keys")
            key_table.insert(connection, keys, end)


def _if_dropped(made: str) -> str:
    """Return the statement that makes a table again where it was dropped."""
    return made.replace("TABLE", "TABLE IF NOT EXISTS", 1)
