"""A business that is killed at any write or sync goes on afterwards as if nothing had been."""

import signal
from collections import Counter
from pathlib import Path

import pytest
from injected_faults import Run, needs_strace, traced
from scripted_business import STEPS

pytestmark = needs_strace


def killed(folder: Path, point) -> Run:
    """The process dies as it is about to make that call."""
    ran = traced(folder, f"{point.call}:signal=KILL:when={point.time}")
    assert ran.code == -signal.SIGKILL
    return ran


def test_a_business_that_is_killed_half_way_goes_on(uninterrupted, held_to):
    half_way = {point.call: point for point in uninterrupted.points[: len(uninterrupted.points) // 2]}
    assert {"pwrite64", "unlink", "ftruncate"} < half_way.keys()
    assert len(list(held_to(half_way.values(), killed))) >= 4


@pytest.mark.sweep
def test_a_business_that_is_killed_at_any_write_or_sync_goes_on(uninterrupted, held_to, report):
    steps = Counter(ran.done for _, ran in held_to(uninterrupted.points, killed))
    report(f"killed at {steps.total()} points: {dict(Counter(point.call for point in uninterrupted.points))}")
    assert steps.total() == len(uninterrupted.points) > 250
    assert set(steps) == set(range(len(STEPS) + 1))  # in every step, and as the files are closed
