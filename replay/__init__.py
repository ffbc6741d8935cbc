"""Replay: audits of a log, reports from it, and usage to replay into a new one.

    from replay import audit

    report = audit("toll.db")
    print(report.verdict, report.head.seq, report.findings)

- `audit` reads a log as stored on disk and computes everything in it again; `html` renders its report. `checkpoint`
  parses the head of an earlier audit; `read_note` and `write_note` keep one in a file, so that the next audit proves
  that the log continues from it.
- `export` writes a log's events for other tools.
- `demand` reads usage from a trace or a customer profile, or generates it; `read_trace`, `assign` (customers to a trace
  that has none), `read_profile`, `draw` and `generate` are its steps.

`replay.simulator` (the whole engine driven by one seed) has its own entry.
"""

from .audit import Check, Checkpoint, Finding, Note, Report, audit, checkpoint, html, read_note, write_note
from .reports.exports import Export, export
from .workload import Profile, Row, Trace, assign, demand, draw, generate, read_profile, read_trace

__all__ = [
    "Check",
    "Checkpoint",
    "Export",
    "Finding",
    "Note",
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
    "read_note",
    "read_profile",
    "read_trace",
    "write_note",
]
