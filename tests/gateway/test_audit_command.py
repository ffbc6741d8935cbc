"""`tollbook audit`: the auditor's report, and an exit code for scripts."""

import sqlite3
from contextlib import closing

from replay import Report
from replay.audit import parallel


def test_a_clean_log_exits_0_with_the_contracts_keys(tollbook, told):
    done = tollbook("audit", told.log, "--json")
    assert done.code == 0
    answer = done.json
    assert tuple(answer) == Report.__struct_fields__
    assert list(answer["head"]) == ["seq", "commits", "at", "hash"]
    assert (answer["verdict"], answer["findings"]) == ("clean", [])
    assert all(list(check) == ["name", "checked", "findings"] for check in answer["checks"])


def test_findings_exit_1_and_are_named(tollbook, shop, spoil):
    spoil(shop.log, '"credits":-24', '"credits":-25')
    done = tollbook("audit", shop.log, "--json")
    assert done.code == 1
    assert done.json["verdict"] == "findings"
    assert "hash" in {finding["kind"] for finding in done.json["findings"]}
    assert all(
        list(finding) == ["kind", "seq", "field", "expected", "found", "message"] for finding in done.json["findings"]
    )
    text = tollbook("audit", shop.log)
    assert text.code == 1
    assert "hash at 13" in text.out


def test_a_head_that_was_noted_is_held_to(tollbook, told):
    head = tollbook("audit", told.log, "--json").json["head"]
    assert tollbook("audit", told.log, "--since", f"{head['seq']}:{head['hash']}").code == 0
    assert tollbook("audit", told.log, "--since", f"{head['seq']}:{'0' * 64}").code == 1
    assert tollbook("audit", told.log, "--since", "nonsense").code == 2


def test_a_copy_is_compared(tollbook, told, shop, spoil):
    assert tollbook("audit", told.log, "--against", shop.log).code == 0
    spoil(shop.log, '"note":"half an answer"', '"note":"half a question"')
    done = tollbook("audit", told.log, "--against", shop.log, "--json")
    assert done.code == 1
    assert {finding["kind"] for finding in done.json["findings"]} == {"difference"}


def test_what_is_not_there_reads_as_nothing(tollbook, shop):
    with closing(sqlite3.connect(shop.log)) as connection, connection:
        connection.execute("DROP TRIGGER ledger_is_one")
    text = tollbook("audit", shop.log).out
    assert "None" not in text
    assert "found nothing" in text
    assert "schema at" not in text


def test_the_page_is_written(tollbook, told, tmp_path):
    assert tollbook("audit", told.log, "--html", tmp_path / "report.html").code == 0
    assert "<html" in (tmp_path / "report.html").read_text()


def test_more_processes_than_are_of_use_are_not_started_and_it_says_so(tollbook, told, long_log, monkeypatch):
    done = tollbook("audit", told.log, "--processes", "64")
    assert (done.code, done.err.count("\n")) == (0, 1)
    assert "warning: 1 of 64 processes" in done.err
    monkeypatch.setattr(parallel, "_cores", lambda: 5)
    assert [parallel.at_most(64, events) for events in (0, 19_999, 20_000, 10**9)] == [1, 1, 2, 5]
    assert parallel.at_most(3, 10**9) == 3


def test_two_processes_say_what_one_says(tollbook, told, shop, spoil, monkeypatch):
    monkeypatch.setattr(parallel, "PART", 1)
    one, two = (tollbook("audit", told.log, "--processes", number, "--json") for number in ("1", "2"))
    assert (two.code, two.json) == (0, one.json)
    spoil(shop.log, '"credits":-24', '"credits":-25')
    one, two = (tollbook("audit", shop.log, "--processes", number, "--json") for number in ("1", "2"))
    assert (two.code, two.json) == (1, one.json)
    assert tollbook("audit", told.log, "--processes", "0").code == 2
