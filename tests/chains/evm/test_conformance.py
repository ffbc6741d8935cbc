"""The conformance suite over EVM chains: eth-tester (from PyPI alone) and anvil, with a challenge window or not."""

from __future__ import annotations

import pytest
from local_kinds import KINDS

from chains.testing import RULES, ConformanceError, check
from chains.testing import evm_harness as harnesses

HARNESSES = {"anvil": harnesses.AnvilHarness, "eth-tester": harnesses.TesterHarness}
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
FEWER = ("facts are exact", "a batch pays once", "a chain that is cut off says so")
"""Those that are tried on eth-tester as well where there is anvil: the slower one, by several times."""


def cases():
    """Each rule on each kind of chain, without a window and with it; the few are tried in every run."""
    for kind in KINDS:
        few = FEW if kind == KINDS[0] else FEWER
        for window, word in ((False, "at once"), (True, "with a window")):
            for rule in RULES:
                quick = rule in few and window is (kind == "eth-tester")
                marks = () if quick else pytest.mark.sweep
                yield pytest.param((kind, window), rule, marks=marks, id=f"{kind}, {word}-{rule}")


@pytest.fixture(scope="module")
def harness(request):
    kind, window = request.param
    made = HARNESSES[kind](window=window)
    yield made
    made.close()


def conforms(harness: harnesses.LocalHarness, rule: str) -> None:
    for _, reason in check(harness, rule):
        pytest.skip(reason)


def test_the_few_are_rules():
    assert set(FEWER) < set(FEW) <= set(RULES)


@pytest.mark.parametrize(("harness", "rule"), list(cases()), indirect=["harness"])
def test_a_chain_on_a_node_conforms(harness, rule):
    conforms(harness, rule)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_in_the_chain_is_found(kind, monkeypatch):
    """The harness shows what the contract has, and not what the plugin says of it."""
    from chains.evm.chain import EvmChain

    made = HARNESSES[kind](window=False)
    truth = EvmChain.due
    monkeypatch.setattr(EvmChain, "due", lambda chain, receiver, asset: truth(chain, receiver, asset) + 1)
    try:
        with pytest.raises(ConformanceError, match="what is due"):
            check(made, "what is due is signed")
    finally:
        made.close()
