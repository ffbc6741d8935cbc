"""For the whole suite: property tests repeat themselves, so that neither a newcomer's first run nor a landing depends
on luck. With TOLLBOOK_EXPLORE=1 each run tries something new, and shrinks what it finds."""

import os

from hypothesis import Phase, settings

from chains.evm.extra import keep_depth  # imported before any test that imports what raises the limit

settings.register_profile("repeatable", derandomize=True, phases=(Phase.explicit, Phase.generate))
if not os.environ.get("TOLLBOOK_EXPLORE"):
    settings.load_profile("repeatable")


def pytest_collection_finish() -> None:
    """Tests import Ethereum's packages themselves, and so let Python recurse too deep for all others."""
    keep_depth()
