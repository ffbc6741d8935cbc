"""A shop whose log has one of everything that the reading commands show, and ways to run `tollbook` on it."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from unguarded import open_wide

from gateway.cli.main import main
from ledger import (
    Adjust,
    Charge,
    CreatePlan,
    Give,
    Ledger,
    Purchase,
    RegisterAgent,
    Release,
    Request,
    Tick,
    Withdraw,
)
from ledger.log import TEXT, commit_hash, origin

START = 1_700_157_600_000_000  # 2023-11-16T18:00:00Z
SECOND = 1_000_000
HOUR = 3600 * SECOND
COIN = "eip155:8453/erc20:0xc0ffee"
TOLLBOOK = str(Path(sys.executable).with_name("tollbook"))
PATIENCE = 600
"""Seconds until a process that hangs fails its test; a busy machine makes a healthy one take long, too."""


class Clock:
    """Goes on by a second whenever it is read."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        self.now += SECOND
        return self.now


class Shop(NamedTuple):
    """A log, the sequences of what stands in it by name, and when the gift had lapsed."""

    log: Path
    seq: dict[str, int]
    later: int


class Answer(NamedTuple):
    """What a run of the command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON value on stdout."""
        assert self.code in (0, 1), self.err
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """The JSON error on stderr, with nothing on stdout."""
        assert (self.code, self.out) == (2, "")
        return json.loads(self.err)["error"]


Run = Callable[..., Answer]


@pytest.fixture
def tollbook(capsys) -> Run:
    """Run the command in this process."""

    def run(*words: object) -> Answer:
        code = main([str(word) for word in words])
        return Answer(code, *capsys.readouterr())

    return run


@pytest.fixture
def process() -> Run:
    """Run the command in a process of its own, its output piped: only where the process itself is tested."""

    def run(*words: object, **options: Any) -> Answer:
        done = subprocess.run([TOLLBOOK, *map(str, words)], capture_output=True, text=True, timeout=PATIENCE, **options)
        return Answer(done.returncode, done.stdout, done.stderr)

    return run


def tell(path: Path) -> Shop:
    """Alice buys, is given more, and uses it; Bob buys for 100 coins of 18 decimals and takes some back."""
    seq, clock = {}, Clock()
    with Ledger.open(path, clock=clock, id="shop") as ledger:

        def do(name: str, command: Any) -> int:
            seq[name] = ledger.execute(command).unwrap().seq
            return seq[name]

        terms: dict[str, Any] = {
            "owner": "acme",
            "decimals": 2,
            "policy": "complexity",
            "parameters": {"weights": {"input_tokens": "1/10000"}},
        }
        do("plan", CreatePlan(plan="pro", price={"acme": 900, "fee": 100}, credits=10_000, **terms))
        do("coins", CreatePlan(plan="coins", price={"acme": 10**20}, asset=COIN, credits=1_000, **terms))
        do("agent", RegisterAgent(agent="bot", owner="acme", plans=("pro",)))
        do("alice", Purchase(subscriber="alice", plan="pro", payment="invoice-1"))
        do("gift", Give(subscriber="alice", plan="pro", credits=500, expiry=START + HOUR))
        used = {"input_tokens": 30_001}
        request = do(
            "request", Request(subscriber="alice", plan="pro", agent="bot", estimate=used, labels={"model": "m"})
        )
        do("part", Charge(request=request, usage={"input_tokens": 10_001}, final=False))
        do("final", Charge(request=request, usage={"input_tokens": 5}))
        do("open", Request(subscriber="alice", plan="pro", estimate={"input_tokens": 700}))
        do("direct", Charge(subscriber="alice", plan="pro", usage={"input_tokens": 12_345}))
        do("refund", Adjust(charge=seq["direct"], credits=-24, reason="refund", note="half an answer"))
        voided = do("voided", Request(subscriber="alice", plan="pro", estimate={"input_tokens": 100}))
        do("released", Release(request=voided))
        do("bob", Purchase(subscriber="bob", plan="coins", payment="0xabc"))
        do("withdrawn", Withdraw(subscriber="bob", plan="coins", credits=250))
        before = clock.now
        clock.now = START + 2 * HOUR
        do("tick", Tick())
        seq["head"] = ledger.head.seq
    return Shop(path, seq, before)


@pytest.fixture(scope="session")
def told(tmp_path_factory) -> Shop:
    """The shop, told once."""
    return tell(tmp_path_factory.mktemp("shop") / "shop.db")


@pytest.fixture
def shop(told, tmp_path) -> Shop:
    """A copy of the shop to spoil."""
    log = tmp_path / "log.db"
    log.write_bytes(told.log.read_bytes())
    return told._replace(log=log)


@pytest.fixture(scope="session")
def long_log(tmp_path_factory) -> Path:
    """A log that takes a while to read: far more than a pipe holds."""
    path = tmp_path_factory.mktemp("long") / "long.db"
    with Ledger.open(path, clock=Clock(), id="long") as ledger:
        ledger.execute(CreatePlan(plan="pro", owner="acme", credits=10**12)).unwrap()
        ledger.execute(Purchase(subscriber="alice", plan="pro")).unwrap()
        for _ in range(30):
            ledger.execute_many([Charge(subscriber="alice", plan="pro", usage={"calls": 1})] * 1_000)
    return path


@pytest.fixture
def spoil() -> Callable[..., None]:
    """Change the bytes of one commit behind the ledger's back; with `mend`, also the hashes from there on."""

    def change(path: Path, old: str, new: str, mend: bool = False) -> None:
        with closing(open_wide(path)) as log:
            assert log.execute(
                "UPDATE commits SET body = replace(body, ?, ?) WHERE instr(body, ?)", (old, new, old)
            ).rowcount
            head = origin("shop").hash
            for first, count, at, body in log.execute("SELECT first_seq, count, at, body FROM commits").fetchall():
                head = commit_hash(head, first, count, at, TEXT, body.encode())
                if mend:
                    log.execute("UPDATE commits SET hash = ? WHERE first_seq = ?", (head, first))

    return change


@pytest.fixture(scope="session")
def program() -> str:
    """The command as it is installed."""
    return TOLLBOOK


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[Any]]]:
    """Start a process that Ctrl-C ends, even if this test run ignores interrupts, as one in the background does."""
    running: list[subprocess.Popen[Any]] = []

    def begin(*words: object, **options: Any) -> subprocess.Popen[Any]:
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(
            list(map(str, words)),
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            **pipes | options,
        )
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def patience() -> int:
    """Seconds to wait for a process before it counts as hanging."""
    return PATIENCE
