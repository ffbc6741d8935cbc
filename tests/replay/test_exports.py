"""Exports from Python: rows of the log, whole or not at all."""

import csv
import io
import json

import pytest

from ledger import Charge, CreatePlan, Give, Ledger, Purchase, Reverse, Withdraw
from ledger.errors import AlreadyExists, Damaged
from ledger.events import decode_one
from replay.reports.event_rows import COLUMNS
from replay.reports.exports import export

SUBSCRIBER = 'al"ice,\r\n=1+1;\u2028é'


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.db"
    with Ledger.open(path, clock=lambda: 1_700_157_600_123_456, id="log") as ledger:
        ledger.execute(CreatePlan(plan="pro", owner="acme", asset="COIN", price={"acme": 10**30}, credits=10)).unwrap()
        lot = ledger.execute(Purchase(subscriber=SUBSCRIBER, plan="pro")).unwrap().seq
        ledger.execute(Give(subscriber=SUBSCRIBER, plan="pro", credits=5)).unwrap()
        ledger.execute(Charge(subscriber=SUBSCRIBER, plan="pro")).unwrap()
        ledger.execute(Withdraw(subscriber=SUBSCRIBER, plan="pro", lot=lot, credits=5)).unwrap()
        ledger.execute(Reverse(subscriber=SUBSCRIBER, plan="pro", lot=lot)).unwrap()
    return path


@pytest.fixture
def events(log):
    with Ledger.open(log, read_only=True) as ledger:
        return [entry.event for entry in ledger.events()]


def test_a_csv_reads_back_as_the_events_whatever_a_name_holds(log, events, tmp_path):
    export(log, "csv", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [decode_one(row["event"].encode()) for row in rows] == events
    assert {row["subscriber"] for row in rows} == {"", SUBSCRIBER}
    assert {row["at"] for row in rows} == {"2023-11-16T18:00:00.123456Z"}


def test_ndjson_reads_back_as_the_events(log, events, tmp_path):
    export(log, "ndjson", tmp_path / "out.ndjson")
    lines = [json.loads(line) for line in (tmp_path / "out.ndjson").read_text("utf-8").split("\n")[:-1]]
    assert [tuple(line) for line in lines] == [COLUMNS] * len(events)
    assert [decode_one(json.dumps(line["event"]).encode()) for line in lines] == events


def test_money_is_text_with_all_its_digits_and_a_sign_for_its_way(log):
    out = io.StringIO()
    export(log, "ndjson", out)
    rows = [json.loads(line) for line in out.getvalue().split("\n")[:-1]]
    money = {row["type"]: (row["asset"], row["amount"]) for row in rows if row["amount"] not in (None, "0")}
    withdrawn = next(row["event"]["money"] for row in rows if row["type"] == "withdrawn")
    assert money == {"purchased": ("COIN", str(10**30)), "withdrawn": ("COIN", str(-sum(withdrawn.values())))}


def test_what_it_returns_is_the_head_and_the_number_of_rows(log, events):
    with Ledger.open(log, read_only=True) as ledger:
        head = ledger.head
    done = export(log, "csv", io.StringIO(), after=3)
    assert (done.file, done.format, done.events) == ("-", "csv", len(events) - 3)
    assert (done.head.seq, done.head.commits, done.head.hash) == (head.seq, 6, head.hash.hex())


def test_a_file_that_exists_is_left_alone(log, tmp_path):
    for taken in ("out.csv", "out.csv.part"):
        (tmp_path / taken).write_text("mine")
        with pytest.raises(AlreadyExists):
            export(log, "csv", tmp_path / "out.csv")
        assert (tmp_path / taken).read_text() == "mine"
        (tmp_path / taken).unlink()


def test_an_export_that_fails_leaves_no_file(log, tmp_path):
    def interrupted(stage, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(log, "csv", tmp_path / "out.csv", progress=interrupted)
    assert list(tmp_path.glob("out*")) == []


def test_progress_comes_to_the_whole(log, events):
    told = []
    export(log, "csv", io.StringIO(), progress=lambda *how: told.append(how))
    assert told[-1] == ("export", len(events), len(events))


def test_a_log_that_was_changed_is_not_exported(log, tmp_path):
    data = log.read_bytes()
    assert data.count(b'"owner":"acme"') == 1
    log.write_bytes(data.replace(b'"owner":"acme"', b'"owner":"evil"'))
    with pytest.raises(Damaged):
        export(log, "csv", tmp_path / "out.csv")
    assert list(tmp_path.glob("out*")) == []
