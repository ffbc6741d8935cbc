"""The demo: its figures are the log's, the same again for the same input; where it fails it leaves nothing behind."""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from shares_left import left_by_floors

from chains import Outbox
from chains.mock import MockChain
from gateway.cli.main import main
from gateway.demo import Options, Summary, run
from gateway.demo.place import SIDE_FILES
from gateway.demo.shop import FIRST_PLANS, SCALE
from gateway.demo.trace_clock import MAX_SLICES
from gateway.errors import UsageError
from ledger import Ledger
from ledger.errors import AlreadyExists, BadData, NotFound, UnknownPlugin
from ledger.plugins import contract_of
from pricing.plugin import register_policies
from replay.audit.run import audit

KEYS = [
    *("log", "chain", "source", "policy", "plans", "subscribers", "requests", "sold", "charged", "rounding"),
    *("adjusted", "lapsed"),
    *("earned", "settled", "outstanding", "asset_decimals", "batches", "receivers", "open_batches", "head", "audit"),
    "onchain",
]
POLICIES = {
    "time": "time:credits_per_second=1/2",
    "per_credit": "per_credit:credits=2,per=call",
    "complexity": "complexity:weights.input_tokens=1/100,models.conversation.output_tokens=3/100,minimum=2,maximum=900",
    "cost_plus": "cost_plus:costs.input_tokens=1/1000,costs.output_tokens=4/1000,margin=1/5",
    "graduated": "graduated:dimension=output_tokens,tiers=1000@1/100+3/inf@1/200",
    "volume": "volume:dimension=calls,tiers=10@5/20@4/inf@3",
    "package": "package:dimension=calls,size=10,credits=25,free=3",
}


def small(path: Path, progress: Callable[..., None] = lambda *news: None, **options: object) -> Summary:
    wanted = Options(**{"requests": 300, "subscribers": 12, "db": path / "demo.db", **options})  # type: ignore[arg-type]
    return run(wanted, progress)


def query(summary: Summary, sql: str) -> list[tuple]:
    connection = sqlite3.connect(f"file:{summary.log}?mode=ro", uri=True)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def number(summary: Summary, sql: str) -> int:
    return query(summary, f"SELECT coalesce({sql}, 0) FROM events")[0][0]


def csv_file(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def at_defaults(tmp_path_factory) -> Summary:
    return run(Options(db=tmp_path_factory.mktemp("demo") / "demo.db"))


# At default settings


@pytest.mark.smoke
def test_the_summary_has_the_keys_of_the_contract_in_their_order(tmp_path):
    shown = json.loads(msgspec.json.encode(small(tmp_path)))
    assert list(shown) == KEYS
    assert list(shown["source"]) == ["kind", "file", "rows", "skipped", "seed", "ignored", "drawn"]
    assert list(shown["policy"]) == ["name", "parameters", "version"]
    assert list(shown["requests"]) == ["offered", "admitted", "refused", "refused_by"]
    assert list(shown["sold"]) == ["purchases", "credits", "money"]
    assert list(shown["charged"]) == ["charges", "credits", "shortfall", "uncharged", "unpriced"]
    assert list(shown["adjusted"]) == ["count", "returned", "added"]
    assert list(shown["head"]) == ["seq", "commits", "at", "hash"]
    assert shown["audit"]["verdict"] == "clean"


def test_every_request_is_admitted_or_refused_and_some_are_refused(at_defaults):
    asked = at_defaults.requests
    assert asked.offered == asked.admitted + asked.refused == at_defaults.source.rows == 20_000
    assert asked.refused == sum(asked.refused_by.values())
    assert 0.01 < asked.refused / asked.offered < 0.2
    assert set(asked.refused_by) >= {"insufficient_credits", "expired", "rate_limited"}


def test_all_that_was_earned_is_settled_or_outstanding(at_defaults):
    left = left_by_floors(at_defaults.log)
    assert at_defaults.outstanding == left
    assert at_defaults.settled == {asset: earned - left[asset] for asset, earned in at_defaults.earned.items()} != {}
    assert (at_defaults.batches, at_defaults.open_batches) == (10, 0)
    assert all(0 < earned < at_defaults.sold.money[asset] for asset, earned in at_defaults.earned.items())


def test_the_figures_are_those_of_the_log_by_sql(at_defaults):
    types = Counter(dict(query(at_defaults, "SELECT type, count(*) FROM events GROUP BY type")))
    assert at_defaults.batches == types["settlement_opened"] == types["settlement_confirmed"]
    assert at_defaults.plans == types["plan_created"] == 5
    assert at_defaults.requests.admitted == types["requested"]
    assert at_defaults.sold.purchases == types["purchased"]
    assert at_defaults.charged.charges == types["charged"]
    assert at_defaults.adjusted.count == types["adjusted"]
    refused = (
        "SELECT event ->> 'reason', sum(coalesce(event ->> 'count', 1)) FROM events WHERE type = 'refused' GROUP BY 1"
    )
    assert at_defaults.requests.refused_by == dict(query(at_defaults, refused))
    assert at_defaults.charged.credits == number(at_defaults, "sum(credits) FILTER (WHERE type = 'charged')")
    assert at_defaults.charged.shortfall == number(
        at_defaults, "sum(event ->> 'shortfall') FILTER (WHERE type = 'charged')"
    )
    assert at_defaults.sold.credits == number(at_defaults, "sum(credits) FILTER (WHERE type = 'purchased')")
    assert at_defaults.sold.money == {
        "USD": number(at_defaults, "sum(event ->> 'cost') FILTER (WHERE type = 'purchased')")
    }
    assert at_defaults.lapsed == number(at_defaults, "sum(credits) FILTER (WHERE type = 'lapsed')")
    adjusted = at_defaults.adjusted
    assert adjusted.added - adjusted.returned == number(at_defaults, "sum(credits) FILTER (WHERE type = 'adjusted')")
    assert at_defaults.subscribers == query(at_defaults, "SELECT count(DISTINCT subscriber) FROM accounts")[0][0] == 50


def test_the_money_earned_is_that_of_all_lots(at_defaults):
    with Ledger.open(at_defaults.log, read_only=True, clock=lambda: 0) as ledger:
        accounts = [(balance.subscriber, balance.plan) for balance in ledger.balances()]
        assert at_defaults.earned["USD"] == sum(lot.earned for account in accounts for lot in ledger.lots(*account))


def test_one_charge_of_a_hundred_is_corrected(at_defaults):
    assert 0.95 < 100 * at_defaults.adjusted.count / at_defaults.charged.charges < 1.05
    reasons = dict(query(at_defaults, "SELECT event ->> 'reason', 1 FROM events WHERE type = 'adjusted'"))
    assert set(reasons) == {"refund", "true_up", "correction"}


def test_the_story_has_all_that_happens_in_a_shop(at_defaults):
    for happening in (
        "type = 'purchased' AND event ->> 'kind' = 'trial'",
        "type = 'charged' AND event ->> 'final' = 0",
        "type = 'charged' AND event ->> 'late' = 1",
        "type = 'charged' AND event ->> 'shortfall' > 0",
        "type = 'charged' AND json_extract(event, '$.draws[#-1][0]') = 0",  # debt
        "type = 'released' AND event ->> 'reason' = 'expired'",
        "type = 'released' AND event ->> 'reason' = 'voided'",
        "type = 'lapsed'",
        "type = 'frozen'",
        "type = 'withdrawn'",
    ):
        assert number(at_defaults, f"count(*) FILTER (WHERE {happening})") > 0, happening


def test_the_books_are_closed_with_nothing_open(at_defaults):
    with Ledger.open(at_defaults.log, read_only=True, clock=lambda: 0) as ledger:
        assert ledger.requests() == []
        assert sum(balance.held for balance in ledger.balances()) == 0


def test_the_audit_is_clean_after_few_commits(at_defaults):
    assert at_defaults.audit.clean
    assert at_defaults.head.commits < 2 * MAX_SLICES


def test_the_audit_of_the_file_is_the_audit_of_the_summary(once):
    assert audit(once.log) == once.audit
    with Ledger.open(once.log, read_only=True) as ledger:
        assert (ledger.head.seq, ledger.head.hash.hex()) == (once.head.seq, once.head.hash)


# The same again


def test_the_same_trace_and_options_give_the_same_head_hash_wherever_the_files_are(tmp_path):
    header, rows = "timestamp,input_tokens,output_tokens", [f"2026-01-01T00:00:{n:02},{n * 100},{n}" for n in range(60)]
    first = csv_file(tmp_path / "first.csv", header, *rows)
    second = csv_file(tmp_path / "second.csv", header, *rows)
    once = small(tmp_path, trace=first)
    again = small(tmp_path, trace=second, db=tmp_path / "again.db")
    assert once.head == again.head
    assert Path(once.log).read_bytes() == Path(again.log).read_bytes()


@pytest.fixture(scope="module")
def once(tmp_path_factory) -> Summary:
    return small(tmp_path_factory.mktemp("once"))


def test_generated_usage_is_the_same_for_the_same_options(tmp_path, once):
    assert small(tmp_path).head == once.head


@pytest.mark.parametrize("other", [{"seed": 1}, {"subscribers": 3}, {"requests": 29}, {"policy": "per_credit"}])
def test_other_options_give_another_log(tmp_path, other):
    less = {"requests": 30, "subscribers": 4}
    once = small(tmp_path, **less)
    assert small(tmp_path, db=tmp_path / "other.db", **less | other).head.hash != once.head.hash


# Policies


@pytest.mark.parametrize("name", POLICIES)
def test_any_policy_prices_the_demo(tmp_path, name):
    summary = small(tmp_path, policy=POLICIES[name])
    assert summary.policy.name == name
    assert summary.audit.verdict == "clean"
    assert summary.charged.credits > 0
    assert summary.requests.admitted > 200
    assert summary.earned["USD"] > 0


def test_every_built_in_policy_is_tried_above():
    """Those that come with the project; other tests register policies of their own."""
    built_in: dict[str, object] = {}
    register_policies(built_in.__setitem__)
    assert set(POLICIES) == set(built_in)


def test_a_policy_that_prices_everything_at_nothing_is_no_obstacle(tmp_path):
    summary = small(tmp_path, policy="per_credit:credits=0")
    assert summary.charged.credits == 0
    assert summary.audit.verdict == "clean"


# Traces with more to say


def test_plans_agents_and_models_of_a_trace_are_honoured(tmp_path):
    trace = csv_file(
        tmp_path / "trace.csv",
        "timestamp,subscriber,plan,agent,model,input_tokens,images",
        "2026-01-01T00:00:00Z,ann,gold & co,painter,large,100,2",
        "2026-01-01T00:00:30Z,ann,starter,,,100,",
        "2026-01-01T00:01:00Z,bob,,painter,small,100,1",
    )
    summary = small(tmp_path, trace=trace, policy="complexity:weights.input_tokens=1/100,weights.images=5")
    assert summary.plans == 6
    assert summary.requests.admitted == 3
    assert summary.audit.verdict == "clean"
    asked = query(
        summary,
        "SELECT subscriber, plan, name, event ->> '$.labels.model', event ->> '$.estimate.images' "
        "FROM events JOIN accounts USING (account) JOIN agents ON agents.agent = events.agent WHERE type = 'requested'",
    )
    assert ("ann", "gold & co", "painter", "large", 2) in asked
    assert ("ann", "starter", "reader", None, None) in asked
    assert [who for who, plan, *_ in asked if plan in (SCALE, *FIRST_PLANS)] == ["ann", "bob"]


@pytest.mark.parametrize(
    "rows",
    [
        ["1970-01-01,,", "2999-12-30,,"],
        ["2026-01-01,9223372036854775807,9223372036854775807"] * 5,
        ["2026-01-01,0,0"] * 20,
    ],
    ids=["far apart and empty", "huge", "all at once"],
)
def test_strange_traces_end_in_a_clean_audit(tmp_path, rows):
    trace = csv_file(tmp_path / "trace.csv", "timestamp,input_tokens,output_tokens", *rows)
    summary = small(tmp_path, trace=trace)
    assert summary.requests.offered == len(rows)
    assert summary.audit.verdict == "clean"


def test_bad_rows_may_be_skipped(tmp_path):
    trace = csv_file(tmp_path / "trace.csv", "timestamp,input_tokens", "2026-01-01,1", "2026-01-01,-1")
    summary = small(tmp_path, trace=trace, skip_bad=True)
    assert (summary.source.rows, summary.source.skipped) == (1, 1)


# What is not priced


def test_nothing_is_left_unpriced_or_uncharged_at_default_settings(at_defaults):
    assert at_defaults.source.ignored == ()
    assert (at_defaults.charged.uncharged, at_defaults.charged.unpriced) == (0, {})


def test_the_units_that_no_rate_reads_are_counted_and_the_ledger_has_the_others_alone(tmp_path):
    trace = csv_file(
        tmp_path / "trace.csv",
        "timestamp,subscriber,plan,input_tokens,output_tokens,pages,order_id",
        *(f"2026-01-01T00:00:{n:02}Z,ann,starter,100,{n},3,{n}" for n in range(40)),
    )
    summary = small(
        tmp_path, trace=trace, dimensions=["pages"], policy="package:dimension=pages,size=10,credits=25", seed=4
    )
    assert summary.source.ignored == ("order_id",)
    estimates = query(summary, "SELECT DISTINCT event ->> 'estimate' FROM events WHERE type = 'requested'")
    assert estimates == [('{"pages":3}',)]
    charged = number(summary, "count(DISTINCT request) FILTER (WHERE type = 'charged')")
    assert summary.charged.unpriced["input_tokens"] == 100 * charged
    assert set(summary.charged.unpriced) == {"input_tokens", "output_tokens"}
    assert summary.charged.uncharged == 0
    assert summary.audit.verdict == "clean"


def test_a_dimension_that_the_policy_reads_needs_no_other_name(tmp_path):
    trace = csv_file(tmp_path / "trace.csv", "timestamp,Pages", "2026-01-01T00:00:00Z,3", "2026-01-01T00:00:09Z,3")
    summary = small(tmp_path, trace=trace, policy="package:dimension=pages,size=10,credits=25")
    assert (summary.source.ignored, summary.charged.unpriced) == ((), {})
    assert summary.charged.credits > 0


def test_so_does_one_that_it_reads_for_a_model_alone(tmp_path):
    trace = csv_file(tmp_path / "trace.csv", "timestamp,model,pages,sheets", "2026-01-01,m,3,1", "2026-01-01,m,3,1")
    summary = small(tmp_path, trace=trace, policy="complexity:models.m.pages=5")
    assert summary.source.ignored == ("sheets",)
    assert summary.charged.credits > 0


@pytest.mark.parametrize(
    "policy", [None, "complexity:models.m.input_tokens=1", "graduated:dimension=pages,tiers=inf@1"]
)
def test_a_trace_of_which_no_rate_reads_anything_is_an_error_that_names_both(tmp_path, policy):
    trace = csv_file(tmp_path / "trace.csv", "timestamp,model,images,reads", "2026-01-01,x,1,2")
    with pytest.raises(BadData) as raised:
        small(tmp_path, trace=trace, policy=policy)
    assert {"images", "reads"} <= set(re.findall(r"\w+", str(raised.value)))
    assert raised.value.file == str(trace)
    assert "--policy" in raised.value.hint
    assert list(tmp_path.iterdir()) == [trace]


@pytest.mark.parametrize("policy", ["per_credit", "complexity:minimum=3", "per_credit:per=call"])
def test_a_policy_that_prices_whatever_is_used_prices_any_trace(tmp_path, policy):
    trace = csv_file(tmp_path / "trace.csv", "timestamp,reads", "2026-01-01,1", "2026-01-01,2")
    summary = small(tmp_path, trace=trace, policy=policy)
    assert (summary.charged.uncharged, summary.source.ignored) == (0, ("reads",))


@pytest.mark.parametrize(
    ("asked", "warned"),
    [
        (["--requests", "9"], "--requests 9 counts for generated usage: all 2 of trace.csv were made"),
        (["--subscribers", "3"], "--subscribers 3 counts for a trace that names no customers, and trace.csv does"),
    ],
)
def test_a_number_that_a_trace_makes_void_is_told(tmp_path, capsys, asked, warned):
    trace = csv_file(tmp_path / "trace.csv", "timestamp,subscriber,input_tokens", "2026-01-01,a,1", "2026-01-01,b,2")
    assert main(["demo", "--db", str(tmp_path / "demo.db"), "--trace", str(trace), *asked]) == 0
    assert warned in capsys.readouterr().err.replace(f"{tmp_path}/", "")
    assert main(["demo", "--db", str(tmp_path / "other.db"), "--trace", str(trace)]) == 0
    assert capsys.readouterr().err == ""


def test_seconds_that_a_trace_does_not_have_are_not_invented(tmp_path):
    """The length of a request follows from its tokens in the demo's clock; it is measured by nobody, and not priced."""
    trace = csv_file(tmp_path / "trace.csv", "timestamp,input_tokens,output_tokens", "2026-01-01,100,50")
    with pytest.raises(BadData, match="reads seconds, and the trace has input_tokens, output_tokens: nothing of it"):
        small(tmp_path, trace=trace, policy="time:credits_per_second=1")
    summary = small(tmp_path, trace=trace, policy="complexity:weights.seconds=1,weights.input_tokens=1/100")
    assert summary.charged.credits == 1
    timed = csv_file(tmp_path / "timed.csv", "timestamp,seconds", "2026-01-01,7")
    summary = small(tmp_path, trace=timed, db=tmp_path / "timed.db", policy="time:credits_per_second=1")
    assert summary.charged.credits == 7
    assert small(tmp_path, db=tmp_path / "own.db", policy="time:credits_per_second=1").charged.credits > 300


def test_a_request_whose_price_passes_all_bounds_is_told_as_never_charged(tmp_path, monkeypatch):
    """What a model that is not known when it is asked comes to is known too late."""
    monkeypatch.setattr("gateway.demo.usage.Estimator.estimate", lambda self, model, usage: {"output_tokens": 1})
    rows = [f"2026-01-01T00:00:{n:02}Z,ann,starter,{2**62}" for n in range(9)]
    trace = csv_file(tmp_path / "trace.csv", "timestamp,subscriber,plan,output_tokens", *rows)
    summary = small(tmp_path, trace=trace, policy="complexity:weights.output_tokens=9")
    assert summary.requests.admitted > 0
    assert summary.charged.uncharged == summary.requests.admitted - number(
        summary,
        "count(DISTINCT request) FILTER (WHERE type = 'charged' OR event ->> 'reason' IN ('voided', 'expired'))",
    )
    assert summary.charged.uncharged > 0


# Files


def test_without_a_name_the_first_free_one_is_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("tollbook-demo-2.db-wal").touch()
    Path("tollbook-demo-3.db.mock").touch()
    assert [small(tmp_path, db=None, requests=5).log for _ in range(2)] == ["tollbook-demo.db", "tollbook-demo-4.db"]


@pytest.mark.parametrize("name", ["demo.db", *(f"demo.db{side}" for side in SIDE_FILES)])
def test_a_file_that_is_there_is_not_touched(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(AlreadyExists, match=name):
        small(tmp_path)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "mine")]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"trace": "missing.csv"}, NotFound),
        ({"trace": "bad.csv"}, BadData),
        ({"trace": "long.csv"}, BadData),
        ({"trace": "good.csv", "dimensions": ["pages"]}, BadData),
        ({"trace": "good.csv", "dimensions": ["order_id"]}, BadData),
        ({"dimensions": ["pages"]}, UsageError),
        ({"policy": "unheard_of"}, UnknownPlugin),
        ({"policy": "time:credits_per_second=fast"}, UsageError),
        ({"policy": "time:"}, UsageError),
        ({"chain": "eip155:1"}, UnknownPlugin),
        ({"chain": "mock:other"}, UnknownPlugin),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_what_cannot_run_leaves_no_file(tmp_path, monkeypatch, options, error):
    monkeypatch.chdir(tmp_path)
    csv_file(Path("good.csv"), "timestamp,input_tokens,order_id", "2026-01-01,1,1")
    csv_file(Path("bad.csv"), "timestamp,input_tokens", "2026-01-01,1", "2026-01-01,x")
    csv_file(Path("long.csv"), "timestamp,subscriber", f"2026-01-01,{'x' * 513}")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(error) as raised:
        run(Options(**{name: Path(value) if name == "trace" else value for name, value in options.items()}))
    assert raised.value.hint
    assert sorted(tmp_path.iterdir()) == before


# In memory


def test_in_memory_it_is_the_same_log_and_nothing_is_kept(tmp_path, monkeypatch, tollbook):
    monkeypatch.chdir(tmp_path)
    files = small(tmp_path, db=Path("demo.db"))
    before = sorted(tmp_path.iterdir())
    memory = small(tmp_path, db=Path(":memory:"))
    assert (memory.log, memory.head) == (":memory:", files.head)
    done = tollbook("demo", "--db", ":memory:", "--requests", "20")
    assert (done.code, "tollbook audit" in done.out) == (0, False)
    assert sorted(tmp_path.iterdir()) == before


# Progress and interruption


def test_progress_tells_of_the_requests_and_then_of_the_audit(tmp_path):
    told: list[tuple[str, int, int]] = []
    small(tmp_path, progress=lambda *news: told.append(news))
    phases = [phase for phase, _, _ in told]
    assert phases == sorted(phases, key=["requests", "audit"].index)
    assert set(phases) == {"requests", "audit"}
    assert ("requests", 300, 300) in told
    for phase in ("requests", "audit"):
        done = [news[1] for news in told if news[0] == phase]
        assert done == sorted(done)


def test_an_interrupt_leaves_all_that_was_acknowledged(tmp_path):
    def stop(phase: str, done: int, total: int) -> None:
        if done >= 150:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as raised:
        small(tmp_path, progress=stop)
    log, chain = tmp_path / "demo.db", tmp_path / "demo.db.mock"
    assert raised.value.__notes__ == [f"what was done so far is in {log} and {chain}"]
    assert sorted(tmp_path.iterdir()) == [log, chain]
    assert audit(tmp_path / "demo.db").verdict == "clean"
    with Ledger.open(tmp_path / "demo.db", read_only=True) as ledger:
        assert sum(1 for entry in ledger.events() if type(entry.event).__name__ == "Requested") > 100
    with Ledger.open(log, clock=lambda: 0) as ledger, closing(MockChain(chain)) as held:
        paid = {lot.escrow.purchase for lot in ledger.escrowed(contract_of(held))}
        assert paid == {fact.id for fact in held.facts(confirmations=0)} != set()
        assert Outbox(ledger, held).settle() != []
        assert all(due == 0 for asset in ledger.earned() for due in asset.due.values())
