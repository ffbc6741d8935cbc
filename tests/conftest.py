"""For the whole suite: property tests repeat themselves, so that neither a newcomer's first run nor a landing depends
on luck. With TOLLBOOK_EXPLORE=1 each run tries something new, and shrinks what it finds."""

import os
import sys

from hypothesis import Phase, settings

settings.register_profile("repeatable", derandomize=True, phases=(Phase.explicit, Phase.generate))
if not os.environ.get("TOLLBOOK_EXPLORE"):
    settings.load_profile("repeatable")

_DEPTH = sys.getrecursionlimit()


def pytest_collection_finish() -> None:
    """Take back what py-evm did when test modules imported it: with its limit, deep recursion ends the process."""
    sys.setrecursionlimit(_DEPTH)
