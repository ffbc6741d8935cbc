"""`tollbook invoices`: what was used in each period, what was paid of it, and what is owed."""

import pytest

from ledger import Adjust, Charge, CreatePlan, Ledger, PayInvoice, Subscribe, Tick, WriteOff

DAY = 86_400 * 10**6
NOVEMBER = 1_701_388_800 * 10**6


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """alice paid a part of November, bob's was written off in part; both used something in December."""
    path, now = tmp_path_factory.mktemp("street") / "street.db", [NOVEMBER - DAY]
    with Ledger.open(path, clock=lambda: now[0]) as ledger:
        terms = {"price": {"acme": 1000}, "credits": 100, "credit_limit": 500, "policy": "complexity"}
        metered = {"parameters": {"weights": {"units": 1}}, "billing": "postpaid"}
        ledger.execute(CreatePlan(plan="payg", owner="acme", **terms, **metered)).unwrap()
        for name in ("alice", "bob"):
            ledger.execute(Subscribe(subscriber=name, plan="payg")).unwrap()
            ledger.execute(Charge(subscriber=name, plan="payg", usage={"units": 30})).unwrap()
        now[0] = NOVEMBER
        ledger.execute(Tick()).unwrap()
        ledger.execute(PayInvoice(subscriber="alice", plan="payg", invoice=1, payment="p1", amount=120)).unwrap()
        ledger.execute(WriteOff(subscriber="bob", plan="payg", invoice=1, amount=50)).unwrap()
        ledger.execute(Charge(subscriber="alice", plan="payg", usage={"units": 5})).unwrap()
    return path


def test_it_lists_invoices_with_what_became_of_them(tollbook, street):
    answer = tollbook("invoices", street, "--json").json
    assert list(answer) == ["log", "as_of", "invoices", "credit"]
    assert answer["credit"] == []
    fields = ("subscriber", "invoice", "period", "status", "credits", "money", "paid", "written_off", "owed")
    assert [tuple(each[name] for name in fields) for each in answer["invoices"]] == [
        ("alice", 1, "2023-11", "open", 30, 300, 120, 0, 180),
        ("bob", 1, "2023-11", "open", 30, 300, 0, 50, 250),
    ]
    assert answer["invoices"][0]["due"] == "2023-12-31T00:00:00.000000Z"


def test_what_a_customer_has_too_much_is_shown_as_credit(tollbook, tmp_path):
    """All of November is paid, and comes back in December: the credit note's money pays the next invoices."""
    path, now = tmp_path / "log.db", [NOVEMBER - DAY]
    who = {"subscriber": "ann", "plan": "payg"}
    with Ledger.open(path, clock=lambda: now[0]) as ledger:
        terms = {"price": {"acme": 10}, "credits": 1, "credit_limit": 500, "policy": "per_credit"}
        ledger.execute(CreatePlan(plan="payg", owner="acme", billing="postpaid", **terms)).unwrap()
        ledger.execute(Subscribe(**who)).unwrap()
        charge = ledger.execute(Charge(**who, usage={"calls": 1})).unwrap().seq
        now[0] = NOVEMBER
        ledger.execute(PayInvoice(**who, invoice=1, payment="p1")).unwrap()
        ledger.execute(Adjust(charge=charge, credits=-1)).unwrap()
        now[0] += 40 * DAY
        ledger.execute(Tick()).unwrap()
    answer = tollbook("invoices", path, "--json").json
    parts = ("money", "paid", "credited", "written_off", "owed")
    assert [tuple(each[name] for name in parts) for each in answer["invoices"]] == [
        (10, 10, 0, 0, 0),
        (-10, 0, 0, 0, 0),
    ]
    about = {"account": 1, "subscriber": "ann", "plan": "payg", "asset": "USD", "asset_decimals": 2}
    assert answer["credit"] == [about | {"credit": 10}]
    assert "0.10 USD of ann on payg pays the next invoices" in tollbook("invoices", path).out


def test_the_parts_of_an_amount_add_up_in_the_table(tollbook, street):
    """A part is left out where no invoice has it, so that what is shown adds up."""
    head, alice, bob = map(str.split, tollbook("invoices", street).out.splitlines()[1:4])
    assert head[-6:] == ["amount", "paid", "written", "off", "owed", "seq"]
    assert alice[7:-1] == ["3.00", "USD", "1.20", "0.00", "1.80"]
    assert bob[7:-1] == ["3.00", "USD", "0.00", "0.50", "2.50"]
    only_alice = tollbook("invoices", street, "--subscriber", "alice").out
    assert "written off" not in only_alice


def test_a_balance_has_what_a_postpaid_account_owes_and_may_owe(tollbook, street):
    _, head, alice, bob = map(str.split, tollbook("balance", street).out.splitlines())
    assert head[5:-1] == ["limit", "unbilled", "owed"]  # nobody has credit
    assert alice[5:-1] == ["500", "5", "1.80", "USD"]
    assert bob[5:-1] == ["500", "0", "2.50", "USD"]


def test_money_reads_as_money(tollbook, street):
    text = tollbook("invoices", street).out
    assert "3.00 USD" in text
    assert text.endswith("4.30 USD owed, 0.50 USD written off\n")


def test_a_limit_shortens_the_list_and_not_what_is_owed(tollbook, street):
    assert [each["subscriber"] for each in tollbook("invoices", street, "--limit", "1", "--json").json["invoices"]] == [
        "alice"
    ]
    text = tollbook("invoices", street, "--limit", "1").out
    assert "bob" not in text
    assert "the first 1 of 2 invoices: --limit N" in text
    assert text.endswith("on all of them 4.30 USD owed, 0.50 USD written off\n")


def test_later_invoices_are_those_that_time_alone_has_made(tollbook, street):
    later = tollbook("invoices", street, "--subscriber", "alice", "--as-of", "2024-01-02T00:00:00Z", "--json").json
    assert [(each["invoice"], each["status"], each["seq"]) for each in later["invoices"]][1:] == [(2, "open", None)]
    assert later["invoices"][0]["status"] == "overdue"


def test_the_charges_of_an_invoice_are_a_statement(tollbook, street):
    invoice = tollbook("invoices", street, "--subscriber", "bob", "--json").json["invoices"][0]
    where = ("--subscriber", "bob", "--plan", "payg", "--from", invoice["after"], "--as-of", invoice["seq"])
    lines = tollbook("statement", street, *where, "--json").json["lines"]
    assert [line["type"] for line in lines] == ["subscribed", "charged", "invoiced"]


def test_a_filter_that_matches_nothing_is_an_error(tollbook, street):
    assert tollbook("invoices", street, "--plan", "x", "--json").error["code"] == "not_found"


def test_a_log_without_invoices_says_so(tollbook, tmp_path):
    Ledger.open(tmp_path / "new.db").close()
    assert "no invoices" in tollbook("invoices", tmp_path / "new.db").out
