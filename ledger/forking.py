"""Forks of a process that has ledgers open: during a fork no thread is inside a store, and no store has its file open.

SQLite keeps a process's locks in memory. A child would inherit this and believe that it holds locks which only its
parent holds: what it wrote through its own ledger could be lost, or it would wait permanently. So a fork waits for each
ledger, and its store closes the file; the parent reopens it when it is next needed.
"""

from __future__ import annotations

import os
import threading
from typing import Protocol
from weakref import WeakSet

TIMEOUT_SECONDS = 60
"""A fork waits so long for a ledger; then it continues without it."""


class ForkAware(Protocol):
    """An object that closes its file while the process forks."""

    def _pause_for_fork(self, seconds: float) -> bool:
        """Lock out other threads and close the file. True if the lock was taken within `seconds`."""
        ...

    def _resume_after_fork(self) -> None:
        """Release the lock."""
        ...


loading = threading.RLock()
"""Held while plugins are loaded: a child never inherits an import lock that another thread holds."""

opening = threading.RLock()
"""Held while a store is opened: it is not registered yet, and a fork must wait for it too."""

_registered: WeakSet[ForkAware] = WeakSet()
_paused: list[ForkAware] = []
_locked: list[threading.RLock] = []


def register(resource: ForkAware) -> None:
    """Pause `resource` before each fork and resume it after."""
    with opening:
        _registered.add(resource)


def _before() -> None:
    for lock in (loading, opening):  # in this order, since loading a plugin may open a ledger
        if lock.acquire(timeout=TIMEOUT_SECONDS):
            _locked.append(lock)
    for resource in list(_registered):  # one by one, so that an interrupt leaves none of them paused
        if resource._pause_for_fork(TIMEOUT_SECONDS):
            _paused.append(resource)


def _after() -> None:
    for resource in _paused:
        resource._resume_after_fork()
    _paused.clear()
    while _locked:
        _locked.pop().release()


def _in_child() -> None:
    _after()
    _registered.clear()  # they are the parent's


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_in_child)
