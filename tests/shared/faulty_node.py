"""A node between the plugin and a chain's own, over HTTP, that does wrong what a test asks of it.

    with FaultyNode(anvil.url) as node:
        node.on("eth_sendRawTransaction", unanswered)      # the next one is done, and no answer comes
        node.always("eth_getLogs", no_wider_than(10))

Each fault is a function of a request and of `ask`, which puts a request to the chain's own node.
"""

import json
import socket
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = dict[str, Any]
Ask = Callable[..., Any]
Fault = Callable[[dict[str, Any], Ask], Answer]


class HungUp(Exception):
    """The connection ends, and no answer comes."""


class FaultyNode:
    """`url` is where it is asked. `asked` has the methods of all requests, `sent` the transactions that came."""

    def __init__(self, url: str) -> None:
        self.target = url.removeprefix("http://")
        self.asked: list[str] = []
        self.sent: list[str] = []
        self._faults: dict[str, deque[Fault]] = defaultdict(deque)
        self._always: dict[str, Fault] = {}
        self._watchers: list[Callable[[dict[str, Any]], None]] = []
        self._server: _Server | None = None
        self._port = 0
        self._lock = threading.Lock()
        self.up()
        self.url = f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> "FaultyNode":
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    # -- what goes wrong -----------------------------------------------------------------------------------------------

    def on(self, method: str, *faults: Fault) -> None:
        """The next requests of a method meet these, one each; `*` is any method."""
        self._faults[method].extend(faults)

    def always(self, method: str, fault: Fault | None) -> Fault | None:
        """All requests of a method meet this, from now on; None ends it. What they met before."""
        before = self._always.pop(method, None)
        if fault is not None:
            self._always[method] = fault
        return before

    def calm(self) -> None:
        """Nothing goes wrong any more."""
        self._faults.clear()
        self._always.clear()

    def watch(self, look: Callable[[dict[str, Any]], None]) -> None:
        """`look` at each request before it is passed on."""
        self._watchers.append(look)

    def down(self) -> None:
        """Nobody listens any more: connections are refused. A second call does nothing."""
        if self._server is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.hang_up()
            self._server.server_close()
            self._server = None

    def up(self) -> None:
        """Listen (again, on the same port)."""
        self._server = _Server(self._port, self)
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    @contextmanager
    def cut_off(self) -> Iterator[None]:
        """Down, while the context lasts."""
        self.down()
        try:
            yield
        finally:
            self.up()

    # -- passing on ----------------------------------------------------------------------------------------------------

    def answer(self, request: dict[str, Any], ask: Ask) -> Answer:
        """The answer to a request; `ask` asks the chain's own node. Raises HungUp where none comes."""
        method = request["method"]
        with self._lock:
            self.asked.append(method)
            if method == "eth_sendRawTransaction":
                self.sent.append(request["params"][0])
        for look in self._watchers:
            look(request)
        with self._lock:
            fault = next((self._faults[name].popleft() for name in (method, "*") if self._faults[name]), None)
        fault = fault or self._always.get(method) or self._always.get("*") or straight
        return fault(request, ask)


# -- faults ------------------------------------------------------------------------------------------------------------


def straight(request: dict[str, Any], ask: Ask) -> Answer:
    """No fault."""
    return ask(request["method"], *request.get("params", ()))


def lost(request: dict[str, Any], ask: Ask) -> Answer:
    """The request never arrives; the connection breaks."""
    raise HungUp


def unanswered(request: dict[str, Any], ask: Ask) -> Answer:
    """The request is done, and its answer never arrives."""
    straight(request, ask)
    raise HungUp


def says(result: Any) -> Fault:
    """That, whatever is asked."""
    return lambda request, ask: {"result": result}


def refuses(message: str, code: int = -32000, data: Any = None) -> Fault:
    """An error, whatever is asked."""
    return lambda request, ask: {"error": {"code": code, "message": message} | ({"data": data} if data else {})}


def swallowed(request: dict[str, Any], ask: Ask) -> Answer:
    """A transaction is taken, says the node, and is never heard of again."""
    from eth_utils import keccak

    return {"result": "0x" + keccak(hexstr=request["params"][0]).hex()}


def changed(change: Callable[[Any], Any]) -> Fault:
    """The right answer, changed."""

    def fault(request: dict[str, Any], ask: Ask) -> Answer:
        answer = straight(request, ask)
        return answer | {"result": change(answer["result"])} if "result" in answer else answer

    return fault


def no_wider_than(blocks: int, refusal: Fault) -> Fault:
    """Logs in so many blocks at most; more are refused."""

    def fault(request: dict[str, Any], ask: Ask) -> Answer:
        wanted = request["params"][0]
        first, last = (int(wanted[name], 16) for name in ("fromBlock", "toBlock"))
        return (straight if last - first < blocks else refusal)(request, ask)

    return fault


def finality(fault: Fault) -> Fault:
    """Meets who asks for the block `finalized`."""
    return lambda request, ask: (fault if request["params"][0] == "finalized" else straight)(request, ask)


def behind(blocks: int) -> Fault:
    """A node that has not heard of the last blocks yet."""

    def fault(request: dict[str, Any], ask: Ask) -> Answer:
        head = max(int(ask("eth_blockNumber")["result"], 16) - blocks, 0)
        method, params = request["method"], [_as_of(param, head, blocks, ask) for param in request.get("params", ())]
        if method == "eth_blockNumber":
            return {"result": hex(head)}
        if any(_number(param) > head for param in params):
            unknown = {"code": -32000, "message": "header not found"}
            return {"result": None} if method == "eth_getBlockByNumber" else {"error": unknown}
        if method == "eth_getLogs":
            first, last = (_number(params[0][name]) for name in ("fromBlock", "toBlock"))
            params[0] |= {"toBlock": hex(min(last, head))}
            if first > head:
                return {"result": []}
        answer = ask(method, *params)
        block = answer["result"].get("blockNumber") if isinstance(answer.get("result"), dict) else None
        return {"result": None} if block is not None and int(block, 16) > head else answer

    return fault


def to_and_fro(*faults: Fault) -> Fault:
    """Behind a load balancer: each request meets the next one, round and round."""
    turn, lock = iter(()), threading.Lock()

    def fault(request: dict[str, Any], ask: Ask) -> Answer:
        nonlocal turn
        with lock:
            chosen = next(turn, None)
            if chosen is None:
                turn = iter(faults)
                chosen = next(turn)
        return chosen(request, ask)

    return fault


def _as_of(param: Any, head: int, blocks: int, ask: Ask) -> Any:
    if param in ("latest", "pending"):
        return hex(head)
    if param == "finalized":
        final = int(ask("eth_getBlockByNumber", "finalized", False)["result"]["number"], 16)
        return hex(max(final - blocks, 0))
    return param


def _number(param: Any) -> int:
    """A block's number; -1 for what is none."""
    is_number = isinstance(param, str) and param.startswith("0x") and len(param) < 20
    return int(param, 16) if is_number else -1


# -- the server --------------------------------------------------------------------------------------------------------


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # a run that is broken off ends
    allow_reuse_address = True

    def __init__(self, port: int, node: FaultyNode) -> None:
        self.node = node
        self.callers: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def hang_up(self) -> None:
        """End the connections that stand."""
        for caller in list(self.callers):
            with suppress(OSError):
                caller.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """One connection of whoever asks, and one to the chain's own node."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.callers.add(self.connection)
        self._node = HTTPConnection(self.server.node.target, timeout=30)

    def finish(self) -> None:
        self.server.callers.discard(self.connection)
        self._node.close()
        with suppress(OSError):
            super().finish()

    def handle(self) -> None:
        with suppress(OSError):  # whoever asked may be gone
            super().handle()

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            told = self.server.node.answer(request, self._ask)
        except HungUp:
            self.close_connection = True
            return
        said = json.dumps(told | {"jsonrpc": "2.0", "id": request["id"]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def _ask(self, method: str, *params: Any) -> Any:
        """The whole answer of the chain's own node to one request. Raises HungUp where it is down."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        try:
            self._node.request("POST", "/", body, {"Content-Type": "application/json"})
            return json.loads(self._node.getresponse().read())
        except OSError as error:
            raise HungUp from error

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
