"""Errors as values: what a worker of a process pool raises arrives whole in the process that waits for it."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator

import pytest

from gateway.errors import UsageError
from ledger import LedgerError, PaymentRequired, Reason, Refused
from ledger.errors import BadData, TermsDiffer

OF_THEIR_OWN: list[LedgerError] = [
    PaymentRequired(Refused(Reason.insufficient_credits, {"needed": 5, "available": 2, "top_up": 3, "decimals": 2})),
    BadData("a row has no time", "give it one", file="usage.csv", line=3),
    TermsDiffer("plan pro differs", {"credits": (5, 6)}, "choose another name"),
    UsageError("two columns", "give one"),
]
"""Errors that are made of other arguments than a message and a hint."""


def kinds(of: type[LedgerError] = LedgerError) -> Iterator[type[LedgerError]]:
    """Every kind of error whose module is loaded."""
    yield of
    for kind in of.__subclasses__():
        yield from kinds(kind)


def everyone() -> list[LedgerError]:
    others = {kind for kind in kinds() if kind.__init__ in (LedgerError.__init__, BadData.__init__)}
    return [*OF_THEIR_OWN, *(kind("it failed", "try again") for kind in sorted(others, key=lambda kind: kind.__name__))]


@pytest.mark.parametrize("error", everyone(), ids=lambda error: type(error).__name__)
def test_an_error_is_copied_and_pickled_whole(error: LedgerError) -> None:
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is type(error)
        assert (str(again), vars(again)) == (str(error), vars(error))
        assert again.__notes__ == error.__notes__
