"""Reading beside writing: the 99th percentile of a charge while statements are read, and a statement in a long log."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ledger import Ledger, Statement
from ledger.statements import Begin, Subject, statement

from .figures import Aim, Comparison
from .rounds import Contender, Trial, never_missing
from .workload import PLAN, Load, standing_clock, subscriber
from .workshop import Workshop

SUBJECT, ALONE, WALK, BEFORE = "tollbook", "no reader", "a walk of the whole log", "an earlier build"
CHECKOUT = "TOLLBOOK_EARLIER"
"""Environment variable: the path of a checkout of an earlier build, which reads the same log."""
READ = subscriber(1)
"""The subscriber whose statement is read; none of its charges is corrected."""

_EARLIER = """
import sys, time
from ledger import Ledger
with Ledger.open(sys.argv[1], read_only=True, clock=lambda: int(sys.argv[4])) as ledger:
    begun = time.perf_counter()
    read = ledger.statement(sys.argv[2], sys.argv[3])
    print(time.perf_counter() - begun, len(read.lines), read.closing.spent)
"""


def comparisons(workshop: Workshop) -> list[Comparison]:
    """Return the figures of reading: a charge beside readings, and a statement, first and later ones."""
    lines, events = _lines(workshop), workshop.size.reading.events_in_all
    words = f"a statement of {lines} lines in a log of {events:,} events"
    load = Load(workshop.size.reading.accounts, 1, workshop.size.singles)
    calm = Aim(ALONE, 1 / 2, "within 2 times of the same without a reader")
    much = Aim(WALK, 100, "100 times a walk of the whole log")
    beside = _charging(workshop, load, SUBJECT, _reading)
    earlier, walk = _earlier(workshop), _statement(workshop, WALK, _walk, warm=False)
    return [
        Comparison(
            "read.beside",
            "the 99th percentile of a durable charge while another thread reads statements",
            "charge",
            1,
            beside,
            (_charging(workshop, load, ALONE, _idle),),
            (calm,),
        ),
        Comparison(
            "read.statement", words, "statement", 1, _statement(workshop, SUBJECT, _indexed), (walk, earlier), (much,)
        ),
        Comparison(
            "read.statement.first",
            f"{words}, the first after opening",
            "statement",
            1,
            _statement(workshop, SUBJECT, _indexed, warm=False),
            (walk, earlier),
        ),
    ]


# -- a statement -------------------------------------------------------------------------------------------------------


def _lines(workshop: Workshop) -> int:
    """The lines of the statement: the purchase, its start, and three for each turn that the account has had."""
    history = workshop.size.reading
    return 2 + 3 * len(range(1, history.rounds * history.batch, history.accounts))


def _indexed(ledger: Ledger) -> Statement | None:
    return ledger.statement(READ, PLAN)


def _walk(ledger: Ledger) -> Statement | None:
    balance = ledger.balance(READ, PLAN)
    assert balance is not None
    subject = Subject(balance.account, READ, PLAN, ledger.head.seq, standing_clock())
    return statement(subject, ledger.events(), (), Begin())


def _statement(
    workshop: Workshop, name: str, read: Callable[[Ledger], Statement | None], warm: bool = True
) -> Contender:
    @contextmanager
    def prepare(folder: Path) -> Iterator[Trial]:
        found: list[Statement | None] = []
        with Ledger.open(workshop.log(workshop.size.reading).path, read_only=True, clock=standing_clock) as ledger:
            if warm:
                _indexed(ledger)

            def answer() -> tuple[int, int]:
                read = found[0]
                assert read is not None
                return len(read.lines), read.closing.spent

            yield Trial(lambda: found.append(read(ledger)), answer)

    return Contender(name, prepare, lambda: _expected(workshop))


def _expected(workshop: Workshop) -> tuple[int, int]:
    return _lines(workshop), workshop.size.reading.spent()[READ]


def _earlier(workshop: Workshop) -> Contender:
    @contextmanager
    def prepare(folder: Path) -> Iterator[Trial]:
        path = folder / "log.db"  # files that an earlier build leaves beside a log
        shutil.copyfile(workshop.log(workshop.size.reading).path, path)
        said: list[list[str]] = []

        def work() -> float:
            arguments = [sys.executable, "-c", _EARLIER, str(path), READ, PLAN, str(standing_clock())]
            environment = os.environ | {"PYTHONPATH": os.environ[CHECKOUT]}
            done = subprocess.run(arguments, env=environment, cwd=folder, check=True, capture_output=True, text=True)
            said.append(done.stdout.split())
            return float(said[0][0])

        yield Trial(work, lambda: (int(said[0][1]), int(said[0][2])))

    return Contender(BEFORE, prepare, lambda: _expected(workshop), _no_checkout)


def _no_checkout() -> str | None:
    return None if os.environ.get(CHECKOUT) else f"{CHECKOUT} names no checkout of an earlier build"


# -- a charge beside a reader ------------------------------------------------------------------------------------------


@contextmanager
def _idle(ledger: Ledger) -> Iterator[list[bool]]:
    yield [True]


@contextmanager
def _reading(ledger: Ledger) -> Iterator[list[bool]]:
    """Read statements in a thread until the end of the context; yield for each whether its lines sum to its closing."""
    ended, right = threading.Event(), []
    _indexed(ledger)

    def read_on() -> None:
        while not ended.is_set() or not right:
            read = _indexed(ledger)
            assert read is not None
            right.append(sum(line.change.spent for line in read.lines) == read.closing.spent)

    reader = threading.Thread(target=read_on)
    reader.start()
    try:
        yield right
    finally:
        ended.set()
        reader.join()


def _charging(workshop: Workshop, load: Load, name: str, beside: Callable[[Ledger], object]) -> Contender:
    @contextmanager
    def prepare(folder: Path) -> Iterator[Trial]:
        shutil.copyfile(workshop.log(workshop.size.reading).path, folder / "log.db")
        with Ledger.open(folder / "log.db", clock=standing_clock) as ledger:
            begun, charges = ledger.head.seq, [load.direct(number) for number in range(load.charges)]
            right: list[bool] = []

            def work() -> float:
                seconds = []
                with beside(ledger) as readings:  # type: ignore[attr-defined]
                    for charge in charges:
                        start = time.perf_counter()
                        ledger.execute(charge)
                        seconds.append(time.perf_counter() - start)
                right.extend(readings)
                return sorted(seconds)[99 * len(seconds) // 100]

            yield Trial(work, lambda: (ledger.head.seq - begun, all(right)))

    return Contender(name, prepare, lambda: (load.charges, True), never_missing)
