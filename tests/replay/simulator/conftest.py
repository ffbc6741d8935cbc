"""For the tests of the simulator."""

import pytest

from ledger import books, writer


@pytest.fixture
def small_generations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let keys leave the books within a run."""
    monkeypatch.setattr(books, "KEY_GENERATION", 3)
    monkeypatch.setattr(writer, "SAVED_AT_ONCE", 2)
