"""A report as one HTML page that needs nothing else: no script, no style sheet, no font from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import msgspec

from .findings import MAX_LISTED, Report
from .unverified import not_verified

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1d2329; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 2rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .7rem .3rem 0; border-bottom: 1px solid #d8dee4; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
code { font: 13px ui-monospace, monospace; overflow-wrap: anywhere; }
.clean { color: #116329; } .unverified { color: #7d4e00; } .findings { color: #a40e26; }
"""


def html(report: Report) -> str:
    """The verdict, the head, the checks and the findings."""
    head = report.head
    tone = "clean" if report.clean else "findings" if report.findings else "unverified"
    facts = [("log", report.log), ("sequence", str(head.seq)), ("commits", str(head.commits))]
    facts += [("time", head.at or "none yet"), ("hash", head.hash)]
    facts += [("not verified", text) for text in not_verified(report.unverified)]
    if report.proven_to is not None:
        facts.append(("proven to", f"{report.proven_to}, a head that was noted earlier"))
    facts += [("not seen", text) for text in report.unseen]
    facts += [("warning", text) for text in report.warnings]
    facts += [("note", text) for text in report.notes]
    for leap in report.leaps:
        leapt = f"by {leap.ahead_us // 1_000_000} seconds at {leap.seq}, to {leap.at}; {leap.commits} commits have it"
        facts.append(("the clock leapt", leapt))
    checks = [(_text(check.name), _number(check.checked), _number(check.findings)) for check in report.checks]
    return (
        "<!DOCTYPE html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        f"<title>Audit: {escape(report.verdict)}</title><style>{_STYLE}</style></head><body>\n"
        f'<h1>Audit: <span class="{tone}">{escape(report.verdict)}</span></h1>\n'
        f"{_table((), [(_text(name), _code(value)) for name, value in facts])}\n"
        f"<h2>Checks</h2>\n{_table(('check', 'checked', 'findings'), checks)}\n"
        f"{_findings(report)}</body></html>\n"
    )


def _findings(report: Report) -> str:
    if not report.findings:
        return "<p>Nothing was found.</p>\n"
    rows = [
        (
            _text(found.kind),
            _number(found.seq),
            _text(found.message),
            _code(found.field),
            _code(_shown(found.expected)),
            _code(_shown(found.found)),
        )
        for found in report.findings
    ]
    counted = sum(check.findings for check in report.checks)
    more = "" if counted <= len(rows) else f"<p>{counted} in all; of each kind the first {MAX_LISTED} are listed.</p>\n"
    head = ("kind", "sequence", "what", "field", "expected", "found")
    return f"<h2>Findings</h2>\n{_table(head, rows)}\n{more}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    titles = f"<tr>{''.join(f'<th>{escape(title)}</th>' for title in head)}</tr>" if head else ""
    return f"<table>{titles}{''.join('<tr>' + ''.join(cells) + '</tr>' for cells in rows)}</table>"


def _text(text: str) -> str:
    return f"<td>{escape(text)}</td>"


def _code(text: str) -> str:
    return f"<td><code>{escape(text)}</code></td>"


def _number(number: int | None) -> str:
    shown = "" if number is None else str(number)
    return f'<td class="number">{shown}</td>'


def _shown(value: object) -> str:
    return "" if value is None else msgspec.json.encode(value).decode()
