"""JSON-RPC over HTTP for a chain in this process."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

from pydantic_core import from_json

Answer: TypeAlias = Callable[[object], dict[str, Any]]


class Server(ThreadingHTTPServer):
    """Answers requests at a port of this machine (0: a free one), each in a thread of its own.

    `answer` maps a decoded request to its answer. An exception of it is the answer's error, never a traceback.
    """

    request_queue_size = 128  # many threads may connect together; one that finds the queue full waits for a second

    def __init__(self, answer: Answer, port: int) -> None:
        self._answer = answer
        self._answering: dict[socket.socket, threading.Thread] = {}
        super().__init__(("127.0.0.1", port), _Handler)

    def answer(self, body: bytes) -> bytes:
        """Return the answer to a request, or to a batch of them."""
        try:
            decoded = from_json(body)
        except ValueError:
            decoded = None
        if isinstance(decoded, list) and decoded:
            return json.dumps([self._answer_one(request) for request in decoded]).encode()
        return json.dumps(self._answer_one(decoded)).encode()

    def _answer_one(self, request: object) -> dict[str, Any]:
        try:
            return self._answer(request)
        except Exception as error:  # noqa: BLE001 - the chain's own code may raise anything
            id = request.get("id") if isinstance(request, dict) else None
            message = f"internal error: {type(error).__name__}: {error}"
            return {"jsonrpc": "2.0", "id": id, "error": {"code": -32603, "message": message}}

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the library's signature
        # Daemons: after a second Ctrl-C, which cuts `server_close` short, the process must end all the same.
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        self._answering[request] = thread
        thread.start()

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401
        self._answering.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Say nothing: the client has gone, or sees that no answer came."""

    def server_close(self) -> None:
        """Stop listening, and wait for the requests that are being answered."""
        answering = dict(self._answering)
        for connection in answering:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RD)  # a client that sends nothing must not keep `close` waiting
        super().server_close()
        for thread in answering.values():
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    """One POST per connection (HTTP/1.0), so that closing the chain leaves no connection behind."""

    server: Server

    def do_POST(self) -> None:
        """Answer a request, or a batch of them."""
        payload = self.server.answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the caller knows its requests."""
