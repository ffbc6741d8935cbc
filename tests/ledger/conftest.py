"""What most tests of the core begin with: a clock in their hand, and a place for a log."""

from pathlib import Path

import pytest
from standing_clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "toll.db"
