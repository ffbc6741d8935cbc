"""A node that several processes and threads may hold: it follows its storage, and every change is stored at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ledger.errors import LedgerError

from .contract import InvariantBroken
from .node import MockNode
from .storage import Storage, Version


class SharedNode:
    """The node of a storage. `node` is as it was when last looked at; `now` looks again."""

    def __init__(self, storage: Storage) -> None:
        self.lock = threading.RLock()
        self.node = MockNode(storage.deployment)
        self._storage = storage
        self._seen: Version | None = None  # None: what is here is not what is stored, so all is read anew
        self._changes = 0
        self._spoiled = False
        self._closed = False

    def now(self) -> MockNode:
        """Return the node with all changes of other connections. Raises ChainUnavailable."""
        with self.lock:
            if not self._changes and self._seen != self._storage.version():
                with self._storage.reading():
                    self._read()
            return self.node

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Change the node inside: stored durably at the end, or undone. One within another is part of that one."""
        with self.lock:
            if self._changes:
                with self._inner():
                    yield
                return
            with self._storage.writing():
                if self._seen != self._storage.version():
                    self._read()
                self._changes, self._spoiled, self._seen = 1, False, None
                try:
                    yield
                    if self._spoiled:
                        raise InvariantBroken("a change failed halfway, so all that was done with it is undone")
                    seen = self._storage.save(self.node)
                finally:
                    self._changes = 0
            self._seen = seen

    def published(self, data_hash: str) -> bytes | None:
        """Return the leaf file of that hash, if it was ever published. Raises ChainUnavailable."""
        with self.lock:
            return self._storage.published(data_hash)

    def publish(self, data_hash: str, leaf_file: bytes) -> None:
        """Publish a leaf file, permanently."""
        with self.lock:
            if self._storage.published(data_hash) is None:
                with self.changing():
                    self._storage.publish(data_hash, leaf_file)

    def close(self) -> None:
        """Let go of the storage. A second call does nothing."""
        with self.lock:
            if not self._closed:
                self._storage.close()
                self._closed = True

    @contextmanager
    def _inner(self) -> Iterator[None]:
        """Refusals come before anything is touched, so the change around may go on; not after any other error."""
        try:
            yield
        except (LedgerError, ValueError):
            raise
        except BaseException:
            self._spoiled = True
            raise

    def _read(self) -> None:
        """Bring the node up to what is stored: fold the new blocks, or all of them after a re-organisation."""
        version, pending, node = self._storage.version(), self._storage.pending(), self.node
        if self._seen is None or version.forks != node.pending.forks:
            self.node = node = MockNode(node.deployment)
        for block in self._storage.blocks(after=node.height):
            node.add(block)
        node.pending, node.stored, self._seen = pending, node.height, version
