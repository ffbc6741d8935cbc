"""The laboratory: the whole engine in one process, with everything that it stands on driven by one seed.

    from replay.simulator import simulate

    print(simulate(7, policies=["package:dimension=calls,size=10,credits=25"]))

It writes to logs, but only to those that it made itself, on disks in memory; it never opens one of yours. README.md
beside this says what goes wrong in it, what must hold all the same, and how to try your own policies, projections and
chains.
"""

from .disk import Disk, DiskStore, Fate, Surroundings
from .faults import KINDS
from .market import MockMarket, mock_market
from .oracle import Violated
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
