"""The tables of the SQLite export, column by column, and their description for Datasette."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class Column(NamedTuple):
    """A column: its declaration in SQL, what it holds, and the table that it references, if any.

    `earlier` says that it may name an event before the first exported one: it is a foreign key only in a whole export.
    """

    declaration: str
    description: str
    references: str = ""
    earlier: bool = False


class Table(NamedTuple):
    """A table, with the options that Datasette takes for it."""

    description: str
    columns: dict[str, Column]
    options: Mapping[str, Any] = MappingProxyType({})


_ACCOUNT = Column("INTEGER", "The account: a subscriber on a plan.", "accounts")
_PLAN = Column("TEXT", "The plan.", "plans")
_TIME = "UTC, with microseconds"
_PREPAID = "null on a prepaid plan"
_LIFETIME = "over the account's life, in the plan's smallest unit; text where it passes 64 bits"

TABLES = {
    "events": Table(
        "Every event of the ledger, in order. The hash chain was checked while they were exported.",
        {
            "seq": Column("INTEGER PRIMARY KEY", "The event's sequence; requests, charges and lots are named by it."),
            "at": Column("TEXT NOT NULL", f"When it was written ({_TIME})."),
            "type": Column("TEXT NOT NULL", "What happened."),
            "account": _ACCOUNT,
            "subscriber": Column("TEXT", "The account's subscriber."),
            "plan": _PLAN,
            "agent": Column("INTEGER", "The agent that was used.", "agents"),
            "request": Column("INTEGER", "The request, by the event that admitted it.", "events", earlier=True),
            "charge": Column("INTEGER", "The charge; of an adjustment, the corrected one.", "events", earlier=True),
            "credits": Column("INTEGER", "Credits in the plan's smallest unit; below 0 if an adjustment returns them."),
            "asset": Column("TEXT", "The asset of the money."),
            "amount": Column(
                "TEXT",
                "Money in the asset's smallest unit, of any size: below 0 where it leaves a lot, above 0 in payouts.",
            ),
            "event": Column("TEXT NOT NULL", "The whole event as JSON."),
        },
        {"facets": ["type"], "sort_desc": "seq"},
    ),
    "notes": Table(
        "Reasons and notes of adjustments, withdrawals and failed or unknown settlements; searchable.",
        {
            "seq": Column("INTEGER PRIMARY KEY", "The event that has the note.", "events"),
            "account": _ACCOUNT,
            "reason": Column("TEXT NOT NULL", "Why it happened."),
            "note": Column("TEXT NOT NULL", "What was noted with it."),
        },
        {"facets": ["reason"], "sort_desc": "seq"},
    ),
    "plans": Table(
        "The plans, with their latest tariff.",
        {
            "plan": Column("TEXT PRIMARY KEY", "The plan's name."),
            "onchain_id": Column("TEXT NOT NULL", "Its id in contracts; empty if it is called by its name there."),
            "owner": Column("TEXT NOT NULL", "Who sells it."),
            "asset": Column("TEXT NOT NULL", "The asset of its price."),
            "asset_decimals": Column("INTEGER", "Decimal places of the asset when it is shown; null: unknown."),
            "decimals": Column("INTEGER NOT NULL", "Decimal places of its credits when they are shown."),
            "cost": Column("TEXT NOT NULL", "What a purchase costs, in the asset's smallest unit."),
            "price": Column("TEXT NOT NULL", "The cost by receiver, as JSON."),
            "credits": Column("INTEGER NOT NULL", "Credits that a purchase grants; 0 on a plan of time."),
            "seconds": Column("INTEGER NOT NULL", "Seconds that a purchase lasts; 0 if it does not end."),
            "period": Column("TEXT NOT NULL", "The metering period of its usage."),
            "billing": Column("TEXT NOT NULL", "prepaid, or postpaid: invoiced after use."),
            "credit_limit": Column("INTEGER NOT NULL", "Credits that may be owed on a postpaid plan."),
            "policy": Column("TEXT NOT NULL", "The pricing policy of its latest tariff."),
            "parameters": Column("TEXT NOT NULL", "The policy's parameters, as JSON."),
            "tariff": Column("INTEGER NOT NULL", "The version of its latest tariff."),
            "trial": Column("INTEGER NOT NULL", "1 if it is a trial."),
            "retired": Column("INTEGER NOT NULL", "1 if it is no longer sold."),
            "created_at": Column("TEXT NOT NULL", f"When it was created ({_TIME})."),
            "created_seq": Column("INTEGER NOT NULL", "The event that created it.", "events", earlier=True),
        },
    ),
    "agents": Table(
        "The agents, as they were last updated.",
        {
            "agent": Column("INTEGER PRIMARY KEY", "The agent's number."),
            "name": Column("TEXT NOT NULL", "Its name."),
            "owner": Column("TEXT NOT NULL", "Who offers it."),
            "plans": Column("TEXT NOT NULL", "The plans that it is offered on, as JSON."),
            "endpoints": Column("TEXT NOT NULL", "Its allowed endpoints, as JSON; none means any."),
            "metadata": Column("TEXT NOT NULL", "Its metadata, as JSON."),
            "retired": Column("INTEGER NOT NULL", "1 if it takes no new requests."),
            "registered_at": Column("TEXT NOT NULL", f"When it was registered ({_TIME})."),
            "registered_seq": Column("INTEGER NOT NULL", "The event that registered it.", "events", earlier=True),
        },
    ),
    "accounts": Table(
        "The accounts: one for each subscriber on a plan.",
        {
            "account": Column("INTEGER PRIMARY KEY", "The account's number."),
            "name": Column("TEXT NOT NULL", "Subscriber and plan, as a label."),
            "subscriber": Column("TEXT NOT NULL", "Who has it."),
            "plan": _PLAN,
            "frozen": Column("INTEGER NOT NULL", "1 if it is frozen."),
            "opened_at": Column("TEXT NOT NULL", f"When it was opened ({_TIME})."),
            "opened_seq": Column("INTEGER NOT NULL", "The event that opened it.", "events", earlier=True),
        },
        {"label_column": "name"},
    ),
    "balances": Table(
        "The position of every account at the exported head, in credits of the plan's smallest unit: "
        "issued = available + held + spent + lapsed + withdrawn.",
        {
            "account": Column("INTEGER PRIMARY KEY", "The account.", "accounts"),
            "subscriber": Column("TEXT NOT NULL", "The account's subscriber."),
            "plan": _PLAN,
            "decimals": Column("INTEGER NOT NULL", "Decimal places of the credits when they are shown."),
            "issued": Column("ANY NOT NULL", f"Credits issued, {_LIFETIME}."),
            "available": Column("INTEGER NOT NULL", "Credits that a request may hold, less the debt."),
            "held": Column("INTEGER NOT NULL", "Credits that open requests hold."),
            "spent": Column("ANY NOT NULL", f"Credits spent, {_LIFETIME}."),
            "lapsed": Column("ANY NOT NULL", f"Credits that expired unused, {_LIFETIME}."),
            "withdrawn": Column("ANY NOT NULL", f"Credits withdrawn, {_LIFETIME}."),
            "debt": Column("INTEGER NOT NULL", "Credits owed."),
            "shortfall": Column("ANY NOT NULL", f"Credits used and not paid, {_LIFETIME}."),
            "unbilled": Column("TEXT", f"Credits used since the last invoice; {_PREPAID}."),
            "owed": Column("TEXT", f"Money owed on all invoices, in the asset's smallest unit; {_PREPAID}."),
            "credit": Column("TEXT", f"Money paid beyond what is invoiced; {_PREPAID}."),
            "open_requests": Column("INTEGER NOT NULL", "Number of open requests."),
            "access_until": Column("TEXT", f"When the last of its lots that expire ends ({_TIME}); null: it does not."),
            "admits": Column("INTEGER NOT NULL", "1 if a request that holds the least would be admitted."),
            "unpriced": Column("TEXT NOT NULL", "Units used that no rate of the tariff read, as JSON."),
        },
        {"sort": "account"},
    ),
    "invoices": Table(
        "The invoices of postpaid plans at the exported head, with money in the asset's smallest unit, of any size: "
        "money = paid + credited + written off + owed.",
        {
            "id": Column("TEXT PRIMARY KEY", "Account and number of the invoice."),
            "account": _ACCOUNT,
            "subscriber": Column("TEXT NOT NULL", "The account's subscriber."),
            "plan": _PLAN,
            "invoice": Column("INTEGER NOT NULL", "The invoice's number: 1, 2, … for each account."),
            "status": Column("TEXT NOT NULL", "open, overdue, paid, written_off or credit_note."),
            "period": Column("TEXT NOT NULL", "The period that it ended."),
            "at": Column("TEXT NOT NULL", f"When that period ended ({_TIME})."),
            "due": Column("TEXT NOT NULL", f"When it is to be paid ({_TIME})."),
            "credits": Column("INTEGER NOT NULL", "Credits used; below 0 on a credit note."),
            "asset": Column("TEXT NOT NULL", "The asset of its money."),
            "money": Column("TEXT NOT NULL", "Their price; below 0 on a credit note."),
            "paid": Column("TEXT NOT NULL", "Money that was paid."),
            "credited": Column("TEXT NOT NULL", "Money that credit notes and earlier payments took off."),
            "written_off": Column("TEXT NOT NULL", "Money that will not be paid."),
            "owed": Column("TEXT NOT NULL", "Money that is still to be paid."),
            "seq": Column("INTEGER", "Its event; null if it is due and not written yet.", "events", earlier=True),
        },
        {"facets": ["status"], "sort": "due"},
    ),
    "about": Table(
        "Which ledger this is, and up to where it was exported.",
        {
            "ledger": Column("TEXT PRIMARY KEY", "The ledger's id."),
            "seq": Column("INTEGER NOT NULL", "The last event's sequence."),
            "commits": Column("INTEGER NOT NULL", "Number of commits."),
            "at": Column("TEXT", f"When the last event was written ({_TIME})."),
            "hash": Column("TEXT NOT NULL", "The hash of the last commit."),
            "after": Column("INTEGER NOT NULL", "Events up to this sequence were left out."),
            "metadata": Column("TEXT NOT NULL", "These descriptions, for `datasette --metadata`."),
        },
    ),
}


def schema(complete: bool) -> str:
    """Return the statements that create the tables; without `complete`, events before the first one are missing."""
    return "".join(f"CREATE TABLE {name} ({_columns(table, complete)}) STRICT;\n" for name, table in TABLES.items())


def _columns(table: Table, complete: bool) -> str:
    return ", ".join(
        f"{name} {column.declaration}{_references(column) if complete or not column.earlier else ''}"
        for name, column in table.columns.items()
    )


def _references(column: Column) -> str:
    """Return the clause of a foreign key. Datasette fails on one that does not name the column that it references."""
    if not column.references:
        return ""
    return f" REFERENCES {column.references}({next(iter(TABLES[column.references].columns))})"


def metadata(database: str, ledger: str) -> dict[str, Any]:
    """Return Datasette's metadata of a database of that name."""
    tables = {
        name: {
            "description": table.description,
            "columns": {column: of.description for column, of in table.columns.items()},
            **table.options,
        }
        for name, table in TABLES.items()
    }
    return {"title": f"Ledger {ledger}", "databases": {database: {"tables": tables}}}
