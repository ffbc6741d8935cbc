"""Plugin of the built-in stores, registered by the same entry point as any other."""

from __future__ import annotations

from ..plugins import Register, StoreFactory, hookimpl
from .memory import MemoryStore
from .sqlite import SQLiteStore


@hookimpl
def register_stores(register: Register[StoreFactory]) -> None:
    """Register the built-in stores."""
    register("memory", MemoryStore)
    register("sqlite", SQLiteStore)
