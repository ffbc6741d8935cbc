"""`tollbook copy`: another name of `tollbook backup`."""

from __future__ import annotations

from ..options import Json, Log
from .backup import AsItIs, To, backup


def copy(log: Log, to: To, as_it_is: AsItIs = False, json: Json = False) -> None:
    """Back up a log: the same as `tollbook backup`.

    \b
    Examples:
      tollbook copy LOG monday.db

    Exit codes: 0 backed up; 2 it could not be, and TO was not made.
    """
    backup(log, to, as_it_is, json)
