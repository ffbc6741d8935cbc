"""A business that is killed at any write or sync goes on afterwards as if nothing had been."""

import signal
from collections import Counter
from pathlib import Path

import pytest
from injected_faults import Run, needs_strace, traced
from scripted_business import STEPS

pytestmark = needs_strace


def killed(folder: Path, point: tuple[str, int]) -> Run:
    """The process dies as it makes that call for that time, which is not made any more."""
    call, number = point
    ran = traced(folder, f"{call}:signal=KILL:when={number}")
    assert ran.code == -signal.SIGKILL
    return ran


def test_a_business_that_is_killed_at_its_first_or_last_call_of_a_kind_goes_on(uninterrupted, held_to):
    counted = Counter(hit.call for hit in uninterrupted.ran.calls)
    assert {"pwrite64", "unlink", "ftruncate"} <= counted.keys()
    points = sorted({(call, number) for call, most in counted.items() for number in (1, most)})
    assert len(list(held_to(points, killed))) >= 8


@pytest.mark.sweep
def test_a_business_that_is_killed_at_any_write_or_sync_goes_on(uninterrupted, held_to, report):
    counted = Counter(hit.call for hit in uninterrupted.ran.calls)
    points = [(call, number) for call, most in counted.items() for number in range(1, most + 1)]
    steps = Counter(ran.done for _, ran in held_to(points, killed))
    report(f"{steps.total()} points, of {dict(counted)}")
    assert steps.total() == counted.total() > 300
    assert set(steps) == set(range(len(STEPS) + 1))  # in every step, and as the files are closed
