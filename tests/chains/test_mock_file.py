"""A mock chain in a file: what is done stays done, and several may hold it at once."""

import sqlite3
import subprocess
import sys
import threading

import pytest
from mock_batches import batch

from chains.mock import Delay, Drop, MockChain, NodeDown, Reverted, SettleThenTimeOut, TimeOut
from chains.mock.contract import InvariantBroken
from chains.mock.node import MockNode
from chains.mock.storage import Storage
from ledger.errors import BadData, ChainUnavailable, SendUnknown


@pytest.fixture
def where(tmp_path):
    return tmp_path / "log.mock"


def buy(chain, id=None):
    return chain.purchase("alice", "gold", "usd", {"bob": 100}, id=id)


def buys_and_then_is_refused(chain):
    with chain.together():
        buy(chain)
        chain.claim("bob", "usd")


def meets_a_defect_and_goes_on(chain, monkeypatch):
    with chain.together():
        monkeypatch.setattr("chains.mock.contract._check_money", lambda _: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            buy(chain)
        monkeypatch.undo()


def all_of(chain):
    """All that a chain can be asked."""
    blocks = [chain.block_hash(number) for number in range(chain.height + 1)]
    facts = list(chain.facts(confirmations=0))
    return blocks, facts, chain.batches(), chain.pool, chain.fees_paid, chain.escrow("usd"), chain.due("bob", "usd")


def test_a_chain_that_is_opened_again_is_as_it_was(where):
    with MockChain(where) as chain:
        buy(chain)
        chain.send(chain.prepare(batch(chain), []))
        chain.reorganise(1, keep=True)
        before = all_of(chain)
    with MockChain(where) as chain:
        assert all_of(chain) == before
        chain.mine()
        assert chain.find(1).stage == "executed"


def test_a_file_and_memory_tell_the_same(where):
    told = []
    for place in (where, None):
        with MockChain(place) as chain:
            buy(chain)
            chain.send(chain.prepare(batch(chain), []))
            chain.reorganise(2, keep=True)
            buy(chain)
            told.append(all_of(chain))
    assert told[0] == told[1]


def test_faults_fees_and_the_pool_survive_reopening(where):
    with MockChain(where, automine=False, script=[Delay(1), TimeOut()]) as chain:
        chain.base_fee = 3
        buy(chain)
        chain.send(chain.prepare(batch(chain), []))
    with MockChain(where) as chain:
        assert (chain.base_fee, chain.automine, chain.faults_left, len(chain.pool)) == (3, False, (TimeOut(),), 2)
        assert chain.find(1).stage == "pending"


def test_a_script_is_added_to_what_the_file_still_has(where):
    MockChain(where, script=[Drop()]).close()
    with MockChain(where, script=[TimeOut()]) as chain:
        assert chain.faults_left == (Drop(), TimeOut())


def test_a_fault_that_raises_stays_consumed(where):
    with MockChain(where, script=[NodeDown()]) as chain, pytest.raises(ChainUnavailable):
        chain.due("bob", "usd")
    with MockChain(where) as chain:
        assert chain.faults_left == ()


def test_what_settled_before_the_time_out_stays_settled(where):
    with MockChain(where) as chain:
        buy(chain)
        attempt = chain.prepare(batch(chain), [])
        chain.script(SettleThenTimeOut())
        with pytest.raises(SendUnknown):
            chain.send(attempt)
    with MockChain(where) as chain:
        assert chain.find(1).stage == "executed"


def test_a_chain_keeps_the_settings_it_was_made_with(where):
    MockChain(where, finality=5, window=4, exit_delay=3, contract="mine").close()
    with MockChain(where) as chain:
        chain.mine(6)
        assert (chain.contract, chain.final_block()) == ("mine", 1)
    for other in ({"finality": 2}, {"window": 0}, {"exit_delay": 1}, {"contract": "tollbook"}, {"name": "mock:x"}):
        with pytest.raises(BadData):
            MockChain(where, **other)


def test_one_handle_sees_what_another_has_written(where):
    with MockChain(where) as one, MockChain(where) as other:
        made = buy(one)
        assert [fact.id for fact in other.facts(confirmations=0)] == [made.id]
        assert buy(other).block == 2
        one.reorganise(1)
        assert (other.escrow("usd"), other.block_hash(2)) == (100, one.block_hash(2))
        other.script(Drop())
        assert one.faults_left == (Drop(),)


def test_two_handles_never_use_an_id_twice(where):
    with MockChain(where) as one, MockChain(where) as other:
        ids = [buy(chain).id for chain in (one, other, one, other)]
    assert len(set(ids)) == 4


def test_two_threads_on_two_handles_lose_nothing(where):
    def work():
        with MockChain(where) as chain:
            for _ in range(20):
                buy(chain)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with MockChain(where) as chain:
        assert (chain.height, chain.escrow("usd")) == (60, 6000)


def test_threads_may_share_a_handle():
    with MockChain() as chain:
        threads = [threading.Thread(target=lambda: [buy(chain) for _ in range(20)]) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert chain.escrow("usd") == 6000


def test_what_is_done_together_is_there_together_or_not_at_all(where):
    with MockChain(where) as chain, MockChain(where) as other:
        with chain.together():
            buy(chain)
            assert (chain.escrow("usd"), other.escrow("usd")) == (100, 0)
        assert other.escrow("usd") == 100
        with pytest.raises(Reverted):
            buys_and_then_is_refused(chain)
        assert (chain.escrow("usd"), other.escrow("usd"), chain.height) == (100, 100, 1)


def test_a_refusal_that_is_caught_leaves_the_rest_of_what_is_done_together():
    with MockChain() as chain:
        with chain.together():
            buy(chain)
            with pytest.raises(Reverted):
                chain.claim("bob", "usd")
            buy(chain)
        assert chain.escrow("usd") == 200


def test_a_defect_in_the_middle_of_a_change_undoes_all_of_it_even_if_it_is_caught(monkeypatch):
    with MockChain() as chain:
        buy(chain)
        with pytest.raises(InvariantBroken):
            meets_a_defect_and_goes_on(chain, monkeypatch)
        assert (chain.escrow("usd"), chain.height) == (100, 1)


def test_a_change_that_cannot_be_written_is_undone_here_and_in_the_file(where, monkeypatch):
    def fails(self, node, real=Storage.save):
        real(self, node)
        raise OSError("no space")

    with MockChain(where) as chain, MockChain(where) as other:
        buy(chain)
        monkeypatch.setattr(Storage, "save", fails)
        with pytest.raises(OSError, match="no space"):
            buy(chain)
        monkeypatch.undo()
        assert (chain.height, other.height) == (1, 1)
        assert buy(chain).block == 2


@pytest.mark.parametrize("moment", ["Storage.save", "MockNode.mine"])
def test_a_process_that_dies_in_the_middle_of_a_change_leaves_the_chain_as_before(where, moment):
    program = f"""
import os, sys
from pathlib import Path
from chains.mock import MockChain
from chains.mock.node import MockNode
from chains.mock.storage import Storage
from chains.mock.storage import Storage
chain = MockChain(Path(sys.argv[1]))
chain.purchase("alice", "gold", "usd", {{"bob": 100}}, id="first")
real = {moment}
def dies(*arguments):
    real(*arguments)
    os._exit(9)
{moment} = dies
chain.purchase("alice", "gold", "usd", {{"bob": 100}}, id="second")
"""
    done = subprocess.run([sys.executable, "-c", program, str(where)], capture_output=True, text=True)
    assert done.returncode == 9, done.stderr
    with MockChain(where) as chain:
        assert [fact.id for fact in chain.facts(confirmations=0)] == ["first"]
        buy(chain, "second")
        assert chain.escrow("usd") == 200


def test_every_change_is_synced(where):
    with MockChain(where) as chain:
        connection = chain._shared._storage._connection
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 3
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_reopening_folds_the_stored_blocks_only(where, monkeypatch):
    with MockChain(where) as chain, MockChain(where) as other:
        buy(chain)
        other.escrow("usd")
        folded = []
        monkeypatch.setattr(
            MockNode, "add", lambda self, block, real=MockNode.add: (folded.append(block.number), real(self, block))
        )
        buy(chain)
        other.escrow("usd")
        assert folded == [2, 2]


@pytest.mark.parametrize("content", [b"not a database, and long enough to be looked at" * 30, None])
def test_a_file_that_is_no_mock_chain_is_left_alone(where, content):
    if content is None:
        with sqlite3.connect(where) as connection:
            connection.execute("CREATE TABLE other (x)")
        connection.close()
    else:
        where.write_bytes(content)
    before = where.stat().st_size
    with pytest.raises(BadData):
        MockChain(where)
    assert where.stat().st_size == before


def test_a_folder_that_is_not_there_is_a_chain_that_cannot_be_asked(tmp_path):
    with pytest.raises(ChainUnavailable):
        MockChain(tmp_path / "missing" / "log.mock")


def test_a_damaged_block_is_bad_data(where):
    with MockChain(where) as chain:
        buy(chain)
    with sqlite3.connect(where) as connection:
        connection.execute("UPDATE blocks SET transactions = '[1]'")
    connection.close()
    with pytest.raises(BadData):
        MockChain(where)


def test_a_chain_that_was_closed_cannot_be_asked(where):
    chain = MockChain(where)
    chain.close()
    chain.close()
    with pytest.raises(ChainUnavailable):
        chain.find(1)
    with pytest.raises(ChainUnavailable):
        chain.mine()


def test_closing_leaves_one_file(where):
    with MockChain(where) as chain:
        buy(chain)
    assert list(where.parent.iterdir()) == [where]
