"""`tollbook chain up|deploy|status`: real processes, real HTTP, real chains."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from evm_street import ALICE, OPERATOR, OWNER, SELLER, market
from faulty_node import FaultyNode, says
from local_kinds import KINDS, needs_anvil

from chains.evm.artifacts import load
from chains.evm.contract import SettlementContract
from chains.evm.deploying import publish_plan
from chains.evm.local import DEV_ACCOUNTS, local_chain
from chains.evm.node import Node
from chains.evm.sending import Sender
from chains.evm.tokens import Token
from chains.evm.wallet import Wallet
from ledger import Charge, CreatePlan, Ledger

CHAIN = "eip155:31337"
POOR = "0x" + "77" * 32


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    for name in [name for name in os.environ if name.startswith("TOLLBOOK_EVM_")]:
        monkeypatch.delenv(name)


# -- up ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def up(start, program):
    """Start `chain up` in a process of its own."""
    return lambda *words: start(program, "chain", "up", "--port", "0", *words, text=True)


def children(pid):
    """The processes that a process has started, as Linux tells them."""
    told = [Path(f"/proc/{pid}/task/{task}/children").read_text() for task in os.listdir(f"/proc/{pid}/task")]
    return [int(child) for each in told for child in each.split()]


def answers(url):
    host, port = url.removeprefix("http://").split(":")
    with socket.socket() as asker:
        return asker.connect_ex((host, int(port))) == 0


def has_all_that_is_told(said, kind, window):
    """Check a chain against the JSON line of the process that runs it."""
    assert (said["chain"], said["kind"], said["window"]) == (CHAIN, kind, window)
    with Node(said["url"]) as node:
        contract = SettlementContract(node, said["contract"])
        token = Token(node, said["token"].rpartition(":")[2])
        people = {each["role"]: each for each in said["accounts"]}
        assert load("UsageSettlement").is_code(node.code(said["contract"]))
        assert (contract.operator(), contract.guardian(), contract.challenge_window) == (
            people["operator"]["address"],
            people["guardian"]["address"],
            window,
        )
        for each in said["accounts"]:
            found = node.balance(each["address"]), token.balance(each["address"])
            assert found == (each["coins"], each["tokens"])
            assert each["coins"] > 9 * 10**21
        assert people["customer"]["tokens"] == 10**12


def test_a_local_chain_has_all_that_is_told_and_ends_on_sigterm(up, patience):
    process = up("--kind", KINDS[0], "--window", "60", "--json")
    said = json.loads(process.stdout.readline())
    has_all_that_is_told(said, KINDS[0], 60)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=patience) == ("", "")
    assert process.returncode == 0
    assert not answers(said["url"])


def test_what_is_printed_says_that_keys_are_public_and_how_to_settle_there_and_ctrl_c_ends_it(up, patience):
    process = up("--kind", "eth-tester")
    lines = []
    while not (lines and lines[-1].startswith("Ctrl-C")):
        lines.append(process.stdout.readline().rstrip())
    page = "\n".join(lines)
    assert "their keys are public: never use them on another chain" in page
    assert f"  export TOLLBOOK_EVM_KEY={OPERATOR_KEY}" in lines
    settle = next(line for line in lines if line.startswith("  tollbook settle LOG --chain eip155:31337 --contract 0x"))
    assert settle.split()[-1] in page.split("window")[0]
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=patience) == ("", "")
    assert process.returncode == 0


OPERATOR_KEY = DEV_ACCOUNTS[0].key


def test_a_port_that_is_taken_is_told_and_nothing_stays_behind(tollbook):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for kind in KINDS:
            port = taken.getsockname()[1]
            error = tollbook("chain", "up", "--kind", kind, "--port", port, "--json").error
            assert (error["code"], "did not start" in error["message"]) == ("io", True)


def test_anvil_that_is_asked_for_and_missing_is_told_how_to_get(tollbook, monkeypatch, tmp_path):
    monkeypatch.delenv("TOLLBOOK_ANVIL", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("chains.evm.local.anvil.__file__", str(tmp_path / "anvil.py"))  # npm may have put it there
    error = tollbook("chain", "up", "--kind", "anvil", "--json").error
    assert (error["message"], "npm install" in error["hint"]) == ("anvil is not installed", True)


def test_what_was_earned_is_settled_there_with_the_lines_that_were_printed(up, tollbook, tmp_path, monkeypatch):
    """A customer buys, the ledger charges, and `settle` pays the builder, beside the process that has the chain; as
    soon as the operator has the money for it."""
    said = json.loads(up("--kind", "eth-tester", "--json").stdout.readline())
    has_all_that_is_told(said, "eth-tester", 0)
    builder, customer = (
        next(one for one in said["accounts"] if one["role"] == role) for role in ("builder", "customer")
    )
    log = tmp_path / "toll.db"
    with Node(said["url"]) as node:
        price = {builder["address"]: 1000}
        sender, contract = Sender(node, builder["key"]), SettlementContract(node, said["contract"])
        plan = publish_plan(sender, contract, "pro", asset=said["token"], price=price, credits=100).id
        wallet = Wallet(node, customer["key"], said["contract"])
        wallet.approve(said["token"], 1000)
        wallet.purchase(plan)
        terms = {"asset": said["token"], "price": price, "credits": 100, "onchain_id": plan}
        with Ledger.open(log) as ledger:
            ledger.execute(
                CreatePlan(plan="pro", owner="acme", policy="per_credit", parameters={"per": "call"}, **terms)
            ).unwrap()
        for name, value in said["environment"].items():
            monkeypatch.setenv(name, value)
        words = (log, "--chain", said["chain"], "--contract", said["contract"], "--json")
        assert tollbook("settle", *words).json["batches"] == []
        with Ledger.open(log) as ledger:
            ledger.execute(Charge(subscriber=customer["address"], plan="pro", usage={"calls": 30})).unwrap()
        with FaultyNode(said["url"]) as poor, monkeypatch.context() as patched:
            poor.always("eth_getBalance", says("0x0"))
            patched.setenv("TOLLBOOK_EVM_URL", poor.url)
            waiting = tollbook("settle", *words)
        told = json.loads(waiting.err)["warning"]
        assert (waiting.code, [batch["state"] for batch in json.loads(waiting.out)["batches"]]) == (3, ["opened"])
        assert ("has 0 of the coin" in told["message"], poor.sent) == (True, [])
        assert told["hint"] == "send it more, and run again"
        (batch,) = tollbook("settle", *words).json["batches"]
        assert (batch["state"], batch["payouts"]) == ("confirmed", [{"receiver": builder["address"], "amount": 300}])
        token = said["token"].rpartition(":")[2]
        assert contract.due(token, builder["address"]) == 300
        status = tollbook("chain", "status", "--chain", CHAIN, "--contract", said["contract"], "--json")
        assert (status.code, status.json["found"]["last"]) == (0, 1)
        (held,) = status.json["found"]["assets"]
        assert (held["asset"], held["symbol"], held["holds"], held["escrow"]) == (said["token"], "TUSD", 1000, 700)


# -- deploy ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place():
    """A chain with a contract on it."""
    with local_chain("eth-tester") as local, market(local, window=600) as shop:
        yield shop


@pytest.fixture
def with_key(place, monkeypatch):
    """Set the node, and this key."""

    def use(key):
        monkeypatch.setenv("TOLLBOOK_EVM_URL", place.chain.url)
        monkeypatch.setenv("TOLLBOOK_EVM_KEY", key)

    return use


def test_a_contract_is_deployed_with_the_key_and_what_it_cost_is_told(place, with_key, tollbook):
    with_key(ALICE.key)
    before = place.node.balance(ALICE.address)
    done = tollbook("chain", "deploy", "--chain", CHAIN, "--guardian", SELLER.address, "--window", 60, "--json")
    said = done.json
    made = SettlementContract(place.node, said["contract"])
    assert place.contract.artifact.is_code(place.node.code(said["contract"]))
    assert (made.owner(), made.operator(), made.guardian()) == (ALICE.address, ALICE.address, SELLER.address)
    assert (made.challenge_window, made.deployed_block, said["token"]) == (60, said["block"], None)
    assert before - place.node.balance(ALICE.address) == said["cost"] <= said["most"]
    assert ALICE.key not in done.out + done.err


def test_a_token_to_test_with_comes_along_where_it_is_asked_for(place, with_key, tollbook):
    with_key(ALICE.key)
    said = tollbook("chain", "deploy", "--chain", CHAIN, "--token-test", "--json").json
    assert said["token"]["asset"] == f"{CHAIN}/erc20:{said['token']['contract']}"
    assert Token(place.node, said["token"]["contract"]).symbol() == "TUSD"
    page = tollbook("chain", "deploy", "--chain", CHAIN, "--token-test")
    assert (page.code, "worth nothing" in page.out, ALICE.key in page.out) == (0, True, False)


@pytest.mark.parametrize(
    ("key", "words", "code", "message"),
    [
        (POOR, (), "io", "0 of the coin"),
        (ALICE.key, ("--owner", "0x12"), "bad_data", "the owner cannot be that"),
        (ALICE.key, ("--operator", "0x" + "0" * 40), "bad_data", "the owner or the operator is the address 0"),
        (ALICE.key, ("--exit-delay", "5"), "bad_data", "shorter than the freeze delay"),
        (ALICE.key, ("--window", str(1 << 48)), "bad_data", "challenge window"),
        ("words", (), "bad_data", "TOLLBOOK_EVM_KEY is not a private key"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(place, with_key, tollbook, key, words, code, message):
    with_key(key)
    height = place.chain.height
    done = tollbook("chain", "deploy", "--chain", CHAIN, *words, "--json")
    assert (done.error["code"], message in done.error["message"]) == (code, True), done
    assert place.chain.height == height
    assert key not in done.err


def test_another_chain_than_the_nodes_is_refused(place, with_key, tollbook):
    with_key(ALICE.key)
    height = place.chain.height
    for command in (("deploy",), ("status", "--contract", place.address)):
        error = tollbook("chain", *command, "--chain", "eip155:1", "--json").error
        assert (error["code"], "is on chain 31337, not on 1" in error["message"]) == ("bad_data", True)
        error = tollbook("chain", *command, "--chain", "mock:local", "--json").error
        assert (error["code"], "not the name of an EVM chain" in error["message"]) == ("bad_data", True)
    assert place.chain.height == height


def test_without_a_key_or_a_node_it_says_what_to_set(place, tollbook, monkeypatch):
    words = ("chain", "deploy", "--chain", CHAIN, "--json")
    assert "TOLLBOOK_EVM_URL" in tollbook(*words).error["hint"]
    monkeypatch.setenv("TOLLBOOK_EVM_URL", place.chain.url)
    assert "TOLLBOOK_EVM_KEY" in tollbook(*words).error["hint"]


# -- status ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def status(place, tollbook):
    def run(address=None, *words):
        return tollbook("chain", "status", "--chain", CHAIN, "--contract", address or place.address, *words)

    return run


def test_the_status_has_what_the_chain_has(place, with_key, status):
    with_key(OPERATOR.key)
    found = status(None, "--json")
    there, key = found.json["found"], found.json["key"]
    assert (found.code, found.json["problems"]) == (0, [])
    assert (there["operator"], there["owner"]) == (OPERATOR.address, OWNER.address)
    assert (there["window"], there["freeze_delay"], there["exit_delay"]) == (600, 60, 3600)
    assert (key["address"], key["is_operator"]) == (OPERATOR.address, True)
    assert key["balance"] == place.node.balance(OPERATOR.address)
    assert found.json["head"]["number"] == place.chain.height
    assert found.json["final"] == place.chain.height - 2
    assert {each["asset"] for each in there["assets"]} == {place.asset, place.coin}
    assert "nothing is wrong" in status().out


def test_a_batch_that_waits_is_told_with_when_it_is_ready(place, with_key, status):
    with_key(OPERATOR.key)
    before = place.chain.snapshot()
    place.buys(place.alice)
    place.commits(place.batch([(place.alice, 300, 0)], {SELLER.address: 300}))
    (waiting,) = status(None, "--json").json["found"]["waiting"]
    assert (waiting["number"], waiting["ready_at"]) == (1, place.chain.now + 600)
    assert waiting["digest"] in status().out
    place.chain.restore(before)


def test_a_key_that_is_not_the_operators_is_a_problem_and_1(with_key, status):
    with_key(ALICE.key)
    found = status(None, "--json")
    assert found.code == 1
    (problem,) = found.json["problems"]
    assert ALICE.address in problem["message"]
    assert OPERATOR.address in problem["message"]
    page = status()
    assert (page.code, "wrong: the key is that of" in page.out, ALICE.key in page.out) == (1, True, False)


def test_an_operator_without_money_for_gas_is_a_problem(with_key, status):
    with_key(POOR)
    problems = [each["message"] for each in status(None, "--json").json["problems"]]
    assert any("has 0 of the coin" in each for each in problems)


def test_an_address_without_code_or_with_another_contract_is_a_problem(place, with_key, status):
    with_key(OPERATOR.key)
    for address, message in (
        (SELLER.address, "there is no contract at"),
        (place.token.address, "is not the UsageSettle"),
    ):
        found = status(address, "--json")
        assert (found.code, found.json["found"]) == (1, None)
        assert message in found.json["problems"][0]["message"]
        assert "operator" not in status(address).out
    assert status("0x12", "--json").error["code"] == "bad_data"


def test_without_a_key_nothing_is_wrong_and_it_says_so(place, status, monkeypatch):
    monkeypatch.setenv("TOLLBOOK_EVM_URL", place.chain.url)
    found = status(None, "--json")
    assert (found.code, found.json["key"]) == (0, None)
    assert "no key is set" in status().out


def test_a_node_that_does_not_answer_is_2(place, with_key, status, monkeypatch):
    with_key(OPERATOR.key)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("TOLLBOOK_EVM_URL", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        monkeypatch.setenv("TOLLBOOK_EVM_TRIES", "1")
        assert status(None, "--json").error["code"] == "io"


WITHOUT_WEB3 = """
import json, sys
sys.modules["web3"] = None
from gateway.cli.main import main
sys.exit({main(words) for words in json.loads(sys.argv[1])} != {2})
"""


def test_without_the_extra_it_says_what_to_install():
    commands = [["up"], ["deploy", "--chain", CHAIN], ["status", "--chain", CHAIN, "--contract", "0x"]]
    words = json.dumps([["chain", *command] for command in commands])
    done = subprocess.run([sys.executable, "-c", WITHOUT_WEB3, words], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (0, "", 3)
    assert done.stderr.count("need the package web3, which is not installed") == 3
    assert done.stderr.count('pip install "tollbook[evm]"') == 3


@needs_anvil  # a process of its own, which can be killed
def test_a_chain_that_dies_ends_the_command_with_an_error(up, patience):
    if not Path("/proc/self/task").exists():
        pytest.skip("the processes of a process are found on Linux alone")
    process = up("--kind", "anvil", "--json")
    process.stdout.readline()
    (shell,) = children(process.pid)
    (anvil,) = children(shell)
    os.kill(anvil, signal.SIGKILL)
    out, error = process.communicate(timeout=patience)
    assert (process.returncode, out) == (2, "")
    assert "does not answer" in json.loads(error)["error"]["message"]


@pytest.mark.parametrize("command", ["up", "deploy", "status"])
def test_the_help_has_examples_and_says_what_every_option_is(tollbook, command):
    page = tollbook("chain", command, "--help")
    assert (page.code, f"tollbook chain {command}" in page.out.partition("Examples:")[2]) == (0, True)
