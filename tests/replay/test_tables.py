"""Readings as rows and Arrow tables: stable columns, exact amounts, times in UTC, whatever reads them."""

import json
import subprocess
import sys
import tracemalloc
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from ledger import Adjust, Charge, CreatePlan, Give, Ledger, PayInvoice, Purchase, Request, Subscribe, Tick
from replay.tables import TABLES, arrow_batches, batches, to_arrow, to_dicts

START = 1_700_157_600_000_000  # 2023-11-16T18:00:00Z
DECEMBER = 1_701_388_800_000_000
BIG = 10**20  # money beyond 64 bits


@pytest.fixture
def ledger():
    """Alice buys and uses; Bob pays with a coin of 18 decimals."""
    clock = count(START, 1_000_000)
    with Ledger.open(":memory:", clock=lambda: next(clock)) as ledger:
        terms = {"owner": "acme", "policy": "complexity", "parameters": {"weights": {"tokens": "1/100"}}}
        for command in (
            CreatePlan(plan="pro", credits=1_000, asset="USD", price={"acme": 950}, **terms),
            CreatePlan(plan="coins", credits=1_000, asset="COIN", price={"acme": BIG}, **terms),
            Purchase(subscriber="alice", plan="pro"),
            Purchase(subscriber="bob", plan="coins"),
            Give(subscriber="alice", plan="pro", credits=5, expiry=START + 10**12),
            Request(subscriber="alice", plan="pro", estimate={"tokens": 5_000}),
            Charge(subscriber="alice", plan="pro", usage={"tokens": 1_234}),
            Charge(subscriber="bob", plan="coins", usage={"tokens": 50_000}),
        ):
            ledger.execute(command).unwrap()
        ledger.execute(Adjust(charge=ledger.head.seq, credits=-3)).unwrap()
        yield ledger


def every_table(ledger):
    """The readings of each table by its name; there are no batches and no invoices in this log."""
    return {
        "balances": ledger.balances(),
        "lots": ledger.lots("bob", "coins"),
        "requests": ledger.requests(),
        "invoices": ledger.invoices(),
        "earned": ledger.earned(),
        "batches": batches(ledger.events()),
        "statement": ledger.statement("alice", "pro"),
        "events": ledger.events(),
    }


def test_each_table_has_its_columns_in_their_order(ledger):
    for name, readings in every_table(ledger).items():
        rows = to_dicts(readings)
        assert bool(rows) == (name not in ("batches", "invoices"))
        assert all(list(row) == list(TABLES[name].columns) for row in rows)


def test_values_are_whole_numbers_and_times_in_utc(ledger):
    alice, bob = to_dicts(ledger.balances())
    assert (alice["subscriber"], alice["available"], alice["held"], alice["spent"]) == ("alice", 942, 50, 13)
    assert (bob["spent"], bob["access_until"]) == (497, None)
    [lot] = to_dicts(ledger.lots("bob", "coins"))
    assert (lot["cost"], lot["asset"]) == (BIG, "COIN")
    assert json.loads(lot["shares_earned"]) == {"acme": lot["earned"]}
    [request] = to_dicts(ledger.requests())
    assert request["deadline"] - request["at"] == timedelta(minutes=10)
    assert request["at"].astimezone(UTC).isoformat(timespec="minutes") == "2023-11-16T18:00+00:00"
    line = to_dicts(ledger.statement("alice", "pro"))[-1]
    assert (line["type"], line["spent_change"], line["available_after"]) == ("charged", 13, 942)
    event = to_dicts(ledger.events())[-2]
    assert (event["type"], event["credits"], json.loads(event["usage"])) == ("charged", 500, {"tokens": 50_000})


@pytest.fixture
def billed():
    """November of carol, who pays as she goes, was paid in part; dave bought."""
    now = [START]
    with Ledger.open(":memory:", clock=lambda: now[0]) as ledger:
        terms = {"owner": "acme", "asset": "COIN", "price": {"acme": BIG}, "credits": 10}
        for command in (
            CreatePlan(plan="payg", billing="postpaid", credit_limit=100, due_days=0, **terms),
            CreatePlan(plan="pro", **terms),
            Subscribe(subscriber="carol", plan="payg"),
            Purchase(subscriber="dave", plan="pro"),
            *[Charge(subscriber="carol", plan="payg", usage={"calls": 1})] * 20,
        ):
            ledger.execute(command).unwrap()
        now[0] = DECEMBER
        ledger.execute(Tick()).unwrap()
        paid = PayInvoice(subscriber="carol", plan="payg", invoice=1, payment="p1", amount=BIG)
        ledger.execute(paid).unwrap()
        ledger.execute(Charge(subscriber="carol", plan="payg", usage={"calls": 1})).unwrap()
        yield ledger


def test_invoices_are_rows(billed):
    [row] = to_dicts(billed.invoices())
    assert {name: row[name] for name in ("subscriber", "invoice", "status", "period", "credits")} == {
        "subscriber": "carol",
        "invoice": 1,
        "status": "overdue",
        "period": "2023-11",
        "credits": 20,
    }
    assert (row["money"], row["paid"], row["owed"], row["asset"]) == (2 * BIG, BIG, BIG, "COIN")
    assert row["due"] == row["at"] == datetime(2023, 12, 1, tzinfo=UTC)


def test_balances_say_what_postpaid_accounts_owe(billed):
    carol, dave = to_dicts(billed.balances())
    names = ("billing", "credit_limit", "unbilled", "unbilled_price", "owed", "credit", "overdue", "asset")
    assert [carol[name] for name in names] == ["postpaid", 100, 1, BIG // 10, BIG, 0, True, "COIN"]
    assert [dave[name] for name in names] == ["prepaid", *[None] * 7]
    [earned] = to_dicts(billed.earned())
    assert (earned["receivable"], earned["written_off"]) == (BIG, 0)


def test_arrow_has_what_is_owed(billed):
    pytest.importorskip("pyarrow")
    for readings in (billed.invoices, billed.balances):
        assert to_arrow(readings()).to_pylist() == to_dicts(readings())


def test_what_is_no_reading_is_an_error(ledger):
    with pytest.raises(TypeError, match="int is not a reading"):
        to_dicts([1])
    with pytest.raises(TypeError, match="one kind at a time"):
        to_dicts([*ledger.balances(), *ledger.earned()])
    assert to_dicts([]) == []


def test_the_settled_batches_of_a_log_are_rows(settled):
    with Ledger.open(settled, read_only=True) as ledger:
        rows = to_dicts(batches(ledger.events()))
    assert [row["number"] for row in rows] == list(range(1, len(rows) + 1)) != []
    for row in rows:
        assert row["state"] == "confirmed"
        assert row["paid"] == sum(json.loads(row["payouts"]).values())
        assert row["opened"] <= row["ended"]


@pytest.fixture(scope="module")
def settled(tmp_path_factory):
    from gateway.demo import Options, run

    return run(Options(requests=200, subscribers=5, db=tmp_path_factory.mktemp("settled") / "toll.db")).log


def test_pandas_takes_the_rows(ledger):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(to_dicts(ledger.balances()))
    assert frame.set_index("subscriber")["available"].to_dict() == {"alice": 942, "bob": 503}
    money = pandas.DataFrame(to_dicts(ledger.lots("bob", "coins")))
    assert money["cost"].sum() == BIG
    times = pandas.DataFrame(to_dicts(ledger.events()))["at"]
    assert str(times.dt.tz) == "UTC"
    assert times.is_monotonic_increasing


def test_polars_takes_the_rows_and_the_arrow_table(ledger):
    polars = pytest.importorskip("polars")
    pytest.importorskip("pyarrow")
    frame = polars.DataFrame(to_dicts(ledger.balances()))
    assert frame["available"].to_list() == [942, 503]
    for name, readings in every_table(ledger).items():
        frame = polars.from_arrow(to_arrow(readings, name))
        assert frame.columns == list(TABLES[name].columns)
    lots = polars.from_arrow(to_arrow(ledger.lots("bob", "coins")))
    assert int(lots["cost"].sum()) == BIG
    events = polars.from_arrow(to_arrow(ledger.events()))
    assert events.schema["at"] == polars.Datetime("us", "UTC")


def test_an_arrow_table_has_the_values_of_the_rows(ledger):
    arrow = pytest.importorskip("pyarrow")
    for name, readings in every_table(ledger).items():
        rows = to_dicts(readings)
        table = to_arrow(every_table(ledger)[name], name)
        assert table.to_pylist() == rows
        assert table.schema.names == list(TABLES[name].columns)
    assert table.schema.field("seq").type == arrow.int64()
    assert table.schema.field("amount").type == arrow.decimal128(38, 0)
    assert table.schema.field("at").type == arrow.timestamp("us", tz="UTC")


def test_arrow_refuses_what_it_cannot_hold_or_name(ledger):
    pytest.importorskip("pyarrow")
    with pytest.raises(ValueError, match="give its name"):
        to_arrow([])
    with pytest.raises(ValueError, match="there is no table 'accounts'"):
        to_arrow([], "accounts")
    assert to_arrow([], "balances").num_rows == 0
    ledger.execute(CreatePlan(plan="vast", owner="acme", asset="COIN", price={"acme": 10**38}, credits=1)).unwrap()
    ledger.execute(Purchase(subscriber="eve", plan="vast")).unwrap()
    with pytest.raises(ValueError, match="cost has more than 38 digits"):
        to_arrow(ledger.lots("eve", "vast"))


def test_a_log_of_any_length_takes_the_memory_of_one_batch():
    pytest.importorskip("pyarrow")
    with Ledger.open(":memory:") as ledger:
        ledger.execute(CreatePlan(plan="pro", owner="acme", credits=10**12)).unwrap()
        ledger.execute(Purchase(subscriber="alice", plan="pro")).unwrap()
        ledger.execute_many([Charge(subscriber="alice", plan="pro", usage={"calls": 1})] * 8_000)

        def peak(events):
            tracemalloc.start()
            read = sum(batch.num_rows for batch in arrow_batches(events, "events", rows=500))
            found = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return read, found

        once = list(ledger.events())
        rows, memory = peak(iter(once[:2_000]))
        more, same = peak(iter(once))
        assert (rows, more) == (2_000, 8_003)
        assert same < 1.5 * memory


def test_without_pyarrow_it_says_what_to_install():
    program = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from replay.tables import to_arrow, to_dicts\n"
        "from ledger.errors import MissingExtra\n"
        "try: to_arrow([], 'balances')\n"
        "except MissingExtra as error: print(error.hint)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == 'run: pip install "tollbook[arrow]"\n'
