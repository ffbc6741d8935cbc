"""How many examples a property test tries.

Those of the usual run are the same each time, so few of them do: TOLLBOOK_EXPLORE=1 draws new ones, ten times as many.
"""

import os
from typing import Any

from hypothesis import settings

EXPLORING = bool(os.environ.get("TOLLBOOK_EXPLORE"))


def examples(count: int, **more: Any) -> settings:
    """Settings for so many examples in the usual run, with `more` settings of Hypothesis beside."""
    return settings(max_examples=count * (10 if EXPLORING else 1), deadline=None, **more)
