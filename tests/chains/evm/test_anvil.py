"""anvil as a process of ours: it starts, is found, is told what to do, and is gone when we are."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import requests
from eth_account import Account
from web3 import Web3

from chains.evm.local import DEV_ACCOUNTS
from chains.evm.local.anvil import Anvil, find_anvil
from chains.testing.anvil_control import impersonate, set_balance, set_base_fee, set_nonce
from ledger.errors import BadData, ChainUnavailable

NOBODY = "0x" + "22" * 20


def gone(pid: int) -> bool:
    """Whether a process ends, within ten seconds."""
    for _ in range(1_000):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


@pytest.fixture
def send(anvil):
    """Send a transaction of the first account: its nonce and fees."""
    session = requests.Session()
    eth = Web3(Web3.HTTPProvider(anvil.url, session=session)).eth

    def send(nonce: int, fee: int = 3 * 10**9) -> str:
        fields = {"to": NOBODY, "value": 1, "gas": 21_000, "nonce": nonce, "chainId": anvil.chain_id}
        fees = {"maxFeePerGas": fee, "maxPriorityFeePerGas": 1}
        signed = Account.sign_transaction(fields | fees, DEV_ACCOUNTS[0].key)
        return eth.send_raw_transaction(signed.raw_transaction).to_0x_hex()

    yield send
    session.close()


def test_the_process_is_gone_when_the_chain_is_closed(anvil):
    os.kill(anvil.pid, 0)  # it is there
    anvil.close()
    assert gone(anvil.pid)
    with pytest.raises(ChainUnavailable):
        anvil.mine()


def test_the_process_is_gone_when_its_parent_is_killed(anvil):
    program = "from chains.evm.local.anvil import Anvil; print(Anvil().pid, flush=True); input()"
    parent = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with parent:
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)
        parent.send_signal(signal.SIGKILL)
    assert gone(pid)


def test_the_process_outlives_the_thread_that_started_it(anvil):
    started = []
    thread = threading.Thread(target=lambda: started.append(Anvil()))
    thread.start()
    thread.join()
    with started[0] as other:
        other.mine()
        assert other.height == 1


def test_a_process_that_hangs_is_killed(anvil, monkeypatch):
    os.kill(anvil.pid, signal.SIGSTOP)
    wait = anvil._process.wait
    monkeypatch.setattr(anvil._process, "wait", lambda timeout=None: wait(None if timeout is None else 0.1))
    anvil.close()
    assert gone(anvil.pid)


def test_a_process_that_was_killed_from_outside_can_still_be_closed(anvil):
    os.kill(anvil.pid, signal.SIGKILL)
    with pytest.raises(ChainUnavailable, match="does not answer"):
        anvil.mine()
    anvil.close()
    assert gone(anvil.pid)


def test_what_it_will_not_start_with_is_told(anvil):
    with pytest.raises(ChainUnavailable, match=r"did not start.*-1"):
        Anvil(base_fee=-1)


def test_it_is_found_by_its_variable_by_path_and_in_node_modules(monkeypatch, tmp_path):
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


def test_without_automine_transactions_wait_in_the_pool(anvil, send):
    anvil.set_automine(False)
    second, first = send(1), send(0)
    assert anvil.ask("eth_getTransactionReceipt", first) is None
    anvil.mine()
    assert anvil.mined(first)["blockNumber"] == anvil.mined(second)["blockNumber"] == "0x1"


def test_a_transaction_is_dropped_with_those_that_come_after_it(anvil, send):
    anvil.set_automine(False)
    first, second = send(0), send(1)
    assert anvil.drop(first)
    assert not anvil.drop(first)
    anvil.mine()
    assert [anvil.ask("eth_getTransactionByHash", hash) for hash in (first, second)] == [None, None]
    assert (send(0), send(1)) == (first, second)
    anvil.mine()
    assert anvil.mined(second)["blockNumber"] == "0x2"


def test_a_base_fee_that_rises_beyond_a_transaction_throws_it_out_of_the_pool(anvil, send):
    anvil.set_automine(False)
    cheap = send(0, fee=2 * 10**9)
    set_base_fee(anvil, 10 * 10**9)
    anvil.mine()
    assert anvil.ask("eth_getBlockByNumber", "latest", False)["baseFeePerGas"] == hex(10 * 10**9)
    assert anvil.ask("eth_getTransactionByHash", cheap) is None
    set_base_fee(anvil, 10**9)
    anvil.mine()
    assert send(0, fee=2 * 10**9) == cheap
    anvil.mine()
    assert anvil.mined(cheap)["status"] == "0x1"


def test_reorganised_transactions_are_not_put_back(anvil, send):
    hash = send(0)
    anvil.mined(hash)
    anvil.reorganise(1)
    anvil.mine(3)
    assert anvil.ask("eth_getTransactionReceipt", hash) is None
    assert anvil.ask("eth_getTransactionByHash", hash) is None


def test_nonces_balances_and_senders_can_be_made_up(anvil, send):
    set_nonce(anvil, DEV_ACCOUNTS[0].address, 7)
    assert anvil.mined(send(7))["status"] == "0x1"
    set_balance(anvil, NOBODY, 10**18)
    impersonate(anvil, NOBODY)
    hash = anvil.ask("eth_sendTransaction", {"from": NOBODY, "to": DEV_ACCOUNTS[0].address, "value": "0x5"})
    assert anvil.mined(hash)["from"] == NOBODY


def test_its_state_is_kept_in_a_file(anvil, tmp_path):
    state = tmp_path / "state.json"
    with Anvil(state=state, timestamp=1_700_000_000, base_fee=7, block_time=3600) as first:
        assert first.now == 1_700_000_000
        assert first.ask("eth_getBlockByNumber", "latest", False)["baseFeePerGas"] == "0x7"
        first.mine(2)
    with Anvil(state=state) as again:
        assert again.height == 2
