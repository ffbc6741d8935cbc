"""Where figures were taken: they mean nothing without it."""

from __future__ import annotations

import os
import platform
import sqlite3
import time
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from .floors import Frames

_PACKAGES = ("msgspec", "eventsourcing", "psycopg")


def machine(folder: Path) -> dict[str, Any]:
    """The processor's cores, the versions of what was measured, and what a sync costs in that folder."""
    return {
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "sync_microseconds": round(sync_seconds(folder) * 1e6),
    }


def sync_seconds(folder: Path, times: int = 100) -> float:
    """The median of a small append and its fdatasync. Some 10 µs or less is a disk that does not sync."""
    path, found = folder / "sync-probe", []
    with closing(Frames(path)) as frames:
        for _ in range(times):
            begun = time.perf_counter()
            frames.append(bytes(64))
            found.append(time.perf_counter() - begun)
    path.unlink()
    return median(found)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def sentence(told: dict[str, Any]) -> str:
    """The machine in one sentence."""
    packages = ", ".join(f"{name} {found}" for name, found in told["packages"].items())
    return (
        f"{told['cores']} cores (load {told['load']} when it began), {told['system']}, {told['python']}, SQLite "
        f"{told['sqlite']}, {packages}; a small fdatasync took {told['sync_microseconds']} µs."
    )
