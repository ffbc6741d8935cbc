"""From the log to the books: the fold of commits, beside decoding the same bytes."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from ledger import Ledger, Reading
from ledger.books import Books
from ledger.folding import fold, refold
from ledger.log import decode_commit
from ledger.log.bodies import TEXT, decode
from ledger.stores.sqlite import SQLiteStore

from . import floors
from .figures import Aim, Comparison
from .peers import eventsourced
from .rounds import Contender, Trial
from .workload import AT, Load, digest, writer
from .workshop import Log, Workshop

SUBJECT = "tollbook"
DECODE, PLAIN = "decode of the same bytes", "decode without invariants"


def comparisons(workshop: Workshop) -> list[Comparison]:
    """Return the figures of folding: a log in memory, and direct charges from a file."""
    size = workshop.size
    load = Load(size.accounts, size.batches[-1], 2)
    bare = (decoding(workshop, DECODE, partial(decode, TEXT)), decoding(workshop, PLAIN, _decode_plainly))
    aim = Aim(DECODE, 1 / 2, "half the speed of bare decode")
    read = "reading and folding direct charges"
    peers = (eventsourced.reading(load),)
    return [
        Comparison(
            "fold", "folding a log, an event", "event", size.history.events_in_all, _fold(workshop), bare, (aim,)
        ),
        Comparison("fold.file", read, "event", load.charges, _fold_file(workshop, load), peers),
    ]


def _decode_plainly(body: bytes) -> list[Any]:
    return floors.plain_decoder().decode(body)


def bodies_of(path: Path) -> list[bytes]:
    """Read the commits' bodies with SQLite alone."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as log:
        return [body for (body,) in log.execute("SELECT CAST(body AS BLOB) FROM commits ORDER BY first_seq")]


def decoding(workshop: Workshop, name: str, decoder: Callable[[bytes], list[Any]]) -> Contender:
    """Decode the bodies of the log, and drop the events."""
    history = workshop.size.history

    @contextmanager
    def prepare(folder: Path) -> Iterator[Trial]:
        bodies = bodies_of(workshop.log(history).path)
        counts: list[int] = []
        yield Trial(lambda: counts.extend(len(decoder(body)) for body in bodies), lambda: sum(counts))

    return Contender(name, prepare, lambda: history.events_in_all)


def result_of_books(books: Books) -> tuple[str, str]:
    """Return the credits spent by the books, and a digest of the books."""
    spent = {balance.subscriber: balance.spent for balance in Reading(books, AT).balances()}
    return digest(spent), hashlib.sha256(books.dump()).hexdigest()


def expected_books(log: Log) -> tuple[str, str]:
    """Return the credits spent by plain arithmetic, and the digest of the books of the ledger that wrote the log."""
    return digest(log.history.spent()), log.state


def _fold(workshop: Workshop) -> Contender:
    history = workshop.size.history

    @contextmanager
    def prepare(folder: Path) -> Iterator[Trial]:
        with Ledger.open(workshop.log(history).path, read_only=True) as ledger:
            commits = list(ledger.commits())
        books: list[Books] = []
        yield Trial(lambda: books.append(refold(commits)), lambda: result_of_books(books[0]))

    return Contender(SUBJECT, prepare, lambda: expected_books(workshop.log(history)))


def _fold_file(workshop: Workshop, load: Load) -> Contender:
    @contextmanager
    def prepare(folder: Path) -> Iterator[Trial]:
        with workshop.shop(folder, load.accounts) as ledger:
            books, after = refold(ledger.commits()), ledger.head.seq
            writer(ledger, load)()
        with closing(SQLiteStore(folder / "shop.db", read_only=True)) as store:

            def work() -> None:
                for commit in store.read(after):
                    fold(books, commit, decode_commit(commit))

            yield Trial(work, lambda: result_of_books(books)[0])

    return Contender(SUBJECT, prepare, lambda: digest(load.spent()))
