"""A small log with something of everything, ways to harm its bytes, and readers that say what became of it."""

import contextlib
import json
import os
import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

import harmed_reader
from patience import PATIENCE

from ledger import Adjust, Charge, CreatePlan, Give, Ledger, Purchase, RegisterAgent, Request
from ledger.books import Books
from ledger.folding import fold
from ledger.log import decode_commit
from ledger.stores.sqlite import SQLiteStore

"""Seconds after which a reader that says nothing hangs."""
PAGE = 512
BEGIN = 1_700_000_000_000_000


def seed() -> int:
    """1, or a fresh one with TOLLBOOK_EXPLORE."""
    return random.SystemRandom().randrange(2**32) if os.environ.get("TOLLBOOK_EXPLORE") else 1


def tell(path: Path, id: str = "small", page: int = PAGE) -> Path:
    """Write a log of small pages, so that each of its tables has many: holds, charges, a refund, a snapshot, a commit
    of many events."""
    with closing(sqlite3.connect(path)) as file:
        file.executescript(f"PRAGMA page_size = {page}; CREATE TABLE none (none); DROP TABLE none; VACUUM")
    ticks = iter(range(BEGIN, BEGIN + 10**9, 1_000_000))
    with Ledger.open(path, clock=lambda: next(ticks), id=id) as ledger:
        weights = {"policy": "complexity", "parameters": {"weights": {"calls": "3/2"}}}
        ledger.execute(CreatePlan(plan="pro", owner="öl", credits=500, price={"öl": 10**20, "fee": 7}, **weights))
        ledger.execute(RegisterAgent(agent="bot", owner="öl", plans=("pro",), metadata={"page": "https://x" * 90}))
        ledger.execute_many(Purchase(subscriber=name, plan="pro", payment=f"paid by {name}") for name in ("ann", "ben"))
        for number in range(12):
            name = ("ann", "ben")[number % 2]
            ask = Request(subscriber=name, plan="pro", agent="bot", estimate={"calls": 4}, key=f"key {number}")
            charge = ledger.execute(Charge(request=ledger.execute(ask).unwrap().seq, usage={"calls": 1 + number % 3}))
            if number % 5 == 0:
                ledger.execute(Adjust(charge=charge.unwrap().seq, credits=-1, reason="refund")).unwrap()
            if number == 6:
                ledger.snapshot()
        ledger.execute_many(Give(subscriber=f"s{number}", plan="pro", credits=number + 1) for number in range(40))
        ledger.execute(Request(subscriber="ann", plan="pro", estimate={"calls": 4})).unwrap()
    return path


class Original(NamedTuple):
    """What a log said before it was harmed: its bytes, its events, and the books at its end and after each commit."""

    path: Path
    whole: bytes
    events: str
    state: str
    states: frozenset[str]
    begins: frozenset[str]
    """The events of the log after each commit: what is left of it when its tail was cut."""


def original(path: Path) -> Original:
    books, lines, states, begins = Books(), [], [], []
    with closing(SQLiteStore(path, read_only=True)) as store:
        states.append(harmed_reader.digest([books.dump()]))
        begins.append(harmed_reader.digest([]))
        for commit in store.read():
            events = decode_commit(commit)
            fold(books, commit, events)
            lines += [
                b"%d %d %s" % (seq, commit.at, harmed_reader.encode(event))
                for seq, event in enumerate(events, commit.first_seq)
            ]
            states.append(harmed_reader.digest([books.dump()]))
            begins.append(harmed_reader.digest(lines))
    return Original(path, path.read_bytes(), begins[-1], states[-1], frozenset(states), frozenset(begins))


class Harm(NamedTuple):
    """What was done to a log, in words that say it exactly."""

    said: str
    do: Callable[[Path], Any]


def to_bytes(said: str, change: Callable[[bytes], bytes]) -> Harm:
    """A harm that turns the file's bytes into others."""
    return Harm(said, lambda path: path.write_bytes(change(path.read_bytes())))


def flip(place: int, by: int) -> Harm:
    return to_bytes(
        f"byte {place} ^ 0x{by:02x}",
        lambda whole: whole[:place] + bytes([whole[place] ^ by]) + whole[place + 1 :],
    )


def put(place: int, new: bytes, said: str) -> Harm:
    return to_bytes(said, lambda whole: whole[:place] + new + whole[place + len(new) :])


class Reader:
    """A process that reads harmed logs. Where it dies or says nothing, the answer is empty and another is started."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def ask(self, question: object) -> dict[str, Any]:
        process = self._process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        late = threading.Timer(PATIENCE, process.kill)
        late.start()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(question) + "\n")
            process.stdin.flush()
        line = process.stdout.readline()
        late.cancel()
        if not line:
            self.close()
            return {"audit": "died or said nothing", "read": None, "opened": None}
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    @staticmethod
    def _start() -> subprocess.Popen[str]:
        program = [sys.executable, harmed_reader.__file__]
        return subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


class Readers:
    """As many readers as there are processors, and a folder for what they read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._free: SimpleQueue[Reader] = SimpleQueue()
        self._count = os.cpu_count() or 1
        for _ in range(self._count):
            self._free.put(Reader())

    def answers(self, log: Original, harms: Iterable[Harm]) -> Iterator[tuple[Harm, dict[str, Any]]]:
        """What a reader says of the log after each harm, which is done to a copy of its own."""
        with ThreadPoolExecutor(self._count) as pool:
            yield from pool.map(lambda numbered: self._one(log, *numbered), enumerate(harms))

    def _one(self, log: Original, number: int, harm: Harm) -> tuple[Harm, dict[str, Any]]:
        path = self._folder / f"{number}.db"
        path.write_bytes(log.whole)
        harm.do(path)
        try:
            return harm, self.ask(str(path))
        finally:
            for left in self._folder.glob(f"{number}.db*"):
                left.rmdir() if left.is_dir() else left.unlink()

    def ask(self, question: object) -> dict[str, Any]:
        """What a reader that is free says."""
        reader = self._free.get()
        try:
            return reader.ask(question)
        finally:
            self._free.put(reader)

    def close(self) -> None:
        for _ in range(self._count):
            self._free.get().close()


REFUSED = {"NotALog", "NotFound", "WrongVersion", "Locked", "LogError"}
ERRORS = {*REFUSED, "Damaged"}


def wrongs(log: Original, answer: dict[str, Any], cut: bool = False) -> list[str]:
    """What is wrong with the answer for a harmed log; nothing where harm was named, refused, or meant nothing.

    An opening follows the hashes, which cannot tell that the tail is gone: it may come to the books of a shorter log
    where the audit finds something, or (`cut`) where there is nothing left to find.
    """
    found, wrong = answer["audit"], []
    if found not in {"clean", "findings", *REFUSED}:
        wrong.append(f"the audit {found}")
    books = {log.state} if found == "clean" and not cut else log.states
    for way in ("read", "opened"):
        if answer[way] not in ERRORS | books:
            wrong.append(f"{way} came to {answer[way]}")
    events = log.begins if cut else {log.events}
    if found == "clean" and (answer["read"] in ERRORS or answer.get("events") not in events):
        wrong.append("the audit is clean, and the events are not those that were written")
    return [*wrong, answer.get("traceback", "")] if wrong else []


def failures(log: Original, answers: Iterable[tuple[Harm, dict[str, Any]]], cut: bool = False) -> list[str]:
    """The harms with a wrong answer, each with what is wrong."""
    return [f"{harm.said}: {'; '.join(wrong)}" for harm, answer in answers if (wrong := wrongs(log, answer, cut))]
