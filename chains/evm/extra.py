"""Importing the packages of the extra `evm`: the error if one is missing, and Python's recursion limit."""

from __future__ import annotations

import sys

from ledger.errors import MissingExtra

INSTALL = 'pip install "tollbook[evm]"'


def missing(error: ModuleNotFoundError) -> MissingExtra:
    """Return the error to raise for an import that failed."""
    return MissingExtra(f"EVM chains need the package {error.name}, which is not installed", f"run: {INSTALL}")


_DEPTH = sys.getrecursionlimit()  # this module is imported before any of those packages


def keep_depth() -> None:
    """Restore Python's recursion limit.

    Two of the packages (py-evm, py_ecc) raise it up to a hundredfold when they are imported, for the whole process.
    Deeply nested input would then crash the standard library's json.
    """
    sys.setrecursionlimit(_DEPTH)
