"""PyPI `eventsourcing` on SQLite: an aggregate an account, one event a charge.

Its settings are its own for a file: the SQLite module in WAL mode (it leaves SQLite's default, full sync), its JSON
transcoder, no snapshots, no compression. The aggregates are held in memory between charges, as our books are, so that
nothing is read again before a save; `save` takes as many aggregates as there are charges in a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..rounds import Contender, Trial
from ..workload import CREDITS, Load, digest, numbered, price, runs, subscriber, usage

NAME = "eventsourcing on SQLite"


def missing() -> str | None:
    """Return what to install if the library is missing; None if it is installed."""
    return None if find_spec("eventsourcing") else "eventsourcing is not installed: pip install -e '.[benchmarks]'"


def charging(load: Load) -> Contender:
    """The load's charges, `batch` of them in each save."""

    @contextmanager
    def prepare(folder: Path) -> Iterator[Trial]:
        with _application(folder) as application:
            accounts = _opened(application, load.accounts)
            wanted = [[(load.payer(n), price(usage(n)), usage(n)) for n in numbers] for numbers in numbered(load)]

            def work() -> None:
                for batch in wanted:
                    for name, credits, used in batch:
                        accounts[name].charge(credits, used)
                    application.save(*(accounts[name] for name in dict.fromkeys(name for name, _, _ in batch)))

            yield Trial(work, lambda: _spent(application, accounts))

    return Contender(NAME, prepare, lambda: digest(load.spent()), missing)


def reading(load: Load) -> Contender:
    """Read the charges of the load from the file and decode them, in order, folding nothing."""

    @contextmanager
    def prepare(folder: Path) -> Iterator[Trial]:
        with _application(folder) as application:
            accounts = _opened(application, load.accounts)
            for numbers in numbered(load):
                for number in numbers:
                    accounts[load.payer(number)].charge(price(usage(number)), usage(number))
                application.save(*(accounts[name] for name in dict.fromkeys(map(load.payer, numbers))))
            seen: list[Any] = []
            yield Trial(lambda: seen.extend(_read(application, load.accounts)), lambda: len(seen))

    return Contender(NAME, prepare, lambda: load.charges, missing)


@contextmanager
def _application(folder: Path) -> Iterator[Any]:
    from eventsourcing.application import Application

    name = str(folder / "eventsourcing.db")
    application: Any = Application({"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": name})
    try:
        yield application
    finally:
        application.close()


def _opened(application: Any, accounts: int) -> dict[str, Any]:
    from ._account import Account

    opened = {subscriber(number): Account(CREDITS) for number in range(accounts)}
    for numbers in runs(accounts, 1_000):
        application.save(*(opened[subscriber(number)] for number in numbers))
    return opened


def _spent(application: Any, accounts: Mapping[str, Any]) -> str:
    """Return what was spent according to the file: the aggregates are rebuilt from their events."""
    stored = {name: application.repository.get(account.id) for name, account in accounts.items()}
    return digest({name: CREDITS - account.balance for name, account in stored.items()})


def _read(application: Any, after: int) -> Iterator[Any]:
    start = after + 1
    while page := application.recorder.select_notifications(start=start, limit=1_000):
        yield from map(application.mapper.to_domain_event, page)
        start = page[-1].id + 1
