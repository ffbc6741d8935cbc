"""Paths of log files: what is none, and whether the file that is open is still at its path."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import NotFound

MEMORY = ":memory:"
"""The location of a log in memory, as SQLite has it."""
REPLACED_HINT = "stop all writers before a log is moved or restored; then open the ledger again and repeat the command"


def file_path(where: str | Path) -> Path:
    """Return the path of a file. Raises NotFound for `:memory:`: no file of that name shall be made, or taken for a
    log."""
    if str(where) == MEMORY:
        raise NotFound(f"{MEMORY} is no file", "give the path of a file; `Ledger.open()` has a log in memory")
    return Path(where)


def file_identity(path: Path) -> tuple[int, int] | None:
    """Return which file is at a path, as its device and number; None if there is none.

    SQLite goes on writing to a file that was moved or deleted, as systems allow: commits would be acknowledged that
    are not in the log when it is opened again.
    """
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
