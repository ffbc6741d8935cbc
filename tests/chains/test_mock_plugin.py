"""The mock as a plugin, its fixture, and its page of documentation."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

from chains.commitment import commitment_of
from chains.leaves import TEXT_LEAF
from chains.mock import Drop, Fault, MockChain, MockPlugin
from ledger import ContractRef
from ledger.errors import BadData
from ledger.events import Leaf
from ledger.plugins import Chain, ChainPlugin, chain_plugin
from ledger.settlement.messages import Batch

pytest_plugins = ["chains.testing.fixtures"]


@pytest.fixture
def plugin():
    return MockPlugin()


def test_it_is_registered_as_mock():
    assert isinstance(chain_plugin("mock:local"), MockPlugin)


def test_it_keeps_to_the_protocols(plugin, mock_chain):
    kind: ChainPlugin = plugin
    chain: Chain = mock_chain
    for protocol, thing in ((ChainPlugin, kind), (Chain, chain)):
        missing = [name for name in vars(protocol) if not name.startswith("_") and not hasattr(thing, name)]
        assert missing == []


def test_it_seals_with_text_leaves(plugin):
    batch = Batch(
        ledger="log",
        chain="mock:local",
        contract="tollbook",
        number=1,
        asset="usd",
        at=1,
        covers={},
        head_seq=1,
        head_hash="00",
        previous="",
        leaves=(Leaf("alice", "gold", 1, 0),),
        payouts=(),
    )
    assert plugin.leaf_types == TEXT_LEAF
    assert plugin.commitment(batch) == commitment_of(batch, TEXT_LEAF)


@pytest.mark.parametrize(("subscriber", "plan", "good"), [("a", "b", True), ("", "b", False), ("a", "", False)])
def test_any_names_will_do_that_are_not_empty(plugin, subscriber, plan, good):
    if good:
        plugin.check(subscriber, plan)
    else:
        with pytest.raises(ValueError, match="name"):
            plugin.check(subscriber, plan)


def test_connecting_without_a_place_makes_a_chain_in_memory(plugin):
    with plugin.connect(ContractRef("mock:here", "mine")) as chain:
        assert (chain.name, chain.contract, chain.height) == ("mock:here", "mine", 0)


@pytest.mark.parametrize("kind", [str, Path])
def test_connecting_to_a_place_opens_the_chain_there(plugin, tmp_path, kind):
    where = tmp_path / "log.mock"
    with plugin.connect(ContractRef("mock:local", "tollbook"), where=kind(where)) as chain:
        chain.mine()
    with MockChain(where) as chain:
        assert chain.height == 1


def test_options_may_be_text_and_json(plugin):
    options = {"finality": "3", "automine": "false", "base_fee": 4, "script": [{"do": "drop", "skip": 1}]}
    with plugin.connect(ContractRef("mock:local", "tollbook"), **options) as chain:
        assert (chain.automine, chain.base_fee, chain.faults_left) == (False, 4, (Drop(skip=1),))


@pytest.mark.parametrize(
    "options", [{"speed": 1}, {"finality": "many"}, {"script": [{"do": "explode"}]}, {"finality": -1}, {"where": 5}]
)
def test_a_wrong_option_is_bad_data(plugin, options):
    with pytest.raises(BadData):
        plugin.connect(ContractRef("mock:local", "tollbook"), **options)


def test_a_chain_of_another_kind_is_bad_data(plugin):
    with pytest.raises(BadData):
        plugin.connect(ContractRef("eip155:1", "tollbook"))


def test_the_fixture_gives_a_new_chain_in_memory(mock_chain):
    assert (mock_chain.name, mock_chain.height, mock_chain.escrow("usd")) == ("mock:local", 0, 0)


def test_the_page_shows_code_that_runs():
    page = files("chains").joinpath("mock", "README.md").read_text(encoding="utf-8")
    session: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "chains/mock/README.md", "exec"), session)


def test_the_page_names_every_fault():
    page = files("chains").joinpath("mock", "README.md").read_text(encoding="utf-8")
    assert [fault.__name__ for fault in Fault.__args__ if f"`{fault.__name__}(" not in page] == []
