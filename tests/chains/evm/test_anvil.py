"""anvil as a process of ours: it starts, is told what to do, and is gone when we are."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from local_kinds import ANVIL, INSTALL_ANVIL

from chains.evm.local import DEV_ACCOUNTS
from chains.evm.local.anvil import Anvil
from chains.testing.anvil_control import impersonate, set_balance, set_nonce
from ledger.errors import ChainUnavailable

if not ANVIL:
    pytest.skip(f"needs anvil: {INSTALL_ANVIL}", allow_module_level=True)

NOBODY = "0x" + "22" * 20


@pytest.fixture
def anvil():
    """A new anvil, for what only it can do."""
    with Anvil() as chain:
        yield chain


def gone(pid: int) -> bool:
    """Whether a process ends, within five minutes."""
    for _ in range(30_000):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


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


def test_nonces_balances_and_senders_can_be_made_up(anvil):
    first = DEV_ACCOUNTS[0].address
    set_nonce(anvil, first, 7)
    call = {"from": first, "to": NOBODY, "value": "0x1", "nonce": "0x7"}
    assert anvil.mined(anvil.ask("eth_sendTransaction", call))["status"] == "0x1"
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
