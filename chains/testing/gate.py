"""A door between a chain's node and who asks it, which can be shut: then the node is down for who comes this way."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

_PIECE = 1 << 16


class Gate:
    """A port of this machine that leads to a node's, until it is closed.

    While it is `shut`, connections are refused, and those that stood are broken off.
    """

    def __init__(self, url: str) -> None:
        node = urlsplit(url)
        assert node.hostname is not None
        assert node.port is not None
        self._node = (node.hostname, node.port)
        self._door = _bound(0)
        self._port = self._door.getsockname()[1]
        self._through: dict[threading.Thread, tuple[socket.socket, ...]] = {}
        self._open()

    @property
    def url(self) -> str:
        """The URL by which the node is asked through here."""
        return f"http://127.0.0.1:{self._port}"

    @contextmanager
    def shut(self) -> Iterator[None]:
        """Nobody comes through while the context lasts."""
        self._shut()
        self._door = _bound(self._port)  # a port that nobody listens at refuses, and nobody else takes it
        try:
            yield
        finally:
            self._open()

    def close(self) -> None:
        """Shut it for good. A second call does nothing."""
        self._shut()

    def _open(self) -> None:
        self._door.listen()
        self._keeper = threading.Thread(target=self._keep, args=(self._door,), name="gate", daemon=True)
        self._keeper.start()

    def _shut(self) -> None:
        with suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)  # which wakes who waits in `accept`
        self._door.close()
        self._keeper.join()
        for leading, ends in self._through.items():
            for end in ends:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            leading.join()
        self._through.clear()

    def _keep(self, door: socket.socket) -> None:
        while True:
            try:
                asker, _ = door.accept()
            except OSError:
                return
            try:
                node = socket.create_connection(self._node)
            except OSError:
                asker.close()
                continue
            for end in (asker, node):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # an answer in two pieces does not wait
            leading = threading.Thread(target=_lead, args=(asker, node), name="gate", daemon=True)
            self._through = {each: ends for each, ends in self._through.items() if each.is_alive()}
            self._through[leading] = (asker, node)
            leading.start()


def _lead(asker: socket.socket, node: socket.socket) -> None:
    """Both ways at once, until both are over."""
    back = threading.Thread(target=_carry, args=(node, asker), name="gate", daemon=True)
    back.start()
    _carry(asker, node)
    back.join()
    asker.close()
    node.close()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(_PIECE):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _bound(port: int) -> socket.socket:
    door = socket.socket()
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    door.bind(("127.0.0.1", port))
    return door
