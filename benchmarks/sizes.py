"""Sizes: bytes of a charge on disk, and the memory of books that hold many accounts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from .figures import Limit, Quantity
from .workload import LARGEST, Load, chain_of, writer
from .workshop import Workshop

ROOT = Path(__file__).parent.parent
MEGABYTE = 1_000_000
WARM_KEYS, KEYS = 2 * LARGEST, 5 * LARGEST
"""Keys that fill the cache of digests, and those that are measured: the books hold all of them."""


def quantities(workshop: Workshop) -> list[Quantity]:
    """Return the sizes on disk and in memory."""
    size = workshop.size
    largest = size.batches[-1]
    limit = Limit(150, "150 bytes or less")
    loads = [
        ("size.charge", f"a charge on disk, {largest:,} a batch", Load(size.accounts, largest, 2), limit),
        ("size.charge.keyed", "the same with a key", Load(size.accounts, largest, 2, keyed=True), None),
        (
            "size.charge.single",
            "a charge on disk, each in its own commit",
            Load(size.accounts, 1, 10 * size.singles),
            None,
        ),
        ("size.pair", f"a request and its charge, {largest:,} a batch", Load(size.accounts, largest, held=True), None),
    ]
    accounts, requests = size.holding_accounts, size.holding_requests
    title = f"memory for {accounts:,} accounts and {requests:,} closed requests"
    return [
        *(Quantity(name, title, "byte", _on_disk(workshop, load), most) for name, title, load, most in loads),
        Quantity("memory", title, "MB", _held(accounts, requests), Limit(300, "under 300 MB"), _no_statm),
        Quantity("memory.key", f"memory for each of {KEYS:,} keys", "byte", _key, None, _no_statm),
    ]


def _on_disk(workshop: Workshop, load: Load) -> Callable[[Path], float]:
    """Return a function that measures the bytes by which a charge makes the closed file grow."""

    def measure(folder: Path) -> float:
        path = folder / "shop.db"
        with workshop.shop(folder, load.accounts) as ledger:
            before = path.stat().st_size
            writer(ledger, load)()
        assert chain_of(path) != "broken"
        return (path.stat().st_size - before) / load.charges

    return measure


def _held(accounts: int, requests: int) -> Callable[[Path], float]:
    """Return a function that measures, in a separate process, the memory of books of this size."""

    def measure(folder: Path) -> float:
        command = [sys.executable, "-m", "benchmarks.holding", str(folder / "held.db"), str(accounts), str(requests)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        sizes = json.loads(done.stdout)
        assert (sizes["accounts"], sizes["closed"], sizes["held"]) == (accounts, requests, 0), sizes
        return float(sizes["after"] - sizes["before"]) / MEGABYTE

    return measure


def _key(folder: Path) -> float:
    """Return the bytes by which a key enlarges the memory of the books, measured in a separate process."""
    command = [sys.executable, "-m", "benchmarks.holding", str(folder / "keys.db"), "1024", str(WARM_KEYS), str(KEYS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    sizes = json.loads(done.stdout)
    return float(sizes["after"] - sizes["before"]) / KEYS


def _no_statm() -> str | None:
    return None if os.path.exists("/proc/self/statm") else "there is no /proc here to read a process's memory from"
