"""Fixtures for tests of software that embeds Tollbook: `pytest_plugins = ["chains.testing.fixtures"]`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..mock import MockChain


@pytest.fixture
def mock_chain() -> Iterator[MockChain]:
    """A mock chain in memory, new for each test: two blocks to finality, no challenge window, automatic mining."""
    chain = MockChain()
    yield chain
    chain.close()
