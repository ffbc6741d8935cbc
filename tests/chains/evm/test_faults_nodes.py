"""Nodes that are down, late, limited, forgetful, or not honest: nothing is lost, and nobody is paid twice."""

from contextlib import suppress

import pytest
from evm_shop import BOB, OPERATOR, OTHER, OWNER, encode_and_hash
from faulty_node import (
    behind,
    changed,
    finality,
    lost,
    no_wider_than,
    refuses,
    says,
    straight,
    to_and_fro,
    unanswered,
)
from local_kinds import needs_anvil

from chains import Outbox, Step, Watcher
from chains.evm import addresses
from chains.evm.commitment import payouts_hash
from chains.evm.local.anvil import Anvil
from ledger.errors import ChainUnavailable, SettlementStopped
from ledger.events import Purchased, Reversed
from ledger.plugins import contract_of

# -- down --------------------------------------------------------------------------------------------------------------


def test_a_node_that_is_down_is_said_to_be_down_and_nothing_is_lost(shop):
    shop.use(10)
    before = shop.ledger.head
    with shop.faulty.cut_off():
        for act in (shop.settle, shop.watcher.sync):
            with pytest.raises(ChainUnavailable, match="cannot be reached"):
                act()
    assert shop.ledger.head == before
    shop.settle()
    shop.receives(acme=95, fee=5)


@needs_anvil  # it can write its state down
@pytest.mark.parametrize("word", ["opened", "submitted", "committed"])
def test_a_node_that_is_killed_and_started_again_with_its_state_goes_on(shop, word, tmp_path):
    """By the process of the chain's own node: a new one is at another port, which the URL leads to by then."""
    shop.use(10)
    shop.open()
    shop.until(word)
    if word == "submitted":
        shop.outbox.step()  # it is in the pool, which dies with the node
    state = shop.local.ask("anvil_dumpState")
    shop.local.close()
    with pytest.raises(ChainUnavailable):
        shop.settle()
    shop.local = Anvil(automine=False)
    assert shop.local.ask("anvil_loadState", state)
    shop.faulty.target = shop.local.url.removeprefix("http://")
    shop.mine(2)
    shop.settle()
    assert shop.batches() == {1: "executed"}
    assert shop.story().count("submitted") == 1
    shop.receives(acme=95, fee=5)


# -- answers that do not come ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [unanswered, lost], ids=["it arrived", "it did not"])
def test_an_answer_that_did_not_come_is_unknown_until_the_chain_is_read(shop, fault):
    shop.use(10)
    shop.faulty.on("eth_sendRawTransaction", fault)
    shop.settle()
    assert shop.story() == ["opened", "submitted", "unknown", "committed", "confirmed"]
    assert len(set(shop.faulty.sent)) == 1
    shop.receives(acme=95, fee=5)


@pytest.mark.parametrize(
    "told",
    [
        refuses("internal error", -32603),
        refuses("request timed out", -32000),
        says(None),
        says("0x" + "11" * 32),
    ],
    ids=["internal error", "timeout", "nothing", "another hash"],
)
@pytest.mark.parametrize("done", [True, pytest.param(False, marks=pytest.mark.sweep)], ids=["done", "not done"])
def test_an_answer_that_says_nothing_of_a_transaction_is_unknown_until_the_chain_is_read(shop, told, done):
    def fault(request, ask):
        if done:
            straight(request, ask)
        return told(request, ask)

    shop.use(10)
    shop.faulty.on("eth_sendRawTransaction", fault)
    shop.settle()
    assert "unknown" in shop.story()
    assert shop.batches() == {1: "executed"}
    shop.receives(acme=95, fee=5)


NOW_AND_THEN = {"no answer": unanswered, "lost": lost, "an error": refuses("header not found"), "nothing": says(None)}


@pytest.mark.parametrize(
    ("fault", "every"),
    [
        ("no answer", 7),
        pytest.param("nothing", 5, marks=pytest.mark.sweep),
        *(pytest.param(fault, every, marks=pytest.mark.sweep) for fault in NOW_AND_THEN for every in (3, 4, 5, 6, 8)),
    ],
)
def test_a_node_that_fails_now_and_then_is_asked_again_until_all_is_settled(shop, fault, every):
    shop.use(10)
    asked = [0]

    def sometimes(request, ask):
        asked[0] += 1
        return (NOW_AND_THEN[fault] if asked[0] % every == 0 else straight)(request, ask)

    shop.faulty.always("*", sometimes)
    for _ in range(60):
        try:
            shop.settle(4)
        except ChainUnavailable:
            shop.mine()
    shop.faulty.always("*", None)
    shop.settle()
    assert shop.batches() == {1: "executed"}
    shop.receives(acme=95, fee=5)


# -- logs in ranges ----------------------------------------------------------------------------------------------------

REFUSALS = {
    "alchemy": refuses(
        "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range", -32602
    ),
    "infura": refuses("query returned more than 10000 results. Try with this block range [0x1, 0x2].", -32005),
    "quicknode": refuses("eth_getLogs is limited to a 5 range", -32614),
    "ankr": refuses("block range is too wide", -32600),
    "cloudflare": refuses("Max range: 800", -32047),
    "polygon": refuses("exceed maximum block range: 5", -32000),
    "bsc": refuses("exceed max range", -32005),
    "blast": refuses("Query timeout exceeded. Consider reducing your block range", -32000),
    "chainstack": refuses("Block range limit exceeded. See more details at the documentation", -32005),
    "erigon": refuses("query exceeds max block range 5", -32000),
}


@pytest.mark.parametrize(
    "provider",
    [
        *("alchemy", "infura", "quicknode"),
        *(pytest.param(each, marks=pytest.mark.sweep) for each in ("ankr", "bsc", "blast", "chainstack", "cloudflare")),
        *(pytest.param(each, marks=pytest.mark.sweep) for each in ("erigon", "polygon")),
    ],
)
def test_a_provider_that_bears_few_blocks_at_once_is_asked_for_few(shop, provider):
    shop.mine(20)
    shop.buy(BOB.address)
    shop.mine(23)
    shop.buy(BOB.address)
    shop.mine(3)
    shop.faulty.always("eth_getLogs", no_wider_than(5, REFUSALS[provider]))
    shop.chain = shop.connect()
    shop.carriers()
    assert shop.watcher.sync() == []
    assert shop.ledger.balance(BOB.address, "pro").issued == 200
    shop.use(10)
    shop.settle()
    assert shop.chain.claimed(OTHER.address, "eip155:31337/slip44:60") == 0
    shop.receives(acme=95, fee=5)


def test_a_node_that_refuses_the_logs_of_a_single_block_is_told_of(shop):
    shop.faulty.always("eth_getLogs", refuses("exceed maximum block range: 0"))
    shop.crash()
    before = shop.ledger.head
    with pytest.raises(ChainUnavailable, match="maximum block range"):
        shop.watcher.sync()
    assert shop.ledger.head == before
    shop.faulty.always("eth_getLogs", None)
    assert shop.watcher.sync() == []


def test_logs_that_a_node_calls_removed_are_not_taken_in(shop):
    shop.buy(BOB.address)
    shop.mine(2)
    bob = BOB.address[2:].lower()
    shop.faulty.always(
        "eth_getLogs", changed(lambda logs: [log | {"removed": bob in "".join(log["topics"])} for log in logs])
    )
    shop.watcher.sync()
    assert shop.ledger.balance(BOB.address, "pro") is None


# -- finality ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [refuses("unknown block"), refuses("invalid block tag", -32602), says(None)])
def test_without_the_finality_tag_nothing_is_called_final_and_it_is_told_what_to_do(shop, fault):
    shop.use(10)
    shop.faulty.always("eth_getBlockByNumber", finality(fault))
    shop.crash()
    for act in (shop.settle, shop.watcher.sync):
        with pytest.raises(ChainUnavailable, match="does not say which block is final") as refused:
            act()
        assert "TOLLBOOK_EVM_FINALITY" in refused.value.hint
    assert shop.faulty.sent == []
    shop.faulty.always("eth_getBlockByNumber", None)
    shop.settle()
    shop.receives(acme=95, fee=5)


def test_without_the_finality_tag_a_number_of_blocks_serves(shop):
    shop.use(10)
    shop.faulty.always("eth_getBlockByNumber", finality(refuses("unknown block")))
    shop.crash(node={"fallback": 3})
    shop.open()
    shop.until("committed")
    shop.mine(2)
    assert shop.outbox.step() is Step.waiting
    shop.mine()
    assert shop.outbox.step() is Step.wrote
    shop.receives(acme=95, fee=5)


def test_while_finality_does_not_come_nothing_is_confirmed(shop):
    shop.use(10)
    standing = shop.local.ask("eth_getBlockByNumber", "finalized", False)
    shop.faulty.always("eth_getBlockByNumber", finality(says(standing)))
    shop.open()
    assert not shop.outbox.carry(shop.blocks(8))
    assert shop.story()[-1] == "committed"
    shop.faulty.always("eth_getBlockByNumber", None)
    shop.finish()
    shop.receives(acme=95, fee=5)


# -- nodes that lie, or lag --------------------------------------------------------------------------------------------


def test_a_block_that_is_called_final_and_is_beyond_the_head_confirms_nothing(shop):
    shop.use(10)
    shop.open()
    shop.until("committed")
    told = shop.local.ask("eth_getBlockByNumber", "latest", False)
    ahead = told | {"number": hex(int(told["number"], 16) + 1_000)}
    shop.faulty.always("eth_getBlockByNumber", finality(says(ahead)))
    with pytest.raises(ChainUnavailable, match="contradicts itself"):
        shop.finish(3)
    assert shop.story()[-1] == "committed"
    with pytest.raises(ChainUnavailable):
        shop.watcher.sync()
    shop.faulty.always("eth_getBlockByNumber", None)
    shop.crash()
    shop.finish()
    shop.receives(acme=95, fee=5)


@pytest.mark.parametrize("by", [1_000, -3])
def test_a_head_that_is_a_lie_ends_in_no_other_money(shop, by):
    """Too high: a block that the node does not have. Too low: it has not heard of the last ones."""
    shop.use(10)
    shop.mine(6)

    def fault(request, ask):
        answer = straight(request, ask)
        if request["params"][0] != "latest":
            return answer
        number = int(answer["result"]["number"], 16)
        other = ask("eth_getBlockByNumber", hex(number + by), False)["result"] or answer["result"]
        return {"result": other | {"number": hex(number + by)}}

    shop.faulty.always("eth_getBlockByNumber", fault)
    for _ in range(6):
        try:
            shop.settle(4)
        except (ChainUnavailable, SettlementStopped):
            shop.mine()
    shop.faulty.always("eth_getBlockByNumber", None)
    shop.crash()
    shop.settle()
    assert shop.batches() == {1: "executed"}
    shop.receives(acme=95, fee=5)


@pytest.mark.parametrize(
    ("turns", "lag"),
    [
        ("ab", 3),
        *(
            pytest.param(turns, lag, marks=pytest.mark.sweep)
            for turns in ("ab", "aab", "abb", "aabb", "aaab", "aabab")
            for lag in (1, 2, 3, 5)
            if (turns, lag) != ("ab", 3)
        ),
    ],
)
def test_answers_that_go_to_and_fro_between_two_heads_pay_once_and_do_not_fill_the_log(shop, lag, turns):
    """A load balancer with one node that lags, by more blocks than finality takes or by fewer."""
    shop.mine(8)
    shop.use(10)
    shop.faulty.always("*", to_and_fro(*(straight if turn == "a" else behind(lag) for turn in turns)))
    for units in (0, 20):
        if units:
            shop.use(units)
        for _ in range(12):
            try:
                if not shop.settle(4):
                    break
            except ChainUnavailable:
                shop.mine()
    shop.faulty.always("*", None)
    shop.crash()
    shop.settle()
    assert set(shop.batches().values()) == {"executed"}
    assert "failed" not in shop.story()
    assert len(shop.story()) < 40
    shop.receives(acme=285, fee=15)


@pytest.mark.parametrize(
    "turns", ["aaab", pytest.param("ab", marks=pytest.mark.sweep), pytest.param("aab", marks=pytest.mark.sweep)]
)
def test_a_window_that_is_over_for_one_of_two_nodes_alone_is_no_alarm(shops, turns):
    """The other would refuse to pay the batch out: it has not heard of the last blocks."""
    shop = shops(window=600)
    shop.mine(4)
    shop.use(10)
    shop.open()
    shop.until("committed")
    shop.mine(3)
    shop.faulty.always("*", to_and_fro(*(straight if turn == "a" else behind(1) for turn in turns)))
    shop.local.advance(601)
    for _ in range(12):
        with suppress(ChainUnavailable):
            shop.outbox.step()
    shop.faulty.always("*", None)
    shop.finish()
    shop.receives(acme=95, fee=5)


@pytest.mark.parametrize(
    "turns", ["ab", pytest.param("aab", marks=pytest.mark.sweep), pytest.param("abb", marks=pytest.mark.sweep)]
)
def test_a_batch_that_one_of_two_nodes_has_not_heard_of_yet_is_not_taken_for_gone(shops, turns):
    shop = shops(finality=6)
    shop.use(10)
    shop.open()
    shop.until("committed")
    shop.faulty.always("*", to_and_fro(*(straight if turn == "a" else behind(2) for turn in turns)))
    for _ in range(20):
        with suppress(ChainUnavailable):
            shop.outbox.step()
    assert shop.story() == ["opened", "submitted", "committed"]
    shop.faulty.always("*", None)
    shop.finish()
    shop.receives(acme=95, fee=5)


@pytest.mark.parametrize("lag", [5, pytest.param(1, marks=pytest.mark.sweep), pytest.param(3, marks=pytest.mark.sweep)])
def test_purchases_seen_by_two_nodes_of_which_one_lags_are_each_taken_in_once(shop, lag):
    shop.mine(8)
    shop.faulty.always("*", to_and_fro(straight, behind(lag), straight))
    for confirmations in (None, 0):
        watcher = Watcher(shop.ledger, shop.chain, confirmations=confirmations)
        for _ in range(12):
            shop.buy(BOB.address)
            try:
                watcher.sync()
            except (ChainUnavailable, SettlementStopped):
                continue
    shop.faulty.always("*", None)
    shop.mine(3)
    for _ in range(2):
        assert watcher.sync() == []
    events = [entry.event for entry in shop.ledger.events()]
    assert not any(isinstance(event, Reversed) for event in events)
    assert sum(isinstance(event, Purchased) for event in events) == 1 + 24


def test_a_batch_that_a_lagging_node_does_not_know_does_not_fail(shop):
    """It is mined and final; who says that its nonce is spent and that its number is taken knows more than who says
    that there is no such batch and no such transaction."""
    shop.use(10)
    shop.open()
    shop.submit()
    shop.outbox.step()
    shop.mine(6)
    batch = shop.ledger.batches(contract_of(shop.chain))[0]
    outbox = Outbox(shop.ledger, KnowsLess(shop))
    for _ in range(4):
        outbox.step()
    assert "failed" not in shop.story()
    assert shop.chain.confirm(batch.attempts[0]) == "final"
    shop.finish()
    shop.receives(acme=95, fee=5)


class KnowsLess:
    """The chain, whose first two readings of a batch and answers on transactions are those of a node that lags."""

    def __init__(self, shop) -> None:
        self._chain, self._shop, self._left = shop.chain, shop, 2

    def __getattr__(self, name):
        return getattr(self._chain, name)

    def find(self, number):
        self._left -= 1
        return self._late(self._chain.find, number) if self._left >= 0 else self._chain.find(number)

    def confirm(self, attempt):
        return "replaced"

    def _late(self, call, *arguments):
        late = self._shop.connect()
        self._shop.faulty.always("*", behind(6))
        try:
            return type(self._chain).find(late, *arguments)
        finally:
            self._shop.faulty.always("*", None)


def test_the_state_of_old_blocks_is_not_needed_where_all_goes_well(shop):
    """Nodes forget it: neither a batch nor what became of its transaction is read there."""
    shop.use(10)

    def pruned(request, ask):
        head = int(ask("eth_blockNumber")["result"], 16)
        block = next((param for param in request["params"][1:] if isinstance(param, str)), "latest")
        if block.startswith("0x") and int(block, 16) < head:
            return refuses("missing trie node 0x00 (path ) state 0x00 is not available")(request, ask)
        return straight(request, ask)

    shop.faulty.always("eth_getTransactionCount", pruned)
    shop.faulty.always("eth_call", pruned)
    shop.settle()
    assert shop.local.ask("eth_getTransactionCount", OPERATOR.address, "latest") == "0x1"
    shop.receives(acme=95, fee=5)


@pytest.mark.parametrize("method", ["eth_call", "*"])
def test_a_plan_that_a_lagging_node_has_not_heard_of_yet_is_asked_for_again(shops, method):
    """It is published and sold in blocks that are not final, and of which one node knows less than the other."""
    shop = shops(finality=8, confirmations=0)
    salt = (1).to_bytes(32)
    plan = int.from_bytes(encode_and_hash(OWNER.address, salt))
    shop.transact(OWNER.address, "setPlan", salt, (addresses.COIN, 100, 0, [(OTHER.address, 7)]))
    shop.transact(BOB.address, "purchase", (plan, BOB.address, salt), value=7)
    shop.faulty.always(method, to_and_fro(straight, behind(2)) if method == "*" else behind(2))
    for _ in range(4):
        with suppress(ChainUnavailable):
            list(shop.chain.facts(0, 0))
    shop.faulty.always(method, None)
    assert [fact.shares[0].amount for fact in shop.chain.facts(0, 0)] == [950, 7]


@pytest.mark.parametrize("data", ["0x", f"0x{'ff' * 32}", f"0x{'ff' * 320}"], ids=len)
def test_logs_that_the_contract_cannot_have_written_are_no_usable_answer(shop, data):
    shop.use(10)
    shop.settle()
    shop.faulty.always("eth_getLogs", changed(lambda logs: [log | {"data": data} for log in logs]))
    for ask in (lambda: shop.connect().find(1), lambda: list(shop.connect().facts(0, 0))):
        with pytest.raises(ChainUnavailable):
            ask()


def test_a_commitment_whose_uri_is_no_text_is_read_as_any_other(shop):
    """Whoever has the operator's key may have sent it: it must be told of as a batch that the log lacks."""
    batch = (1, 1, 1, addresses.COIN, bytes(32), b"\1" * 32, b"\2" * 32, payouts_hash(()))
    data = shop.functions.encode("settleBatch", batch, [], "uri").replace(b"uri", b"\xff\xfe\xfd")
    sent = shop.send(OPERATOR.address, data, to=shop.contract)
    shop.mine(3)
    assert shop.local.mined(sent)["status"] == "0x1"
    assert shop.chain.find(1).root == "0x" + "01" * 32
    assert shop.chain.published(1) is None
    with pytest.raises(SettlementStopped, match="the log lacks"):
        shop.settle()
