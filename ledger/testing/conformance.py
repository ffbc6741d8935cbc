"""How every conformance suite says what it found: of stores (`ledger.stores`), pricing policies, and chains."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Failure(NamedTuple):
    """One case in which a rule does not hold."""

    rule: str
    found: str


class ConformanceError(AssertionError):
    """A plugin breaks rules; `failures` are up to three cases of each."""

    def __init__(self, failures: Iterable[Failure]) -> None:
        self.failures = tuple(failures)
        super().__init__("\n".join(f"{rule}: {found}" for rule, found in self.failures))

    @property
    def rules(self) -> list[str]:
        """The names of the rules that are broken, in the order in which the suite has them."""
        return list(dict.fromkeys(failure.rule for failure in self.failures))
