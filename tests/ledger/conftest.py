"""What most tests of the core begin with: a clock in their hand, and a place for a log."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from small_ledger import BUY, PRO
from standing_clock import Clock

from ledger import Ledger


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "toll.db"


@pytest.fixture
def ledger(path: Path, clock: Clock) -> Iterator[Ledger]:
    with Ledger.open(path, clock=clock, id="test") as opened:
        opened.execute_many([PRO, BUY])
        yield opened
