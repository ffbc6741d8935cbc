"""For the whole suite: repeatable property tests, and a drawn sample of the sweeps.

Property tests repeat themselves, so that neither a first run nor a landing depends on chance, and have no deadlines, so
that a busy machine fails none. With TOLLBOOK_EXPLORE=1 each run tries something new, and shrinks what it finds.
"""

from __future__ import annotations

import gc
import os
import random
import shutil
import time
from pathlib import Path

import pytest
from examples import EXPLORING
from hypothesis import HealthCheck, Phase, settings
from local_kinds import ANVIL, INSTALL_ANVIL

from chains.evm.extra import keep_depth  # imported before any test that imports what raises the limit

settings.register_profile("any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "repeatable", settings.get_profile("any speed"), derandomize=True, phases=(Phase.explicit, Phase.generate)
)
settings.load_profile("any speed" if EXPLORING else "repeatable")


IN_MEMORY = Path("/dev/shm")
SPACE = 2 << 30
"""Bytes: several times what a run takes."""
BEGAN = pytest.StashKey[float]()
"""When this process began its first test, in seconds of the monotonic clock."""


def pytest_configure() -> None:
    """Keep temporary files in memory where there is space: a third of the time would go into waiting for the disk.

    What a disk may do to a log is shown by the tests in `faults`, which make it fail themselves. Workers and processes
    keep the bytecode of what they import, whatever the environment says: hundreds of them would compile it anew.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if os.access(IN_MEMORY, os.W_OK) and shutil.disk_usage(IN_MEMORY).free > SPACE:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(IN_MEMORY))


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("tollbook")
    group.addoption("--sample", type=int, metavar="N", help="of the tests selected, run N drawn at random")
    group.addoption("--sample-seconds", type=float, metavar="S", help="after S seconds, begin no further test of it")
    group.addoption("--sample-seed", default="0", metavar="S", help="the seed of --sample (default 0)")


def pytest_report_header() -> list[str]:
    """Say what does not run here, in one line instead of a skip for each test."""
    if ANVIL:
        return []
    return [f"anvil is not installed: tests on local chains run on eth-tester only; for both: {INSTALL_ANVIL}"]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep a sample: what no sample goes without, then one case of each test function, then more."""
    size = config.getoption("--sample")
    if size is None or size >= len(items):
        return
    drawn = list(items)
    random.Random(config.getoption("--sample-seed")).shuffle(drawn)
    always = [item for item in items if in_every_sample(item)]
    first = {item.nodeid.partition("[")[0]: item for item in reversed(drawn)}
    ranked = [*first.values(), *(item for item in drawn if item not in first.values())]
    kept = dict.fromkeys([*always, *ranked[:size]])
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def in_every_sample(item: pytest.Item) -> bool:
    """Whether the test is marked `sweep(always=True)`: no landing may go without it."""
    return any(mark.kwargs.get("always") for mark in item.iter_markers("sweep"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin no further test of a sample when its seconds are over, so that a run is bounded whatever was drawn."""
    seconds = item.config.getoption("--sample-seconds")
    if seconds is not None and time.monotonic() - item.config.stash[BEGAN] > seconds and not in_every_sample(item):
        pytest.skip("the seconds of the sample are over")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Tests import Ethereum's packages themselves, and so let Python recurse too deep for all others."""
    keep_depth()
    session.config.stash[BEGAN] = time.monotonic()
    gc.freeze()  # thousands of tests, which are there to the end: whoever collects need not look at them each time
