"""The simulator over EVM chains: the same laws, with the plugin, its node and the contract in place of the mock."""

import os
from contextlib import closing

import pytest

pytest.importorskip("web3", reason="needs the extra: pip install 'tollbook[evm]'")

from evm_market import MarketOnAnvil, MarketOnTester
from local_kinds import ANVIL, KINDS, needs_anvil

from replay.simulator import SimulationReport, simulate

MORE = 3
"""Seeds that the sweep adds."""


def simulated(kind: str, seed: int, steps: int) -> SimulationReport:
    """One run; seeds that are odd have a challenge window."""
    market = {"anvil": MarketOnAnvil, "eth-tester": MarketOnTester}[kind]
    with closing(market(window=bool(seed % 2))) as harness:
        return simulate(seed, steps=steps, harness=lambda _: harness, plans=harness.plans_on_sale())


def test_every_law_holds_on_an_evm_chain() -> None:
    """On anvil where it is installed, since eth-tester takes ten times as long."""
    report = simulated("eth-tester", 6, steps=12) if not ANVIL else simulated("anvil", 1, steps=80)
    assert report.events["Purchased"] > 3


@pytest.mark.sweep
@pytest.mark.parametrize("kind", KINDS)
def test_every_law_holds_on_each_evm_chain(kind: str) -> None:
    seed, steps = {"eth-tester": (6, 12), "anvil": (2, 80)}[kind]
    assert simulated(kind, seed, steps).events["Purchased"] > 3


@pytest.mark.sweep
@needs_anvil
def test_every_law_holds_on_anvil_by_more_seeds() -> None:
    """From TOLLBOOK_SEED on. A seed draws the same faults, but not the same accounts. eth-tester takes too long."""
    first = int(os.environ.get("TOLLBOOK_SEED") or 1000)
    reports = [simulated("anvil", seed, steps=150) for seed in range(first, first + MORE)]
    assert sum(report.batches for report in reports) > 0
