"""The gate between a node and who asks it: open it lets through, shut it refuses, also who was on the way."""

import threading
from contextlib import closing

import pytest

from chains.evm.local import local_chain
from chains.evm.node import Node
from chains.testing.gate import Gate
from ledger.errors import ChainUnavailable


@pytest.fixture(scope="module")
def local():
    with local_chain("eth-tester") as chain:
        yield chain


def test_a_node_is_asked_through_it_and_is_down_while_it_is_shut(local):
    with closing(Gate(local.url)) as gate, Node(gate.url, tries=1) as node:
        for _ in range(3):
            assert node.chain_id() == local.chain_id
            with gate.shut(), pytest.raises(ChainUnavailable, match="cannot be reached"):
                node.chain_id()
        assert node.chain_id() == local.chain_id


def test_many_may_come_through_at_once(local):
    with closing(Gate(local.url)) as gate, Node(gate.url) as node:
        found = []
        askers = [threading.Thread(target=lambda: found.append(node.chain_id())) for _ in range(20)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        assert found == [local.chain_id] * 20


def test_closing_it_twice_is_once_and_its_port_is_free_again(local):
    gate = Gate(local.url)
    gate.close()
    gate.close()
    with Node(gate.url, tries=1) as node, pytest.raises(ChainUnavailable):
        node.chain_id()
