"""`tollbook settle`: what was earned is paid out on a chain, once.

The plan is 100 credits for 1000 USD, of which 100 are a fee: a used credit earns 10, 9 of them for acme.
"""

import json
import os
import pty
import shutil
import sqlite3
import subprocess
from contextlib import closing

import pytest

from chains.mock import MockChain, NodeDown, Refuse, SettleThenTimeOut
from chains.mock.plugin import MockPlugin
from gateway.settle import target
from ledger import Adjust, Charge, CreatePlan, Escrow, EscrowFunding, Ledger, Purchase
from ledger.errors import ChainUnavailable, NotWritten
from ledger.plugins import chains
from ledger.stores.sqlite import SQLiteStore

KEYS = ["number", "asset", "covers", "root", "digest", "accounts", "payouts", "state", "attempts", "transaction"]
ALICE = {"subscriber": "alice", "plan": "pro"}


class Seller:
    """A log, and the mock chain beside it on which subscribers buy."""

    def __init__(self, log):
        self.log, self.mock = log, log.with_name(f"{log.name}.mock")
        self.do(self.plan())

    def plan(self, plan="pro", **terms):
        money = {"price": {"acme": 900, "fee": 100}, "credits": 100, "owner": "acme"}
        tariff = {"policy": "complexity", "parameters": {"weights": {"units": 1}}}
        return CreatePlan(plan=plan, **(money | tariff | terms))

    def do(self, *commands):
        """Do commands; the sequence of the last one's first event."""
        with Ledger.open(self.log, id="shop") as ledger:
            return [ledger.execute(command).unwrap().seq for command in commands][-1]

    def use(self, units, **who):
        return self.do(Charge(**(ALICE | who), usage={"units": units}))

    def chain(self, *script):
        return closing(MockChain(self.mock, script=script))

    def escrowed(self, subscriber, chain, contract, purchase="made up"):
        """Bought in a contract, as the log has it."""
        funding = EscrowFunding(Escrow(chain, contract, purchase))
        return self.do(Purchase(subscriber=subscriber, plan="pro", funding=funding))

    def buys(self, *subscribers, plan="pro", asset="USD"):
        """Bought on the chain, and final there."""
        with self.chain() as chain:
            for subscriber in subscribers:
                chain.purchase(subscriber, plan, asset, {"acme": 900, "fee": 100}, credits=100)
            chain.mine(2)

    def paid(self, receiver="acme", asset="USD"):
        with self.chain() as chain:
            return chain.due(receiver, asset)


@pytest.fixture
def seller(tmp_path):
    return Seller(tmp_path / "toll.db")


@pytest.fixture
def settle(tollbook, seller):
    return lambda *words: tollbook("settle", seller.log, *words, "--json")


@pytest.fixture
def earned(seller, settle):
    """Alice and Bob have bought, settle has taken that in, and Alice has used 30 credits."""
    seller.buys("alice", "bob")
    assert settle().json["batches"] == []
    seller.use(30)
    return seller


def payouts(batch):
    return {payout["receiver"]: payout["amount"] for payout in batch["payouts"]}


# -- a batch -----------------------------------------------------------------------------------------------------------


@pytest.mark.smoke
def test_what_was_earned_is_paid_out_with_the_contracts_keys(earned, settle):
    done = settle()
    assert (done.code, done.err) == (0, "")
    answer = done.json
    assert list(answer) == ["log", "chain", "batches", "money"]
    assert (answer["log"], answer["chain"]) == (str(earned.log), "mock:local")
    (batch,) = answer["batches"]
    assert list(batch) == KEYS
    assert payouts(batch) == {"acme": 270, "fee": 30}
    assert (batch["number"], batch["asset"], batch["accounts"]) == (1, "USD", 2)
    assert (batch["state"], batch["attempts"]) == ("confirmed", 1)
    assert all(batch[name].startswith("0x") for name in ("root", "digest", "transaction"))
    assert (earned.paid("acme"), earned.paid("fee")) == (270, 30)
    (money,) = answer["money"]
    assert (money["asset"], money["earned"], money["settled"], money["outstanding"]) == ("USD", 300, 300, 0)


def test_the_money_is_told_as_batches_tells_it(earned, settle, tollbook):
    earned.do(Purchase(subscriber="carl", plan="pro"))
    earned.use(1, subscriber="carl")
    assert settle().json["money"] == tollbook("batches", earned.log, "--json").json["money"]


def test_settling_twice_pays_once(earned, settle):
    settle()
    again = settle()
    assert (again.code, again.json["batches"]) == (0, [])
    assert earned.paid("acme") == 270


def test_a_refund_between_two_batches_gives_a_negative_payout(earned, settle):
    charge = earned.use(10)
    settle()
    earned.do(Adjust(charge=charge, credits=-10, reason="refund"))
    (batch,) = settle().json["batches"]
    assert payouts(batch) == {"acme": -90, "fee": -10}
    assert (batch["number"], batch["state"], earned.paid("acme")) == (2, "confirmed", 270)


def test_each_asset_has_a_batch_and_one_may_be_asked_for(earned, settle):
    earned.do(earned.plan("euro", asset="EUR"))
    earned.buys("alice", plan="euro", asset="EUR")
    settle("--asset", "EUR")
    earned.use(1, plan="euro")
    assert [batch["asset"] for batch in settle("--asset", "EUR").json["batches"]] == ["EUR"]
    assert earned.paid("acme") == 0
    assert [batch["asset"] for batch in settle().json["batches"]] == ["USD"]
    assert (earned.paid("acme", "EUR"), earned.paid("acme")) == (9, 270)


def test_contracts_that_purchases_name_are_settled_too_each_in_its_own_file(earned, settle):
    other = earned.log.with_name("toll.db.other.mock")
    with closing(MockChain(other, contract="other")) as chain:
        bought = chain.purchase("carl", "pro", "USD", {"acme": 900, "fee": 100}, credits=100)
        chain.mine(2)
    earned.escrowed("carl", "mock:local", "other", bought.id)
    earned.use(5, subscriber="carl")
    done = settle()
    assert (done.code, [payouts(batch)["acme"] for batch in done.json["batches"]]) == (0, [45, 270])
    with closing(MockChain(other)) as chain:
        assert chain.due("acme", "USD") == 45


def test_mock_alone_is_mock_local(earned, settle):
    assert settle("--chain", "mock").json["chain"] == "mock:local"
    assert earned.paid() == 270


def test_the_text_has_the_money_and_then_the_batch(earned, tollbook):
    lines = tollbook("settle", earned.log).out.splitlines()
    assert lines[:2] == [f"{earned.log} on mock:local", "money"]
    assert lines[2].split() == ["asset", "earned", "settled", "outstanding"]
    assert lines[3].split() == ["USD", "3.00", "3.00", "0.00"]
    assert [line.split() for line in lines[5:8]] == [
        ["receiver", "asset", "earned", "settled", "outstanding"],
        ["acme", "USD", "2.70", "2.70", "0.00"],
        ["fee", "USD", "0.30", "0.30", "0.00"],
    ]
    assert lines[9] == "batches of this run, all of contract tollbook on mock:local"
    assert {"1", "confirmed", "+2.70,", "fee", "+0.30"} <= set(lines[11].split())
    assert len(lines) == 12
    assert max(map(len, lines[1:])) <= 120
    assert "nothing to settle" in tollbook("settle", earned.log).out


def test_whole_hashes_are_shown_where_they_are_asked_for(earned, settle, tollbook):
    shown = tollbook("settle", earned.log, "--hashes").out
    (batch,) = tollbook("batches", earned.log, "--json").json["batches"]
    for name in ("root", "digest", "transaction"):
        assert batch[name] in shown
        assert batch[name] not in tollbook("batches", earned.log).out


def test_what_no_chain_holds_is_told_beside_nothing_to_settle(seller, tollbook):
    seller.do(Purchase(**ALICE))
    seller.use(1)
    lines = tollbook("settle", seller.log).out.splitlines()
    assert lines[0] == f"{seller.log} on mock:local: nothing to settle"
    assert lines[-1] == "0.10 USD is outstanding from payments that no chain holds: it is not settled here"
    assert tollbook("batches", seller.log).out.count("no chain holds") == 1


def test_what_time_alone_has_earned_since_the_logs_last_entry_is_told(seller, settle, tollbook):
    """An old log, such as a demo's, whose windows have run out by the clock of whoever settles."""
    with Ledger.open(seller.log.with_name("old.db"), clock=lambda: 1_700_157_600_000_000) as ledger:
        ledger.execute(seller.plan("day", credits=0, seconds=86_400, policy="time", parameters={})).unwrap()
        with closing(MockChain(seller.log.with_name("old.db.mock"))) as chain:
            bought = chain.purchase("alice", "day", "USD", {"acme": 900, "fee": 100}, seconds=86_400)
            chain.mine(2)
        funding = EscrowFunding(Escrow("mock:local", "tollbook", bought.id))
        ledger.execute(Purchase(subscriber="alice", plan="day", funding=funding)).unwrap()
    text = tollbook("settle", seller.log.with_name("old.db")).out
    assert "10.00 USD was earned by time alone since the log's last entry (2023-11-16T18:00:00Z, " in text
    assert "by time alone" not in tollbook("settle", seller.log.with_name("old.db")).out


def test_what_was_charged_was_not_earned_by_time(earned, tollbook):
    assert "by time alone" not in tollbook("settle", earned.log).out


# -- the chain ---------------------------------------------------------------------------------------------------------


class Bank(MockPlugin):
    """Another kind of chain, which nobody can reach."""

    def connect(self, contract_ref, **options):
        raise ChainUnavailable("the bank is closed")


@pytest.fixture
def bank(monkeypatch, seller):
    """The bank holds what Dora paid: 1000 USD, of which she has used 600."""
    monkeypatch.setitem(chains._load().factories, "bank", Bank())
    seller.escrowed("dora", "bank:town", "vault")
    seller.use(60, subscriber="dora")
    return seller


def test_without_a_name_it_is_the_chain_that_has_the_escrow(bank, settle):
    assert settle().error["message"] == "the bank is closed"


def test_another_mock_chain_that_has_the_escrow_is_found_too(seller, settle):
    with closing(MockChain(seller.mock, name="mock:town")) as chain:
        bought = chain.purchase("alice", "pro", "USD", {"acme": 900, "fee": 100}, credits=100)
        chain.mine(2)
    seller.escrowed("alice", "mock:town", "tollbook", bought.id)
    seller.use(3)
    answer = settle().json
    assert (answer["chain"], payouts(answer["batches"][0])) == ("mock:town", {"acme": 27, "fee": 3})
    error = settle("--chain", "mock").error
    assert (error["code"], error["hint"]) == ("usage", "give --chain mock:town, where 9.70 USD is")


def test_a_chain_that_has_nothing_is_a_usage_error_that_names_the_one_that_has(bank, settle, tollbook):
    before = bank.log.read_bytes()
    error = settle("--chain", "mock").error
    assert (error["code"], error["message"]) == ("usage", "nothing is in escrow on mock:local")
    assert error["hint"] == "give --chain bank:town, where 10.00 USD is"
    assert (bank.log.read_bytes(), bank.mock.exists()) == (before, False)
    with bank.chain():  # an empty chain is not better than none
        pass
    assert settle("--chain", "mock").error["code"] == "usage"


def test_what_the_mock_chain_sold_and_the_log_does_not_know_yet_is_taken_in_there(bank, settle, tollbook):
    bank.buys("alice")
    assert settle("--chain", "mock").json["batches"] == []
    bank.use(1)
    done = tollbook("settle", bank.log)  # both have something now, so it is mock:local
    assert (done.code, bank.paid()) == (0, 9)
    assert "6.00 USD is outstanding on bank:town: settle it with --chain bank:town" in done.out


def test_of_several_chains_all_are_named(bank, settle):
    bank.escrowed("emil", "mock:town", "tollbook")
    hint = "give --chain bank:town, where 10.00 USD is, or --chain mock:town, where 10.00 USD is"
    assert settle().error["hint"] == hint


@pytest.mark.parametrize("name", ["local", "mock:", ":local", "EIP155:1", "mock:lo cal", "eip155:1:2", ""])
def test_a_name_that_is_not_caip_2_is_a_usage_error(earned, settle, tollbook, name):
    for error in (settle("--chain", name).error, tollbook("batches", earned.log, "--chain", name, "--json").error):
        assert (error["code"], repr(name) in error["message"]) == ("usage", True)
        assert "namespace:reference" in error["hint"]


# -- nothing to do, and what is not there ------------------------------------------------------------------------------


def test_nothing_to_settle_is_done_and_makes_no_chain(seller, settle):
    seller.do(Purchase(**ALICE, funding="direct"))
    seller.use(30)
    before = seller.log.read_bytes()
    done = settle()
    assert (done.code, done.json["batches"]) == (0, [])
    assert [path.name for path in seller.log.parent.iterdir()] == ["toll.db"]
    assert seller.log.read_bytes() == before


def test_no_log_is_made(tollbook, tmp_path):
    for path in (tmp_path / "none.db", tmp_path / "empty.db"):
        error = tollbook("settle", path, "--json").error
        assert error["code"] == ("not_found" if path.name == "none.db" else "not_a_log")
        assert not (tmp_path / "none.db").exists()
        (tmp_path / "empty.db").touch()
    assert (tmp_path / "empty.db").read_bytes() == b""
    (tmp_path / "text.db").write_text("not a database, but longer than its header would be\n" * 9)
    assert tollbook("settle", tmp_path / "text.db", "--json").error["code"] == "not_a_log"


@pytest.mark.parametrize("chain", ["solana:1", "cosmos:hub"])
def test_a_chain_that_nothing_installed_knows(earned, settle, chain):
    error = settle("--chain", chain).error
    assert (error["code"], error["hint"]) == ("unknown_plugin", "installed are: eip155, mock")
    assert error["message"] == f"no installed plugin settles on {chain}"


def test_a_tokens_address_in_an_asset_is_found_in_any_spelling(earned, settle):
    asset = "eip155:8453/erc20:0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
    earned.do(earned.plan("coins", asset=asset))
    earned.buys("alice", plan="coins", asset=asset)
    settle("--asset", asset)
    earned.use(1, plan="coins")
    assert [batch["asset"] for batch in settle("--asset", asset.lower()).json["batches"]] == [asset]


def test_on_an_evm_chain_of_which_the_log_knows_nothing_the_contract_must_be_named(earned, settle):
    error = settle("--chain", "eip155:8453").error
    assert (error["code"], "--contract" in error["hint"]) == ("usage", True)
    assert earned.paid() == 0


def test_an_asset_that_is_not_there_is_a_usage_error_that_names_those_that_are(earned, settle):
    error = settle("--asset", "EUR").error
    assert (error["code"], "'EUR'" in error["message"], "'USD'" in error["hint"]) == ("usage", True, True)
    assert earned.paid() == 0


def test_a_damaged_log_is_not_settled(earned, settle, spoil):
    spoil(earned.log, '"usage":{"units":30}', '"usage":{"units":31}')
    assert settle().error["code"] == "bad_data"
    assert earned.paid() == 0


@pytest.mark.parametrize("batches", [True, False])
@pytest.mark.parametrize("is_empty", [True, False])
def test_a_chain_that_is_lost_with_the_logs_money_is_not_made_anew(earned, settle, batches, is_empty):
    if batches:
        settle()
    earned.mock.unlink()
    if is_empty:
        earned.mock.touch()
    earned.use(1)
    before = earned.log.read_bytes()
    error = settle().error
    assert (error["code"], str(earned.mock) in error["message"]) == ("io", True)
    assert "restore it beside the log" in error["hint"]
    assert earned.log.read_bytes() == before
    assert [path.name for path in earned.log.parent.iterdir() if path.stat().st_size] == ["toll.db"]


def test_an_empty_file_is_no_chain_and_stays_empty(seller, settle):
    seller.mock.touch()
    assert settle().json["batches"] == []
    assert seller.mock.read_bytes() == b""


@pytest.mark.parametrize("spoilt", [b"no chain\n", None])
def test_a_damaged_chain_is_to_be_restored(earned, settle, spoilt):
    earned.mock.write_bytes(spoilt or earned.mock.read_bytes()[:5000])
    error = settle().error
    assert (error["code"], error["hint"]) == ("bad_data", "restore toll.db.mock from a copy")
    assert str(earned.mock) in error["message"]


def test_a_file_that_has_another_chain_is_told_with_its_name(seller, settle):
    with closing(MockChain(seller.mock, name="mock:town")):
        pass
    error = settle().error
    assert (error["code"], "--chain mock:town" in error["hint"]) == ("usage", True)


@pytest.mark.parametrize("name", ["toll.db", "toll.db.mock"])
def test_a_file_that_may_only_be_read_is_named(earned, settle, monkeypatch, name):
    place = earned.log.with_name(name)
    monkeypatch.setattr(target.os, "access", lambda path, mode: path != place or mode != os.W_OK)
    error = settle().error
    assert (error["code"], error["message"]) == ("io", f"{place} cannot be written")


def test_a_disk_that_is_full_is_told_with_the_log(earned, settle, monkeypatch):
    def append(store, expected, commit):
        raise NotWritten("nothing was written: database or disk is full")

    monkeypatch.setattr(SQLiteStore, "append", append)
    assert settle().error["message"] == f"{earned.log}: nothing was written: database or disk is full"


def test_a_chain_without_what_the_log_bought_there_is_2_and_nothing_is_written(earned, settle):
    earned.escrowed("carl", "mock:local", "tollbook")
    before = earned.log.read_bytes()
    error = settle().error
    assert (error["code"], "made up" in error["message"]) == ("bad_data", True)
    assert earned.log.read_bytes() == before


def test_a_chain_without_the_batches_of_the_log_is_2_and_nothing_is_written(earned, settle):
    backup = earned.mock.with_name("backup")
    shutil.copy(earned.mock, backup)
    settle()
    shutil.copy(backup, earned.mock)
    earned.buys("carl")  # which would be taken in, were it looked at before the batches
    before = earned.log.read_bytes()
    for words in ((), ("--adopt",)):
        error = settle(*words).error
        assert (error["code"], "does not have batch 1" in error["message"]) == ("bad_data", True)
    assert earned.log.read_bytes() == before


# -- what the chain has seen -------------------------------------------------------------------------------------------


def test_a_fact_that_cannot_be_taken_in_is_told_with_what_to_do(seller, settle, tollbook):
    seller.buys("alice", plan="gold")
    done = tollbook("settle", seller.log)
    assert done.code == 0
    assert done.err.startswith("tollbook: warning: the purchase purchase-1 of alice on gold was rejected: ")
    assert done.err.count("\n") == 1
    assert "create a plan" in json.loads(settle().err)["warning"]["hint"]
    seller.do(seller.plan("gold"))
    assert settle().err == ""
    seller.use(1, plan="gold")
    assert payouts(settle().json["batches"][0]) == {"acme": 9, "fee": 1}


def test_facts_that_cannot_be_taken_in_are_told_once_for_each_reason(seller, settle):
    seller.buys(*(f"customer-{number}" for number in range(84)), plan="gold")
    seller.buys("alice", plan="silver")
    gold, silver = [json.loads(line)["warning"]["message"] for line in settle().err.splitlines()]
    assert gold == (
        "84 purchases on gold (purchase-1 of customer-0, purchase-2 of customer-1, purchase-3 of customer-2 "
        "and 81 more) were rejected: no plan is called gold on the chain"
    )
    assert silver.startswith("the purchase purchase-85 of alice on silver was rejected")


def test_facts_that_wait_for_others_are_told_together(seller, settle):
    seller.buys("alice", "bob", plan="gold")
    with seller.chain() as chain:
        for subscriber in ("alice", "bob"):
            chain.request_exit(subscriber, "gold")
        chain.mine(2)
    purchases, exits = [json.loads(line)["warning"]["message"] for line in settle().err.splitlines()]
    assert (purchases.split()[:2], exits.split()[:2]) == (["2", "purchases"], ["2", "exits"])


# -- trouble -----------------------------------------------------------------------------------------------------------


def answer_of(done, code):
    assert done.code == code, done
    return json.loads(done.out)["batches"]


def test_a_batch_that_is_still_open_is_3_and_the_next_run_finishes_it(earned, settle, tollbook):
    (batch,) = answer_of(settle("--wait", "0"), 3)
    assert (batch["state"], batch["attempts"]) == ("submitted", 1)
    (same,) = answer_of(settle(), 0)
    assert (same["digest"], same["state"], earned.paid()) == (batch["digest"], "confirmed", 270)


def test_the_text_says_to_run_it_again(earned, tollbook):
    done = tollbook("settle", earned.log, "--wait", "0")
    assert done.code == 3
    assert done.out.splitlines()[-1] == "batch 1 has not ended yet: run this again"


def test_a_refused_batch_is_1_and_the_next_one_pays(earned, settle, tollbook):
    with earned.chain(Refuse(reason="not today")):
        pass
    (batch,) = answer_of(settle(), 1)
    assert (batch["state"], batch["attempts"], batch["transaction"]) == ("failed", 0, None)
    text = tollbook("batches", earned.log).out
    assert "batch 1 of tollbook failed: the chain refused it: not today\n" in text
    assert "its payouts are in the next batch, so settle again; if that fails too, " in text
    (again,) = settle().json["batches"]
    assert (again["number"], payouts(again), earned.paid()) == (1, {"acme": 270, "fee": 30}, 270)
    assert "if that fails too" not in tollbook("batches", earned.log).out


def test_an_answer_that_did_not_come_is_found_on_the_chain(earned, settle):
    with earned.chain(SettleThenTimeOut()):
        pass
    (batch,) = settle().json["batches"]
    assert (batch["state"], earned.paid()) == ("confirmed", 270)


def test_a_chain_that_is_down_from_the_start_is_2(earned, settle):
    with earned.chain(NodeDown()):
        pass
    assert settle().error["code"] == "io"
    assert [batch["state"] for batch in settle().json["batches"]] == ["confirmed"]


@pytest.mark.parametrize("calls", range(5, 10))
def test_a_chain_that_goes_down_on_the_way_leaves_the_batch_open(earned, settle, calls):
    """The first calls are those of the watcher, and the one that looks for the batch before it is opened."""
    with earned.chain(NodeDown(skip=calls)):
        pass
    done = settle()
    (batch,) = answer_of(done, 3)
    assert batch["state"] in ("opened", "submitted", "committed")
    assert "down" in json.loads(done.err)["warning"]["message"]
    (same,) = settle().json["batches"]
    assert (same["digest"], same["state"], earned.paid()) == (batch["digest"], "confirmed", 270)


def test_a_restored_log_is_stopped_until_it_adopts_what_it_lost(earned, settle):
    backup = earned.log.with_name("backup")
    shutil.copy(earned.log, backup)
    settle()
    shutil.copy(backup, earned.log)
    earned.use(5)
    error = settle().error
    assert (error["code"], "--adopt" in error["hint"]) == ("bad_data", True)
    adopted, new = settle("--adopt").json["batches"]
    assert (payouts(adopted), adopted["state"]) == ({"acme": 270, "fee": 30}, "confirmed")
    assert (payouts(new), new["number"], earned.paid()) == ({"acme": 45, "fee": 5}, 2, 315)
    assert settle("--adopt").json["batches"] == []


def test_a_batch_of_another_log_is_not_adopted_and_a_sentence_says_so(earned, settle, tollbook):
    settle()
    other = earned.log.with_name("other.db")
    with Ledger.open(other, id="another shop") as ledger:
        ledger.execute(earned.plan()).unwrap()
    shutil.copy(earned.mock, other.with_name("other.db.mock"))
    error = tollbook("settle", other, "--adopt", "--json").error
    assert error["message"] == (
        "mock:local has a batch of tollbook that this log cannot adopt: "
        "the leaf file is of another chain, contract or ledger"
    )
    assert (error["code"], error["reason"], "this log" in error["hint"]) == ("refused", "malformed", True)


def test_in_a_process_of_its_own_with_json_on_stdout_alone(earned, process):
    done = process("settle", earned.log, "--json")
    assert (done.code, done.err, done.out.count("\n")) == (0, "", 1)


def test_a_terminal_is_told_that_it_waits(earned, program):
    leader, follower = pty.openpty()
    with earned.chain() as chain:
        chain.automine = False
    with subprocess.Popen([program, "settle", earned.log], stdout=subprocess.PIPE, stderr=follower) as running:
        os.close(follower)
        shown = b""
        try:
            while part := os.read(leader, 65536):
                shown += part
        except OSError:  # how Linux says that the other end is closed
            pass
        assert b"confirmed" in running.stdout.read()
    os.close(leader)
    assert b"waiting for the chain" in shown


# -- a lock of another process -----------------------------------------------------------------------------------------


def test_the_wait_for_a_held_lock_can_be_set(earned, settle, monkeypatch):
    monkeypatch.setenv("TOLLBOOK_LOCK_SECONDS", "0.05")
    with closing(sqlite3.connect(earned.log, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        refused = settle()
    error = refused.error
    assert (refused.code, error["code"]) == (2, "locked")
    assert "waited 0.05 s" in error["message"]
    assert "TOLLBOOK_LOCK_SECONDS" in error["hint"]
    assert settle().code == 0


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "1e9"])
def test_a_wait_that_is_none_is_an_error_of_its_own(earned, settle, monkeypatch, text):
    monkeypatch.setenv("TOLLBOOK_LOCK_SECONDS", text)
    refused = settle()
    assert (refused.code, refused.error["code"]) == (2, "usage")
    assert text in refused.error["message"]
