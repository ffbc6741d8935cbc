"""Opening the rows of a log: a file, or an open store."""

from __future__ import annotations

from pathlib import Path

from ledger.errors import NotALog, WrongType
from ledger.plugins import Store
from ledger.stores.paths import file_path
from ledger.stores.sqlite import APPLICATION_ID

from .file_rows import BrokenFile, FileRows
from .rows import Source, StoreRows


def source(where: str | Path | Store) -> Source:
    """Open the rows of a log file or of an open store. Raises NotFound, NotALog or WrongVersion, as opening
    it does, and WrongType for anything else."""
    if not isinstance(where, str | Path):
        if not callable(getattr(where, "read", None)):
            message = (
                f"where: the path of a log or an open store is needed, {where!r} is of type {type(where).__name__}"
            )
            raise WrongType(message, "give the path of the ledger's file: it may be open meanwhile")
        return StoreRows(where)
    try:
        return FileRows(file_path(where))
    except NotALog as error:
        if Path(where).is_file() and _is_a_ledger(Path(where)):
            return BrokenFile(Path(where), error)
        raise


def _is_a_ledger(path: Path) -> bool:
    """True if the application id in the file's header, at byte 68, is a ledger's."""
    with path.open("rb") as file:
        header = file.read(72)
    return header.startswith(b"SQLite format 3") and header[68:] == APPLICATION_ID.to_bytes(4, "big")
