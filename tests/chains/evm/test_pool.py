"""Local chains that mine on request: transactions wait in a pool, are replaced, dropped and thrown out of it."""

import pytest
import requests
from eth_account import Account
from web3 import Web3
from web3.exceptions import Web3RPCError

from chains.evm.local import DEV_ACCOUNTS
from chains.testing.anvil_control import set_balance, set_base_fee

GWEI = 10**9
NOBODY = "0x" + "22" * 20


@pytest.fixture
def send(chain):
    """Send a transaction of a development account."""
    session = requests.Session()
    eth = Web3(Web3.HTTPProvider(chain.url, session=session)).eth

    def send(nonce: int, fee: int = 3 * GWEI, priority: int = 1, value: int = 1, sender: int = 0) -> str:
        fields = {"to": NOBODY, "value": value, "gas": 21_000, "nonce": nonce, "chainId": chain.chain_id}
        fees = {"maxFeePerGas": fee, "maxPriorityFeePerGas": priority}
        signed = Account.sign_transaction(fields | fees, DEV_ACCOUNTS[sender].key)
        return eth.send_raw_transaction(signed.raw_transaction).to_0x_hex()

    yield send
    session.close()


def test_without_automine_transactions_wait_in_the_pool(chain, send):
    chain.set_automine(False)
    second, first = send(1), send(0)
    assert chain.ask("eth_getTransactionReceipt", first) is None
    chain.mine()
    assert chain.mined(first)["blockNumber"] == chain.mined(second)["blockNumber"] == "0x1"


def test_a_transaction_is_dropped_with_those_that_come_after_it(chain, send):
    chain.set_automine(False)
    first, second = send(0), send(1)
    assert chain.drop(first)
    assert not chain.drop(first)
    chain.mine()
    assert [chain.ask("eth_getTransactionByHash", hash) for hash in (first, second)] == [None, None]
    assert (send(0), send(1)) == (first, second)
    chain.mine()
    assert chain.mined(second)["blockNumber"] == "0x2"


def test_a_base_fee_that_rises_beyond_a_transaction_throws_it_out_of_the_pool(chain, send):
    chain.set_automine(False)
    cheap = send(0, fee=2 * GWEI)
    set_base_fee(chain, 10 * GWEI)
    chain.mine()
    assert chain.ask("eth_getBlockByNumber", "latest", False)["baseFeePerGas"] == hex(10 * GWEI)
    assert chain.ask("eth_getTransactionByHash", cheap) is None
    set_base_fee(chain, GWEI)
    chain.mine()
    assert send(0, fee=2 * GWEI) == cheap
    chain.mine()
    assert chain.mined(cheap)["status"] == "0x1"


def test_reorganised_transactions_are_not_put_back(chain, send):
    hash = send(0)
    chain.mined(hash)
    chain.reorganise(1)
    chain.mine(3)
    assert chain.ask("eth_getTransactionReceipt", hash) is None
    assert chain.ask("eth_getTransactionByHash", hash) is None


def test_a_replacement_pays_a_tenth_more_of_both_fees(chain, send):
    chain.set_automine(False)
    first = send(0, fee=20 * GWEI, priority=10 * GWEI)
    too_little = [(20, 10), (19, 11)]
    if chain.kind == "eth-tester":  # it is as strict as nodes are; anvil takes whatever has a higher `maxFeePerGas`
        too_little += [(22, 10), (20, 11), (21, 10)]
    for fee, priority in too_little:
        with pytest.raises(Web3RPCError, match="underpriced"):
            send(0, fee=fee * GWEI, priority=priority * GWEI, value=2)
    second = send(0, fee=22 * GWEI, priority=11 * GWEI)
    chain.mine()
    assert chain.mined(second)["status"] == "0x1"
    assert chain.ask("eth_getTransactionByHash", first) is None


def test_the_pending_count_is_of_what_waits_without_a_gap(chain, send):
    chain.set_automine(False)
    for nonce in (0, 1, 3):
        send(nonce)
    counts = [chain.ask("eth_getTransactionCount", DEV_ACCOUNTS[0].address, tag) for tag in ("latest", "pending")]
    assert counts == ["0x0", "0x2"]


def test_what_waits_is_mined_by_what_it_pays_and_what_is_behind_a_gap_waits_on(chain, send):
    chain.set_automine(False)
    low, gap = send(0, priority=GWEI), send(1, sender=2)
    high = send(0, fee=5 * GWEI, priority=2 * GWEI, sender=1)
    chain.mine()
    assert chain.ask("eth_getBlockByNumber", "latest", False)["transactions"] == [high, low]
    assert chain.ask("eth_getTransactionByHash", gap)["blockNumber"] is None
    send(0, sender=2)
    chain.mine()
    assert chain.mined(gap)["blockNumber"] == "0x2"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"value": 10**30}, "insufficient funds"),
        ({"fee": 1}, "max fee per gas less than block base fee"),
        ({"nonce": 0}, "nonce too low"),
        ({"nonce": 1}, "already imported"),
    ],
)
def test_the_pool_refuses_what_cannot_be_mined(chain, send, fields, words):
    chain.mined(send(0))
    chain.set_automine(False)
    send(1)
    with pytest.raises(Web3RPCError, match=f"(?i){words}"):
        send(**{"nonce": 1} | fields)


def test_a_transaction_is_read_as_it_was_signed_waiting_mined_and_after_a_reorganisation(chain, send):
    chain.set_automine(False)
    hash = send(0)
    raw = chain.ask("eth_getRawTransactionByHash", hash)
    chain.mine()
    assert chain.ask("eth_getRawTransactionByHash", hash) == raw
    chain.reorganise(1)
    assert chain.ask("eth_sendRawTransaction", raw) == hash
    chain.mine()
    assert chain.mined(hash)["blockNumber"] == "0x2"


def test_a_balance_that_is_set_is_there_before_and_after_the_next_block(chain):
    set_balance(chain, NOBODY, 5)
    assert chain.ask("eth_getBalance", NOBODY, "latest") == "0x5"
    chain.mine()
    assert chain.ask("eth_getBalance", NOBODY, "latest") == "0x5"
