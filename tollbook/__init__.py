"""Tollbook: accounting for services that are paid per use. All public names, in one package.

    from tollbook import Charge, CreatePlan, Ledger, Purchase, audit

They are the names of the packages `ledger` (the core, with its errors), `replay` (audit, exports, traces), `chains`
(settlement) and `pricing` (policies). Only the core is imported at once, another package when one of its names is used.
`__version__` is the distribution's. The command line is `tollbook`, or `python -m tollbook`.

An ImportError says so if a file of yours has the name of one of these packages, and is found in its place.
"""

from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

_core = find_spec("ledger")  # looked at before it is imported, since it may be a program that imports this package
if _core is None or Path(_core.origin or "").resolve().parent.parent != Path(__file__).resolve().parent.parent:
    raise ImportError(
        f"`import ledger` finds {_core and _core.origin}, which hides Tollbook's package ledger: rename it"
    )

from ledger import *  # noqa: E402, F403
from ledger.errors import *  # noqa: E402, F403

if TYPE_CHECKING:
    from chains import *  # noqa: F403
    from pricing import *  # noqa: F403
    from replay import *  # noqa: F403

    __version__: str
else:

    def __getattr__(name: str) -> object:
        """Return a name of a package that was not imported yet, the version, or the list of all names."""
        if name == "__version__":
            return metadata.version("tollbook")
        if name == "__all__":
            return _names()
        for package in map(import_module, () if name.startswith("_") else _LATER):
            if name in package.__all__:
                return getattr(package, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return _names()


_LATER = ("replay", "chains", "pricing")
"""The packages that are imported when one of their names is used."""


def _names() -> list[str]:
    """Return all public names."""
    packages = [import_module(package) for package in ("ledger", *_LATER)]
    errors = [name for name, value in vars(import_module("ledger.errors")).items() if isinstance(value, type)]
    return sorted({"__version__", *errors, *(name for package in packages for name in package.__all__)})
