"""All errors, as one tree. A refusal of a command is not an error: it is a value (`refusals.Refused`).

LedgerError
├── PaymentRequired        a refused command, raised where raising is the natural form (in `refusals`)
├── BadData                invalid input: a trace, an event, a parameter
│   ├── WrongType          an argument of a call has another type than is needed (also a TypeError)
│   ├── WrongValue         an argument of a call lies outside its bounds (also a ValueError)
│   └── TermsDiffer        a plan or an agent has other terms than a program expects
├── UnknownPlugin          no policy, chain or store of that name is installed
│   └── PluginFailed       one is installed, and cannot be used
├── MissingExtra           an optional part is not installed
├── NameClash              a file of yours hides one of Tollbook's packages (an ImportError, too)
├── LogError
│   ├── NotFound           no log exists at that location
│   ├── NotALog            the file is not a ledger
│   ├── WrongVersion       the ledger has a format that this release does not read
│   ├── AlreadyExists      a new log was requested where one exists
│   ├── Locked             another process holds the write lock for too long
│   ├── Damaged            the bytes of the log are not what was written
│   ├── NotWritten         an append failed and left nothing behind
│   └── Closed             the ledger was closed, or opened before a fork
├── ChainUnavailable       a chain could not be reached; nothing was sent
├── SendUnknown            a transaction may or may not have reached the chain
├── SettlementStopped      chain and log disagree: an operator must check before money moves
├── ClockMoved             the machine's clock leapt; nothing is written until it is corrected or accepted
├── Conflict               the head of the log moved; catch up and decide again
└── OutcomeUnknown         an append may or may not have happened
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class LedgerError(Exception):
    """The base of all errors of Tollbook. `hint` says what to do; `code` names the error on the command line.

    The hint is a note of the exception too, so that a traceback ends with it.
    """

    code = "internal"
    hint = "please report this"

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        if hint is not None:
            self.hint = hint
        self.add_note(f"hint: {self.hint}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what copies and pickles are made of: a process pool hands errors back as pickles, and one that could
        not be made again would end the pool."""
        return _made_again, (type(self), self.args, vars(self))


def _made_again(kind: type[LedgerError], args: tuple[Any, ...], fields: dict[str, Any]) -> LedgerError:
    """Return an error as it was, without calling its own `__init__`, whose arguments it does not keep."""
    error = kind.__new__(kind, *args)
    vars(error).update(fields)
    return error


class BadData(LedgerError):
    """Invalid input. `file` and `line` locate it, if they are known."""

    code = "bad_data"
    hint = "correct the input"

    def __init__(self, message: str, hint: str | None = None, file: str | None = None, line: int | None = None) -> None:
        super().__init__(message, hint)
        self.file = file
        self.line = line


class WrongType(BadData, TypeError):
    """An argument of a call, or a field of a command, has another type than is needed. Nothing was done."""

    hint = "give a value of that type"


class WrongValue(BadData, ValueError):
    """An argument of a call, or a field of a command, has a value that is out of its bounds. Nothing was done."""

    hint = "give a value within the bounds"


class TermsDiffer(BadData):
    """A plan or an agent has other terms than a program expects. `differences` are the present and the given value by
    field."""

    def __init__(self, message: str, differences: Mapping[str, tuple[object, object]], hint: str) -> None:
        super().__init__(message, hint)
        self.differences = dict(differences)


class UnknownPlugin(LedgerError):
    """No policy, chain or store of that name is installed."""

    code = "unknown_plugin"
    hint = "install the package that provides it, or correct the name"


class PluginFailed(UnknownPlugin):
    """A policy, chain or store of that name is installed and cannot be used. Its cause is what the plugin raised."""

    hint = "repair or uninstall its package; `tollbook plugins` lists what is installed"


class MissingExtra(LedgerError):
    """An optional part of Tollbook is not installed."""

    code = "missing_extra"


class NameClash(LedgerError, ImportError):
    """An import of one of Tollbook's packages finds something else, such as a `pricing.py` beside the program."""

    code = "name_clash"
    hint = "rename that file or folder: the names of Tollbook's packages are in its README"


class LogError(LedgerError):
    """The base of errors of the log, as a file or a stream."""

    code = "io"
    hint = "fix the cause (space, permissions, disk) and run again"


class NotFound(LogError):
    """No log exists at that location."""

    code = "not_found"
    hint = "check the path"


class NotALog(LogError):
    """The file is not a Tollbook ledger."""

    code = "not_a_log"
    hint = "give the path of a ledger"


class WrongVersion(LogError):
    """The ledger has a format that this release does not read."""

    code = "wrong_version"
    hint = "install a release of Tollbook that reads it"


class AlreadyExists(LogError):
    """A new log was requested where one exists."""

    code = "exists"
    hint = "choose another path, or remove the file"


class Locked(LogError):
    """Another process has held the write lock for longer than the timeout."""

    code = "locked"
    hint = (
        "wait for the other process, or stop it, and run again; `lock_seconds` when opening, or TOLLBOOK_LOCK_SECONDS "
        "for `tollbook settle`, sets how long to wait"
    )


class Damaged(LogError):
    """The bytes of the log are not what was written."""

    code = "bad_data"
    hint = (
        "`tollbook audit` says what is damaged; to restore a backup, move the log and its -wal and -shm files away, "
        "and run `tollbook backup BACKUP LOG`"
    )


class NotWritten(LogError):
    """An append failed and is known to have left nothing behind."""


class Closed(LogError):
    """The ledger was closed, or was opened in another process before a fork."""

    hint = "open the ledger again in this process"


class Conflict(LedgerError):
    """The head of the log moved since it was read. The engine catches up and decides again; callers never see it."""


class ClockMoved(LedgerError):
    """The machine's clock moved against the time that passed, by more than a minute. Nothing was written."""

    code = "io"
    hint = "correct the clock, or accept its present time: `accept_clock=True` when opening, or `ledger.accept_clock()`"


class OutcomeUnknown(LedgerError):
    """An append may or may not have happened, and reading the log again did not determine it."""

    code = "outcome_unknown"
    hint = "open the ledger again and repeat the command with the same key"


class ChainUnavailable(LedgerError):
    """A chain could not be reached, or rejected a transaction; nothing was sent."""

    code = "io"
    hint = "check the connection to the chain, and run again"


class SendUnknown(LedgerError):
    """A transaction was sent without an answer: the chain may have it or not."""

    code = "outcome_unknown"
    hint = "run again: the chain is read before anything is sent"


class SettlementStopped(LedgerError):
    """The chain and the log disagree in a way that no retry can resolve, so no money moves."""

    code = "bad_data"
    hint = "compare the log with the chain before anything else is settled"
