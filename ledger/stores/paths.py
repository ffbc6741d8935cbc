"""Paths of log files, as opposed to logs in memory."""

from __future__ import annotations

from pathlib import Path

from ..errors import NotFound

MEMORY = ":memory:"
"""The location of a log in memory, as SQLite has it."""


def file_path(where: str | Path) -> Path:
    """Return the path of a file. Raises NotFound for `:memory:`: no file of that name shall be made, or taken for a
    log."""
    if str(where) == MEMORY:
        raise NotFound(f"{MEMORY} is no file", "give the path of a file; `Ledger.open()` has a log in memory")
    return Path(where)
