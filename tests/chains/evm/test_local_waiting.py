"""A local chain on a busy machine: answers are waited for as long as it runs, and nobody sees another's traceback."""

import json
import os
import signal
import socket
import struct
import threading
import time
import urllib.request
from contextlib import closing, contextmanager
from pathlib import Path
from queue import Queue

import pytest
from local_kinds import needs_anvil
from patience import PATIENCE

from chains.evm.local import local_chain
from chains.evm.local.serving import Server
from chains.evm.local.waiting import Waiting
from ledger.errors import ChainUnavailable


@contextmanager
def serving(answer):
    server = Server(answer, 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def post(server, body):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{server.server_port}", body) as answer:
        return json.load(answer)


def broken(request):
    raise AssertionError("a rule of the EVM")


def test_what_the_chains_own_code_raises_is_an_answer_and_no_traceback(capfd):
    with serving(broken) as server:
        answer = post(server, b'{"id": 7, "method": "eth_call"}')
    assert answer["id"] == 7
    assert answer["error"] == {"code": -32603, "message": "internal error: AssertionError: a rule of the EVM"}
    assert capfd.readouterr().err == ""


def test_a_client_that_left_before_its_answer_leaves_no_traceback(capfd):
    asked, left = threading.Event(), threading.Event()

    def late(request):
        asked.set()
        left.wait(PATIENCE)
        return {"result": "x" * 10_000_000}  # more than the system takes without a reader

    with serving(late) as server:
        with socket.create_connection(("127.0.0.1", server.server_port)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset, as the killed are
            client.sendall(b"POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}")
            assert asked.wait(PATIENCE)
        left.set()
    assert capfd.readouterr().err == ""


def test_a_long_wait_is_reported_until_the_answer_has_come():
    waiting, reports = Waiting(), Queue()
    with waiting.reported(lambda *report: reports.put(report), after=0):
        assert reports.get(timeout=PATIENCE) == (0, 0)
    with waiting.reported(lambda *report: reports.put(report), after=1):
        with waiting.request():
            seconds, total = reports.get(timeout=PATIENCE)
            assert (seconds >= 1, total) == (True, 0)
        while (report := reports.get(timeout=PATIENCE))[1] == 0:
            seconds = report[0]
        assert report == (seconds, seconds)


def test_short_waits_are_not_reported():
    waiting = Waiting()
    with waiting.reported(lambda *report: pytest.fail("reported")), waiting.request():
        assert waiting.seconds == 0
    assert waiting.seconds == 0


@needs_anvil
def test_a_chain_that_stands_still_is_waited_for_and_then_answers():
    reports = Queue()
    with local_chain("anvil") as chain, closing(chain.node()) as node:
        os.kill(chain.pid, signal.SIGSTOP)
        heights = Queue()
        asker = threading.Thread(target=lambda: heights.put(node.head().number))
        asker.start()
        with chain.waiting.reported(lambda *report: reports.put(report), after=1):
            assert reports.get(timeout=PATIENCE)[0] >= 1
            assert heights.empty()
            os.kill(chain.pid, signal.SIGCONT)
            assert heights.get(timeout=PATIENCE) == 0
        asker.join()


def until_stopped(pid):
    """Wait until no thread of a process runs: until then it may answer a request that it has read."""
    threads = list(Path(f"/proc/{pid}/task").glob("*"))  # none where there is no /proc
    while any(thread.joinpath("stat").read_text().rpartition(")")[2].split()[0] != "T" for thread in threads):
        time.sleep(0.01)


@needs_anvil
def test_a_chain_that_is_killed_while_it_is_asked_is_said_to_have_ended():
    with local_chain("anvil") as chain, closing(chain.node(backoff=0)) as node:
        os.kill(chain.pid, signal.SIGSTOP)
        until_stopped(chain.pid)
        killer = threading.Timer(0.5, os.kill, (chain.pid, signal.SIGKILL))
        killer.start()
        for ask in (lambda: node.send("0x00"), node.head, chain.mine):
            with pytest.raises(ChainUnavailable, match=rf"anvil \(process {chain.pid}\) has ended: it was killed"):
                ask()
        killer.join()


@needs_anvil
@pytest.mark.parametrize("end", ["closed", "killed"])
def test_nothing_of_a_chain_stays_on_the_disk(tmp_path, monkeypatch, end):
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    for folder, name in ((home, "HOME"), (temporary, "TMPDIR")):
        folder.mkdir()
        monkeypatch.setenv(name, str(folder))
    with local_chain("anvil") as chain:
        chain.mine(3)
        assert list(temporary.iterdir()) != []
        if end == "killed":
            os.kill(chain.pid, signal.SIGKILL)
    assert [path for path in tmp_path.rglob("*") if path not in (home, temporary)] == []
