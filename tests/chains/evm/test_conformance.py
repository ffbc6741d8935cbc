"""The conformance suite over EVM chains: eth-tester (from PyPI alone) and anvil, with a challenge window or not."""

from __future__ import annotations

import pytest

from chains.evm.local.anvil import INSTALL, find_anvil
from chains.testing import RULES, ConformanceError, check
from chains.testing import evm_harness as harnesses

FEW = (
    "facts are exact",
    "a batch pays once",
    "batches can be queued",
    "a batch is for one contract",
    "a cancelled batch pays nothing",
    "a batch that overspends pays nothing",
    "a batch that comes back pays once",
    "a stolen nonce is given up for good",
    "a chain that is cut off says so",
    "what was earned is paid",
    "a batch can pay the most that is said",
    "the last one leaves with the rest",
)
"""Rules that are tried in every run; all of them are in the sweep, since they take a minute or more each."""


def harness(kind: type[harnesses.LocalHarness], window: bool) -> harnesses.LocalHarness:
    if kind is harnesses.AnvilHarness and find_anvil() is None:
        pytest.skip(f"needs anvil: {INSTALL}")
    return kind(window=window)


def contracts(quick: bool):
    """A contract without a window and one with it; the `quick` one is tried in every run."""
    return [pytest.param(window, marks=() if window is quick else pytest.mark.sweep) for window in (False, True)]


@pytest.fixture(scope="module", params=contracts(True), ids=["at once", "with a window"])
def tester(request):
    made = harness(harnesses.TesterHarness, request.param)
    yield made
    made.close()


@pytest.fixture(scope="module", params=contracts(False), ids=["at once", "with a window"])
def anvil_harness(request):
    made = harness(harnesses.AnvilHarness, request.param)
    yield made
    made.close()


def conforms(harness: harnesses.LocalHarness, rule: str) -> None:
    for _, reason in check(harness, rule):
        pytest.skip(reason)


def rules():
    return [pytest.param(rule, marks=() if rule in FEW else pytest.mark.sweep) for rule in RULES]


def test_the_few_are_rules():
    assert set(FEW) <= set(RULES)


@pytest.mark.parametrize("rule", rules())
def test_a_chain_on_eth_tester_conforms(tester, rule):
    conforms(tester, rule)


@pytest.mark.parametrize("rule", rules())
def test_a_chain_on_anvil_conforms(anvil_harness, rule):
    conforms(anvil_harness, rule)


@pytest.mark.parametrize("kind", [harnesses.TesterHarness, harnesses.AnvilHarness])
def test_a_fault_in_the_chain_is_found(kind, monkeypatch):
    """The harness shows what the contract has, and not what the plugin says of it."""
    from chains.evm.chain import EvmChain

    made = harness(kind, window=False)
    truth = EvmChain.due
    monkeypatch.setattr(EvmChain, "due", lambda chain, receiver, asset: truth(chain, receiver, asset) + 1)
    try:
        with pytest.raises(ConformanceError, match="what is due"):
            check(made, "what is due is signed")
    finally:
        made.close()
