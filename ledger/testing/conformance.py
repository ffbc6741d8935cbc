"""Report of a conformance suite: of stores, pricing policies and chains."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Failure(NamedTuple):
    """One case in which a rule is broken."""

    rule: str
    detail: str


class ConformanceError(AssertionError):
    """A plugin breaks rules; `failures` has up to three cases of each."""

    def __init__(self, failures: Iterable[Failure]) -> None:
        self.failures = tuple(failures)
        super().__init__("\n".join(f"{rule}: {detail}" for rule, detail in self.failures))

    @property
    def rules(self) -> list[str]:
        """The names of the broken rules, in the order of the suite."""
        return list(dict.fromkeys(failure.rule for failure in self.failures))
