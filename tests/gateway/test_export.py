"""`tollbook export`: the events for other tools."""

import csv
import io
import json
import subprocess

import pytest

COLUMNS = [
    "seq", "at", "type", "account", "subscriber", "plan", "agent", "request", "charge", "credits", "asset", "amount",
    "event",
]  # fmt: skip


@pytest.mark.smoke
def test_the_summary_has_the_contracts_keys_in_their_order(tollbook, told, tmp_path):
    answer = tollbook("export", told.log, "--to", "csv", "--out", tmp_path / "out.csv", "--json").json
    assert list(answer) == ["log", "format", "file", "events", "head"]
    assert list(answer["head"]) == ["seq", "commits", "at", "hash"]
    assert answer["file"] == str(tmp_path / "out.csv")
    assert (answer["events"], answer["head"]["seq"]) == (20, 20)
    assert answer["head"]["at"] == "2023-11-16T20:00:01.000000Z"
    assert len(bytes.fromhex(answer["head"]["hash"])) == 32


def test_stdout_has_only_the_data(tollbook, told):
    done = tollbook("export", told.log, "--to", "csv", "--out", "-", "--json")
    assert (done.code, done.err) == (0, "")
    assert next(csv.reader(io.StringIO(done.out))) == COLUMNS
    assert done.out.count("\n") == 21


def test_a_file_and_stdout_have_the_same_bytes(tollbook, program, told, tmp_path):
    for form in ("csv", "ndjson"):
        out = tmp_path / form
        assert tollbook("export", told.log, "--to", form, "--out", out).code == 0
        words = [program, "export", str(told.log), "--to", form, "--out", "-"]
        assert subprocess.run(words, capture_output=True, check=True).stdout == out.read_bytes()


def test_both_formats_say_the_same_and_agree_with_events(tollbook, told):
    def out(*words):
        return tollbook(words[0], told.log, *words[1:]).out

    rows = list(csv.DictReader(io.StringIO(out("export", "--to", "csv", "--out", "-"), newline="")))
    lines = [json.loads(line) for line in out("export", "--to", "ndjson", "--out", "-").splitlines()]
    events = [json.loads(line)["event"] for line in out("events", "--json").splitlines()]
    assert [json.loads(row["event"]) for row in rows] == events
    assert [line["event"] for line in lines] == events
    for row, line in zip(rows, lines, strict=True):
        assert list(line) == COLUMNS
        assert [row[name] for name in COLUMNS[:-1]] == [
            "" if line[name] is None else str(line[name]) for name in COLUMNS[:-1]
        ]


def test_after_leaves_out_rows_and_keeps_their_names(tollbook, told):
    out = tollbook("export", told.log, "--to", "ndjson", "--out", "-", "--after", 18).out
    lines = [json.loads(line) for line in out.splitlines()]
    assert [(line["seq"], line["account"], line["subscriber"]) for line in lines] == [
        (19, 1, "alice"),
        (20, 1, "alice"),
    ]
    assert tollbook("export", told.log, "--to", "csv", "--out", "-", "--after", 21).code == 2


def test_a_log_that_was_changed_is_not_exported(tollbook, shop, spoil, tmp_path):
    spoil(shop.log, '"cost":1000', '"cost":9000')
    error = tollbook("export", shop.log, "--to", "csv", "--out", tmp_path / "out.csv", "--json").error
    assert error["code"] == "bad_data"
    assert not list(tmp_path.glob("out*"))


def test_a_spreadsheet_gets_names_that_are_no_formulas_and_decimal_numbers(tollbook, tmp_path):
    from ledger import CreatePlan, Give, Ledger

    with Ledger.open(tmp_path / "log.db") as ledger:
        ledger.execute(CreatePlan(plan="pro", owner="acme", credits=1)).unwrap()
        ledger.execute(Give(subscriber='=HYPERLINK("x","y")', plan="pro", credits=7)).unwrap()
    words = ["export", tmp_path / "log.db", "--to", "csv", "--out", "-"]
    raw, safe = (tollbook(*words, *option).out for option in ((), ("--for-spreadsheet",)))
    [_, given], [_, shown] = (list(csv.DictReader(io.StringIO(text, newline="")))[:2] for text in (raw, safe))
    assert given["subscriber"] == '=HYPERLINK("x","y")'
    assert shown["subscriber"] == '\'=HYPERLINK("x","y")'
    assert (shown["credits_decimal"], shown["seq"]) == (given["credits"], given["seq"])
    assert json.loads(shown["event"]) == json.loads(given["event"])
    assert "formula" in tollbook("export", "--help").out


def test_a_spreadsheets_form_is_for_csv(tollbook, told):
    error = tollbook("export", told.log, "--to", "ndjson", "--out", "-", "--for-spreadsheet", "--json").error
    assert error["code"] == "usage"


def test_an_sqlite_file_has_the_balances_that_balance_says(tollbook, told, tmp_path):
    import sqlite3
    from contextlib import closing

    answer = tollbook("export", told.log, "--to", "sqlite", "--out", tmp_path / "out.db", "--json").json
    assert list(answer) == ["log", "format", "file", "events", "head"]
    assert (answer["format"], answer["events"]) == ("sqlite", 20)
    accounts = tollbook("balance", told.log, "--json").json["accounts"]
    places = ("issued", "available", "held", "spent", "lapsed", "withdrawn", "debt", "open_requests")
    with closing(sqlite3.connect(tmp_path / "out.db")) as exported:
        tables = {name for (name,) in exported.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert {"events", "accounts", "plans", "agents", "balances"} <= tables
        sums = exported.execute(f"SELECT {', '.join(f'sum({place})' for place in places)} FROM balances").fetchone()
    assert sums == tuple(sum(account[place] for account in accounts) for place in places)


def test_an_sqlite_file_is_a_new_file(tollbook, told, tmp_path):
    assert tollbook("export", told.log, "--to", "sqlite", "--out", "-", "--json").error["code"] == "usage"
    (tmp_path / "out.db").write_text("mine")
    error = tollbook("export", told.log, "--to", "sqlite", "--out", tmp_path / "out.db", "--json").error
    assert error["code"] == "exists"
