"""The built-in stores come in by the same door as everyone's."""

from __future__ import annotations

from ..plugins import Register, StoreFactory, hookimpl
from .memory import MemoryStore
from .sqlite import SQLiteStore


@hookimpl
def register_stores(register: Register[StoreFactory]) -> None:
    """Register the built-in stores."""
    register("memory", MemoryStore)
    register("sqlite", SQLiteStore)
