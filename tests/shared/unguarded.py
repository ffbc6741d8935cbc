"""A log's file without the triggers that keep it append-only, as long as it is open: what a forger would do."""

import sqlite3
from contextlib import suppress
from pathlib import Path


class Unguarded(sqlite3.Connection):
    """Drops the triggers, and makes them again when it is closed, since an audit finds one that is missing."""

    dropped: tuple[str, ...] = ()

    def close(self) -> None:
        if self.dropped and not self.in_transaction:
            with suppress(sqlite3.Error):  # a file that cannot be written any more
                self.execute("BEGIN")
                for sql in self.dropped:
                    with suppress(sqlite3.Error):  # its table may be gone
                        self.execute(sql)
                self.execute("COMMIT")
        super().close()


def open_wide(path: Path) -> sqlite3.Connection:
    """The file without its triggers, until it is closed."""
    connection = sqlite3.connect(path, isolation_level=None, factory=Unguarded)
    found = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    connection.dropped = tuple(sql for _, sql in found)
    connection.execute("BEGIN")
    for name, _ in found:
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute("COMMIT")
    return connection
