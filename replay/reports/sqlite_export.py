"""The log as an SQLite database for Datasette and other tools: events, and the position at the exported head.

Tables have primary and foreign keys, an index on each foreign key and on the type of events, and a full-text index on
the notes. Money passes 64 bits, so it is text. Sums of credits over an account's life may pass them too: such a column
has the type ANY, in which integers that fit are integers, and longer ones are text.

`about` has one row: which ledger this is, up to which head, and `metadata`, a description of all tables and columns in
the form that `datasette --metadata` reads.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import sqlite_utils

from ledger.books import Books
from ledger.catalogue import Plan
from ledger.errors import LogError
from ledger.events import (
    Adjusted,
    AgentRegistered,
    AgentUpdated,
    PlanCreated,
    Purchased,
    SettlementFailed,
    SettlementUnknown,
    Subscribed,
    Withdrawn,
    WrittenOff,
)
from ledger.log import Entry
from ledger.readings import Balance, InvoiceReading, Reading
from ledger.reducers import reduce

from ..audit.findings import ReportHead, time_text
from .event_rows import COLUMNS, EventRows
from .sqlite_schema import TABLES, metadata, schema

BATCH = 1_000
"""Events that are kept in memory before they are written."""

MAX_INTEGER = 2**63 - 1

_NOTED = Adjusted | Withdrawn | WrittenOff | SettlementFailed | SettlementUnknown


class SQLiteExport:
    """Writes the events after a sequence, and the position at the end, into an empty file.

    The books are folded on the way, so that balances are those at exactly the exported head. Raises LogError where the
    file cannot be written; `shown` is how errors call it.
    """

    def __init__(self, path: Path, shown: Path, after: int) -> None:
        self._shown, self._after = shown, after
        self._rows, self._books = EventRows(), Books()
        self._created: dict[tuple[str, int | str], Entry] = {}
        self._events: list[dict[str, Any]] = []
        self._notes: list[dict[str, Any]] = []
        self._connection = sqlite3.connect(path)
        self._database = sqlite_utils.Database(self._connection)

    def write(self, entries: Iterable[Entry]) -> None:
        """Write all events of a log, in order."""
        with self._writing():
            # The file is renamed into place once it is complete: until then there is nothing to recover.
            self._connection.executescript("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF;")
            self._connection.executescript(schema(complete=not self._after))
        for entry in entries:
            self._take(entry)
            if len(self._events) >= BATCH:
                self._flush()
        self._flush()

    def finish(self, ledger: str, head: ReportHead) -> None:
        """Write the position at the end, the indexes, and what this is."""
        about = {
            "ledger": ledger,
            **msgspec.structs.asdict(head),
            "after": self._after,
            "metadata": _json(metadata(self._shown.stem, ledger)),
        }
        with self._writing():
            for table, rows in (
                ("plans", self._plans()),
                ("agents", self._agents()),
                ("accounts", self._accounts()),
                ("balances", map(_balance, Reading(self._books, self._books.at).balances())),
                ("invoices", map(_invoice, Reading(self._books, self._books.at).invoices())),
                ("about", [about]),
            ):
                self._database.table(table).insert_all(rows)
            self._database.table("notes").enable_fts(["reason", "note"], tokenize="porter")
            self._index()
            self._connection.commit()

    def _index(self) -> None:
        self._database.table("events").create_index(["type"])
        for name, table in TABLES.items():
            for column in list(table.columns)[1:]:  # the first is the primary key
                if table.columns[column].references:
                    self._database.table(name).create_index([column])

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _take(self, entry: Entry) -> None:
        """Fold an event, and keep its row until the next flush."""
        event, row = entry.event, self._rows.row(entry)
        match event:
            case PlanCreated():
                self._created["plan", event.plan] = entry
            case AgentRegistered() if not isinstance(event, AgentUpdated):
                self._created["agent", event.agent] = entry
            case Purchased() | Subscribed():
                self._created.setdefault(("account", event.account), entry)
        self._books.advance(entry.at)
        reduce(self._books, entry.seq, entry.at, event)
        if entry.seq <= self._after:
            return
        self._events.append(dict(zip(COLUMNS, (*row[:-1], row.event.decode()), strict=True)))
        if isinstance(event, _NOTED):
            note = getattr(event, "note", "")
            if event.reason or note:
                self._notes.append({"seq": row.seq, "account": row.account, "reason": event.reason, "note": note})

    def _flush(self) -> None:
        with self._writing():
            for table, rows in (("events", self._events), ("notes", self._notes)):
                self._database.table(table).insert_all(rows)
                rows.clear()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:  # such as a full disk
            raise LogError(f"{self._shown} cannot be written: {error}", "check the space left there") from error

    # -- the position at the end ---------------------------------------------------------------------------------------

    def _origin(self, kind: str, name: int | str, prefix: str) -> dict[str, Any]:
        entry = self._created[kind, name]
        return {f"{prefix}_at": time_text(entry.at), f"{prefix}_seq": entry.seq}

    def _plans(self) -> Iterator[dict[str, Any]]:
        for name, plan in self._books.plans.items():
            yield _plan(plan) | self._origin("plan", name, "created")

    def _agents(self) -> Iterator[dict[str, Any]]:
        for number, agent in self._books.agents.items():
            terms = agent.terms
            yield {
                "agent": number,
                "name": terms.name,
                "owner": terms.owner,
                "plans": _json(terms.plans),
                "endpoints": _json(terms.endpoints),
                "metadata": _json(terms.metadata),
                "retired": int(agent.retired),
                **self._origin("agent", number, "registered"),
            }

    def _accounts(self) -> Iterator[dict[str, Any]]:
        for number, account in self._books.accounts.items():
            yield {
                "account": number,
                "name": f"{account.subscriber} on {account.plan}",
                "subscriber": account.subscriber,
                "plan": account.plan,
                "frozen": int(account.frozen),
                **self._origin("account", number, "opened"),
            }


def _plan(plan: Plan) -> dict[str, Any]:
    terms = plan.terms
    return {
        "plan": terms.plan,
        "onchain_id": terms.onchain_id,
        "owner": terms.owner,
        "asset": terms.asset,
        "asset_decimals": terms.asset_decimals,
        "decimals": terms.decimals,
        "cost": str(terms.cost),
        "price": _json({share.receiver: share.amount for share in terms.price}),
        "credits": terms.credits,
        "seconds": terms.seconds,
        "period": terms.period,
        "billing": terms.billing,
        "credit_limit": terms.credit_limit,
        "policy": plan.tariff.policy,
        "parameters": _json(plan.tariff.parameters),
        "tariff": plan.tariff.version,
        "trial": int(terms.trial),
        "retired": int(plan.retired),
    }


def _balance(balance: Balance) -> dict[str, Any]:
    billing = balance.billing
    row = msgspec.structs.asdict(balance)
    del row["billing"]
    row |= {name: None if billing is None else str(getattr(billing, name)) for name in ("unbilled", "owed", "credit")}
    for field in ("issued", "spent", "lapsed", "withdrawn", "shortfall"):
        row[field] = row[field] if row[field] <= MAX_INTEGER else str(row[field])
    until = balance.access_until
    return row | {
        "access_until": None if until is None else time_text(until),
        "admits": int(balance.admits),
        "unpriced": _json(balance.unpriced),
    }


def _invoice(invoice: InvoiceReading) -> dict[str, Any]:
    row = {name: getattr(invoice, name) for name in TABLES["invoices"].columns if name != "id"}
    row |= {name: str(row[name]) for name in ("money", "paid", "credited", "written_off", "owed")}
    row |= {"at": time_text(invoice.at), "due": time_text(invoice.due)}
    return {"id": f"{invoice.account}-{invoice.invoice}"} | row


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
