"""A ledger with one plan and one subscriber: commands for it, and what is read of its log."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from standing_clock import BEGIN, SECOND, Clock

from ledger import Adjust, Charge, ContractRef, CreatePlan, Give, Ledger, Purchase, RegisterAgent, Request
from ledger.events import tag
from ledger.folding import refold
from ledger.log import Commit, Head, Snapshot
from ledger.plugins import Store
from ledger.stores.sqlite import SQLiteStore

PRO = CreatePlan(plan="pro", owner="acme", price={"acme": 90, "fee": 10}, credits=100)
BUY = Purchase(subscriber="ann", plan="pro")
ASK = Request(subscriber="ann", plan="pro", estimate={"calls": 1})
REFUSED = Request(subscriber="nobody", plan="pro")


def commits(path: Path) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT first_seq, count, at FROM commits ORDER BY first_seq").fetchall()


def photograph(ledger: Ledger) -> tuple[Head, bytes]:
    return ledger.head, ledger.state()


def refolded(path: Path) -> bytes:
    """The books as the log alone makes them."""
    with closing(SQLiteStore(path, read_only=True)) as store:
        return refold(store.read()).dump()


def stored(ledger: Ledger) -> list[str]:
    return [tag(entry.event) for entry in ledger.events()]


def a_day(ledger: Ledger, clock: Clock) -> None:
    ledger.execute(PRO)
    ledger.execute_many([BUY, Purchase(subscriber="ben", plan="pro", key="k")])
    held = [ledger.execute(ASK).unwrap() for _ in range(3)]
    clock.now += 7 * SECOND
    charge = ledger.execute(Charge(request=held[0].seq, usage={"calls": 1})).unwrap()
    ledger.execute(Adjust(charge=charge.seq, credits=-1, reason="refund"))
    clock.now += 700 * SECOND
    ledger.tick()


class Wrapper:
    """A third party's store over another one, through the protocol alone."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner

    @property
    def id(self) -> str:
        return self.inner.id

    def head(self) -> Head:
        return self.inner.head()

    def append(self, expected: Head, commit: Commit) -> None:
        self.inner.append(expected, commit)

    def read(self, after: int = 0) -> Iterator[Commit]:
        return self.inner.read(after)

    def load_snapshot(self, version: str, upto: int | None = None) -> Snapshot | None:
        return self.inner.load_snapshot(version, upto)

    def save_snapshot(self, snapshot: Snapshot) -> None:
        self.inner.save_snapshot(snapshot)

    def close(self) -> None:
        self.inner.close()


class Unlucky(Wrapper):
    """Fails one append, before or after the commit is written."""

    error: Exception | None = None
    written: bool = False

    def fail_with(self, error: Exception, written: bool = False) -> None:
        self.error, self.written = error, written

    def append(self, expected: Head, commit: Commit) -> None:
        error, self.error = self.error, None
        if error is None or self.written:
            self.inner.append(expected, commit)
        if error is not None:
            raise error


class Overtaken(Wrapper):
    """Lets another ledger write just before its first append."""

    def __init__(self, inner: Store, path: Path) -> None:
        super().__init__(inner)
        self.path: Path | None = path

    def append(self, expected: Head, commit: Commit) -> None:
        path, self.path = self.path, None
        if path is not None:
            with Ledger.open(path, clock=lambda: BEGIN) as other:
                other.execute(Purchase(subscriber="ben", plan="pro")).unwrap()
        self.inner.append(expected, commit)


def change(path: Path, sql: str, *parameters: object) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(sql, parameters)
        connection.commit()


USES: dict[str, Callable[[Ledger], object]] = {
    "execute": lambda ledger: ledger.execute(ASK),
    "execute a refusal": lambda ledger: ledger.execute(REFUSED),
    "execute_many": lambda ledger: ledger.execute_many([ASK, BUY]),
    "admit": lambda ledger: ledger.admit(Give(subscriber="ann", plan="pro", credits="1")),
    "admit_all": lambda ledger: ledger.admit_all([Give(subscriber="ann", plan="pro", credits="1")]),
    "tick": lambda ledger: ledger.tick(),
    "snapshot": lambda ledger: ledger.snapshot(),
    "request": lambda ledger: ledger.request("ann", "pro").__enter__(),
    "head": lambda ledger: ledger.head,
    "clock_behind": lambda ledger: ledger.clock_behind,
    "balance": lambda ledger: ledger.balance("ann", "pro"),
    "balances": lambda ledger: ledger.balances(),
    "lots": lambda ledger: ledger.lots("ann", "pro"),
    "requests": lambda ledger: ledger.requests(),
    "earned": lambda ledger: ledger.earned(),
    "escrows": lambda ledger: ledger.escrows(),
    "escrowed": lambda ledger: ledger.escrowed(ContractRef("mock:local", "tollbook")),
    "settling": lambda ledger: ledger.settling(ContractRef("mock:local", "tollbook")),
    "batches": lambda ledger: ledger.batches(ContractRef("mock:local", "tollbook")),
    "invoices": lambda ledger: ledger.invoices(),
    "plans": lambda ledger: ledger.plans(),
    "agents": lambda ledger: ledger.agents(),
    "ensure_plan": lambda ledger: ledger.ensure_plan(PRO),
    "ensure_agent": lambda ledger: ledger.ensure_agent(RegisterAgent(agent="bot", owner="acme")),
    "plan_on_chain": lambda ledger: ledger.plan_on_chain("pro"),
    "statement": lambda ledger: ledger.statement("ann", "pro"),
    "explain": lambda ledger: ledger.explain(3),
    "events": lambda ledger: list(ledger.events()),
    "account_events": lambda ledger: list(ledger.account_events("ann", "pro")),
    "commits": lambda ledger: list(ledger.commits()),
    "as_of": lambda ledger: ledger.as_of(seq=1),
    "state": lambda ledger: ledger.state(),
}
