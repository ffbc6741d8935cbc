"""The export into SQLite: its keys hold, its notes are found, its numbers are exact, and it is whole or not there."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from rich_log import tell

from ledger import Adjust, Charge, CreatePlan, Ledger, Purchase, RegisterAgent, Release, Request, RetirePlan
from ledger.errors import AlreadyExists, LogError
from ledger.events import Recorded, decode_one, tag
from replay.reports.event_rows import COLUMNS
from replay.reports.exports import export
from replay.reports.sqlite_export import BATCH
from replay.reports.sqlite_schema import TABLES

COST = 10**30
MOST = 2**63 - 1


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two plans, an agent, two subscribers, a request that is charged and corrected, one open, and one released."""
    path = tmp_path_factory.mktemp("log") / "log.db"
    now = [1_700_157_600_123_456]
    with Ledger.open(path, clock=lambda: now[0], id="log") as ledger:
        do = ledger.execute
        do(CreatePlan(plan="pro", owner="acme", asset="COIN", price={"acme": COST}, credits=1_000)).unwrap()
        do(CreatePlan(plan="day", owner="acme", seconds=86_400)).unwrap()
        do(RegisterAgent(agent="bot", owner="acme", plans=("pro",))).unwrap()
        for subscriber in ("al\"ice,\n'é", "bob"):
            do(Purchase(subscriber=subscriber, plan="pro", payment=subscriber)).unwrap()
        held = do(Request(subscriber="bob", plan="pro", agent="bot", estimate={"calls": 1})).unwrap().seq
        now[0] += 1
        charge = do(Charge(request=held, usage={"calls": 3})).unwrap().seq
        do(Adjust(charge=charge, credits=-1, reason="refund", note="an outage of the provider's service")).unwrap()
        do(Request(subscriber="bob", plan="pro", estimate={"calls": 1})).unwrap()
        do(Release(request=do(Request(subscriber="bob", plan="pro")).unwrap().seq)).unwrap()
        do(Purchase(subscriber="bob", plan="day")).unwrap()
        do(RetirePlan(plan="day")).unwrap()
    return path


@pytest.fixture
def exported(log: Path, tmp_path: Path) -> sqlite3.Connection:
    return database(log, tmp_path / "out.db")


def database(log: Path, out: Path, after: int = 0) -> sqlite3.Connection:
    export(log, "sqlite", out, after=after)
    connection = sqlite3.connect(out)
    connection.row_factory = sqlite3.Row
    assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    return connection


def test_its_events_are_the_rows_of_the_other_formats(log, exported, tmp_path):
    export(log, "ndjson", tmp_path / "out.ndjson")
    lines = [json.loads(line) for line in (tmp_path / "out.ndjson").read_text("utf-8").split("\n")[:-1]]
    rows = [dict(row) for row in exported.execute("SELECT * FROM events ORDER BY seq")]
    assert [tuple(row) for row in rows] == [COLUMNS] * len(lines)
    assert [row | {"event": json.loads(row["event"])} for row in rows] == lines
    with Ledger.open(log, read_only=True) as ledger:
        assert [decode_one(row["event"].encode()) for row in rows] == [entry.event for entry in ledger.events()]


def test_its_balances_are_those_of_the_ledger(log, exported):
    with Ledger.open(log, read_only=True) as ledger:
        balances = [msgspec.structs.asdict(balance) for balance in ledger.as_of(seq=ledger.head.seq).balances()]
    rows = [dict(row) for row in exported.execute("SELECT * FROM balances ORDER BY account")]
    unlike = ("access_until", "unpriced", "billing")  # a time as text, a map as JSON, columns of its own
    owes = ("unbilled", "owed", "credit")
    assert [{name: row[name] for name in row if name not in (*unlike, *owes)} for row in rows] == [
        {name: balance[name] for name in balance if name not in unlike} for balance in balances
    ]
    assert [row["access_until"] for row in rows] == [None, None, "2023-11-17T18:00:00.123457Z"]
    assert [json.loads(row["unpriced"]) for row in rows] == [balance["unpriced"] for balance in balances]
    assert {row[name] for row in rows for name in owes} == {None}, "they are prepaid"


def test_the_balance_of_a_postpaid_account_says_what_it_owes(tmp_path):
    log = tmp_path / "log.db"
    tell(log)
    with Ledger.open(log, read_only=True) as ledger:
        billed = {one.account: one.billing for one in ledger.as_of(seq=ledger.head.seq).balances() if one.billing}
    assert any(billing.owed for billing in billed.values())
    columns = "account, unbilled, owed, credit"
    rows = database(log, tmp_path / "out.db").execute(f"SELECT {columns} FROM balances WHERE owed IS NOT NULL")
    assert {row[0]: tuple(map(int, row[1:])) for row in rows} == {
        account: (billing.unbilled, billing.owed, billing.credit) for account, billing in billed.items()
    }


def test_every_account_plan_and_agent_that_an_event_names_is_in_the_tables_and_in_the_logs_own_views(tmp_path):
    log, out = tmp_path / "log.db", tmp_path / "out.db"
    tell(log)
    export(log, "sqlite", out)
    for database in (log, out):
        with closing(sqlite3.connect(database)) as connection:
            told = {name for (name,) in connection.execute("SELECT DISTINCT type FROM events")}
            untold = {tag(event) for event in get_args(Recorded)} - told
            assert all(name.startswith("settlement_") for name in untold), "everything happens but batches"
            for table, key in (("accounts", "account"), ("agents", "agent"), ("plans", "plan")):
                names = f"(SELECT {key} FROM {table})"
                lost = f"SELECT type FROM events WHERE json_extract(event, '$.{key}') NOT IN {names}"
                assert connection.execute(lost).fetchall() == []


def test_accounts_plans_and_agents_say_when_they_came(exported):
    account, *_ = exported.execute("SELECT * FROM accounts WHERE subscriber = 'bob' AND plan = 'pro'")
    assert (account["name"], account["opened_at"]) == ("bob on pro", "2023-11-16T18:00:00.123456Z")
    assert exported.execute("SELECT type FROM events WHERE seq = ?", (account["opened_seq"],)).fetchone()[0] == (
        "purchased"
    )
    plans = {row["plan"]: row for row in exported.execute("SELECT * FROM plans")}
    assert {name: (row["retired"], row["created_seq"]) for name, row in plans.items()} == {"pro": (0, 1), "day": (1, 2)}
    assert (plans["pro"]["cost"], json.loads(plans["pro"]["price"])) == (str(COST), {"acme": COST})
    agent = exported.execute("SELECT * FROM agents").fetchone()
    assert (agent["name"], json.loads(agent["plans"]), agent["registered_seq"]) == ("bot", ["pro"], 3)


@pytest.mark.parametrize("words", ["outage", "outages", "refund", "provider service", "nothing"])
def test_its_notes_are_found_by_their_words(words, exported):
    sql = "SELECT events.type FROM notes_fts JOIN events ON events.seq = notes_fts.rowid WHERE notes_fts MATCH ?"
    found = exported.execute(sql, (words,)).fetchall()
    assert [row["type"] for row in found] == ([] if words == "nothing" else ["adjusted"])


def test_money_and_credits_are_exact_beyond_64_bits(log, tmp_path):
    path = tmp_path / "log.db"
    with Ledger.open(path, id="big") as ledger:
        terms = {"policy": "per_credit", "parameters": {"credits": MOST}, "price": {"acme": COST}, "credits": MOST}
        ledger.execute(CreatePlan(plan="pro", owner="acme", asset="COIN", **terms)).unwrap()
        for number in range(2):
            ledger.execute(Purchase(subscriber="bob", plan="pro", payment=str(number))).unwrap()
            ledger.execute(Charge(subscriber="bob", plan="pro")).unwrap()
        balance = ledger.balance("bob", "pro")
    assert balance.issued == 2 * MOST
    with closing(database(path, tmp_path / "out.db")) as exported:
        row = exported.execute("SELECT issued, spent, available, lapsed FROM balances").fetchone()
        assert tuple(row) == (str(2 * MOST), str(2 * MOST), 0, 0)
        amounts = exported.execute("SELECT amount FROM events WHERE type = 'purchased'").fetchall()
        assert [row["amount"] for row in amounts] == [str(COST)] * 2
        assert exported.execute("SELECT max(credits) FROM events").fetchone()[0] == MOST


def test_every_foreign_key_and_the_type_of_events_have_an_index(exported):
    indexed = {
        (table, column)
        for table in TABLES
        for index in exported.execute("SELECT name FROM pragma_index_list(?)", (table,)).fetchall()
        for (column,) in exported.execute("SELECT name FROM pragma_index_info(?)", (index["name"],)).fetchall()
    }
    keys = {
        (table, key["from"])
        for table in TABLES
        for key in exported.execute('SELECT "from", "to" FROM pragma_foreign_key_list(?)', (table,)).fetchall()
        if key["to"]  # Datasette fails on a key that does not name the column
    }
    assert {("events", "type"), ("events", "account"), ("notes", "account")} <= indexed
    assert keys - indexed == {("balances", "account"), ("notes", "seq")}  # these are primary keys


def test_after_leaves_out_events_and_keeps_the_position(log, exported, tmp_path):
    with closing(database(log, tmp_path / "later.db", after=10)) as later:
        assert later.execute("SELECT min(seq) FROM events").fetchone()[0] == 11
        for table in ("plans", "agents", "accounts", "balances"):
            rows = [tuple(row) for row in exported.execute(f"SELECT * FROM {table}")]
            assert [tuple(row) for row in later.execute(f"SELECT * FROM {table}")] == rows
        assert later.execute("SELECT after FROM about").fetchone()[0] == 10
    with closing(database(log, tmp_path / "none.db", after=export(log, "csv", tmp_path / "c").head.seq)) as none:
        assert none.execute("SELECT count(*) FROM events").fetchone()[0] == 0


def test_it_says_which_ledger_it_is_and_describes_every_column(log, exported):
    about = exported.execute("SELECT * FROM about").fetchone()
    with Ledger.open(log, read_only=True) as ledger:
        assert (about["ledger"], about["seq"], about["hash"]) == ("log", ledger.head.seq, ledger.head.hash.hex())
    described = json.loads(about["metadata"])["databases"]["out"]["tables"]
    columns = {
        table: [row["name"] for row in exported.execute("SELECT name FROM pragma_table_info(?)", (table,))]
        for table in described
    }
    assert {table: list(of["columns"]) for table, of in described.items()} == columns


def test_the_same_log_gives_the_same_bytes(log, tmp_path):
    (tmp_path / "other").mkdir()
    for folder in (tmp_path, tmp_path / "other"):
        export(log, "sqlite", folder / "out.db")
    assert (tmp_path / "out.db").read_bytes() == (tmp_path / "other" / "out.db").read_bytes()


# -- whole or not there ------------------------------------------------------------------------------------------------


def test_a_file_that_exists_is_left_alone(log, tmp_path):
    (tmp_path / "out.db").write_text("mine")
    with pytest.raises(AlreadyExists):
        export(log, "sqlite", tmp_path / "out.db")
    assert (tmp_path / "out.db").read_text() == "mine"


@pytest.mark.parametrize("stop", [1_000, 3 * BATCH])
def test_an_interrupted_export_leaves_nothing(stop, tmp_path):
    path, seen = tmp_path / "log.db", []
    with Ledger.open(path, id="long") as ledger:
        ledger.execute(CreatePlan(plan="pro", owner="acme", credits=10**6)).unwrap()
        ledger.execute(Purchase(subscriber="bob", plan="pro")).unwrap()
        ledger.execute_many([Charge(subscriber="bob", plan="pro")] * (3 * BATCH))

    def interrupted(stage: str, done: int, total: int) -> None:
        seen.extend(tmp_path.glob("out*"))
        if done >= stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(path, "sqlite", tmp_path / "out.db", progress=interrupted)
    assert {file.name for file in seen} == {"out.db.part"}
    assert list(tmp_path.glob("out*")) == []


def test_a_full_disk_leaves_nothing_and_says_so(log, tmp_path, monkeypatch):
    connect: Callable[..., sqlite3.Connection] = sqlite3.connect

    def small(path: object, *rest: object, **options: object) -> sqlite3.Connection:
        connection = connect(path, *rest, **options)
        if str(path).endswith(".part"):
            connection.execute("PRAGMA max_page_count = 20")
        return connection

    monkeypatch.setattr(sqlite3, "connect", small)
    with pytest.raises(LogError, match=r"out\.db cannot be written: database or disk is full"):
        export(log, "sqlite", tmp_path / "out.db")
    assert list(tmp_path.glob("out*")) == []


def test_a_stream_is_refused(log):
    import io

    with pytest.raises(LogError, match="stream"):
        export(log, "sqlite", io.StringIO())
