"""The caches beside a log that are derived from all of it: the index of accounts, and the older keys."""

from __future__ import annotations

from ..findings import Findings
from ..rows import Source
from . import account_index, older_keys


def judge(findings: Findings, log: Source) -> None:
    """Derive each from the log again, and compare."""
    account_index.judge(findings, log)
    older_keys.judge(findings, log)
