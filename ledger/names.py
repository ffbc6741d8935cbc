"""The names of Tollbook's packages, and the check that an import of one finds Tollbook's.

A file `pricing.py` in the folder of a program comes first on the path: `import pricing` then finds that file, and what
needs Tollbook's package fails far from the cause. So the check is the first thing that `import ledger` does.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from .errors import NameClash

PACKAGES = ("ledger", "pricing", "chains", "replay", "gateway")
"""The packages that the wheel installs, beside `tollbook`, which has the names of all of them."""


def check_names() -> None:
    """Raise NameClash if an import of one of the packages would find something else."""
    here = Path(__file__).resolve().parent.parent
    for name in PACKAGES:
        ours, found = here.joinpath(name, "__init__.py"), _found(name)
        if found is not None and ours.is_file() and found.resolve() != ours:
            raise NameClash(f"`import {name}` finds {found}, which hides Tollbook's package {name}: rename it")


def _found(name: str) -> Path | None:
    """Return the file that an import of a package finds, without importing it; None where that cannot be said."""
    try:
        spec = find_spec(name)
    except ValueError:  # it runs as a program and has no specification
        return None
    return Path(spec.origin) if spec is not None and spec.origin is not None else None
