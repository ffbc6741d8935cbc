"""Both kinds of local chain answer as one node does: over HTTP, and with the same errors."""

import json
import socket
import subprocess
import sys
import urllib.request
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
import requests
from eth_account import Account
from eth_utils import keccak
from web3 import Web3
from web3.exceptions import BlockNotFound, ContractCustomError, ContractLogicError, TransactionNotFound, Web3RPCError

from chains.evm.local import DEV_ACCOUNTS, local_chain
from chains.evm.local.anvil import find_anvil
from ledger.errors import BadData, ChainUnavailable

NOBODY = "0x" + "22" * 20
GWEI = 10**9

# Init code, by hand: reverts with 0xdeadbeef; reverts with nothing; runs into an invalid opcode.
REVERTS, REVERTS_EMPTY, INVALID = "0x63deadbeef6000526004601cfd", "0x60006000fd", "0xfe"
# Runtime: log2(0, 32, topic 1 = 7, topic 2 = the caller), behind init code that returns its 14 bytes.
LOGS = "0x6d336007602060006020600052a200600052600e6012f3"


@pytest.fixture
def alice(chain):
    """The first account, and how it sends."""
    session = requests.Session()
    web3 = Web3(Web3.HTTPProvider(chain.url, session=session))
    account = Account.from_key(chain.accounts[0].key)

    def sign(**fields):
        filled = {
            "to": NOBODY,
            "value": 1,
            "gas": 200_000,
            "maxFeePerGas": 3 * GWEI,
            "maxPriorityFeePerGas": 0,
            "nonce": web3.eth.get_transaction_count(account.address),
            "chainId": chain.chain_id,
            "type": 2,
        } | fields
        return account.sign_transaction({name: value for name, value in filled.items() if value is not None})

    def send(**fields):
        hash = web3.eth.send_raw_transaction(sign(**fields).raw_transaction)
        assert chain.mined(hash.to_0x_hex())["transactionHash"] == hash.to_0x_hex()
        return hash

    yield SimpleNamespace(address=account.address, sign=sign, send=send, eth=web3.eth)
    session.close()


def refused(call, *args, **fields) -> str:
    with pytest.raises(Web3RPCError) as caught:
        call(*args, **fields)
    return caught.value.rpc_response["error"]["message"].lower()


def test_the_accounts_are_the_public_ones_and_have_money(chain, alice):
    assert [Account.from_key(account.key).address for account in DEV_ACCOUNTS] == [
        account.address for account in chain.accounts
    ]
    assert all(alice.eth.get_balance(account.address) >= 10_000 * 10**18 for account in chain.accounts)


def test_a_transaction_is_mined_at_once(chain, alice):
    hash = alice.send(value=5)
    receipt = alice.eth.get_transaction_receipt(hash)
    assert (receipt.status, receipt.blockNumber, receipt.gasUsed, receipt.type) == (1, chain.height, 21_000, 2)
    assert alice.eth.get_transaction(hash)["from"] == alice.address
    assert alice.eth.get_balance(NOBODY) == 5


def test_state_is_read_as_of_any_block(chain, alice):
    alice.send(value=5)
    alice.send(value=6)
    assert [alice.eth.get_balance(NOBODY, number) for number in (0, 1, 2, "latest")] == [0, 5, 11, 11]
    assert [alice.eth.get_transaction_count(alice.address, number) for number in (0, 1, 2)] == [0, 1, 2]
    assert "outofrange" in refused(alice.eth.get_transaction_count, alice.address, 999)


def test_what_is_not_there_is_null(chain, alice):
    with pytest.raises(TransactionNotFound):
        alice.eth.get_transaction_receipt("0x" + "00" * 32)
    with pytest.raises(TransactionNotFound):
        alice.eth.get_transaction("0x" + "00" * 32)
    with pytest.raises(BlockNotFound):
        alice.eth.get_block(10**6)
    assert chain.ask("eth_getTransactionReceipt", "0x" + "00" * 32) is None


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"nonce": 0}, "nonce too low"),
        ({"chainId": 5}, "invalid chain id"),
        ({"value": 10**30}, "insufficient funds"),
        ({"gas": 20_000}, "intrinsic gas too low"),
        ({"gas": 10**9}, "gas"),
        ({"maxFeePerGas": 1}, "max fee per gas less than block base fee"),
    ],
)
def test_a_transaction_that_cannot_be_mined_is_refused_in_a_nodes_words(chain, alice, fields, words):
    alice.send()
    before = alice.eth.get_balance(NOBODY)
    assert words in refused(alice.send, **fields)
    alice.send()
    assert alice.eth.get_balance(NOBODY) == before + 1


@pytest.mark.parametrize("raw", [b"", b"\x02\x01\x02", b"\xf8\x01\x02", b"\x02" + b"\xff" * 100])
def test_garbage_is_no_transaction(chain, alice, raw):
    assert "transaction" in refused(alice.eth.send_raw_transaction, raw)


def test_a_transaction_that_reverts_is_mined_and_has_failed(chain, alice):
    receipt = alice.eth.get_transaction_receipt(alice.send(to=None, value=0, data=REVERTS))
    assert receipt.status == 0
    assert alice.eth.get_transaction_count(alice.address) == 1


def test_a_call_that_reverts_gives_the_bytes_it_reverted_with(chain, alice):
    for ask in (alice.eth.call, alice.eth.estimate_gas):
        with pytest.raises(ContractCustomError) as caught:
            ask({"data": REVERTS})
        assert caught.value.data == "0xdeadbeef"
    with pytest.raises(ContractLogicError) as caught:
        alice.eth.call({"data": REVERTS_EMPTY})
    assert caught.value.data == "0x"


def test_a_call_that_reverts_with_words_gives_the_words(chain, alice):
    words = "08c379a0" + f"{32:064x}{4:064x}" + b"no!!".hex().ljust(64, "0")
    store = "".join(f"7f{words[at : at + 64].ljust(64, '0')}60{at // 2:02x}52" for at in range(0, len(words), 64))
    with pytest.raises(ContractLogicError, match="no!!") as caught:
        alice.eth.call({"data": f"0x{store}60646000fd"})
    assert caught.value.data == f"0x{words}"


def test_a_call_that_breaks_down_is_an_error_too(chain, alice):
    assert "evm error" in refused(alice.eth.call, {"data": INVALID})


def test_a_call_needs_no_gas_money_but_the_value_it_sends(chain, alice):
    assert alice.eth.call({"from": NOBODY, "to": alice.address}) == b""
    assert alice.eth.call({"to": alice.address}) == b""
    assert alice.eth.estimate_gas({"from": NOBODY, "to": alice.address}) == 21_000
    assert "insufficient funds" in refused(alice.eth.call, {"from": NOBODY, "to": alice.address, "value": 1})


def test_a_call_without_a_sender_comes_from_the_zero_address(chain, alice):
    caller = "0x3360005260206000f3"  # the init code returns its caller
    assert alice.eth.call({"data": caller}) == bytes(32)
    assert alice.eth.call({"data": caller, "from": NOBODY})[12:] == bytes.fromhex("22" * 20)


def test_logs_are_found_by_address_topic_and_block(chain, alice):
    receipt = alice.eth.get_transaction_receipt(alice.send(to=None, value=0, data=LOGS))
    assert (receipt.status, receipt.to) == (1, None)
    contract = receipt.contractAddress
    sent = [alice.send(to=contract, value=0) for _ in range(3)]
    alice.send()
    first = alice.eth.get_transaction_receipt(sent[0]).blockNumber
    seven, other = f"0x{7:064x}", f"0x{8:064x}"

    def found(**asked):
        return [log.transactionHash for log in alice.eth.get_logs(asked)]

    assert found(fromBlock=0) == sent
    assert found(fromBlock=0, toBlock=chain.height + 100) == sent  # beyond the head is up to the head
    assert found(fromBlock=first, toBlock=first + 1) == sent[:2]
    assert found(fromBlock=0, address=contract, topics=[seven]) == sent
    assert found(fromBlock=0, address=[contract, NOBODY], topics=[[other, seven]]) == sent
    assert found(fromBlock=0, topics=[None, f"0x{int(alice.address, 16):064x}"]) == sent
    assert found(fromBlock=0, topics=[other]) == found(fromBlock=0, address=NOBODY) == []
    assert found(blockHash=alice.eth.get_block(first).hash) == sent[:1]
    log = alice.eth.get_logs({"fromBlock": 0})[0]
    assert (log.logIndex, log.removed, log.blockHash) == (0, False, alice.eth.get_block(first).hash)
    assert len(alice.eth.get_code(contract)) == 14
    assert alice.eth.get_code(contract, 0) == b""


def test_finality_lags_behind_the_head(chain, alice):
    assert alice.eth.get_block("finalized").number == 0
    chain.mine(5)
    assert [alice.eth.get_block(tag).number for tag in ("latest", "safe", "finalized")] == [5, 4, 3]


def test_fees_are_suggested(chain, alice):
    alice.send()
    history = alice.eth.fee_history(2, "latest", [50])
    assert history.oldestBlock == 0
    assert len(history.baseFeePerGas) == 3
    assert history.baseFeePerGas[1] == alice.eth.get_block("latest").baseFeePerGas
    assert alice.eth.max_priority_fee >= 0


def test_time_goes_where_it_is_told_and_not_back(chain):
    at = chain.now
    chain.advance(86_400)
    assert chain.now == at + 86_400
    chain.set_next_time(at + 90_000)
    assert chain.now == at + 86_400
    chain.mine()
    assert chain.now == at + 90_000
    with pytest.raises(BadData, match="imestamp"):
        chain.set_next_time(at)
    height = chain.height
    chain.mine(3)
    assert chain.height == height + 3


def test_a_contract_sees_the_blocks_time(chain, alice):
    chain.advance(1_000)
    assert int.from_bytes(alice.eth.call({"data": "0x4260005260206000f3"})) == chain.now


def test_a_snapshot_is_restored_once(chain, alice):
    alice.send(value=5)
    snapshot, height = chain.snapshot(), chain.height
    hash = alice.send(value=6)
    chain.restore(snapshot)
    assert (chain.height, alice.eth.get_balance(NOBODY)) == (height, 5)
    with pytest.raises(TransactionNotFound):
        alice.eth.get_transaction_receipt(hash)
    alice.send(value=7)
    assert alice.eth.get_balance(NOBODY) == 12
    with pytest.raises(BadData, match="no snapshot"):
        chain.restore(snapshot)


def test_a_reorganisation_replaces_blocks_and_loses_their_transactions(chain, alice):
    alice.send(value=5)
    lost = alice.sign(value=6)
    chain.mined(alice.eth.send_raw_transaction(lost.raw_transaction).to_0x_hex())
    kept, replaced, height = alice.eth.get_block(1).hash, alice.eth.get_block(2).hash, chain.height
    chain.reorganise(1)
    assert chain.height == height
    assert alice.eth.get_block(1).hash == kept
    assert alice.eth.get_block(2).hash != replaced
    assert alice.eth.get_balance(NOBODY) == 5
    with pytest.raises(TransactionNotFound):
        alice.eth.get_transaction_receipt(lost.hash)
    with pytest.raises(BlockNotFound):
        alice.eth.get_block(replaced)
    assert alice.eth.send_raw_transaction(lost.raw_transaction) == keccak(lost.raw_transaction)
    chain.mined(lost.hash.to_0x_hex())
    assert alice.eth.get_balance(NOBODY) == 11
    with pytest.raises(BadData, match="depth"):
        chain.reorganise(10**6)


def test_requests_come_in_batches_and_wrong_ones_are_told_apart(chain):
    def post(body: bytes):
        request = urllib.request.Request(chain.url, body, {"Content-Type": "application/json"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            return json.load(answer)

    good = {"jsonrpc": "2.0", "id": 7, "method": "eth_chainId", "params": []}
    told = post(json.dumps([good, good | {"id": "x", "method": "eth_nothing"}]).encode())
    assert told[0] == {"jsonrpc": "2.0", "id": 7, "result": hex(chain.chain_id)}
    assert (told[1]["id"], told[1]["error"]["code"]) == ("x", -32601)
    for body in (b"garbage", b"[]", b"{}", b"[" * 100_000):
        assert post(body)["error"]["code"] in (-32600, -32602)


def test_two_chains_of_one_machine_are_two(chain):
    with local_chain(chain.kind, chain_id=4242) as other:
        chain.mine(3)
        assert (chain.height, other.height) == (3, 0)
        assert int(other.ask("eth_chainId"), 16) == other.chain_id == 4242


def test_a_closed_chain_does_not_answer(chain):
    chain.close()
    chain.close()
    with pytest.raises(ChainUnavailable, match="does not answer"):
        chain.mine()


def test_a_client_that_asks_nothing_does_not_keep_a_chain_open(chain):
    address = urlsplit(chain.url)
    with socket.create_connection((address.hostname, address.port)) as idle:
        chain.mine()  # the chain has accepted the idle connection before this one
        chain.close()
        assert idle.recv(1) == b""


def test_the_best_that_is_installed_is_taken(monkeypatch, tmp_path):
    monkeypatch.setattr("chains.evm.local.anvil.find_anvil", lambda: None)
    with local_chain() as chain:
        assert chain.kind == "eth-tester"
    with pytest.raises(ChainUnavailable, match="anvil is not installed"):
        local_chain("anvil")


@pytest.mark.parametrize(
    "module",
    [
        "testing.evm_harness",
        *(pytest.param(name, marks=pytest.mark.sweep) for name in ("evm.connecting", "evm.wallet", "evm.local.tester")),
    ],
)
def test_python_recurses_no_deeper_for_a_chain_in_its_process(module):
    """py-evm and py_ecc raise the limit, and the standard json then crashes the process on deeply nested input."""
    lines = [
        "import sys",
        "before = sys.getrecursionlimit()",
        f"import chains.{module}",
        "assert sys.getrecursionlimit() == before",
    ]
    assert subprocess.run([sys.executable, "-c", "\n".join(lines)]).returncode == 0


def test_anvil_is_found_by_its_variable_by_path_and_in_node_modules(monkeypatch, tmp_path):
    def program(*path: str):
        file = tmp_path.joinpath(*path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("#!/bin/sh\n")
        file.chmod(0o755)
        return file

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("chains.evm.local.anvil.__file__", str(tmp_path / "elsewhere" / "anvil.py"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("TOLLBOOK_ANVIL", raising=False)
    assert find_anvil() is None
    beside = program("elsewhere", "node_modules", "@foundry-rs", "anvil-linux-amd64", "bin", "anvil")
    assert find_anvil() == beside
    here = program("node_modules", "@foundry-rs", "anvil-linux-amd64", "bin", "anvil")
    assert find_anvil() == here
    on_path = program("bin", "anvil")
    assert find_anvil() == on_path
    named = program("mine")
    monkeypatch.setenv("TOLLBOOK_ANVIL", str(named))
    assert find_anvil() == named


@pytest.mark.parametrize("named", ["nowhere", "."])
def test_a_variable_that_names_no_program_is_an_error(monkeypatch, tmp_path, named):
    monkeypatch.setenv("TOLLBOOK_ANVIL", str(tmp_path / named))
    with pytest.raises(BadData, match="TOLLBOOK_ANVIL"):
        find_anvil()
