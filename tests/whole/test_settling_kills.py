"""A process that settles is killed for real, with its log and its chain in files, and another one finishes."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from chains import Outbox, Watcher
from chains.mock import MockChain
from ledger import Adjust, Charge, ContractRef, CreatePlan, Ledger
from replay.audit.run import audit

AT = 1_700_000_000_000_000
SHARES = {"acme": 950, "platform": 50}
SETTLE = """
import os, signal, sys
from pathlib import Path

from chains import Outbox
from chains.mock import MockChain
from ledger import Ledger
from ledger.plugins import stores

log, left = Path(sys.argv[1]), int(sys.argv[2])


def burn():
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)


def mortal(thing, *names):
    for name in names:
        def call(*arguments, inner=getattr(thing, name)):
            burn()
            answer = inner(*arguments)
            burn()
            return answer
        setattr(thing, name, call)


store, chain = stores.get("sqlite")(log), MockChain(log.with_name("toll.db.mock"))
mortal(store, "append")
mortal(chain, "find", "simulate", "prepare", "send", "confirm", "pause")
Outbox(Ledger(store, clock=lambda: 1_700_000_000_000_000), chain).settle()
"""
"""What a process does until it is killed, before or after the given number of calls to the log or the chain."""


@pytest.fixture(scope="module")
def unsettled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log and its chain: a batch is settled, a part of it was given back since, and more was earned."""
    folder = tmp_path_factory.mktemp("unsettled")
    with Ledger.open(folder / "toll.db", clock=lambda: AT, id="toll") as ledger:
        chain = MockChain(folder / "toll.db.mock", window=1)
        plan = CreatePlan(
            plan="pro",
            owner="acme",
            price=SHARES,
            credits=100,
            policy="complexity",
            parameters={"weights": {"units": 1}},
        )
        ledger.execute(plan).unwrap()
        for subscriber in ("alice", "bob"):
            chain.purchase(subscriber, "pro", "USD", SHARES, credits=100)
        chain.mine(3)
        Watcher(ledger, chain).sync()
        charge = ledger.execute(Charge(subscriber="alice", plan="pro", usage={"units": 60})).unwrap()
        Outbox(ledger, chain).settle()
        ledger.execute(Adjust(charge=charge.seq, credits=-7)).unwrap()
        ledger.execute(Charge(subscriber="bob", plan="pro", usage={"units": 33})).unwrap()
        chain.close()
    return folder


def killed(unsettled: Path, folder: Path, instant: int) -> bool:
    """Whether the process was killed at that instant; another one has finished what it began."""
    shutil.copytree(unsettled, folder)
    log = folder / "toll.db"
    command = [sys.executable, "-c", SETTLE, str(log), str(instant)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode in (0, -signal.SIGKILL), process.stderr
    with Ledger.open(log, clock=lambda: AT) as ledger:
        chain = MockChain(folder / "toll.db.mock")
        Outbox(ledger, chain).settle()
        settled = ledger.settling(ContractRef("mock:local", "tollbook")).settled["USD"]
        # 530 and 330 are earned: ⌊530·95/100⌋ and ⌊330·95/100⌋, ⌊530·5/100⌋ and ⌊330·5/100⌋
        assert settled == {"acme": 503 + 313, "platform": 26 + 16}
        assert {name: chain.due(name, "USD") for name in SHARES} == settled
        assert len(chain.batches()) == 2
        assert audit(log, chains=[chain]).clean
        chain.close()
    return process.returncode != 0


@pytest.mark.parametrize("instant", [0, 5, 9, 12, 17, 22])
def test_a_killed_settlement_is_finished_by_the_next(unsettled: Path, tmp_path: Path, instant: int) -> None:
    assert killed(unsettled, tmp_path / "copy", instant)


@pytest.mark.sweep
def test_a_settlement_that_is_killed_anywhere_is_finished_by_the_next(unsettled: Path, tmp_path: Path) -> None:
    instant = 0
    while killed(unsettled, tmp_path / str(instant), instant):
        instant += 1
    assert instant > 40
