"""The outcomes of commands: an answer, or a refusal (`refusals.Refused`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Generic, Literal, TypeAlias

import msgspec

from .events import Recorded
from .refusals import Refused

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    E = TypeVar("E", bound=Recorded | None, default=Recorded | None, covariant=True)
else:  # the default is for type checkers: `Answer` alone is the answer to any command
    from typing import TypeVar

    E = TypeVar("E", covariant=True)


class Answer(msgspec.Struct, Generic[E], frozen=True, gc=False):
    """The answer to an accepted command: its first event, with its sequence and time (UTC microseconds).

    A duplicate (the same key or payment again) gets the same answer, marked as `repeated`. A `Tick` has no event, nor
    has an `OpenSettlement` with nothing to settle; then `seq` is that of the last event before the answer.
    """

    seq: int
    at: int
    event: E
    repeated: bool = False

    accepted: ClassVar[Literal[True]] = True

    def __bool__(self) -> Literal[True]:
        return True

    def unwrap(self) -> Answer[E]:
        """Return this answer; a refusal raises PaymentRequired instead."""
        return self


Outcome: TypeAlias = Answer | Refused
