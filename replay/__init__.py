"""Replay: what can be known from a log alone, and traces to make one from.

    from replay import audit

    report = audit("toll.db")
    print(report.verdict, report.head.seq, report.findings)

`audit` reads the log as it stands on disk and computes everything in it again; `page` shows its report as HTML.
`traces` reads usage, `customers` and `profiles` make it up.
"""

from .audit.findings import Check, Finding, Report
from .audit.hashes import Checkpoint, checkpoint
from .audit.report import html
from .audit.run import audit
from .workload.customers import assign, demand, draw, generate
from .workload.profiles import Profile, read_profile
from .workload.traces import Row, Trace
from .workload.traces import read as read_trace

__all__ = [
    "Check",
    "Checkpoint",
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
    "generate",
    "html",
    "read_profile",
    "read_trace",
]
