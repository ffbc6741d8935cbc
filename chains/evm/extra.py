"""The imports of the extra `evm`: an error that says what to install, and Python's recursion limit put back."""

from __future__ import annotations

import sys

from ledger.errors import MissingExtra

INSTALL = 'pip install "tollbook[evm]"'


def missing(error: ModuleNotFoundError) -> MissingExtra:
    """Return the error to raise for an import that failed."""
    return MissingExtra(f"EVM chains need the package {error.name}, which is not installed", f"run: {INSTALL}")


_DEPTH = sys.getrecursionlimit()  # this module is imported with the room, before any of those packages


def keep_depth() -> None:
    """Let Python recurse as deep as before those packages came.

    As they are imported, two of them (py-evm, py_ecc) raise the limit up to a hundredfold for the whole process, in
    which deeply nested input then crashes the standard json.
    """
    sys.setrecursionlimit(_DEPTH)
