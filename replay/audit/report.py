"""A report as one HTML page to print and sign. It needs nothing else: no script, no style sheet, no font."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape

import msgspec

from ledger.amounts import amount_text, counted, money_text

from .explained import GLOSSARY, MEANINGS
from .findings import MAX_LISTED, Report, time_text
from .totals import Totals
from .unverified import not_verified

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1d2329; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .3rem; break-after: avoid; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid #d8dee4; }
tr { break-inside: avoid; } th { font-weight: 600; } th.number, td.number { text-align: right; white-space: nowrap; }
td.number { font-variant-numeric: tabular-nums; }
table.checks td:first-child { white-space: nowrap; }
table.facts td:first-child, table.terms td:first-child { width: 13rem; font-weight: 600; }
code { font: 13px ui-monospace, monospace; overflow-wrap: anywhere; }
ul { margin: .3rem 0; padding-left: 1.2rem; }
.clean { color: #116329; } .unverified { color: #7d4e00; } .findings { color: #a40e26; }
.signature { break-inside: avoid; }
.signature td { height: 3.2rem; vertical-align: bottom; width: 33%; border-bottom: 1px solid #1d2329; }
.signature th { font-weight: 400; font-size: 13px; border: 0; }
@media print { body { font-size: 11px; margin: 0; max-width: none; } code { font-size: 10px; } }
"""


_AS_CODE = r"<code>\1</code>"


def html(report: Report, audited_at: int | None = None) -> str:
    """Return the page: the verdict, what was audited, what was not verified or cannot be seen, totals, checks,
    findings, a glossary, and a place to sign. `audited_at` is the time of the audit in UTC microseconds, if known."""
    tone = "clean" if report.clean else "findings" if report.findings else "unverified"
    sections = (
        _facts(report, audited_at),
        _list("Not verified", [*not_verified(report.unverified)]),
        _list("What this audit cannot see", report.unseen),
        _list("To note", [*report.warnings, *report.notes, *_leaps(report)]),
        "" if report.totals is None else _totals(report.totals, bool(report.findings)),
        _checks(report),
        _findings(report),
        _terms(),
        _signature(report),
    )
    return (
        "<!DOCTYPE html>\n"
        '<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Audit: {escape(report.verdict)}</title><style>{_STYLE}</style></head><body>\n"
        f'<h1>Audit: <span class="{tone}">{escape(report.verdict)}</span></h1>\n'
        f"{''.join(sections)}</body></html>\n"
    )


def _facts(report: Report, audited_at: int | None) -> str:
    head = report.head
    facts = [("log", report.log), ("ledger", report.ledger)]
    facts.append(("period", f"{report.begin} to {head.at}" if head.commits else "none: there are no events"))
    facts += [("head", f"sequence {head.seq:,} in {head.commits:,} commits"), ("hash", head.hash)]
    if report.proven_to is not None:
        facts.append(("continues from", f"sequence {report.proven_to:,}, a head that was noted earlier"))
    if audited_at is not None:
        facts.append(("audited at", time_text(audited_at)))
    facts.append(("versions", ", ".join(f"{name} {version}" for name, version in report.versions.items())))
    if report.totals is not None:
        policies = [f"{name} version {' and '.join(map(str, all_))}" for name, all_ in report.totals.policies.items()]
        facts.append(("policies", ", ".join(policies) or "none"))
    return _table((), [(_text(name), _code(value)) for name, value in facts], "facts")


def _leaps(report: Report) -> Iterator[str]:
    for leap in report.leaps:
        ahead = leap.ahead_us // 1_000_000
        yield f"the clock leapt by {ahead} seconds at {leap.seq}, to {leap.at}; {leap.commits} commits have that time"


def _totals(totals: Totals, found: bool) -> str:
    accounts = counted(totals.accounts, "account")
    names = ["sold", "earned", "settled"]
    if any(each.receivable or each.written_off for each in totals.assets):
        names += ["receivable", "written_off"]
    money = [
        (_text(each.asset), *(_money(getattr(each, name), each.asset, each.decimals) for name in names))
        for each in totals.assets
    ]
    titles = [f">{name.replace('_', ' ')}" for name in names]
    plans = [
        (
            _text(each.plan),
            _number(each.accounts),
            *(
                _cell(amount_text(amount, each.decimals))
                for amount in (each.credits, each.spent, each.ended, each.left, each.owed)
            ),
        )
        for each in totals.plans
    ]
    events = [(_text(name), _number(number)) for name, number in totals.events.items()]
    return (
        f"<h2>Totals of {accounts}</h2>\n"
        + ("<p>These are the sums of the log as it is, with what was found in it.</p>\n" if found else "")
        + (_table(("money", *titles), money) if money else "")
        + (
            _table(("plan", ">accounts", ">credits", ">spent", ">lapsed or taken back", ">left", ">owed"), plans)
            if plans
            else ""
        )
        + _table(("events", ">number"), [*events, (_text("all"), _number(sum(totals.events.values())))])
    )


def _checks(report: Report) -> str:
    rows = [
        (_code(check.name), _text(MEANINGS.get(check.name, "")), _number(check.checked), _number(check.findings))
        for check in report.checks
    ]
    return f"<h2>Checks</h2>\n{_table(('check', 'what it means', '>checked', '>findings'), rows, 'checks')}"


def _findings(report: Report) -> str:
    if not report.findings:
        return "<h2>Findings</h2>\n<p>Nothing was found.</p>\n"
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
    head = ("kind", ">sequence", "what", "field", "expected", "found")
    return f"<h2>Findings</h2>\n{_table(head, rows)}{more}"


def _terms() -> str:
    rows = [(_text(term), _text(meaning)) for term, meaning in GLOSSARY.items()]
    return f"<h2>Terms</h2>\n{_table((), rows, 'terms')}"


def _signature(report: Report) -> str:
    """Return the place to sign. The statement names the head, so that a signature is about one history only."""
    what = f"sequence {report.head.seq:,} with the hash <code>{escape(report.head.hash)}</code>"
    return (
        "<h2>Signature</h2>\n"
        f"<p>This page reports the audit of the ledger <code>{escape(report.ledger)}</code> up to {what}.</p>\n"
        '<table class="signature"><tr><td></td><td></td><td></td></tr>'
        "<tr><th>name</th><th>place and date</th><th>signature</th></tr></table>\n"
    )


def _list(title: str, texts: Sequence[str]) -> str:
    if not texts:
        return ""
    items = "".join(f"<li>{escape(text[:1].upper() + text[1:])}.</li>" for text in texts)
    return f"<h2>{title}</h2>\n<ul>{re.sub('`([^`]+)`', _AS_CODE, items)}</ul>\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """Return a table; the title of a column of numbers begins with `>`."""
    titles = "".join(
        f'<th class="number">{escape(title[1:])}</th>' if title.startswith(">") else f"<th>{escape(title)}</th>"
        for title in head
    )
    named = f' class="{kind}"' if kind else ""
    first = f"<tr>{titles}</tr>" if head else ""
    return f"<table{named}>{first}{''.join('<tr>' + ''.join(cells) + '</tr>' for cells in rows)}</table>\n"


def _text(text: str) -> str:
    return f"<td>{escape(text)}</td>"


def _code(text: str) -> str:
    return f"<td><code>{escape(text)}</code></td>"


def _cell(number: str) -> str:
    return f'<td class="number">{escape(number)}</td>'


def _number(number: int | None) -> str:
    return _cell("" if number is None else f"{number:,}")


def _money(amount: int, asset: str, decimals: int) -> str:
    return _cell(money_text(amount, asset, decimals))


def _shown(value: object) -> str:
    return "" if value is None else msgspec.json.encode(value).decode()
