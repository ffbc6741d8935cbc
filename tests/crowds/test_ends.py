"""Callers that end in the middle: cancelled tasks, killed processes, forks. Everybody else goes on, and what was
answered stands."""

import asyncio
import json
import os
import random
import warnings
from pathlib import Path
from typing import Any

import crowds
import pytest
from crowds import BEGIN, Child, stock
from patience import PATIENCE

from ledger import AsyncLedger, Charge, CreatePlan, Ledger, Purchase
from ledger.errors import NotWritten
from ledger.plugins import Price, policies


@pytest.fixture
def path(tmp_path: Path) -> Path:
    log = tmp_path / "toll.db"
    stock(log, [("ann", "pro")], 1_000)
    return log


def opened(path: Path) -> Ledger:
    return Ledger.open(path, clock=lambda: BEGIN)


def use(key: str | None = None) -> Charge:
    return Charge(subscriber="ann", plan="pro", usage={"calls": 1}, key=key)


def keys(path: Path) -> set[str]:
    """The keys of what is in the log, each of which is there once."""
    return {key.partition(" ")[2] for key in crowds.holds(path, []).keys}


# -- tasks -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", range(4))
def test_a_cancelled_task_has_asked_or_it_has_not(path: Path, turns: int) -> None:
    """Whoever had asked is in the log, cancelled or not, and whoever had not is not; and all others are answered."""
    asked: set[str] = set()

    async def ask(ledger: AsyncLedger, key: str) -> Any:
        asked.add(key)
        return await ledger.execute(use(key))

    async def main() -> list[Any]:
        shake = random.Random(turns)
        async with AsyncLedger(opened(path)) as ledger:
            tasks = [asyncio.create_task(ask(ledger, f"key-{number}")) for number in range(60)]
            for turn in range(turns):
                await (ledger.execute(use(f"turn-{turn}")) if turn % 2 else asyncio.sleep(0))
            for task in shake.sample(tasks, 30):
                task.cancel()
            told = await asyncio.gather(*tasks, return_exceptions=True)
            assert await ledger.execute(use("last"))
            return told

    told = asyncio.run(asyncio.wait_for(main(), PATIENCE))
    answered = {number for number, each in enumerate(told) if not isinstance(each, BaseException)}
    assert len(answered) >= 30
    assert {f"key-{number}" for number in answered} <= asked
    assert {key for key in keys(path) if key.startswith("key-")} == asked
    crowds.holds(path, [crowds.said(told[number]) for number in answered])


class Leaving:
    """A policy that ends its interpreter, which is what `sys.exit` in it asks for."""

    version, scope, monotone = 1, "request", True

    def __init__(self, parameters: Any) -> None:
        self.parameters = dict(parameters)

    def total(self, usage: Any, labels: Any) -> Price:
        if usage.get("calls") == 7:
            raise SystemExit("enough")
        return Price(1)


@pytest.fixture
def leaving(monkeypatch: pytest.MonkeyPatch) -> str:
    honest = policies.get
    monkeypatch.setattr(policies, "get", lambda name: Leaving if name == "leaving" else honest(name))
    return "leaving"


def test_a_job_that_ends_in_the_middle_of_a_group_leaves_nobody_waiting(path: Path, leaving: str) -> None:
    """All of its group learn that nothing of it was written, and the next group goes on."""

    async def main() -> list[Any]:
        async with AsyncLedger(opened(path)) as ledger:
            bad = CreatePlan(plan="bad", owner="acme", credits=10, policy=leaving)
            assert all(await ledger.execute_many([bad, Purchase(subscriber="ben", plan="bad")]))
            head = ledger.ledger.head
            poison = Charge(subscriber="ben", plan="bad", usage={"calls": 7})
            told = await asyncio.gather(
                *(ledger.execute(each) for each in (use(), use(), poison, use())), return_exceptions=True
            )
            assert ledger.ledger.head == head
            assert await ledger.execute(use("after"))
            return told

    told = asyncio.run(asyncio.wait_for(main(), PATIENCE))
    assert [type(each) for each in told] == [NotWritten] * 4
    assert keys(path) == {"after"}


# -- processes ---------------------------------------------------------------------------------------------------------

IN_THE_MIDDLE = """
import sys
from ledger import Charge, Ledger
from ledger.stores.sqlite import SQLiteStore

class Stopping(SQLiteStore):
    def _begin(self, connection):
        super()._begin(connection)
        print("inside", flush=True)  # an append has the write lock
        sys.stdin.readline()

with Ledger(Stopping(sys.argv[1])) as ledger:
    ledger.execute_many([Charge(subscriber="ann", plan="pro", usage={"calls": 1}, key=f"dead {n}") for n in range(5)])
"""
HOLDING = """
import sys
from ledger.stores.sqlite import SQLiteStore

store = SQLiteStore(sys.argv[1])
with store.hold():
    print("inside", flush=True)
    sys.stdin.readline()
"""
IN_TURN = """
import sys
from ledger.stores.sqlite import SQLiteStore

store = SQLiteStore(sys.argv[1])
store.head()
with store._fair_lock.turn(60):
    print("inside", flush=True)
    sys.stdin.readline()
"""
UNCOMMITTED = """
import sqlite3, sys

file = sqlite3.connect(sys.argv[1], isolation_level=None)
file.execute("PRAGMA cache_size = 1")
file.execute("BEGIN IMMEDIATE")
sql = "SELECT first_seq + count, at FROM commits ORDER BY first_seq DESC LIMIT 1"
for n in range(200):
    place, at = file.execute(sql).fetchone()
    file.execute("INSERT INTO commits VALUES (?, 1, ?, ?, zeroblob(32))", (place, at, "x" * 5000))
print("inside", flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("program", [IN_THE_MIDDLE, HOLDING, IN_TURN, UNCOMMITTED])
def test_a_process_that_is_killed_with_the_lock_in_its_hand_holds_nobody_up(path: Path, program: str) -> None:
    """Others wait for it while it lives, and go on when it is dead, as if it had never begun."""
    dying = Child(program, path)
    try:
        assert dying.heard() == "inside"
        with opened(path) as ledger:
            head = ledger.head
            waiting = crowds.Asker(ledger, use("mine"))
            dying.kill()
            assert waiting.told().seq == head.seq + 1
        assert keys(path) == {"mine"}
    finally:
        dying.kill()


TELLS = """
import sys
from ledger import Charge, Ledger

with Ledger.open(sys.argv[1]) as ledger:
    print("ready", flush=True)
    sys.stdin.readline()
    for n in range(int(sys.argv[2])):
        use = Charge(subscriber="ann", plan="pro", usage={"calls": 1}, key=f"{sys.argv[3]} {n}")
        print(ledger.execute(use).unwrap().seq, flush=True)
"""


@pytest.mark.parametrize("after", [7, *(pytest.param(after, marks=pytest.mark.sweep) for after in (1, 20))])
def test_what_a_killed_process_was_told_is_in_the_log(path: Path, after: int) -> None:
    """One of three is killed in the middle of its work: what it was told stands, and the others do all of theirs."""
    callers = [Child(TELLS, path, 40, number) for number in range(3)]
    try:
        assert [caller.heard() for caller in callers] == ["ready"] * 3
        for caller in callers:
            caller.tell()
        told = [int(callers[0].heard()) for _ in range(after)]
        callers[0].process.kill()
        assert callers[0].process.stdout is not None
        told += [int(line) for line in callers[0].process.stdout.read().split("\n")[:-1]]
        others = [[int(caller.heard()) for _ in range(40)] for caller in callers[1:]]
    finally:
        for caller in callers:
            caller.kill()
    log = crowds.holds(path, [])
    seqs = {event.key: seq for seq, event in log.events.items() if event.key}
    assert [seqs[f"0 {n}"] for n in range(len(told))] == told
    assert [[seqs[f"{number} {n}"] for n in range(40)] for number in (1, 2)] == others
    assert len(seqs) - 80 in (len(told), len(told) + 1), "one more may be written, and not told"


# -- forks -------------------------------------------------------------------------------------------------------------

FORKS = """
import asyncio, json, os, sys, threading, warnings
from ledger import AsyncLedger, Charge, CreatePlan, Ledger, Purchase
from ledger.errors import OutcomeUnknown
from ledger.errors import Closed

warnings.simplefilter("ignore")  # that there are threads is what is tried
path, forks = sys.argv[1], int(sys.argv[2])
use = lambda key: Charge(subscriber="ann", plan="pro", usage={"calls": 1}, key=key)
ledger, told, stop = Ledger.open(path), [], threading.Event()

def write(name):
    number = 0
    while not stop.is_set() or number < 20:
        told.append(ledger.execute(use(f"{name} {number}")).unwrap().seq)
        number += 1

def in_child(number):
    for refused in (
        lambda: ledger.execute(use("never")),
        lambda: ledger.balance("ann", "pro"),
        lambda: asyncio.run(AsyncLedger(ledger).execute(use("never"))),
        lambda: list(ledger.events()),
    ):
        try:
            refused()
            return "worked"
        except Closed as error:
            if "fork" not in str(error):
                return str(error)
    ledger.close()
    with Ledger.open(path) as own:
        return own.execute(use(f"child {number}")).unwrap().seq

threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
for thread in threads:
    thread.start()
children, said = [], []
for number in range(forks):
    ours, theirs = os.pipe()
    if (child := os.fork()) == 0:
        os.close(ours)
        try:
            answer = in_child(number)
        except BaseException as error:
            answer = repr(error)
        os.write(theirs, json.dumps(answer).encode())
        os._exit(0)
    os.close(theirs)
    children.append((child, ours))
for child, ours in children:
    with open(ours) as pipe:
        said.append(json.loads(pipe.read() or '"it died"'))
    os.waitpid(child, 0)
stop.set()
for thread in threads:
    thread.join()
ledger.close()
print(json.dumps({"told": told, "children": said}))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system with fork")
def test_a_fork_in_the_middle_of_a_crowd(path: Path) -> None:
    """Whatever its parent's threads held at that moment, a child is told that the ledger is not its own, opens one of
    its own and uses it; the parent's threads go on."""
    parent = Child(FORKS, path, 8)
    try:
        said = parent.done()
    finally:
        parent.kill()
    assert all(isinstance(seq, int) for seq in said["children"]), said["children"]
    log = crowds.holds(path, [])
    seqs = {event.key: seq for seq, event in log.events.items() if event.key}
    assert [seqs[f"child {number}"] for number in range(8)] == said["children"]
    assert set(said["told"]) == {seq for key, seq in seqs.items() if not key.startswith("child")}
    assert len(set(said["told"])) == len(said["told"]) >= 80
    assert "never" not in seqs


CHILD_GOES_ON = """
import json, os, sys
from ledger import Charge, Ledger

use = lambda key: Charge(subscriber="ann", plan="pro", usage={"calls": 1}, key=key)
ledger = Ledger.open(sys.argv[1])
ledger.execute(use("parent")).unwrap()
opened, told = os.pipe()
closed, may_go_on = os.pipe()
if os.fork() == 0:
    with Ledger.open(sys.argv[1]) as own:
        first = own.execute(use("child")).unwrap().seq
        os.write(told, b"x")
        os.read(closed, 1)
        print(json.dumps([first, *(own.execute(use(f"child {n}")).unwrap().seq for n in range(3))]), flush=True)
        os.read(closed, 1)
    os._exit(0)
os.read(opened, 1)
ledger.close()
os.write(may_go_on, b"x")
sys.stdin.readline()
os.write(may_go_on, b"x")
os.wait()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system with fork")
def test_what_a_child_is_told_stands_though_its_parent_closed_the_log(path: Path) -> None:
    """SQLite's memory of its parent's locks would have let the parent take the side file away under it."""
    parent = Child(CHILD_GOES_ON, path)
    try:
        told = json.loads(parent.heard())
        with Ledger.open(path) as third:  # by the same clock as the others
            assert third.execute(use("third")).unwrap().seq == told[-1] + 1
        parent.tell()
        parent.process.wait(PATIENCE)
    finally:
        parent.kill()
    log = crowds.holds(path, [])
    seqs = {event.key: seq for seq, event in log.events.items() if event.key}
    assert [seqs[key] for key in ("child", "child 0", "child 1", "child 2")] == told
    assert seqs.keys() == {"parent", "child", "child 0", "child 1", "child 2", "third"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a system with fork")
def test_a_ledger_goes_on_after_a_fork_whatever_it_was_in_the_middle_of(path: Path) -> None:
    """Readings that have begun, and a ledger that is read only, take their file up again."""
    with opened(path) as ledger, Ledger.open(path, read_only=True) as reader:
        ledger.execute(use("before")).unwrap()
        events = ledger.events(), reader.events()
        first = [next(each).seq for each in events]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # other threads of the test run do not matter here
            child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        assert first == [1, 1]
        assert [len(list(each)) for each in events] == [ledger.head.seq - 1] * 2
        assert ledger.execute(use("after"))
        assert reader.state() == ledger.state()
    assert keys(path) == {"before", "after"}
