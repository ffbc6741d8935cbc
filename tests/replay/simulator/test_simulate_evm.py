"""The simulator over EVM chains: the same laws, with the plugin, its node and the contract in place of the mock."""

import os
from contextlib import closing

import pytest

pytest.importorskip("web3", reason="needs the extra: pip install 'tollbook[evm]'")

from evm_market import MarketOnAnvil, MarketOnTester

from chains.evm.local.anvil import INSTALL, find_anvil
from replay.simulator import SimulationReport, simulate

FIXED = (1, 2)
MORE = 3
"""Seeds that the sweep adds."""


def simulated(kind: str, seed: int, steps: int) -> SimulationReport:
    """One run; seeds that are odd have a challenge window."""
    if kind == "anvil" and find_anvil() is None:
        pytest.skip(f"needs anvil: {INSTALL}")
    market = {"anvil": MarketOnAnvil, "eth-tester": MarketOnTester}[kind]
    with closing(market(window=bool(seed % 2))) as harness:
        return simulate(seed, steps=steps, harness=lambda _: harness, plans=harness.plans_on_sale())


@pytest.mark.parametrize("seed", FIXED)
def test_every_law_holds_on_anvil(seed: int) -> None:
    report = simulated("anvil", seed, steps=80)
    assert report.events["Purchased"] > 3


def test_every_law_holds_on_eth_tester() -> None:
    report = simulated("eth-tester", 6, steps=12)
    assert report.events["Purchased"] > 3


@pytest.mark.sweep
def test_every_law_holds_on_anvil_by_more_seeds() -> None:
    """From TOLLBOOK_SEED on. A seed draws the same faults, but not the same accounts. eth-tester takes too long."""
    first = int(os.environ.get("TOLLBOOK_SEED") or 1000)
    reports = [simulated("anvil", seed, steps=150) for seed in range(first, first + MORE)]
    assert sum(report.batches for report in reports) > 0
