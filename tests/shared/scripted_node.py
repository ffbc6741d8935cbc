"""A node that does what it is told: a real HTTP server whose answers are a script."""

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Http:
    """An answer below JSON-RPC: any status, any body."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Broken:
    """The connection is closed without an answer."""


@dataclass(frozen=True)
class Silent:
    """No answer comes before the server is closed."""


@dataclass(frozen=True)
class Error:
    """A JSON-RPC error."""

    code: int
    message: str
    data: object = None


class ScriptedNode:
    """`answers[method]` is a list of answers, one a request, of which the last stays: plain values are results.

    `asked` has the methods in the order in which they came, `bodies` the whole requests.
    """

    def __init__(self, **answers):
        self.answers = {
            method: list(given) if isinstance(given, list) else [given] for method, given in answers.items()
        }
        self.asked, self.bodies = [], []
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = False
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._ending.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, request):
        with self._lock:
            self.asked.append(request["method"])
            self.bodies.append(request)
            script = self.answers.get(request["method"], [Error(-32601, "the method does not exist")])
            return script.pop(0) if len(script) > 1 else script[0]

    def _handler(self):
        node = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = node.answer(request)
                if isinstance(answer, Silent):
                    node._ending.wait()
                if not isinstance(answer, Broken | Silent):
                    self.say(answer if isinstance(answer, Http) else told(request, answer))

            def say(self, http):
                self.send_response(http.status)
                for name, value in http.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(http.body)))
                self.end_headers()
                self.wfile.write(http.body)

            def log_message(self, *_):
                pass

        return Handler


def told(request, answer) -> Http:
    head = {"jsonrpc": "2.0", "id": request["id"]}
    if isinstance(answer, Error):
        data = {} if answer.data is None else {"data": answer.data}
        return Http(body=json.dumps(head | {"error": {"code": answer.code, "message": answer.message} | data}).encode())
    return Http(body=json.dumps(head | {"result": answer}).encode())


def block(number, timestamp=1_700_000_000, base_fee="0x7") -> dict:
    """A block's header, as a node tells it."""
    return {
        "number": hex(number),
        "hash": f"0x{number:064x}",
        "timestamp": hex(timestamp),
        "baseFeePerGas": base_fee,
    }
