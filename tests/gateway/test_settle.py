"""`tollbook settle`: what was earned is paid out on a chain, once.

The plan is 100 credits for 1000 USD, of which 100 are a fee: a used credit earns 10, 9 of them for acme.
"""

import json
import os
import pty
import shutil
import subprocess
from contextlib import closing

import pytest

from chains.mock import MockChain, NodeDown, Refuse, SettleThenTimeOut
from ledger import Adjust, Charge, CreatePlan, Escrow, EscrowFunding, Ledger, Purchase

KEYS = ["number", "asset", "covers", "root", "digest", "accounts", "payouts", "state", "attempts", "transaction"]
ALICE = {"subscriber": "alice", "plan": "pro"}


class Seller:
    """A log, and the mock chain beside it on which subscribers buy."""

    def __init__(self, log):
        self.log, self.mock = log, log.with_name(f"{log.name}.mock")
        self.do(self.plan())

    def plan(self, plan="pro", **terms):
        money = {"price": {"acme": 900, "fee": 100}, "credits": 100, "owner": "acme"}
        return CreatePlan(plan=plan, **(money | terms), policy="complexity", parameters={"weights": {"units": 1}})

    def do(self, *commands):
        """Do commands; the sequence of the last one's first event."""
        with Ledger.open(self.log, id="shop") as ledger:
            return [ledger.execute(command).unwrap().seq for command in commands][-1]

    def use(self, units, **who):
        return self.do(Charge(**(ALICE | who), usage={"units": units}))

    def chain(self, *script):
        return closing(MockChain(self.mock, script=script))

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
    assert list(answer) == ["log", "chain", "batches"]
    assert (answer["log"], answer["chain"]) == (str(earned.log), "mock:local")
    (batch,) = answer["batches"]
    assert list(batch) == KEYS
    assert payouts(batch) == {"acme": 270, "fee": 30}
    assert (batch["number"], batch["asset"], batch["accounts"]) == (1, "USD", 2)
    assert (batch["state"], batch["attempts"]) == ("confirmed", 1)
    assert all(batch[name].startswith("0x") for name in ("root", "digest", "transaction"))
    assert (earned.paid("acme"), earned.paid("fee")) == (270, 30)


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
    funding = EscrowFunding(Escrow("mock:local", "other", bought.id, bought.block))
    earned.do(Purchase(subscriber="carl", plan="pro", funding=funding))
    earned.use(5, subscriber="carl")
    done = settle()
    assert (done.code, [payouts(batch)["acme"] for batch in done.json["batches"]]) == (0, [45, 270])
    with closing(MockChain(other)) as chain:
        assert chain.due("acme", "USD") == 45


def test_mock_alone_is_mock_local(earned, settle):
    assert settle("--chain", "mock").json["chain"] == "mock:local"
    assert earned.paid() == 270


def test_the_text_has_the_batch_and_then_the_money(earned, tollbook):
    lines = tollbook("settle", earned.log).out.splitlines()
    assert lines[0] == f"{earned.log} on mock:local"
    assert {"1", "confirmed", "+270,", "fee", "+30"} <= set(lines[2].split())
    money = next(place for place, line in enumerate(lines) if line.startswith("money"))
    assert lines[money + 1].split() == ["asset", "earned", "settled", "outstanding", "oldest", "unsettled"]
    assert lines[money + 2].split() == ["USD", "300", "300", "0", "-"]
    assert [line.split() for line in lines[-2:]] == [
        ["acme", "USD", "270", "270", "0"],
        ["fee", "USD", "30", "30", "0"],
    ]
    assert "nothing to settle" in tollbook("settle", earned.log).out


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


@pytest.mark.parametrize(("chain", "code"), [("solana:1", "unknown_plugin"), ("eip155:8453", "missing_extra")])
def test_a_chain_that_nothing_installed_knows(earned, settle, chain, code):
    error = settle("--chain", chain).error
    assert error["code"] == code
    assert ("mock" if code == "unknown_plugin" else "tollbook[evm]") in error["hint"]


def test_an_asset_that_is_not_there_is_a_usage_error_that_names_those_that_are(earned, settle):
    error = settle("--asset", "EUR").error
    assert (error["code"], "EUR" in error["message"], "USD" in error["hint"]) == ("usage", True, True)
    assert earned.paid() == 0


def test_a_damaged_log_is_not_settled(earned, settle, spoil):
    spoil(earned.log, '"usage":{"units":30}', '"usage":{"units":31}')
    assert settle().error["code"] == "bad_data"
    assert earned.paid() == 0


def test_a_chain_that_is_lost_with_batches_on_it_is_not_made_anew(earned, settle):
    settle()
    earned.mock.unlink()
    earned.use(1)
    error = settle().error
    assert (error["code"], str(earned.mock) in error["message"]) == ("io", True)
    assert not earned.mock.exists()


def test_escrow_that_a_new_chain_does_not_hold_fails(seller, settle):
    seller.do(Purchase(**ALICE, funding=EscrowFunding(Escrow("mock:local", "tollbook", "made up"))))
    seller.use(30)
    done = settle()
    assert (done.code, [batch["state"] for batch in done.json["batches"]]) == (1, ["failed"])
    assert seller.mock.exists()


# -- what the chain has seen -------------------------------------------------------------------------------------------


def test_a_fact_that_cannot_be_taken_in_is_told_with_what_to_do(seller, settle, tollbook):
    seller.buys("alice", plan="gold")
    done = tollbook("settle", seller.log)
    assert done.code == 0
    assert done.err.startswith("tollbook: warning: the purchase purchase-1 of alice on gold was not taken in: ")
    assert done.err.count("\n") == 1
    assert "create a plan" in json.loads(settle().err)["warning"]["hint"]
    seller.do(seller.plan("gold"))
    assert settle().err == ""
    seller.use(1, plan="gold")
    assert payouts(settle().json["batches"][0]) == {"acme": 9, "fee": 1}


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
    assert "not today" in tollbook("batches", earned.log).out
    (again,) = settle().json["batches"]
    assert (again["number"], payouts(again), earned.paid()) == (1, {"acme": 270, "fee": 30}, 270)


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
