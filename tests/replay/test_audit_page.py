"""The audit's page can be signed: period, totals, versions, what each check means, what is not seen, a glossary."""

import platform
import re
import sqlite3
from contextlib import closing
from importlib.metadata import version
from types import SimpleNamespace

import msgspec
import pytest
from every_way import audit

from ledger import Ledger
from ledger.books import Books
from ledger.events import tag
from ledger.readings import Reading
from replay import Report, html
from replay.audit.checks import DIFFERENCE, KINDS
from replay.audit.explained import GLOSSARY, MEANINGS
from replay.audit.findings import time_text
from replay.audit.hashes import MISSING_END
from replay.audit.onchain import KINDS as ON_CHAIN

pytestmark = pytest.mark.smoke
NOW = 1_701_388_680_000_000


@pytest.fixture(scope="module")
def report(written: SimpleNamespace) -> Report:
    return audit(written.path)


@pytest.fixture(scope="module")
def page(report: Report) -> str:
    return html(report, NOW)


def text(page: str) -> str:
    """The page's words, without its marks."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.partition("</head>")[2]))


def test_every_kind_of_finding_has_a_sentence_that_says_what_it_means():
    assert set(MEANINGS) == {*KINDS, MISSING_END, DIFFERENCE, *ON_CHAIN}
    assert all(sentence.endswith(".") for sentence in (*MEANINGS.values(), *GLOSSARY.values()))


def test_the_period_is_from_the_first_event_to_the_last(report, written):
    with closing(Ledger.open(written.path, read_only=True)) as ledger:
        times = [entry.at for entry in ledger.events()]
    assert (report.begin, report.head.at) == (time_text(times[0]), time_text(times[-1]))


def test_totals_are_those_of_the_log(report, written):
    """Against the readings, which come from the books of the ledger and not from those of the audit."""
    with closing(Ledger.open(written.path, read_only=True)) as ledger:
        events: dict[str, int] = {}
        for entry in ledger.events():
            events[tag(entry.event)] = events.get(tag(entry.event), 0) + 1
        books = Books.load(ledger.state())
    totals = report.totals
    assert (totals.events, totals.accounts) == (events, len(books.accounts))
    assert {each.plan: each.accounts for each in totals.plans if each.accounts} == {
        plan: sum(account.plan == plan for account in books.accounts.values())
        for plan in {account.plan for account in books.accounts.values()}
    }
    names = ("sold", "earned", "settled", "receivable", "written_off")
    money = {each.asset: [getattr(each, name) for name in names] for each in Reading(books, books.at).earned()}
    assert {each.asset: [getattr(each, name) for name in names] for each in totals.assets} == money
    assert all(each.credits == each.spent + each.ended + each.left and each.ended >= 0 for each in totals.plans)


def test_versions_are_those_that_audited_it_and_those_that_priced_it(report):
    python, sqlite = platform.python_version(), sqlite3.sqlite_version
    assert report.versions == {"tollbook": version("tollbook"), "python": python, "sqlite": sqlite}
    assert report.totals.policies["per_credit"] == (1,)


def test_a_log_that_cannot_be_folded_has_no_totals(written, tmp_path):
    path = tmp_path / "cut.db"
    path.write_bytes(written.path.read_bytes()[:-8192])
    report = audit(path)
    assert (report.totals, report.verdict) == (None, "findings")
    assert "Totals" not in html(report)


def test_a_log_whose_events_can_be_folded_has_totals_whatever_is_found(written, report, tmp_path):
    """A trigger that is missing says nothing against the sums; a changed event does, and the page says so."""
    path = tmp_path / "untriggered.db"
    with closing(sqlite3.connect(written.path)) as log, closing(sqlite3.connect(path)) as copy:
        log.backup(copy)
        copy.execute("DROP TRIGGER commits_are_not_updated")
        copy.commit()
        untriggered = audit(path)
        copy.execute("UPDATE commits SET hash = zeroblob(32) WHERE first_seq = 1")
        copy.commit()
    assert [found.kind for found in untriggered.findings] == ["unreadable"]
    changed = audit(path)
    assert "hash" in [found.kind for found in changed.findings]
    for each in (untriggered, changed):
        assert each.totals == report.totals
        assert "sums of the log as it is, with what was found in it" in html(each)
    assert "with what was found in it" not in html(report)


def test_a_log_with_an_event_that_belongs_to_no_account_has_no_totals(written, tmp_path):
    path = tmp_path / "foreign.db"
    with closing(sqlite3.connect(written.path)) as log, closing(sqlite3.connect(path)) as copy:
        log.backup(copy)
        copy.execute("DROP TRIGGER commits_are_not_updated")
        of = 'instr(body, \'"type":"charged"\') AND instr(body, \'"account":1,\')'
        last = f"(SELECT max(first_seq) FROM commits WHERE {of})"
        changed = "replace(body, '\"account\":1,', '\"account\":999,')"
        assert copy.execute(f"UPDATE commits SET body = {changed} WHERE first_seq = {last}").rowcount == 1
        copy.commit()
    report = audit(path)
    assert (report.totals, report.verdict) == (None, "findings")


# -- the page ----------------------------------------------------------------------------------------------------------


def test_the_page_has_everything_that_is_signed(page, report):
    said = text(page)
    for part in (
        report.ledger,
        report.head.hash,
        f"{report.begin} to {report.head.at}",
        f"audited at {time_text(NOW)}",
        f"tollbook {report.versions['tollbook']}, python ",
        "Totals of",
        "per_credit version 1",
        "What this audit cannot see",
        "Nothing was found.",
        "name place and date signature",
    ):
        assert part in said
    assert "Whether what was recorded is true" in said
    for check in report.checks:
        assert f"<code>{check.name}</code>" in page


def test_the_page_needs_nothing_else_and_is_closed(page):
    assert not re.search(r"<script|<link|<img|src=|https?://", page)
    opened, closed = (re.findall(mark, page) for mark in (r"<(?!meta|!|/)(\w+)", r"</(\w+)"))
    assert sorted(opened) == sorted(closed)


def test_money_is_shown_as_money(page, report):
    usd = next(each for each in report.totals.assets if each.asset == "USD")
    assert usd.decimals == 2
    assert f"{usd.sold // 100:,}.{usd.sold % 100:02} USD" in page


def test_names_cannot_write_into_the_page(report):
    named = msgspec.structs.replace(report, log="<script>alert(1)</script>.db", notes=("the table `<b>`",))
    assert "<script>" not in html(named)
    assert "<code>&lt;b&gt;</code>" in html(named)
