"""Tollbook: accounting for services that are paid per use. All public names, in one package.

    from tollbook import Charge, CreatePlan, Ledger, Purchase, audit

They are the names of the packages `ledger` (the core, with its errors), `replay` (audit, exports, traces), `chains`
(settlement) and `pricing` (policies). Only the core is imported at once, another package when one of its names is used.
`__version__` is the distribution's. The command line is `tollbook`, or `python -m tollbook`.

An ImportError says so if a file of yours has the name of one of these packages, and is found in its place.
"""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

_core = find_spec("ledger")  # looked at before it is imported, since it may be a program that imports this package
if _core is None or Path(_core.origin or "").resolve().parent.parent != Path(__file__).resolve().parent.parent:
    raise ImportError(
        f"`import ledger` finds {_core and _core.origin}, which hides Tollbook's package ledger: rename it"
    )

import ledger as _ledger  # noqa: E402
from ledger import *  # noqa: E402, F403
from ledger.errors import (  # noqa: E402
    AlreadyExists,
    BadData,
    ChainUnavailable,
    ClockMoved,
    Closed,
    Conflict,
    Damaged,
    Locked,
    LogError,
    MissingExtra,
    NameClash,
    NotALog,
    NotFound,
    NotWritten,
    OutcomeUnknown,
    PluginFailed,
    SendUnknown,
    SettlementStopped,
    UnknownPlugin,
    WrongVersion,
)

if TYPE_CHECKING:
    from importlib.metadata import version

    from chains import (
        Outbox,
        Proof,
        RejectedFact,
        Step,
        Watcher,
        command_of,
        prove,
        verify,
    )
    from pricing import (
        Complexity,
        CostPlus,
        Graduated,
        Line,
        Package,
        PerCredit,
        Policy,
        Price,
        Scope,
        Time,
        Volume,
        parse,
    )
    from replay import (
        Check,
        Checkpoint,
        Export,
        Finding,
        Profile,
        Report,
        Row,
        Trace,
        assign,
        audit,
        checkpoint,
        demand,
        draw,
        export,
        generate,
        html,
        read_profile,
        read_trace,
    )

    __version__ = version("tollbook")

_PACKAGES = {
    "chains": ("Outbox", "Proof", "RejectedFact", "Step", "Watcher", "command_of", "prove", "verify"),
    "pricing": (
        "Complexity",
        "CostPlus",
        "Graduated",
        "Line",
        "Package",
        "PerCredit",
        "Policy",
        "Price",
        "Scope",
        "Time",
        "Volume",
        "parse",
    ),
    "replay": (
        "Check",
        "Checkpoint",
        "Export",
        "Finding",
        "Profile",
        "Report",
        "Row",
        "Trace",
        "assign",
        "audit",
        "checkpoint",
        "demand",
        "draw",
        "export",
        "generate",
        "html",
        "read_profile",
        "read_trace",
    ),
}
"""The names of the packages that are imported when one of their names is used."""

_PACKAGE_OF = {name: package for package, names in _PACKAGES.items() for name in names}

__all__ = [
    "AlreadyExists",
    "BadData",
    "ChainUnavailable",
    "Check",
    "Checkpoint",
    "ClockMoved",
    "Closed",
    "Complexity",
    "Conflict",
    "CostPlus",
    "Damaged",
    "Export",
    "Finding",
    "Graduated",
    "Line",
    "Locked",
    "LogError",
    "MissingExtra",
    "NameClash",
    "NotALog",
    "NotFound",
    "NotWritten",
    "Outbox",
    "OutcomeUnknown",
    "Package",
    "PerCredit",
    "PluginFailed",
    "Policy",
    "Price",
    "Profile",
    "Proof",
    "RejectedFact",
    "Report",
    "Row",
    "Scope",
    "SendUnknown",
    "SettlementStopped",
    "Step",
    "Time",
    "Trace",
    "UnknownPlugin",
    "Volume",
    "Watcher",
    "WrongVersion",
    "__version__",
    "assign",
    "audit",
    "checkpoint",
    "command_of",
    "demand",
    "draw",
    "export",
    "generate",
    "html",
    "parse",
    "prove",
    "read_profile",
    "read_trace",
    "verify",
]
__all__ += _ledger.__all__

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Import a name of another package than the core, or return the version."""
        if name == "__version__":
            from importlib.metadata import version

            return version("tollbook")
        if name not in _PACKAGE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_PACKAGE_OF[name]), name)
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
