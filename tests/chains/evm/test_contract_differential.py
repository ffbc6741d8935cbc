"""The contract does what the mock's does, step for step, in everybody's hands: see chains/testing/differential.py."""

import pytest
from local_kinds import KINDS
from world_chain import WorldHarness

from chains.testing import evm_harness as harnesses
from chains.testing.differential import compare

WINDOWS = pytest.mark.parametrize("window", [False, True], ids=["at once", "with a window"])


@WINDOWS
def test_the_contract_does_what_the_mock_does(window):
    assert compare(WorldHarness(window=window), walks=2).lacking == ()


@WINDOWS
@pytest.mark.sweep
def test_the_contract_does_what_the_mock_does_over_many_walks(window):
    compare(WorldHarness(window=window), seed=1000, walks=150)


def on_a_node(kind, **options):
    harness = {"anvil": harnesses.AnvilHarness, "eth-tester": harnesses.TesterHarness}[kind](
        window=True, window_seconds=10**5
    )
    try:
        assert compare(harness, **options).lacking == ()
    finally:
        harness.close()


@pytest.mark.sweep(always=True)
def test_the_harness_of_eth_tester_is_compared_as_well():
    on_a_node("eth-tester", walks=1, steps=12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.sweep
def test_the_harnesses_of_local_chains_are_compared_over_many_walks(kind):
    on_a_node(kind, seed=2000, walks=5)
