"""Many callers and a small balance that they fight for: threads, tasks, processes, and all of them at once.

No overspend at any sequence, nothing lost, nothing twice, and nobody who keeps asking goes without.
"""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import crowds
import msgspec
import pytest
from crowds import BEGIN, Report, Told, drive, drive_async, fight, judge, stock, together
from patience import PATIENCE

from ledger import AsyncLedger, Charge, Ledger, Tick

ACCOUNTS = [("ann", "pro"), ("ben", "pro"), ("ann", "free")]
CREDITS = 8
FIRST = 2 + 2 * len(ACCOUNTS)
"""The last sequence of the stock."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    log = tmp_path / "toll.db"
    stock(log, ACCOUNTS, CREDITS)
    return log


def opened(path: Path) -> Ledger:
    return Ledger.open(path, clock=lambda: BEGIN)


def fought(path: Path, reports: list[Report]) -> Told:
    """They fought, over every account; and when time has passed, what was held has returned."""
    told = judge(path, reports, FIRST)
    refused = sum((Counter(report.refused) for report in reports), Counter())
    assert {"insufficient_credits", "request_unknown"} <= set(refused), "there was enough for all"
    assert all(spent for _, _, spent in told.accounts.values())
    with Ledger.open(path, clock=lambda: BEGIN + 3600 * 10**6) as ledger:
        ledger.execute(Tick())
        left = {reading.account: reading.issued - reading.spent for reading in ledger.balances()}
        assert left == {reading.account: reading.available for reading in ledger.balances()}
    after = crowds.holds(path, [])
    assert {number: account.held for number, account in after.accounts.items()} == dict.fromkeys(after.accounts, 0)
    return told


def in_tasks(path: Path, count: int, rounds: int, first: int = 0) -> list[Report]:
    async def main() -> list[Report]:
        async with AsyncLedger(opened(path)) as ledger:
            scripts = [fight(first + number, ACCOUNTS, rounds) for number in range(count)]
            return await asyncio.gather(*(drive_async(ledger, script) for script in scripts))

    return asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_threads(path: Path) -> None:
    with opened(path) as ledger:
        fought(path, together(16, lambda number: drive(ledger, fight(number, ACCOUNTS, 8))))


def test_tasks(path: Path) -> None:
    fought(path, in_tasks(path, 24, 8))


def test_threads_with_a_ledger_each(path: Path) -> None:
    def one(number: int) -> Report:
        with opened(path) as ledger:
            return drive(ledger, fight(number, ACCOUNTS, 6))

    fought(path, together(5, one))


IN_A_PROCESS = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import crowds, msgspec
from ledger import AsyncLedger, Ledger

path, threads, tasks, rounds, number = Path(sys.argv[2]), *map(int, sys.argv[3:])
accounts = [("ann", "pro"), ("ben", "pro"), ("ann", "free")]

async def main(ledger):
    twin = AsyncLedger(ledger)
    script = lambda place: crowds.fight(10 * number + place, accounts, rounds)
    waiting = asyncio.to_thread(crowds.together, threads, lambda place: crowds.drive(ledger, script(place)))
    ran = asyncio.gather(*(crowds.drive_async(twin, script(threads + place)) for place in range(tasks)))
    reports = [*(await waiting if threads else []), *await ran]
    await twin.close()
    return reports

ledger = Ledger.open(path, clock=lambda: crowds.BEGIN)
print("ready", flush=True)
sys.stdin.readline()
print(msgspec.json.encode(asyncio.run(main(ledger))).decode())
"""


def in_processes(path: Path, count: int, threads: int, tasks: int, rounds: int) -> list[Report]:
    shared = Path(crowds.__file__).parent
    given = crowds.children(IN_A_PROCESS, count, shared, path, threads, tasks, rounds)
    return [msgspec.convert(report, Report) for reports in given for report in reports]


def test_processes(path: Path) -> None:
    fought(path, in_processes(path, 3, 0, 1, 12))


def test_threads_and_tasks_in_several_processes_at_once(path: Path) -> None:
    fought(path, in_processes(path, 3, 3, 4, 5))


@pytest.mark.sweep
def test_a_greater_crowd(tmp_path: Path) -> None:
    for turn in range(5):
        path = tmp_path / f"{turn}.db"
        stock(path, ACCOUNTS, CREDITS)
        fought(path, in_processes(path, 6, 8, 16, 10))


# -- fair progress -----------------------------------------------------------------------------------------------------


def use(by: object) -> Charge:
    return Charge(subscriber="ann", plan="pro", usage={"calls": 1}, labels={"by": str(by)})


def shares(written: list[list[int]]) -> list[int]:
    """How far each had come when the first was done."""
    first = min(seqs[-1] for seqs in written)
    return [sum(seq <= first for seq in seqs) for seqs in written]


@pytest.fixture
def rich() -> Iterator[Path]:
    """A log on a disk: where commits cost nothing, one is done before the next has come, and nothing is shared."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "rich.db"
        stock(log, [("ann", "pro")], 10_000)
        yield log


def test_every_thread_gets_its_share(rich: Path) -> None:
    """Of 30 commands each, one after the other: when the first has done its last, nobody has done less than 10."""
    with opened(rich) as ledger:
        written = together(16, lambda by: [ledger.execute(use(by)).unwrap().seq for _ in range(30)])
    assert min(shares(written)) >= 10


def test_every_task_gets_its_share(rich: Path) -> None:
    """All tasks stand in one queue in the order in which they came, so none is ever a round behind."""

    async def main() -> list[list[int]]:
        async with AsyncLedger(opened(rich)) as ledger:

            async def one(by: int) -> list[int]:
                return [(await ledger.execute(use(by))).unwrap().seq for _ in range(30)]

            return await asyncio.gather(*map(one, range(16)))

    assert min(shares(asyncio.run(main()))) >= 29


USES = """
import json, sys
from ledger import Charge, Ledger

with Ledger.open(sys.argv[1]) as ledger:
    use = Charge(subscriber="ann", plan="pro", usage={"calls": 1}, labels={"by": sys.argv[2]})
    ledger.execute(use).unwrap()  # finds the plan's policy, which takes longer than a hundred commands do
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps([ledger.execute(use).unwrap().seq for _ in range(100)]))
"""


def test_every_process_gets_its_share(rich: Path) -> None:
    """Of 100 commands each: when the first has done its last, each of the others has done at least 10.

    SQLite's own lock does not see to that: it goes to whoever asks when it is free, which is the one that never sleeps.
    """
    assert min(shares(crowds.children(USES, 3, rich))) >= 10
