"""Errors of the command line as one line (or one JSON object), and exit codes.

0 done; 1 the answer is bad; 2 could not run; 3 outcome unknown; 130 interrupted; 141 broken pipe. Only a command that
ran to its end exits 1.
"""

from __future__ import annotations

import json
import re
import sqlite3
import sys
from typing import Any

import typer

from ledger.errors import Damaged, LedgerError, LogError, OutcomeUnknown, SendUnknown
from ledger.refusals import PaymentRequired

from ..errors import UsageError

DONE, BAD_ANSWER, COULD_NOT_RUN, UNKNOWN, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 3, 130, 141


_PLAIN = {
    r"Input should be a valid integer.*": "give a whole number",
    r"Input should be greater than or equal to (-?\d+).*": r"give \1 or more",
}
"""Messages of some releases of Typer about a wrong number, which are for programmers, and ours."""

_TyperUsageError: Any = typer.BadParameter.__base__  # some releases of Typer use Click, others a copy of it


def as_ledger_error(error: Exception) -> LedgerError:
    """Return any exception as an error that has a code and a hint."""
    if isinstance(error, LedgerError):
        return error
    if isinstance(error, _TyperUsageError):
        message = error.format_message().strip().rstrip(".")
        for theirs, ours in _PLAIN.items():
            message = re.sub(theirs, ours, message)
        return UsageError(
            message[:1].lower() + message[1:], f"see `{error.ctx.command_path} --help`" if error.ctx else None
        )
    if isinstance(error, sqlite3.Error):
        damaged = getattr(error, "sqlite_errorname", "").startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))
        return Damaged(f"the file is damaged: {error}") if damaged else LogError(str(error), "check the file")
    if isinstance(error, OSError):
        of = f": {error.filename}" if error.filename else ""
        return LogError(f"{error.strerror or error}{of}", "check the path, its permissions and the space left")
    return LedgerError(f"{type(error).__name__}: {error}", "report this, with what TOLLBOOK_DEBUG=1 adds")


def exit_code(error: LedgerError) -> int:
    """Return the exit code of an error; never 1."""
    return UNKNOWN if isinstance(error, OutcomeUnknown | SendUnknown) else COULD_NOT_RUN


def as_line(error: LedgerError) -> str:
    """Return `tollbook: error: FILE:LINE: MESSAGE; WHAT TO DO`, always on one line."""
    location = "".join(f"{part}:" for part in _location(error) if part is not None)
    return _line(f"tollbook: error: {location} {error}; {error.hint}")


def warning(message: str, hint: str, as_json: bool) -> str:
    """Return a warning as one line, or as one JSON object. A warning does not end the command."""
    if as_json:
        return json.dumps({"warning": {"message": message, "hint": hint}}, separators=(",", ":"))
    return _line(f"tollbook: warning: {message}; {hint}")


def write_warning(message: str, hint: str, as_json: bool) -> None:
    """Write a warning to stderr."""
    sys.stderr.write(warning(message, hint, as_json) + "\n")


def _line(text: str) -> str:
    text = " ".join(text.split())
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def as_json(error: LedgerError) -> str:
    """Return the error as one JSON object."""
    file, line = _location(error)
    fields: dict[str, object] = {"code": error.code, "message": str(error), "hint": error.hint}
    fields |= {"file": file, "line": line}
    if isinstance(error, PaymentRequired):
        fields |= {"reason": str(error.refused.reason), "facts": error.refused.facts}
    return json.dumps({"error": fields}, separators=(",", ":"))


def _location(error: LedgerError) -> tuple[str | None, int | None]:
    return getattr(error, "file", None), getattr(error, "line", None)
