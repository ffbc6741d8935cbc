"""A connection is refused where the node lags behind its chain; local development chains, which mine only when
something is sent, are exempt unless it is asked for."""

from types import SimpleNamespace

import pytest
from local_kinds import KINDS

from chains.evm import addresses
from chains.evm.connecting import connect
from chains.evm.deploying import Roles, deploy_settlement
from chains.evm.local import local_chain
from chains.evm.node import Node
from chains.evm.sending import Sender
from ledger import ContractRef
from ledger.amounts import SECOND
from ledger.errors import ChainUnavailable

START = 1_700_000_000
"""The time of the chains' first block, in UTC seconds."""
BASE, LOCAL = 8453, 31337


@pytest.fixture(params=KINDS)
def contract(request):
    """Starts a chain of that id whose last block is old by now, with a contract on it."""
    opened = []

    def start(chain_id):
        chain = local_chain(request.param, chain_id=chain_id, timestamp=START)
        opened.append(chain)
        with Node(chain.url, finality=0, timeout=600) as node:
            owner, operator = chain.accounts[:2]
            sender = Sender(node, owner.key)
            address = deploy_settlement(sender, Roles(owner.address, operator.address)).contract
        options = {"url": chain.url, "key": operator.key, "finality": 0}
        return SimpleNamespace(chain=chain, ref=ContractRef(addresses.chain_name(chain_id), address), options=options)

    yield start
    for chain in opened:
        chain.close()


def test_a_node_whose_last_block_is_old_is_not_connected_to(contract):
    there = contract(BASE)
    if there.chain.kind != "anvil":  # eth-tester's blocks after the first one have the time of this machine
        there.options["clock"] = lambda: (there.chain.now + 3_600) * SECOND
    with pytest.raises(ChainUnavailable, match=r"seconds old: it lags behind its chain \(at most 600") as caught:
        connect(there.ref, **there.options)
    assert "TOLLBOOK_EVM_MAX_HEAD_AGE" in caught.value.hint
    with pytest.raises(ChainUnavailable, match="lags behind"):
        connect(there.ref, read_only=True, **there.options)


def test_the_age_is_measured_by_the_callers_clock(contract):
    there = contract(BASE)
    connect(there.ref, clock=lambda: (there.chain.now + 600) * SECOND, **there.options).close()
    with pytest.raises(ChainUnavailable, match="601 seconds old"):
        connect(there.ref, clock=lambda: (there.chain.now + 601) * SECOND, **there.options)
    connect(there.ref, clock=lambda: (there.chain.now - 900) * SECOND, **there.options).close()


def test_a_setting_allows_more_or_any_age(contract, monkeypatch):
    there = contract(BASE)
    connect(there.ref, max_head_age=0, **there.options).close()
    monkeypatch.setenv("TOLLBOOK_EVM_MAX_HEAD_AGE", "700")
    connect(there.ref, clock=lambda: (there.chain.now + 650) * SECOND, **there.options).close()


def test_a_development_chain_may_be_of_any_age_unless_a_limit_is_set(contract):
    there = contract(LOCAL)
    there.options["clock"] = lambda: (there.chain.now + 3_600) * SECOND
    connect(there.ref, **there.options).close()
    with pytest.raises(ChainUnavailable, match="at most 60 seconds"):
        connect(there.ref, max_head_age=60, **there.options)
