"""Paths of log files: what is none, and whether the file that is open is still at its path."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import LogError, NotFound

MEMORY = ":memory:"
"""The location of a log in memory, as SQLite has it."""
REPLACED_HINT = (
    "stop all processes that have a log open before it is moved or restored; then open the ledger again and repeat"
)


def file_path(where: str | Path) -> Path:
    """Return the path of a file. Raises NotFound for `:memory:`: no file of that name shall be made, or taken for a
    log."""
    if str(where) == MEMORY:
        raise NotFound(f"{MEMORY} is no file", "give the path of a file; `Ledger.open()` has a log in memory")
    return Path(where)


def check_in_place(path: Path, identity: tuple[int, int] | None, error: type[LogError]) -> None:
    """Raise an error if another file than the one of that identity is at a path by now, or none."""
    if file_identity(path) != identity:
        raise error(f"{path} was moved, deleted or replaced while it was open", REPLACED_HINT)


def file_identity(path: Path) -> tuple[int, int] | None:
    """Return which file is at a path, as its device and number; None if there is none.

    SQLite goes on with a file that was moved or deleted, as systems allow: commits would be acknowledged that are not
    in the log when it is opened again, and readings would never see what is written to the file in its place.
    """
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
