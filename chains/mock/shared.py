"""A node that several processes and threads may share: it follows its storage, and every change is stored durably."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ledger.errors import LedgerError

from .contract import InvariantBroken
from .node import MockNode
from .storage import Storage, Version


class SharedNode:
    """The node of a storage. `node` is as last read; `now` reads changes of other connections first."""

    def __init__(self, storage: Storage) -> None:
        self.lock = threading.RLock()
        self.node = MockNode(storage.deployment)
        self._storage = storage
        self._seen: Version | None = None  # None: the node may differ from the storage, so everything is read again
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
        """Change the node inside the context: the change is stored durably at the end, or undone. A nested change is
        part of the outer one."""
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
                        raise InvariantBroken("a change failed halfway, so the whole transaction is undone")
                    seen = self._storage.save(self.node)
                finally:
                    self._changes = 0
            self._seen = seen

    def published(self, data_hash: str) -> bytes | None:
        """Return the leaf file of that hash; None if it was never published. Raises ChainUnavailable."""
        with self.lock:
            return self._storage.published(data_hash)

    def publish(self, data_hash: str, leaf_file: bytes) -> None:
        """Publish a leaf file, permanently."""
        with self.lock:
            if self._storage.published(data_hash) is None:
                with self.changing():
                    self._storage.publish(data_hash, leaf_file)

    def close(self) -> None:
        """Close the storage. A second call does nothing."""
        with self.lock:
            if not self._closed:
                self._storage.close()
                self._closed = True

    @contextmanager
    def _inner(self) -> Iterator[None]:
        """Run a nested change. Refusals come before any change, so the outer change may continue after them; after any
        other error it is undone."""
        try:
            yield
        except (LedgerError, ValueError):
            raise
        except BaseException:
            self._spoiled = True
            raise

    def _read(self) -> None:
        """Read the storage: fold its new blocks, or all of them after a reorganisation."""
        version, pending, node = self._storage.version(), self._storage.pending(), self.node
        if self._seen is None or version.forks != node.pending.forks:
            self.node = node = MockNode(node.deployment)
        for block in self._storage.blocks(after=node.height):
            node.add(block)
        node.pending, node.stored, self._seen = pending, node.height, version
