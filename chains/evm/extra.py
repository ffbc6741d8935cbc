"""What is said where the packages of the extra `evm` are missing."""

from __future__ import annotations

from ledger.errors import MissingExtra

INSTALL = 'pip install "tollbook[evm]"'


def missing(error: ModuleNotFoundError) -> MissingExtra:
    """The error to raise for an import that failed."""
    return MissingExtra(f"EVM chains need the package {error.name}, which is not installed", f"run: {INSTALL}")
