"""A TCP proxy in front of a chain's node that can be shut, so that the node is down for its clients."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

_PIECE = 1 << 16


class Gate:
    """A port of this machine that forwards to a node's port until it is closed.

    While it is `shut`, new connections are refused, and existing ones are broken.
    """

    def __init__(self, url: str) -> None:
        node = urlsplit(url)
        assert node.hostname is not None
        assert node.port is not None
        self._node = (node.hostname, node.port)
        self._socket = _bound(0)
        self._port = self._socket.getsockname()[1]
        self._open_connections: dict[threading.Thread, tuple[socket.socket, ...]] = {}
        self._open()

    @property
    def url(self) -> str:
        """The URL of the node through this proxy."""
        return f"http://127.0.0.1:{self._port}"

    @contextmanager
    def shut(self) -> Iterator[None]:
        """Refuse all connections while the context lasts."""
        self._shut()
        self._socket = _bound(self._port)  # bound without listening: the port refuses, and stays reserved
        try:
            yield
        finally:
            self._open()

    def close(self) -> None:
        """Shut the proxy permanently. A second call does nothing."""
        self._shut()

    def _open(self) -> None:
        self._socket.listen()
        self._acceptor = threading.Thread(target=self._accept, args=(self._socket,), name="gate", daemon=True)
        self._acceptor.start()

    def _shut(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in `accept`
        self._socket.close()
        self._acceptor.join()
        for forwarder, ends in self._open_connections.items():
            for end in ends:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            forwarder.join()
        self._open_connections.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                node = socket.create_connection(self._node)
            except OSError:
                client.close()
                continue
            for end in (client, node):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # an answer in two packets is not delayed
            forwarder = threading.Thread(target=_forward, args=(client, node), name="gate", daemon=True)
            self._open_connections = {
                thread: ends for thread, ends in self._open_connections.items() if thread.is_alive()
            }
            self._open_connections[forwarder] = (client, node)
            forwarder.start()


def _forward(client: socket.socket, node: socket.socket) -> None:
    """Copy in both directions until both ends are closed."""
    back = threading.Thread(target=_copy, args=(node, client), name="gate", daemon=True)
    back.start()
    _copy(client, node)
    back.join()
    client.close()
    node.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(_PIECE):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _bound(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    return listener
