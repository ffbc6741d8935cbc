"""A small business by a script, on a log and a mock chain in files: what the tests of faults break, anywhere.

As a program (`python scripted_business.py FOLDER [MAX_BYTES [mortal]]`) it does the whole script and writes a line to
standard output for all that it was told, so that whoever outlives it knows what was acknowledged. Every command has a
key, and time stands still within a step: whoever does the script again, from any point, comes to the same books.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from chains import Outbox, Watcher
from chains.mock import MockChain
from ledger import (
    Adjust,
    Answer,
    Charge,
    Command,
    CreatePlan,
    Give,
    Ledger,
    Purchase,
    RegisterAgent,
    Release,
    Request,
    Withdraw,
)
from ledger.errors import (
    ChainUnavailable,
    Closed,
    LedgerError,
    LogError,
    NotWritten,
    OutcomeUnknown,
    SendUnknown,
)
from ledger.events import encode

SECOND = 1_000_000
BEGIN = 1_700_000_000 * SECOND
SHARES = {"acme": 950, "platform": 50}
MAX_TRIES = 6
"""So often a step is tried before the program gives up."""
GAVE_UP = 4
"""The program's exit code where it did."""
FAILURES = (LogError, OutcomeUnknown, ChainUnavailable, SendUnknown)
"""What a failing disk may come to; a refusal or anything else is a bug."""


class Told(NamedTuple):
    """What an accepted command was answered."""

    key: str
    seq: int
    at: int
    event: str


class Business:
    """The script's hands: a ledger and a chain in a folder, and what it was answered so far."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "toll.db"
        self.at = BEGIN
        self.answers: dict[str, Answer] = {}
        self._ledger: Ledger | None = None
        self._chain: MockChain | None = None

    @property
    def ledger(self) -> Ledger:
        """The ledger, opened when first asked for."""
        if self._ledger is None:
            self._ledger = Ledger.open(self.log, clock=lambda: self.at, id="toll")
        return self._ledger

    @property
    def chain(self) -> MockChain:
        """The chain, opened when first asked for."""
        if self._chain is None:
            self._chain = MockChain(self.log.with_name("toll.db.mock"), window=1)
        return self._chain

    def close(self) -> None:
        """Let go of the files. Whoever asks for them again opens them again."""
        ledger, chain, self._ledger, self._chain = self._ledger, self._chain, None, None
        for each in (ledger, chain):
            if each is not None:
                each.close()

    def do(self, index: int) -> list[Told]:
        """Do one step of the script; what its commands were answered."""
        self.at = BEGIN + index * 60 * SECOND
        step = STEPS[index]
        if isinstance(step, Acts):
            step.act(self)
            return []
        commands = step.commands(self)
        outcomes = self.ledger.execute_many(commands)
        return [self._told(command, outcome.unwrap()) for command, outcome in zip(commands, outcomes, strict=True)]

    def _told(self, command: Command, answer: Answer) -> Told:
        assert command.key is not None
        self.answers[command.key] = answer
        return Told(command.key, answer.seq, answer.at, encode(answer.event).decode())

    def keys(self, index: int) -> set[str]:
        """The keys of a step's commands; none where it has no commands of its own."""
        step = STEPS[index]
        return {str(command.key) for command in step.commands(self)} if isinstance(step, Asks) else set()

    def in_log(self) -> dict[str, Told]:
        """What the log has of the commands with a key."""
        found = {}
        for seq, at, event in self.ledger.events():
            if (key := getattr(event, "key", None)) is not None:
                found[key] = Told(key, seq, at, encode(event).decode())
        return found


# -- the script --------------------------------------------------------------------------------------------------------


def _catalogue(_: Business) -> list[Command]:
    pro = CreatePlan(
        key="plan pro",
        plan="pro",
        owner="acme",
        price=SHARES,
        credits=100,
        policy="complexity",
        parameters={"weights": {"units": 1}},
    )
    day = CreatePlan(key="plan day", plan="day", owner="acme", price={"acme": 5}, seconds=600, policy="time")
    return [pro, day, RegisterAgent(key="agent", agent="writer", owner="acme", plans=("pro", "day"))]


def _buy_on_the_chain(business: Business) -> None:
    for subscriber in ("alice", "bob"):
        business.chain.purchase(subscriber, "pro", "USD", SHARES, credits=100, id=f"order of {subscriber}")
    while business.chain.final_block() < 2:
        business.chain.mine()


def _watch(business: Business) -> None:
    assert not Watcher(business.ledger, business.chain).sync()


def _sell(business: Business) -> list[Command]:
    soon = BEGIN + 11 * 60 * SECOND
    return [
        Purchase(key="day", subscriber="carol", plan="day", payment="card 1", funding="direct"),
        Give(key="gift", subscriber="carol", plan="pro", credits=40, expiry=soon),
    ]


def _request(_: Business) -> list[Command]:
    return [
        Request(key="long", subscriber="alice", plan="pro", agent="writer", estimate={"units": 40}),
        Request(key="void", subscriber="bob", plan="pro", estimate={"units": 30}),
        Request(key="timed", subscriber="carol", plan="day"),
    ]


def _charge_a_part(business: Business) -> list[Command]:
    return [
        Charge(key="part", request=business.answers["long"].seq, usage={"units": 25}, final=False),
        Charge(key="direct", subscriber="bob", plan="pro", usage={"units": 33}),
    ]


def _snapshot(business: Business) -> None:
    business.ledger.snapshot()


def _settle(business: Business) -> None:
    Outbox(business.ledger, business.chain).settle()


def _checkpoint(business: Business) -> None:
    try:
        with closing(sqlite3.connect(business.log)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise LogError(f"the checkpoint failed: {error}") from error


def _finish(business: Business) -> list[Command]:
    return [
        Charge(key="final", request=business.answers["long"].seq, usage={"units": 20}),
        Release(key="voided", request=business.answers["void"].seq),
        Charge(key="late", request=business.answers["timed"].seq, usage={"seconds": 3}),
    ]


def _adjust(business: Business) -> list[Command]:
    return [
        Adjust(key="refund", charge=business.answers["direct"].seq, credits=-7, reason="refund"),
        Adjust(key="more", charge=business.answers["final"].seq, usage={"units": 2}),
    ]


def _reopen(business: Business) -> None:
    business.close()
    business.ledger.head  # noqa: B018 - it is opened


def _withdraw(_: Business) -> list[Command]:
    """The gift of carol has expired by now, which the same commit says."""
    return [
        Give(key="consolation", subscriber="carol", plan="pro", credits=3),
        Withdraw(key="exit", subscriber="bob", plan="pro", credits=10),
    ]


class Asks(NamedTuple):
    """A step that has the ledger do commands, all in one commit."""

    commands: Callable[[Business], list[Command]]


class Acts(NamedTuple):
    """A step that does something else, and does it again without harm."""

    act: Callable[[Business], None]


STEPS: tuple[Asks | Acts, ...] = (
    Asks(_catalogue),
    Acts(_buy_on_the_chain),
    Acts(_watch),
    Asks(_sell),
    Asks(_request),
    Asks(_charge_a_part),
    Acts(_snapshot),
    Acts(_settle),
    Acts(_checkpoint),
    Asks(_finish),
    Acts(_snapshot),
    Acts(_reopen),
    Asks(_adjust),
    Asks(_withdraw),
    Acts(_settle),
    Acts(_snapshot),
)


# -- the program -------------------------------------------------------------------------------------------------------


def tell(**words: object) -> None:
    """Say it to whoever outlives this process: nothing waits in a buffer of ours."""
    os.write(1, f"{json.dumps(words)}\n".encode())


def work(business: Business) -> int:
    """The whole script, trying again what fails as a careful caller does; the exit code."""
    for index in range(len(STEPS)):
        for _ in range(MAX_TRIES):
            try:
                told = business.do(index)
                break
            except FAILURES as error:
                tell(step=index, failed=type(error).__name__)
                _recover(business, index, error)
        else:
            return GAVE_UP
        for each in told:
            tell(**each._asdict())
        tell(done=index)
    business.close()
    return 0


def _recover(business: Business, index: int, error: LedgerError) -> None:
    """What is said of an error is so: after `NotWritten` a ledger is usable, and has nothing of it; after
    `OutcomeUnknown` it is closed."""
    if isinstance(error, NotWritten):
        with suppress(LedgerError):
            assert not business.keys(index) & set(business.in_log()), "it was said not to be written, and it is"
        return
    if isinstance(error, OutcomeUnknown):
        try:
            business.ledger.balances()
            raise AssertionError("a ledger that does not know its log goes on")
        except Closed:
            pass
    business.close()


def _limit(max_bytes: int, mortal: bool) -> None:
    """Files grow no longer than that: a write that would make one longer is done in part, the next one not at all.
    Then it fails, or, where it is mortal, the process dies of it."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, max_bytes))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL if mortal else signal.SIG_IGN)


if __name__ == "__main__":
    place, *limit = sys.argv[1:]
    if limit:
        _limit(int(limit[0]), mortal=limit[1:] == ["mortal"])
    sys.exit(work(Business(Path(place))))
