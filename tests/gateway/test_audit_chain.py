"""`tollbook audit --chain`: the log against its chain, and what is said where that cannot be reached."""

from contextlib import closing

import pytest
from settled_shop import SettledShop, tell
from unguarded import open_wide

from chains import Watcher
from chains.mock import MockChain, NodeDown
from replay.audit import parallel
from replay.audit.onchain import KINDS


@pytest.fixture
def sold(tmp_path):
    """A log and its chain, both closed."""
    tell(tmp_path)
    return tmp_path / "shop.db"


@pytest.fixture
def audit(tollbook, sold):
    return lambda *words: tollbook("audit", sold, *words, "--json")


@pytest.mark.smoke
def test_the_demos_log_agrees_with_its_chain(tollbook, tmp_path):
    log = tmp_path / "demo.db"
    assert tollbook("demo", "--db", log, "--requests", "300", "--subscribers", "5").code == 0
    before = log.read_bytes()
    done = tollbook("audit", log, "--chain", "mock", "--json")
    assert (done.code, done.json["verdict"], done.json["findings"]) == (0, "clean", [])
    checked = {check["name"]: check["checked"] for check in done.json["checks"]}
    assert list(checked)[-4:] == list(KINDS)
    assert min(checked[kind] for kind in KINDS) > 0
    assert log.read_bytes() == before


def test_the_text_and_the_page_show_what_was_compared(tollbook, sold, tmp_path):
    done = tollbook("audit", sold, "--chain", "mock:local", "--html", tmp_path / "report.html")
    assert done.code == 0
    assert [line.split() for line in done.out.splitlines() if line.startswith("chain_")] == [
        ["chain_batch", "9", "0"],
        ["chain_purchase", "6", "0"],
        ["chain_payout", "3", "0"],
        ["chain_escrow", "2", "0"],
    ]
    page = (tmp_path / "report.html").read_text()
    assert all(f"<td><code>{kind}</code></td>" in page for kind in KINDS)


def test_several_processes_say_the_same(audit, monkeypatch):
    monkeypatch.setattr(parallel, "PART", 1)
    one, two = (audit("--chain", "mock", "--processes", number) for number in ("1", "2"))
    assert (one.code, two.code, two.json) == (0, 0, one.json)


def test_a_purchase_that_was_not_taken_in_is_a_finding_that_says_what_to_do(audit, tollbook, sold):
    with closing(MockChain(sold.with_name("shop.db.mock"))) as chain:
        id = chain.purchase("grace", "7", "USD", {"acme": 900, "fee": 100}, credits=100).id
        chain.mine(3)
    done = audit("--chain", "mock")
    assert done.code == 1
    late = [finding for finding in done.json["findings"] if finding["found"] == id]
    assert [(finding["kind"], finding["field"], finding["expected"]) for finding in late] == [
        ("chain_purchase", "purchase", None)
    ]
    said = f"purchase {id} is final in tollbook on mock:local, and the log lacks it; `tollbook settle` imports it"
    assert said in tollbook("audit", sold, "--chain", "mock").out
    assert tollbook("settle", sold).code == 0
    assert audit("--chain", "mock").json["findings"] == []


def test_every_contract_that_the_log_names_is_compared(audit, sold):
    with (
        SettledShop(sold.parent) as shop,
        closing(MockChain(sold.with_name("shop.db.other.mock"), contract="other")) as other,
    ):
        other.purchase("alice", "7", "USD", {"acme": 900, "fee": 100}, credits=100)
        other.mine(2)
        assert Watcher(shop.ledger, other).sync() == []
    checked = {check["name"]: check["checked"] for check in audit("--chain", "mock").json["checks"]}
    assert (checked["chain_purchase"], checked["chain_escrow"]) == (7, 3)
    sold.with_name("shop.db.other.mock").unlink()
    assert "shop.db.other.mock is missing" in audit("--chain", "mock").error["message"]


# -- what cannot be compared -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["is missing", "is empty"])
def test_a_chain_that_is_lost_is_an_error_and_no_new_one_is_made(audit, sold, how):
    where = sold.with_name("shop.db.mock")
    where.unlink()
    if how == "is empty":
        where.touch()
    error = audit("--chain", "mock").error
    assert error["code"] == "io"
    assert error["message"] == f"{where} {how}, and the log has money in escrow on the chain that lived in it"
    assert (where.exists(), how == "is empty" and where.stat().st_size == 0) == (how == "is empty", how == "is empty")


def test_a_chain_that_does_not_answer_is_an_error_with_its_own_words(audit, tollbook, sold):
    with closing(MockChain(sold.with_name("shop.db.mock"), script=[NodeDown(calls=99)])):
        pass
    error = audit("--chain", "mock").error
    assert (error["code"], error["message"]) == ("io", "the node is down")
    text = tollbook("audit", sold, "--chain", "mock")
    assert (text.code, text.out) == (2, "")
    assert text.err == "tollbook: error: the node is down; check the connection to the chain, and run again\n"


def test_another_chains_file_is_named(audit, sold):
    where = sold.with_name("shop.db.mock")
    where.unlink()
    with closing(MockChain(where, name="mock:other")) as chain:
        chain.mine()
    error = audit("--chain", "mock").error
    assert error["code"] == "usage"
    assert (
        error["message"] == f"{where} has the chain mock:other with the contract tollbook, not mock:local with tollbook"
    )


def test_a_chain_that_is_not_one_is_told_as_settle_tells_it(audit, tollbook, sold):
    for name, code in (("nonsense", "usage"), ("cosmos:cosmoshub-4", "unknown_plugin"), ("mock:other", "usage")):
        error = audit("--chain", name).error
        assert error["code"] == code
        assert name in error["message"]
    assert audit("--chain", "nonsense").error == tollbook("settle", sold, "--chain", "nonsense", "--json").error


def test_a_log_that_has_nothing_on_the_chain_says_where_it_has(audit, tollbook, sold, told):
    sold.with_name("shop.db.mock").unlink()
    error = audit("--chain", "mock:other").error
    assert error["message"] == f"{sold} has nothing on mock:other to compare"
    assert error["hint"] == "give --chain mock:local"
    error = tollbook("audit", told.log, "--chain", "mock", "--json").error
    assert (error["code"], error["hint"]) == ("usage", "leave --chain out")


def test_a_log_that_is_not_there_is_told_as_without_a_chain(tollbook, tmp_path):
    log = tmp_path / "none.db"
    errors = [tollbook("audit", log, *words, "--json").error for words in ((), ("--chain", "mock"))]
    assert errors[0] == errors[1]


def test_a_log_that_is_damaged_is_audited_as_far_as_it_goes(audit, sold):
    with closing(open_wide(sold)) as file:
        file.execute("UPDATE commits SET body = substr(body, 2)")
    done = audit("--chain", "mock")
    assert done.code == 1
    assert {finding["kind"] for finding in done.json["findings"]} >= {"hash", "schema"}
    assert [check["checked"] for check in done.json["checks"]][-4:] == [0, 0, 0, 0]
