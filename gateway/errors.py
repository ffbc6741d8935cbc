"""Errors of the gateway: wrong arguments, and a refusal with its own message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.errors import LedgerError
from ledger.refusals import PaymentRequired

if TYPE_CHECKING:
    from ledger.refusals import Refused


class UsageError(LedgerError):
    """An argument that is malformed, or that contradicts the log or the other arguments."""

    code = "usage"
    hint = "see `tollbook --help`"


class CommandRefused(PaymentRequired):
    """A refused command, with a message and a hint for the operator instead of the reason's own text."""

    def __init__(self, refused: Refused, message: str, hint: str) -> None:
        LedgerError.__init__(self, message, hint)
        self.refused = refused
