"""Crowds on one log: callers that ask for the same few credits, and the log's own account of what they got.

The account is an independent fold of a few lines, from the events alone. Everything is told as counts and sets;
nothing here waits for a time.
"""

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from patience import PATIENCE

from ledger import (
    Answer,
    AsyncLedger,
    Charge,
    CreatePlan,
    Extend,
    Give,
    Ledger,
    Outcome,
    Purchase,
    Release,
    Request,
)
from ledger.commands import Command
from ledger.events import Charged, Purchased, Recorded, Released, Requested, Started, encode
from replay import audit

"""Seconds after which who still waits waits for ever."""
BEGIN = 1_700_000_000_000_000


def plan(name: str, credits: int) -> CreatePlan:
    """A plan where a call costs a credit."""
    return CreatePlan(plan=name, owner="acme", credits=credits, parameters={"per": "call"}, hold_seconds=60)


def stock(path: Path, accounts: Iterable[tuple[str, str]], credits: int, now: int = BEGIN) -> None:
    """Make a log where each (subscriber, plan) has so many credits."""
    accounts = list(accounts)
    with Ledger.open(path, clock=lambda: now) as ledger:
        ledger.execute_many(plan(name, credits) for name in sorted({name for _, name in accounts}))
        for answer in ledger.execute_many(Purchase(subscriber=who, plan=name) for who, name in accounts):
            answer.unwrap()


class Account(NamedTuple):
    """What stands on an account after an event."""

    issued: int = 0
    held: int = 0
    spent: int = 0


class Told(NamedTuple):
    """A whole log, told by its events."""

    accounts: dict[int, Account]
    events: dict[int, Recorded]
    keys: Counter[str]


def tell(path: Path) -> Told:
    """The accounts after every event: never has one more held and spent than was issued."""
    accounts: dict[int, Account] = {}
    open_: dict[int, tuple[int, int]] = {}
    lots: dict[int, tuple[int, int]] = {}
    told: dict[int, Recorded] = {}
    with Ledger.open(path, read_only=True) as ledger:
        entries = list(ledger.events())
    for seq, event in ((entry.seq, entry.event) for entry in entries):
        number = open_[event.request][0] if isinstance(event, Released) else getattr(event, "account", 0)
        issued, held, spent = accounts.get(number, Account())
        match event:
            case Purchased():
                lots[seq] = event.account, event.credits
            case Started():
                issued += lots[event.lot][1]
            case Requested():
                open_[seq] = number, event.hold
                held += event.hold
            case Released():
                held -= open_.pop(event.request)[1]
            case Charged():
                spent += event.credits
                if event.request:
                    _, left = open_.pop(event.request)
                    held -= left if event.final else min(left, event.credits)
                    if not event.final:
                        open_[event.request] = number, max(0, left - event.credits)
        assert held >= 0, f"less than nothing is held at {seq}"
        assert held + spent <= issued, f"{held} held and {spent} spent of {issued} at {seq}"
        if number:
            accounts[number] = Account(issued, held, spent)
        told[seq] = event
    assert list(told) == list(range(1, len(told) + 1))
    keys = Counter(f"{getattr(event, 'account', 0)} {event.key}" for event in told.values() if event.key)
    return Told(accounts, told, keys)


class Report(NamedTuple):
    """What a caller was told: its accepted answers, by the key where there was one, and how often it was refused."""

    answers: list[tuple[str | None, int, str]]
    refused: dict[str, int]


Script = Generator[Command, Outcome, None]


def fight(caller: int, accounts: list[tuple[str, str]], rounds: int) -> Script:
    """What one caller asks: holds that end in every way, direct charges, gifts whose keys all callers share, and
    commands that are refused."""
    for number in range(rounds):
        who, name = accounts[(caller + number) % len(accounts)]
        held = yield Request(subscriber=who, plan=name, estimate={"calls": 1 + (caller + number) % 3})
        if isinstance(held, Answer):
            match (caller + number) % 5:
                case 0:
                    yield Release(request=held.seq)
                case 1:
                    yield Charge(request=held.seq, usage={"calls": 1}, final=False)
                    yield Charge(request=held.seq, usage={})
                case 2:
                    yield Extend(request=held.seq, seconds=120)
                case _:
                    yield Charge(request=held.seq, usage={"calls": 1})
                    yield Charge(request=held.seq, usage={"calls": 1})
        yield Charge(subscriber=who, plan=name, usage={"calls": 1})
        if number % 4 == 0:
            yield Give(subscriber=who, plan=name, credits=1, key=f"gift {number}")
        yield Release(request=0 if number % 2 else 10**9)


def drive(ledger: Ledger, script: Script) -> Report:
    """Ask what the script asks, one after the other."""
    report, outcome = Report([], {}), None
    while (command := _next(script, outcome)) is not None:
        outcome = ledger.execute(command)
        _note(report, command, outcome)
    return report


async def drive_async(ledger: AsyncLedger, script: Script) -> Report:
    """The same in a task."""
    report, outcome = Report([], {}), None
    while (command := _next(script, outcome)) is not None:
        outcome = await ledger.execute(command)
        _note(report, command, outcome)
    return report


def _next(script: Script, outcome: Outcome | None) -> Command | None:
    try:
        return next(script) if outcome is None else script.send(outcome)
    except StopIteration:
        return None


def _note(report: Report, command: Command, outcome: Outcome) -> None:
    if isinstance(outcome, Answer):
        report.answers.append((command.key, *said(outcome)))
    else:
        report.refused[outcome.reason] = report.refused.get(outcome.reason, 0) + 1


def judge(path: Path, reports: list[Report], before: int) -> Told:
    """Nothing is lost, nothing is twice, and nothing else is in the log after sequence `before`."""
    told = holds(path, [answer[1:] for report in reports for answer in report.answers])
    answers = [answer for report in reports for answer in report.answers]
    plain = [seq for key, seq, _ in answers if key is None]
    assert len(set(plain)) == len(plain), "one event was the answer to two commands"
    by_account = {(key, told.events[seq].account, seq) for key, seq, _ in answers if key is not None}  # type: ignore[attr-defined]
    assert len({(key, account) for key, account, _ in by_account}) == len(by_account), "a key has two answers"
    written = {seq for seq, event in told.events.items() if seq > before and not isinstance(event, Started)}
    assert written == {seq for _, seq, _ in answers}
    return told


def holds(path: Path, answered: Iterable[tuple[int, str]]) -> Told:
    """The log keeps what was answered: each accepted answer's own event, (sequence, event as JSON), at its sequence.

    And it is in order: no overspend at any sequence, no key twice, and the audit has nothing to say.
    """
    told = tell(path)
    for seq, event in answered:
        assert encode(told.events[seq]).decode() == event, f"what was answered at {seq} is not in the log"
    assert [key for key, times in told.keys.items() if times > 1] == []
    report = audit(path)
    assert report.clean, report.findings
    return told


def said(answer: Answer) -> tuple[int, str]:
    """An accepted answer, to be looked for in the log."""
    return answer.seq, encode(answer.event).decode()


def together(count: int, do: Callable[[int], Any]) -> list[Any]:
    """What `do` gives in so many threads that begin together."""
    begin = threading.Barrier(count)

    def run(number: int) -> Any:
        begin.wait(PATIENCE)
        return do(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count), timeout=PATIENCE))


class Asker(threading.Thread):
    """A thread that asks one thing, and what it was told."""

    def __init__(self, ledger: Ledger, command: Command) -> None:
        super().__init__(daemon=True)
        self._ledger, self._command = ledger, command
        self._told: Any = None
        self.start()

    def run(self) -> None:
        try:
            self._told = self._ledger.execute(self._command)
        except BaseException as error:  # noqa: BLE001 - what the caller is told is what is tested
            self._told = error

    def told(self) -> Any:
        self.join(PATIENCE)
        assert not self.is_alive(), "this caller waits for ever"
        return self._told


class Child:
    """A process of Python that runs a program, and is told and tells by lines."""

    def __init__(self, program: str, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", program, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def heard(self) -> str:
        """Its next line. Where it says no more, the test fails with what it said on the way."""
        assert self.process.stdout is not None
        if line := self.process.stdout.readline():
            return line.strip()
        raise AssertionError(f"the process ended: {self.process.communicate(timeout=PATIENCE)[1]}")

    def tell(self, line: str = "go") -> None:
        """Say a line to it."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def done(self) -> Any:
        """What it says last, as JSON, when it has ended well."""
        out, wrong = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, wrong
        return msgspec.json.decode(out.splitlines()[-1])

    def kill(self) -> None:
        """End it, and its own children, which might wait for ever with its pipes in their hands."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()


def children(program: str, count: int, *arguments: object) -> list[Any]:
    """What so many processes say that run a program, each with its number, and begin together: a line `ready` from
    each, then a line to each."""
    started = [Child(program, *arguments, number) for number in range(count)]
    try:
        assert [child.heard() for child in started] == ["ready"] * count
        for child in started:
            child.tell()
        return [child.done() for child in started]
    finally:
        for child in started:
            child.kill()
