"""The client of a node: what it reads from real chains, and what it makes of nodes that fail, refuse and lie."""

import logging
import threading
from types import SimpleNamespace

import pytest
from eth_account import Account
from scripted_node import Broken, Error, Http, ScriptedNode, Silent, block
from urllib3 import HTTPResponse

from chains.evm.local import DEV_ACCOUNTS
from chains.evm.node import GasPrice, Node
from chains.evm.node_errors import CallReverted, RangeTooWide, TransactionRejected
from chains.evm.transport import BoundedRetry
from ledger.errors import BadData, ChainUnavailable, LedgerError, SendUnknown

ALICE = DEV_ACCOUNTS[0]
NOBODY = "0x" + "22" * 20
UNKNOWN = "0x" + "00" * 32
GWEI = 10**9
SEND = "eth_sendRawTransaction"
NOW = 1_700_000_000
"""The time of the scripted node's blocks, in UTC seconds."""

REVERTS = {"data": "0x63deadbeef6000526004601cfd"}
# A contract that logs topics 7 and the caller (see test_local_chains).
LOGS = "0x6d336007602060006020600052a200600052600e6012f3"


def signed(nonce=0, **fields):
    filled = {"to": NOBODY, "value": 1, "gas": 200_000, "maxFeePerGas": 3 * GWEI, "maxPriorityFeePerGas": 1}
    filled |= {"nonce": nonce, "chainId": 31337} | fields
    return Account.sign_transaction({name: value for name, value in filled.items() if value is not None}, ALICE.key)


RAW = signed().raw_transaction
HASH = signed().hash.to_0x_hex()


def failing(call, *args, **fields) -> LedgerError:
    """The error of a call, which shows nothing of a URL but scheme, host and port."""
    with pytest.raises(LedgerError) as caught:
        call(*args, **fields)
    error: BaseException | None = caught.value
    while error is not None:
        assert "secret" not in f"{error} {error.args} {getattr(error, 'hint', '')}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return caught.value


@pytest.fixture
def script():
    """A scripted node, and a client of it that waits for nothing; its URL has secrets everywhere."""
    opened = []

    def start(timeout=10, **answers):
        node = ScriptedNode(**{"eth_chainId": "0x7a69", "eth_getBlockByNumber": block(9)} | answers)
        host = node.url.removeprefix("http://")
        url = f"http://user-secret:pass-secret@{host}/v3/path-secret?key=query-secret"
        client = Node(url, timeout=timeout, backoff=0)
        opened.extend((client, node))
        return SimpleNamespace(node=node, client=client, url=node.url)

    yield start
    for each in opened:
        each.__exit__(None, None, None)


@pytest.fixture
def node(chain):
    with Node(chain.url, timeout=600) as node:
        yield node


# -- real chains -------------------------------------------------------------------------------------------------------


def test_blocks_balances_nonces_and_code_are_read_at_any_block(chain, node):
    node.check(chain.chain_id, now=chain.now)
    assert node.chain_id() == chain.chain_id
    chain.mined(node.send(signed(value=5).raw_transaction))
    assert (node.nonce(ALICE.address), node.nonce(ALICE.address, 0)) == (1, 0)
    assert (node.balance(NOBODY), node.balance(NOBODY, 0)) == (5, 0)
    assert node.code(NOBODY) == b""
    head = node.head()
    assert (head.number, head.timestamp) == (1, chain.now)
    assert node.block(1) == head
    assert node.block(2) is None
    assert node.block("earliest").number == 0
    assert node.fees().base == head.base_fee


def test_transactions_and_receipts_are_read_and_none_where_there_are_none(chain, node):
    hash = node.send(signed().raw_transaction)
    chain.mined(hash)
    assert node.receipt(hash).status == 1
    assert node.transaction(hash).blockNumber == 1
    assert node.receipt(UNKNOWN) is None
    assert node.transaction(UNKNOWN) is None


def test_logs_are_read_by_range_address_and_topics(chain, node):
    contract = chain.mined(node.send(signed(0, to=None, value=0, data=LOGS).raw_transaction))["contractAddress"]
    contract = node.web3.to_checksum_address(contract)
    hashes = [node.send(signed(nonce, to=contract, value=0).raw_transaction) for nonce in (1, 2)]
    for hash in hashes:
        chain.mined(hash)
    found = node.logs(0, chain.height, contract, [f"0x{7:064x}"])
    assert [log.transactionHash.to_0x_hex() for log in found] == hashes
    assert node.logs(0, chain.height, contract, [f"0x{8:064x}"]) == []
    assert node.logs(0, 1) == []
    assert len(node.code(contract)) == 14


def test_a_call_that_reverts_gives_its_bytes(chain, node):
    for ask in (node.call, node.estimate_gas):
        with pytest.raises(CallReverted) as caught:
            ask(REVERTS)
        assert caught.value.data == bytes.fromhex("deadbeef")
    assert node.call({"to": NOBODY}) == b""
    assert node.estimate_gas({"from": ALICE.address, "to": NOBODY, "value": 1}) >= 21_000


def test_too_little_money_is_told_before_anything_is_sent(chain, node):
    error = failing(node.estimate_gas, {"from": NOBODY, "to": ALICE.address, "value": 1, "data": "0x00"})
    assert isinstance(error, TransactionRejected)
    assert error.reason == "funds"


def test_final_is_what_the_chain_says_or_so_many_blocks_below_the_head(chain, node):
    chain.mine(10)
    assert node.final_block() == 8
    with Node(chain.url, finality=3, timeout=600) as deeper:
        assert deeper.final_block() == 7


def test_what_is_final_does_not_go_back(chain, node):
    chain.mine(5)
    snapshot = chain.snapshot()
    chain.mine(5)
    assert node.final_block() == 8
    chain.restore(snapshot)
    assert node.final_block() == 8
    assert "has called block 8 final" in str(failing(node.head))
    assert "has called block 8 final" in str(failing(node.check, chain.chain_id, now=chain.now))


def test_sending_again_what_the_chain_has_does_no_harm(chain, node):
    for _ in range(3):
        chain.mined(node.send(RAW))
    assert node.balance(NOBODY) == 1


def test_sending_again_what_waits_in_the_pool_does_no_harm(quickest):
    quickest.set_automine(False)
    with Node(quickest.url, timeout=600) as node:
        assert node.send(RAW) == node.send(RAW) == HASH
        assert node.transaction(HASH).get("blockNumber") is None
        quickest.mine()
        assert node.send(RAW) == HASH
        assert node.balance(NOBODY) == 1


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"nonce": 0, "value": 2}, "nonce"),
        ({"value": 10**30}, "funds"),
        ({"maxFeePerGas": 1}, "fee"),
        ({"gas": 20_000}, "other"),
        ({"gas": 10**9}, "other"),
        ({"chainId": 5}, "other"),
    ],
)
def test_a_transaction_that_is_refused_for_good_says_why(chain, node, fields, reason):
    chain.mined(node.send(RAW))
    error = failing(node.send, signed(**{"nonce": 1} | fields).raw_transaction)
    assert isinstance(error, TransactionRejected)
    assert error.reason == reason
    assert node.nonce(ALICE.address) == 1


def test_a_replacement_that_gives_no_more_is_refused(quickest):
    quickest.set_automine(False)
    with Node(quickest.url, timeout=600) as node:
        node.send(RAW)
        error = failing(node.send, signed(value=2).raw_transaction)
        assert isinstance(error, TransactionRejected)
        assert error.reason == "fee"


def test_many_threads_share_a_node(chain, node):
    chain.mine(3)
    read, threads = [], []
    for _ in range(8):
        threads.append(threading.Thread(target=lambda: read.extend(node.head().number for _ in range(10))))
        threads[-1].start()
    for thread in threads:
        thread.join()
    assert read == [3] * 80


# -- nodes that fail ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [1, 4])
@pytest.mark.parametrize("failure", [Http(500), Http(502, b"<html>"), Http(429, headers={"Retry-After": "0"})])
def test_a_read_is_tried_again_until_the_node_recovers(script, failure, times):
    scripted = script(eth_chainId=[*[failure] * times, "0x7a69"])
    assert scripted.client.chain_id() == 31337
    assert scripted.node.asked == ["eth_chainId"] * (times + 1)


@pytest.mark.parametrize("failure", [Broken(), Silent()])
def test_a_read_that_got_no_answer_is_tried_again(script, failure):
    scripted = script(timeout=0.3 if failure == Silent() else 10, eth_chainId=[failure, "0x7a69"])
    assert scripted.client.chain_id() == 31337
    assert scripted.node.asked == ["eth_chainId"] * 2


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (Http(500), "HTTP 500"),
        (Http(429, headers={"Retry-After": "0"}), "limits the rate of requests"),
        (Http(401), "denies access"),
        (Http(404), "denies access"),
        (Http(302, headers={"Location": "https://example.org/"}), "HTTP 302"),
        (Http(200, b"<html>welcome</html>"), "does not speak JSON-RPC"),
        (Http(200, b""), "does not speak JSON-RPC"),
        (Http(200, b"[]"), "does not speak JSON-RPC"),
        (Http(200, b"[" * 100_000), "does not speak JSON-RPC"),
        (Http(200, b'{"jsonrpc":"2.0","id":1}'), "does not speak JSON-RPC"),
        (Http(200, b"{}", {"Content-Length": "5"}), "broke off"),
        (Broken(), "broke off"),
        (Silent(), "gives no answer in 0.3 seconds"),
        ("garbage", "no usable answer"),
        (None, "no usable answer"),
        (7, "no usable answer"),
        (Error(-32000, "no"), "refuses eth_chainId: no"),
        (Error(-32005, "project path-secret: rate limit exceeded"), "limits the rate of requests: project …"),
        (Error(-32000, "see http://h/path-secret?key=query-secret\n" + "x" * 900), "see http://h/…?key=… xxx"),
    ],
)
def test_a_read_without_a_usable_answer_says_which_node_and_shows_no_secret(script, failure, words):
    scripted = script(timeout=0.3 if failure == Silent() else 10, eth_chainId=failure)
    error = failing(scripted.client.chain_id)
    assert isinstance(error, ChainUnavailable)
    assert words in str(error)
    assert len(str(error)) < 300
    assert scripted.url in str(error)
    assert "secret" not in f"{scripted.client!r} {scripted.client.web3.provider}"


@pytest.mark.parametrize("is_there", [True, False])
def test_no_secret_of_the_url_gets_into_the_log_of_whoever_logs(script, caplog, is_there):
    """urllib3 warns of each try with the whole path and query."""
    caplog.set_level(logging.DEBUG)
    scripted = script()
    if is_there:
        assert scripted.client.chain_id() == 31337
    else:
        scripted.node.__exit__(None, None, None)
        failing(scripted.client.chain_id)
        assert "Retrying" in caplog.text
    assert "/v3/…?key=…" in caplog.text
    assert "secret" not in caplog.text


def test_a_node_that_asks_for_an_hour_is_given_seconds():
    for asked, given in (("3600", 10), ("3", 3), (None, None)):
        headers = {} if asked is None else {"Retry-After": asked}
        assert BoundedRetry().get_retry_after(HTTPResponse(headers=headers)) == given


def test_a_node_that_is_down_is_unavailable_and_nothing_was_sent(script):
    scripted = script()
    scripted.node.__exit__(None, None, None)
    for call in (scripted.client.chain_id, lambda: scripted.client.send(RAW)):
        error = failing(call)
        assert isinstance(error, ChainUnavailable)
        assert "cannot be reached" in str(error)


def test_a_closed_node_asks_nothing(script):
    scripted = script()
    scripted.client.close()
    scripted.client.close()
    for call in (scripted.client.chain_id, scripted.client.head, lambda: scripted.client.send(RAW)):
        assert "was closed" in str(failing(call))
    assert scripted.node.asked == []


@pytest.mark.parametrize("url", ["", "nonsense", "ftp://host", "file:///etc/passwd", "http://", "ws://host"])
def test_what_is_no_url_is_bad_data(url):
    with pytest.raises(BadData, match="URL"):
        Node(url)


@pytest.mark.parametrize("wrong", [{"number": "x"}, {"hash": "0x12"}, {"timestamp": None}])
def test_a_block_that_is_none_is_no_usable_answer(script, wrong):
    scripted = script(eth_getBlockByNumber=block(9) | wrong)
    assert "no usable answer" in str(failing(scripted.client.head))


@pytest.mark.parametrize("answer", [7, {"blockNumber": "zz"}, [{}], {}, [7]])
def test_receipts_transactions_and_logs_that_are_none_are_no_usable_answer(script, answer):
    answers = ("eth_getTransactionReceipt", "eth_getTransactionByHash", "eth_getLogs")
    client = script(**dict.fromkeys(answers, answer)).client
    for ask in (lambda: client.receipt(UNKNOWN), lambda: client.transaction(UNKNOWN), lambda: client.logs(0, 9)):
        assert "no usable answer" in str(failing(ask))


def test_an_address_that_is_none_is_bad_data(script):
    assert isinstance(failing(script().client.call, {"to": "0x12"}), BadData)


# -- logs --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "refusal",
    [
        Error(-32005, "query returned more than 10000 results"),
        Error(-32602, "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range"),
        Error(-32614, "eth_getLogs is limited to a 10,000 range"),
        Error(-32000, "query timeout exceeded"),
        Http(413),
        Http(400, b'{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"block range too large"}}'),
    ],
)
def test_too_wide_a_range_is_told_apart_until_there_is_nothing_to_halve(script, refusal):
    scripted = script(eth_getLogs=refusal)
    assert isinstance(failing(scripted.client.logs, 0, 1), RangeTooWide)
    assert type(failing(scripted.client.logs, 1, 1)) is ChainUnavailable


@pytest.mark.parametrize("refusal", [Error(-32005, "daily request count exceeded"), Error(-32601, "no such method")])
def test_what_a_narrower_range_would_not_mend_is_no_range_error(script, refusal):
    assert type(failing(script(eth_getLogs=refusal).client.logs, 0, 9)) is ChainUnavailable


# -- nodes that lie ----------------------------------------------------------------------------------------------------


def test_a_node_of_another_chain_is_bad_data_and_says_which_variable_to_set(script):
    error = failing(script().client.check, 8453, now=NOW)
    assert isinstance(error, BadData)
    assert "on chain 31337, not on 8453" in str(error)
    assert "TOLLBOOK_EVM_URL_8453" in error.hint


def test_a_node_that_is_syncing_is_unavailable(script):
    scripted = script(eth_syncing={"currentBlock": "0x5", "highestBlock": "0x64"})
    assert "syncing: at block 5 of 100" in str(failing(scripted.client.check, 31337, now=NOW))
    assert "syncing" in str(failing(script(eth_syncing=True).client.check, 31337, now=NOW))


@pytest.mark.parametrize("answer", [False, Error(-32601, "the method does not exist")])
def test_a_node_that_is_not_syncing_or_does_not_know_the_word_passes(script, answer):
    script(eth_syncing=answer).client.check(31337, now=NOW)


def test_a_head_older_than_what_is_final_is_a_lie(script):
    scripted = script(eth_getBlockByNumber=[block(9), block(8)])
    assert "contradicts itself" in str(failing(scripted.client.check, 31337, now=NOW))


def test_a_head_that_goes_back_behind_what_was_final_is_a_lie(script):
    scripted = script(eth_getBlockByNumber=[block(9), block(9), block(8), block(8), block(9)])
    assert scripted.client.final_block() == 9
    assert scripted.client.head().number == 9
    assert "has called block 9 final" in str(failing(scripted.client.head))
    assert scripted.client.final_block() == 9  # its word before, not its word now
    assert scripted.client.head().number == 9


def test_a_head_that_is_too_old_is_unavailable(script):
    client = script().client
    client.check(31337, now=NOW + 600)
    assert "601 seconds old" in str(failing(client.check, 31337, now=NOW + 601))


@pytest.mark.parametrize("answer", [None, Error(-32602, "invalid block tag"), Error(-39001, "Unknown block")])
def test_without_the_tag_finality_is_the_number_that_was_set_or_an_error(script, answer):
    scripted = script(eth_getBlockByNumber=[answer, block(100)])
    error = failing(scripted.client.final_block)
    assert "does not say which block is final" in str(error)
    assert "TOLLBOOK_EVM_FINALITY" in error.hint
    scripted = script(eth_getBlockByNumber=[answer, block(100)])
    with Node(scripted.url, fallback=64, backoff=0) as client:
        assert client.final_block() == 36


def test_a_node_that_is_asked_too_much_does_not_lack_the_tag(script):
    scripted = script(eth_getBlockByNumber=[Error(-32005, "rate limit"), block(100)])
    with Node(scripted.url, fallback=64, backoff=0) as client:
        assert "limits the rate of requests" in str(failing(client.final_block))


def test_an_answer_about_something_else_is_a_contradiction(script):
    log = {"address": NOBODY, "blockHash": UNKNOWN, "blockNumber": "0x5", "data": "0x", "logIndex": "0x0"}
    log |= {"topics": [], "transactionHash": UNKNOWN}
    receipt = {"blockHash": UNKNOWN, "blockNumber": "0x5", "logs": [], "status": "0x1", "transactionHash": UNKNOWN}
    answers = {"eth_getLogs": [[log]], "eth_getTransactionReceipt": receipt}
    client = script(**answers, eth_getTransactionByHash={"hash": UNKNOWN}).client
    assert (
        len(client.logs(5, 5, NOBODY)) == len(client.logs(0, 9, [ALICE.address, NOBODY])) == len(client.logs(5, 5)) == 1
    )
    assert client.receipt(UNKNOWN).blockNumber == 5
    assert client.transaction(UNKNOWN) is not None
    for ask in (
        lambda: client.logs(5, 5, ALICE.address),
        lambda: client.logs(6, 9),
        lambda: client.receipt(HASH),
        lambda: client.transaction(HASH),
        lambda: client.block(8),
    ):
        assert "contradicts itself" in str(failing(ask))


# -- fees --------------------------------------------------------------------------------------------------------------


def test_fees_come_from_the_suggestion_or_from_history(script):
    assert script(eth_maxPriorityFeePerGas="0x5").client.fees() == GasPrice(7, 5)
    rewards = [["0x1"], ["0x9"], ["0x3"]]
    assert script(eth_feeHistory={"reward": rewards}).client.fees() == GasPrice(7, 3)
    for answer in ({"reward": []}, {"reward": [[]]}, {}, 7, {"reward": [["x"]]}):
        assert "no usable answer" in str(failing(script(eth_feeHistory=answer).client.fees))
    assert "refuses" in str(failing(script().client.fees))


def test_a_chain_without_a_base_fee_is_refused(script):
    scripted = script(eth_getBlockByNumber=block(9, base_fee=None))
    assert isinstance(failing(scripted.client.fees), BadData)


# -- sending -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        Silent(),
        Broken(),
        Http(500),
        Http(502, b"<html>"),
        Http(504),
        Http(200, b"<html>"),
        Http(200, b"{}", {"Content-Length": "5"}),
        Error(-32603, "internal error"),
        Error(-32000, "upstream: context deadline exceeded"),
        UNKNOWN,
        None,
    ],
)
def test_a_send_without_a_usable_answer_is_unknown_and_is_not_repeated(script, answer):
    scripted = script(timeout=0.3 if answer == Silent() else 10, eth_sendRawTransaction=answer)
    assert isinstance(failing(scripted.client.send, RAW), SendUnknown)
    assert scripted.node.asked == [SEND]


def test_after_a_timeout_exactly_one_request_to_send_was_made(script):
    """web3's provider repeats requests that timed out, transactions too: the node then says that it knows the
    transaction, which passes for success although nobody knows what the first request led to."""
    scripted = script(timeout=0.3, eth_sendRawTransaction=[Silent(), Error(-32000, "already known")])
    error = failing(scripted.client.send, RAW)
    assert isinstance(error, SendUnknown)
    assert "gives no answer in 0.3 seconds" in str(error)
    assert scripted.node.asked == [SEND]


@pytest.mark.parametrize("answer", [Http(429, headers={"Retry-After": "0"}), Http(401), Http(403), Http(400, b"?")])
def test_a_send_that_the_node_did_not_let_in_was_not_sent(script, answer):
    scripted = script(eth_sendRawTransaction=answer)
    assert isinstance(failing(scripted.client.send, RAW), ChainUnavailable)
    assert scripted.node.asked == [SEND]


@pytest.mark.parametrize(
    "words",
    ["already known", "transaction already imported", "known transaction: 12", "AlreadyKnown", "already in mempool"],
)
def test_what_the_node_knows_already_is_sent(script, words):
    assert script(eth_sendRawTransaction=Error(-32000, words)).client.send(RAW) == HASH


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("insufficient funds for gas * price + value: balance 0", "funds"),
        ("replacement transaction underpriced", "fee"),
        ("transaction underpriced: tip needed 1, tip permitted 0", "fee"),
        ("max fee per gas less than block base fee", "fee"),
        ("FeeTooLow", "fee"),
        ("nonce too high", "other"),
        ("txpool is full", "other"),
        ("invalid sender", "other"),
        ("tx fee (1.20 ether) exceeds the configured cap (1.00 ether)", "other"),
    ],
)
def test_a_definite_refusal_says_why_in_the_nodes_words(script, words, reason):
    error = failing(script(eth_sendRawTransaction=Error(-32000, words)).client.send, RAW)
    assert isinstance(error, TransactionRejected)
    assert (error.reason, words in str(error)) == (reason, True)


def test_a_method_that_is_not_there_has_sent_nothing(script):
    assert isinstance(failing(script().client.send, RAW), TransactionRejected)


@pytest.mark.parametrize("words", ["nonce too low", "OldNonce", "nonce too low: next nonce 429, tx nonce 0"])
def test_a_spent_nonce_is_done_if_it_was_spent_by_the_same_transaction(script, words):
    refusal = Error(-32000, words)
    mined = {"hash": HASH, "blockNumber": "0x1"}
    scripted = script(eth_sendRawTransaction=refusal, eth_getTransactionByHash=mined)
    assert scripted.client.send(RAW) == HASH
    error = failing(script(eth_sendRawTransaction=refusal, eth_getTransactionByHash=None).client.send, RAW)
    assert isinstance(error, TransactionRejected)
    assert error.reason == "nonce"
    unasked = script(eth_sendRawTransaction=refusal, eth_getTransactionByHash=Http(500))
    assert isinstance(failing(unasked.client.send, RAW), SendUnknown)
