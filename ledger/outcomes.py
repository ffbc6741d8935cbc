"""The outcomes of commands: an answer, or a refusal (`refusals.Refused`)."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from .events import Recorded
from .refusals import Refused


class Answer(msgspec.Struct, frozen=True, gc=False):
    """The answer to an accepted command: its first event, with its sequence and time (UTC microseconds).

    A duplicate (the same key or payment again) gets the same answer, marked as `repeated`. A `Tick` has no event; its
    `seq` is that of the last event before its answer.
    """

    seq: int
    at: int
    event: Recorded | None
    repeated: bool = False

    accepted = True

    def __bool__(self) -> bool:
        return True

    def unwrap(self) -> Answer:
        """Return this answer; a refusal raises PaymentRequired instead."""
        return self


Outcome: TypeAlias = Answer | Refused
