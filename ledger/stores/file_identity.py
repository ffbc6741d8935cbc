"""Which file is at a path, to find out whether it is still the one that is open."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

FileIdentity: TypeAlias = tuple[int, int] | None
"""Device and number of a file; None: there is no file."""

REPLACED_HINT = "stop all writers before a log is moved or restored; then open the ledger again and repeat the command"


def file_identity(path: Path) -> FileIdentity:
    """Return which file is at a path.

    SQLite goes on writing to a file that was moved or deleted, as systems allow: commits would be acknowledged that
    are not in the log when it is opened again.
    """
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
