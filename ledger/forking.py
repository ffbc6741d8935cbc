"""Forks of a process that has ledgers open: no thread is inside a store at that moment, and no store holds its file.

SQLite keeps what a process has locked in that process's memory. A child would inherit this and believe that it holds
locks which only its parent holds: what it wrote through a ledger of its own could be lost, or it would wait for ever.
So before a fork each ledger is waited for and its store lets go of the file; the parent takes it up again when it next
needs it.
"""

from __future__ import annotations

import os
import threading
from typing import Protocol
from weakref import WeakSet

PATIENCE = 60
"""Seconds that a fork waits for a ledger; then it takes place all the same."""


class ForkAware(Protocol):
    """Something that lets go while a process forks."""

    def _pause_for_fork(self, seconds: float) -> bool:
        """Let nobody in, and let go; whether that was so."""
        ...

    def _resume_after_fork(self) -> None:
        """Let others in again."""
        ...


loading = threading.RLock()
"""Held while plugins are loaded: a child never gets a lock of Python's that another thread held for an import."""

opening = threading.RLock()
"""Held while a store is opened: it is not known yet, and a fork must wait for it too."""

_known: WeakSet[ForkAware] = WeakSet()
_held: list[ForkAware] = []
_locked: list[threading.RLock] = []


def register(each: ForkAware) -> None:
    """From now on it is asked to let go before a fork."""
    with opening:
        _known.add(each)


def _before() -> None:
    for lock in (loading, opening):  # in this order, since what is loaded may open a ledger
        if lock.acquire(timeout=PATIENCE):
            _locked.append(lock)
    for each in list(_known):  # one by one, so that an interrupt leaves none of them held
        if each._pause_for_fork(PATIENCE):
            _held.append(each)


def _after() -> None:
    for each in _held:
        each._resume_after_fork()
    _held.clear()
    while _locked:
        _locked.pop().release()


def _in_child() -> None:
    _after()
    _known.clear()  # they are the parent's


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_in_child)
