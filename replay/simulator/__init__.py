"""The simulator: deterministic simulation testing of the whole engine in one process, driven by one seed.

    from replay.simulator import simulate

    print(simulate(7, policies=["package:dimension=calls,size=10,credits=25"]))

It writes only to logs that it made itself, on disks in memory; it never opens another. README.md beside this module
lists the faults, the laws, and how to test your own policies, projections and chains.
"""

from .disk import Disk, DiskStore, Fate, Surroundings
from .faults import KINDS
from .laws import Violated
from .market import MockMarket, mock_market
from .report import SimulationFailed, SimulationReport
from .run import STEPS, Options, explore, repeated, shortest, simulate

__all__ = [
    "KINDS",
    "STEPS",
    "Disk",
    "DiskStore",
    "Fate",
    "MockMarket",
    "Options",
    "SimulationFailed",
    "SimulationReport",
    "Surroundings",
    "Violated",
    "explore",
    "mock_market",
    "repeated",
    "shortest",
    "simulate",
]
