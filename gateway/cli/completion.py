"""Values that a shell completes: functions for Typer's `autocompletion`, from the beginning of a value to values."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable


def one_of(values: Iterable[str]) -> Callable[[str], list[str]]:
    """Return a completion among these values."""
    known = list(values)

    def complete(incomplete: str) -> list[str]:
        return [value for value in known if value.startswith(incomplete)]

    return complete


def policies(incomplete: str) -> list[str]:
    """Return the names of the installed policies that begin so."""
    from ledger.plugins import policies

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of plugins that failed: a shell has no place for them
        return one_of(policies.names())(incomplete)
