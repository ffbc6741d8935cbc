"""The machine on which figures were measured."""

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
    """Return the number of cores, the versions of the measured software, and the duration of a sync in that folder."""
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
    """Return the median seconds of a small append and its fdatasync. A disk that does not sync takes 10 µs or less."""
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


def sentence(machine: dict[str, Any]) -> str:
    """Return the machine in one sentence."""
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    return (
        f"{machine['cores']} cores (load {machine['load']} when it began), {machine['system']}, {machine['python']}, "
        f"SQLite {machine['sqlite']}, {packages}; a small fdatasync took {machine['sync_microseconds']} µs."
    )
