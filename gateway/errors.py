"""Errors of the gateway: a question that makes no sense, and a refusal in words of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.errors import LedgerError
from ledger.refusals import PaymentRequired

if TYPE_CHECKING:
    from ledger.refusals import Refused


class UsageError(LedgerError):
    """An argument that is malformed, or that does not fit the log or the other arguments."""

    code = "usage"
    hint = "see `tollbook --help`"


class CommandRefused(PaymentRequired):
    """A refused command, with a message and a hint for the operator instead of the reason's own text."""

    def __init__(self, refused: Refused, message: str, hint: str) -> None:
        LedgerError.__init__(self, message, hint)
        self.refused = refused
