"""`tollbook statement --proof`: the account's leaf in a batch, and the way from there to the batch's root.

The plan is 100 credits for 1000 USD: a used credit earns 10.
"""

import shlex
import subprocess
import sys
from contextlib import closing

import pytest

from chains import Outbox, Watcher, verify
from chains.mock import MockChain, Refuse
from ledger import Adjust, Charge, CreatePlan, Ledger, Purchase
from ledger.events import Leaf

PLAN = {"owner": "acme", "price": {"acme": 1000}, "credits": 100}
UNITS = {"policy": "complexity", "parameters": {"weights": {"units": 1}}}


class Seller:
    """A log, and a mock chain in memory; O'Brien's plan has another name there."""

    def __init__(self, log):
        self.log, self.chain = log, MockChain()
        self.do(CreatePlan(plan="pro", **PLAN, **UNITS), CreatePlan(plan="max", onchain_id="7", **PLAN, **UNITS))

    def do(self, *commands):
        with Ledger.open(self.log) as ledger:
            return [ledger.execute(command).unwrap().seq for command in commands][-1]

    def use(self, units, subscriber="alice", plan="pro"):
        return self.do(Charge(subscriber=subscriber, plan=plan, usage={"units": units}))

    def settle(self, chain=None, buys=()):
        chain = chain or self.chain
        with Ledger.open(self.log) as ledger:
            for subscriber, plan in buys:
                chain.purchase(subscriber, plan, "USD", {"acme": 1000}, credits=100)
            chain.mine(2)
            Watcher(ledger, chain).sync()
            Outbox(ledger, chain).settle()


@pytest.fixture
def seller(tmp_path):
    """Batch 1: alice 30, O'Brien 5, carl nothing. Batch 2: 10 of alice's are given back."""
    seller = Seller(tmp_path / "toll.db")
    with closing(seller.chain):
        seller.settle(buys=(("alice", "pro"), ("O'Brien", "7"), ("carl", "pro")))
        charge = seller.use(30)
        seller.use(5, "O'Brien", "max")
        seller.settle()
        seller.do(Adjust(charge=charge, credits=-10))
        seller.settle()
        yield seller


@pytest.fixture
def statement(tollbook, seller):
    def ask(batch, subscriber="alice", plan="pro", *words):
        account = ("--subscriber", subscriber, "--plan", plan)
        return tollbook("statement", seller.log, *account, "--proof", batch, *words)

    return ask


@pytest.fixture
def proof(statement):
    return lambda *asked: statement(*asked, "--json").json["proof"]


def holds(proof):
    return verify(proof["root"], Leaf(**proof["leaf"]), proof["proof"])


def test_the_proof_has_the_contracts_keys_and_holds(seller, proof):
    found = proof(1, "alice", "pro")
    assert list(found) == ["batch", "root", "leaf", "leaf_hash", "proof"]
    assert found["leaf"] == {"subscriber": "alice", "plan": "pro", "charged": 300, "credited": 0}
    assert (found["batch"], holds(found)) == (1, True)
    assert not holds(found | {"leaf": found["leaf"] | {"charged": 301}})


def test_each_batch_is_proven_as_it_was_when_it_was_opened(seller, proof):
    later = proof(2, "alice", "pro")
    assert (later["leaf"]["charged"], later["leaf"]["credited"], holds(later)) == (300, 100, True)
    assert later["root"] == seller.chain.final_root("USD")
    assert proof(1, "alice", "pro")["leaf"]["credited"] == 0


def test_a_leaf_has_the_name_that_the_plan_has_on_the_chain(proof):
    found = proof(1, "O'Brien", "max")
    assert (found["leaf"]["plan"], found["leaf"]["charged"], holds(found)) == ("7", 50, True)


def test_an_account_that_used_nothing_is_proven_too(proof):
    found = proof(2, "carl", "pro")
    assert (found["leaf"]["charged"], holds(found)) == (0, True)


def test_of_several_contracts_it_is_the_one_that_has_the_leaf(seller, proof):
    with closing(MockChain(contract="another")) as chain:
        seller.settle(chain, buys=(("dora", "pro"),))
        seller.use(7, "dora")
        seller.settle(chain)
    assert proof(1, "dora", "pro")["leaf"]["charged"] == 70
    assert proof(1, "alice", "pro")["leaf"]["charged"] == 300


def test_of_a_number_that_was_given_out_again_it_is_the_last_batch(seller, proof):
    seller.use(1)
    seller.chain.script(Refuse())
    seller.settle()
    seller.use(1)
    seller.settle()
    found = proof(3, "alice", "pro")
    assert (found["leaf"]["charged"], found["root"]) == (320, seller.chain.final_root("USD"))


def test_a_batch_or_a_leaf_that_is_not_there_is_not_found(seller, statement):
    error = statement(3, "alice", "pro", "--json").error
    assert (error["code"], "tollbook batches" in error["hint"]) == ("not_found", True)
    seller.do(Purchase(subscriber="emil", plan="pro", funding="direct"))
    error = statement(1, "emil", "pro", "--json").error
    assert (error["code"], "escrow" in error["hint"]) == ("not_found", True)


def test_the_rest_of_the_statement_stays_as_it_was(seller, statement, tollbook):
    words = ("statement", seller.log, "--subscriber", "alice", "--plan", "pro", "--json")
    without = tollbook(*words).json
    assert without["proof"] is None
    assert {**statement(1, "alice", "pro", "--json").json, "proof": None} == without


@pytest.mark.parametrize(("subscriber", "plan"), [("alice", "pro"), ("O'Brien", "max")])
def test_the_text_has_a_command_that_checks_it(statement, subscriber, plan):
    lines = statement(1, subscriber, plan).out.splitlines()
    assert any("that is all it proves" in line for line in lines)
    command = lines[-1].strip().replace("python", sys.executable, 1)
    for spoiled, answer in ((command, "True\n"), (command.replace(", 0)", ", 1)"), "False\n")):
        done = subprocess.run(spoiled, shell=True, capture_output=True, text=True, check=True)
        assert done.stdout == answer


def said(done):
    """What the text says after the proof."""
    lines = done.out.splitlines()
    return lines[next(place for place, line in enumerate(lines) if line.endswith("that is all it proves.")) + 1 :]


def test_the_text_has_a_command_that_reads_the_root_from_the_mock_chain(seller, statement):
    with closing(MockChain(seller.log.with_name("toll.db.beside.mock"), contract="beside")) as chain:
        seller.settle(chain, buys=(("dora", "pro"),))
        seller.use(7, "dora")
        seller.settle(chain)
        root = chain.final_root("USD")
    title, command, *_ = said(statement(1, "dora"))
    assert title == "The root that the chain has:"
    words = [sys.executable, *shlex.split(command)[1:]]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == f"{root}\n"
    assert statement(1, "dora", "pro", "--json").json["proof"]["root"] == root


def test_a_root_that_the_chain_has_no_more_or_not_yet_is_said_to_be_so(seller, statement):
    assert said(statement(1))[0] == "The chain now has the root of batch 2: --proof 2 proves against it."
    assert said(statement(2))[0] == "The root that the chain has: ask tollbook on mock:local for its last of USD."
    seller.use(1)
    with Ledger.open(seller.log) as ledger:
        Outbox(ledger, seller.chain).settle(pauses=())
    assert said(statement(3))[0] == "The chain does not have it as its root: the batch is submitted."
