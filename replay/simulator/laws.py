"""Laws that every run must keep: how a violation is raised. `oracle.py` and `reads.py` have the laws."""

from __future__ import annotations

DECLARED_ERRORS_ONLY = "only declared errors are raised"
"""The law that every exception is a declared error of the log, of the chain, or of the caller."""


class Violated(Exception):
    """A law does not hold: `law` names it, the message has the values that violate it."""

    def __init__(self, law: str, found: str) -> None:
        super().__init__(found)
        self.law = law


def require(holds: bool, law: str, found: object) -> None:
    """Raise Violated where a law does not hold."""
    if not holds:
        raise Violated(law, str(found))
