"""`tollbook statement`: every movement of one account, with running balances."""

from collections import Counter

import pytest

from ledger import Charge, CreatePlan, Give, Ledger, Purchase
from ledger.statements import Amounts

PLACES = ["issued", "available", "held", "spent", "lapsed", "withdrawn", "debt"]
CALLS = {"policy": "complexity", "parameters": {"weights": {"call": 1}}}
ACCOUNT = ("--subscriber", "alice", "--plan", "pro")


@pytest.fixture
def statement(tollbook, told):
    return lambda *words: tollbook("statement", told.log, *ACCOUNT, *words, "--json").json


def test_it_has_the_contracts_keys_in_their_order(statement, told):
    answer = statement()
    top = ["log", "account", "subscriber", "plan", "decimals", "as_of", "opening", "lines", "closing", "proof"]
    top += ["rounding", "shortfall"]
    line = ["seq", "at", "type", "text", "request", "charge", "change", "balance"]
    assert list(answer) == top
    assert answer["as_of"] == {"seq": told.seq["head"], "at": "2023-11-16T20:00:01.000000Z"}
    assert answer["proof"] is None
    assert all(list(each) == line for each in answer["lines"])
    balances = [answer["opening"], answer["closing"]]
    balances += [each[part] for each in answer["lines"] for part in ("change", "balance")]
    assert all(list(balance) == PLACES for balance in balances)


def test_a_line_names_its_request_and_its_charge(statement, told):
    lines = {line["seq"]: line for line in statement()["lines"]}
    named = {name: (lines[seq]["request"], lines[seq]["charge"]) for name, seq in told.seq.items() if seq in lines}
    assert named["request"] == (told.seq["request"], None)
    assert named["final"] == (told.seq["request"], told.seq["final"])
    assert named["direct"] == (None, told.seq["direct"])
    assert named["refund"] == (None, told.seq["direct"])
    assert named["released"] == (told.seq["voided"], None)


@pytest.mark.parametrize("as_of", [(), ("--as-of", "12"), ("--as-of", "2023-11-16T19:30:00Z"), ("--as-of", "now")])
@pytest.mark.parametrize("begin", [(), ("--from", "0"), ("--from", "9"), ("--from", "2023-11-16T18:00:09Z")])
def test_opening_and_changes_come_to_closing(statement, as_of, begin):
    answer = statement(*as_of, *begin)
    running = Counter(answer["opening"])
    for line in answer["lines"]:
        running.update(line["change"])
        assert dict(running) == line["balance"]
    assert dict(running) == answer["closing"]
    parts = ("available", "held", "spent", "lapsed", "withdrawn")
    assert running["issued"] == sum(running[part] for part in parts)


@pytest.mark.parametrize(
    "moment", ["9", "13", "20", "2023-11-16T18:00:12Z", "2023-11-16T19:30:00Z", "2023-11-16T21:00Z"]
)
def test_it_opens_with_what_one_up_to_that_moment_closes_with(statement, moment):
    """Also where time had done something by then that was written only later."""
    assert statement("--from", moment)["opening"] == statement("--as-of", moment)["closing"]


def test_it_closes_with_the_balance(statement, tollbook, told):
    for moment in ("8", "20", "2023-11-16T19:30:00Z"):
        balance = tollbook("balance", told.log, *ACCOUNT, "--as-of", moment, "--json").json["accounts"][0]
        assert statement("--as-of", moment)["closing"] == {place: balance[place] for place in PLACES}


def test_what_time_did_and_nothing_wrote_yet_has_no_sequence(statement):
    lines = statement("--as-of", "2023-11-16T19:30:00Z")["lines"][-2:]
    assert [(line["seq"], line["type"], line["at"]) for line in lines] == [
        (None, "released", "2023-11-16T18:10:09.000000Z"),
        (None, "lapsed", "2023-11-16T19:00:00.000000Z"),
    ]


def test_an_account_that_is_not_there_is_not_found(tollbook, told):
    words = ("statement", told.log, "--subscriber", "carol", "--plan", "pro", "--json")
    assert tollbook(*words).error["code"] == "not_found"
    assert tollbook("statement", told.log, *ACCOUNT, "--as-of", "3", "--json").error["code"] == "not_found"


@pytest.mark.parametrize("words", [("--from", "21"), ("--as-of", "21"), ("--from", "soon"), ("--proof", "0")])
def test_what_cannot_be_asked_is_a_usage_error(tollbook, told, words):
    assert tollbook("statement", told.log, *ACCOUNT, *words, "--json").error["code"] == "usage"


def test_the_text_has_opening_lines_and_closing(tollbook, told):
    lines = tollbook("statement", told.log, *ACCOUNT).out.splitlines()
    assert "alice on pro" in lines[0]
    assert lines[2].split() == ["opening", "0.00", "0.00"]
    assert lines[-2].split() == ["closing", "100.00", "0.00"]
    assert any("refund of charge 12: half an answer" in line and "+0.24" in line for line in lines)


def test_it_says_what_rounding_added(tollbook, statement, told):
    """100.01 + 0.05 + 123.45 hundredths of a credit were charged as 101 + 0 + 124."""
    rounding = statement()["rounding"]
    sums = {"charges": 3, "exact": "22351/100", "priced": 225, "added_percent": "0.7"}
    assert rounding == sums | {"unknown": 0, "reason": None}
    out = tollbook("statement", told.log, *ACCOUNT).out
    assert "3 charges of exactly 2.2351 cost 2.25: rounding added 0.7 %" in out


def test_of_a_part_of_the_movements_it_says_what_rounding_added_there(statement, told):
    assert statement("--from", str(told.seq["open"]))["rounding"]["charges"] == 1


def test_a_limit_counts_movements_and_not_the_closing_balance(tollbook, told):
    lines = tollbook("statement", told.log, *ACCOUNT, "--limit", "1").out.splitlines()
    closing = next(number for number, line in enumerate(lines) if "closing" in line)
    assert lines[closing - 2].split()[0] == "seq"


def test_it_says_what_was_used_and_not_paid(tollbook, tmp_path):
    """A charge of 160 where 100 credits are there."""
    path = tmp_path / "short.db"
    with Ledger.open(path) as ledger:
        ledger.execute(CreatePlan(plan="pro", owner="acme", credits=100, **CALLS)).unwrap()
        ledger.execute(Purchase(subscriber="alice", plan="pro")).unwrap()
        ledger.execute(Charge(subscriber="alice", plan="pro", usage={"call": 160})).unwrap()
    assert tollbook("statement", path, *ACCOUNT, "--json").json["shortfall"] == 60
    assert "60 credits were used and not paid (shortfall)" in tollbook("statement", path, *ACCOUNT).out


def test_one_opens_where_the_other_closes_also_between_a_lapse_and_its_event(tollbook, tmp_path):
    """A gift lapses on day 1; another account's event is of day 2; the lapse is written on day 3."""
    day, path = 86_400_000_000, tmp_path / "toll.db"
    now = [1_700_000_000 * 1_000_000]
    with Ledger.open(path, clock=lambda: now[0]) as ledger:
        ledger.execute(CreatePlan(plan="pro", owner="acme", credits=10)).unwrap()
        ledger.execute(Give(subscriber="ann", plan="pro", credits=100, expiry=now[0] + day)).unwrap()
        now[0] += 2 * day
        half = ledger.execute(Give(subscriber="bob", plan="pro", credits=1)).unwrap().seq
        now[0] += day
        ledger.execute(Give(subscriber="ann", plan="pro", credits=7)).unwrap()
        first, rest = ledger.statement("ann", "pro", upto=half), ledger.statement("ann", "pro", since=half)
        assert (first.closing.lapsed, rest.opening.lapsed, rest.closing.lapsed) == (100, 100, 100)
        assert [line.type for line in rest.lines] == ["purchased", "started"]
        for begin in range(ledger.head.seq + 1):
            part = ledger.statement("ann", "pro", since=begin)
            upto = ledger.statement("ann", "pro", upto=begin)
            assert part.opening == (Amounts() if upto is None else upto.closing)
    told = tollbook("statement", path, "--subscriber", "ann", "--plan", "pro", "--from", str(half), "--json").json
    assert (told["opening"]["lapsed"], [line["type"] for line in told["lines"]]) == (100, ["purchased", "started"])
