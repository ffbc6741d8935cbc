"""The demo on the published traces."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from shares_left import left_by_floors

from gateway.demo import Options, run

SMALLER = 2_000


def published(name: str) -> Path:
    """A file of TOLLBOOK_TRACES, the folder of the real traces."""
    folder = os.environ.get("TOLLBOOK_TRACES")
    if not folder:
        pytest.skip(f"set TOLLBOOK_TRACES to a folder with {name} to test on the real data")
    path = Path(folder, name)
    if not path.exists():
        pytest.skip(f"there is no {name} in TOLLBOOK_TRACES ({folder})")
    return path


@pytest.mark.sweep
def test_the_azure_trace_ends_with_a_clean_audit(tmp_path):
    summary = run(Options(trace=published("azure_llm_conv_2023.csv"), db=tmp_path / "demo.db"))
    assert summary.source.kind == "azure"
    assert summary.requests.offered == summary.source.rows > 19_000
    assert summary.requests.refused > 0
    assert summary.lapsed > 0
    assert 0.95 < 100 * summary.adjusted.count / summary.charged.charges < 1.05
    assert summary.audit.verdict == "clean"
    assert summary.outstanding == left_by_floors(summary.log)
    assert summary.earned != {}
    assert (summary.batches, summary.open_batches) == (10, 0)


def test_the_first_part_of_the_azure_trace_gives_the_same_head_twice(tmp_path):
    lines = published("azure_llm_conv_2023.csv").read_bytes().splitlines(keepends=True)
    trace = tmp_path / "azure.csv"
    trace.write_bytes(b"".join(lines[:SMALLER]))
    once, again = (run(Options(trace=trace, db=tmp_path / f"{name}.db")) for name in ("once", "again"))
    assert once.head == again.head
    assert once.requests.refused > 0
    assert once.audit.verdict == "clean"


def test_the_customers_of_servegen_end_with_a_clean_audit(tmp_path):
    summary = run(Options(trace=published("servegen_clients.json"), requests=SMALLER, db=tmp_path / "demo.db"))
    assert summary.source.kind == "profile"
    assert summary.requests.offered == SMALLER
    assert summary.subscribers > 10
    assert summary.audit.verdict == "clean"
    assert summary.outstanding == left_by_floors(summary.log)
    assert summary.earned != {}
    assert (summary.batches, summary.open_batches) == (10, 0)
