"""Limits of an audit, in words: what no audit of this kind can see."""

from __future__ import annotations

from .findings import Report

_END = (
    "commits that were cut off at the end, and a log that was written anew from its beginning: they show only against "
    "a head that was noted elsewhere (`tollbook audit --note FILE`)"
)
_BEYOND = (
    "commits after {seq:,} that were cut off: up to {seq:,} this is the log that was noted earlier, and the rest shows "
    "only against a later note"
)
_TRUTH = "whether what was recorded is true: usage that was never metered, payments that never came"
_CHAIN = "the chains that hold its money: they were not compared (`tollbook audit --chain NAME`)"


def unseen(report: Report, proven_to: int | None, chains: bool) -> tuple[str, ...]:
    """Return what the audit could not see. `proven_to` is the last earlier head that the log still has, `chains` says
    whether chains were compared, which a log without batches does not need."""
    settles = any(check.name == "batch_order" and check.checked for check in report.checks)
    end = _END if proven_to is None else _BEYOND.format(seq=proven_to)
    return (end, _TRUTH, *([_CHAIN] if settles and not chains else []))
