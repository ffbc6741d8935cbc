"""Replay: what can be known from a log alone, and traces to make one from.

    from replay import audit

    report = audit("toll.db")
    print(report.verdict, report.head.seq, report.findings)

`audit` reads the log as it stands on disk and computes everything in it again; `page` shows its report as HTML.
`traces` reads usage, `customers` and `profiles` make it up.
"""

from .audit import audit
from .chain import Checkpoint, checkpoint
from .customers import assign, demand, draw, generate
from .findings import Check, Finding, Report
from .page import html
from .profiles import Profile, read_profile
from .traces import Row, Trace
from .traces import read as read_trace

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
