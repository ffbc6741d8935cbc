"""The kinds of local chains that tests run on: eth-tester comes with the test extra, anvil with Node's npm alone.

Variants of a test for a kind that is not installed are not generated: the other kind asserts the same.
"""

from typing import Literal

import pytest

from chains.evm.local.anvil import find_anvil

INSTALL_ANVIL = "npm ci --prefix chains/evm/local"

ANVIL = find_anvil() is not None

KINDS: list[Literal["anvil", "eth-tester"]] = ["anvil", "eth-tester"] if ANVIL else ["eth-tester"]
"""The quicker one first."""

EVERY_KIND = [KINDS[0], *(pytest.param(kind, marks=pytest.mark.sweep) for kind in KINDS[1:])]
"""For tests that assert the same of each kind: the slower one, by several times, is in the sweep."""

needs_anvil = pytest.mark.skipif(not ANVIL, reason=f"needs anvil: {INSTALL_ANVIL}")
"""For a test of what only anvil does."""
