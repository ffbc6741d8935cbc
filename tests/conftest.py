"""For the whole suite: in CI property tests repeat themselves, so that a landing never depends on luck; elsewhere each
run tries something new."""

import os

from hypothesis import Phase, settings

settings.register_profile("repeatable", derandomize=True, phases=(Phase.explicit, Phase.generate))
if os.environ.get("CI"):
    settings.load_profile("repeatable")
