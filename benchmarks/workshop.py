"""Inputs of the contenders: shops and logs, made once and copied, and the commits of a load."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ledger import Ledger
from ledger.log import Commit

from .peers.postgres import Server
from .workload import LARGEST, History, Load, open_shop, standing_clock, writer


@dataclass(frozen=True)
class Size:
    """The sizes of all inputs: small inside the test run, full by hand.

    `few` and `many` are the charges that each of 10 callers, and each of many callers, makes one after the other.
    """

    accounts: int
    singles: int
    batches: tuple[int, ...]
    charges: int
    few: int
    many: int
    prices: int
    history: History
    long: History
    reading: History
    settling: int
    holding_accounts: int
    holding_requests: int


SMALL = Size(
    accounts=24,
    singles=6,
    batches=(1, 4, 10, 24),
    charges=24,
    few=3,
    many=2,
    prices=20,
    history=History(accounts=24, rounds=2, batch=24),
    long=History(accounts=24, rounds=2, batch=24),
    reading=History(accounts=8, rounds=6, batch=4),
    settling=24,
    holding_accounts=20,
    holding_requests=60,
)
FULL = Size(
    accounts=8_192,
    singles=400,
    batches=(1, 100, 1_000, LARGEST),
    charges=16_384,
    few=300,
    many=16,
    prices=20_000,
    history=History(accounts=8_192, rounds=4, batch=8_192),
    long=History(accounts=8_192, rounds=40, batch=8_192),
    reading=History(accounts=10_000, rounds=3_260, batch=100),
    settling=8_192,
    holding_accounts=100_000,
    holding_requests=1_000_000,
)


@dataclass(frozen=True)
class Log:
    """A log that was written: its file, what is in it, and a digest of the books of the ledger that wrote it."""

    path: Path
    history: History
    state: str


class Workshop:
    """Makes inputs when they are first needed, below `folder` (default: a temporary one), and cleans up."""

    def __init__(self, size: Size, folder: Path | None = None) -> None:
        self.size = size
        self._below = folder
        self._stack = ExitStack()
        self._commits: dict[Load, list[Commit]] = {}
        self._logs: dict[History, Log] = {}

    @cached_property
    def folder(self) -> Path:
        """The folder of all inputs, on the disk that is measured."""
        made = tempfile.TemporaryDirectory(prefix="tollbook-", dir=self._below, ignore_cleanup_errors=True)
        return Path(self._stack.enter_context(made))

    def close(self) -> None:
        """Remove all inputs, and stop the server if it was started."""
        self._stack.close()

    @cached_property
    def postgres(self) -> Server:
        """The PostgreSQL server of this run, started when it is first needed."""
        return self._stack.enter_context(Server.started(self._below))

    @contextmanager
    def shop(self, folder: Path, accounts: int, escrow: bool = False) -> Iterator[Ledger]:
        """Yield a shop in a new file of that folder, `shop.db`: a copy, so that all contenders begin with the same."""
        template = self.folder / f"shop-{accounts}{'-escrow' if escrow else ''}.db"
        if not template.exists():
            with Ledger.open(template, clock=standing_clock, id="benchmark") as ledger:
                open_shop(ledger, accounts, escrow)
                ledger.snapshot()
        shutil.copyfile(template, folder / "shop.db")
        with Ledger.open(folder / "shop.db", clock=standing_clock) as ledger:
            yield ledger

    def log(self, history: History) -> Log:
        """Return a closed log with that history and a snapshot at its end. It is shared: do not write to it."""
        if history not in self._logs:
            path = self.folder / f"log-{len(self._logs)}.db"
            with Ledger.open(path, clock=standing_clock, id="benchmark") as ledger:
                open_shop(ledger, history.accounts)
                history.write(ledger)
                ledger.snapshot()
                state = hashlib.sha256(ledger.state()).hexdigest()
            self._logs[history] = Log(path, history, state)
        return self._logs[history]

    def commits(self, load: Load) -> list[Commit]:
        """Return the commits that the load writes in a shop; floors write their bytes."""
        if load not in self._commits:
            with Ledger.open(clock=standing_clock, id="benchmark") as ledger:
                open_shop(ledger, load.accounts)
                before = ledger.head.seq
                writer(ledger, load)()
                self._commits[load] = list(ledger.commits(before))
        return self._commits[load]
