"""Readings as rows with stable columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from ledger.log import Entry
from ledger.readings import Balance, Earned, InvoiceReading, LotReading, RequestReading
from ledger.statements import Amounts, Statement, StatementLine

from ..batch_history import BatchHistory, BatchRecord
from ..reports.event_rows import EventRows

Kind: TypeAlias = Literal["whole", "money", "text", "yes or no", "time", "json"]
"""The content of a column: a whole number, money in its smallest unit, text, True or False, a UTC time, JSON as text.
Any of them may be None."""

Reading: TypeAlias = (
    Balance | LotReading | RequestReading | InvoiceReading | Earned | BatchRecord | StatementLine | Entry
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Table(NamedTuple):
    """A table: its columns by name, in order, and the readings that are its rows."""

    columns: dict[str, Kind]
    of: type


def _columns(**kinds: str) -> dict[str, Kind]:
    """Return columns by name from names by kind, in the order `order`, which is the names of all."""
    order = kinds.pop("order").split()
    kind_of = {name: kind.replace("_", " ") for kind, names in kinds.items() for name in names.split()}
    return {name: kind_of.get(name, "whole") for name in order}  # type: ignore[misc]


_STATES = Amounts.__struct_fields__

TABLES: dict[str, Table] = {
    "balances": Table(
        _columns(
            order="account subscriber plan decimals issued available held spent lapsed withdrawn debt shortfall "
            "open_requests access_until admits unpriced billing credit_limit unbilled unbilled_price owed credit "
            "overdue asset asset_decimals",
            text="subscriber plan billing asset",
            time="access_until",
            yes_or_no="admits overdue",
            money="unbilled_price owed credit",
            json="unpriced",
        ),
        Balance,
    ),
    "lots": Table(
        _columns(
            order="id kind decimals credits start expiry started left held spent lapsed withdrawn asset asset_decimals "
            "cost refunded earned shares_earned",
            text="kind asset",
            time="start expiry",
            yes_or_no="started",
            money="cost refunded earned",
            json="shares_earned",
        ),
        LotReading,
    ),
    "requests": Table(
        _columns(order="id at deadline agent hold estimate usage", time="at deadline", json="estimate usage"),
        RequestReading,
    ),
    "invoices": Table(
        _columns(
            order="account subscriber plan invoice status period at due decimals credits asset asset_decimals money "
            "paid credited written_off owed seq after",
            text="subscriber plan status period asset",
            time="at due",
            money="money paid credited written_off owed",
        ),
        InvoiceReading,
    ),
    "earned": Table(
        _columns(
            order="asset asset_decimals sold earned settled outstanding receivers due receivable written_off",
            text="asset",
            money="sold earned settled outstanding receivable written_off",
            json="receivers due",
        ),
        Earned,
    ),
    "batches": Table(
        _columns(
            order="seq number chain contract asset covers root digest accounts payouts paid opened state attempts "
            "transaction block reason ended used",
            text="chain contract asset root digest state transaction reason",
            money="paid",
            time="opened ended",
            yes_or_no="used",
            json="covers payouts",
        ),
        BatchRecord,
    ),
    "statement": Table(
        _columns(
            order="seq at type text request charge "
            + " ".join(f"{name}_{side}" for side in ("change", "after") for name in _STATES)
            + " unpriced",
            text="type text",
            time="at",
            json="unpriced",
        ),
        StatementLine,
    ),
    "events": Table(
        _columns(
            order="seq at type account subscriber plan agent request charge credits asset amount usage event",
            text="type subscriber plan asset",
            time="at",
            money="amount",
            json="usage event",
        ),
        Entry,
    ),
}
"""The tables by name."""


def to_dicts(readings: Statement | Iterable[Reading]) -> list[dict[str, Any]]:
    """Return readings of one kind as rows: dictionaries from the table's columns to values.

    They are balances, lots, requests, invoices, earned money, batches (see `batches`), a statement or its lines, or
    events. Raises TypeError for anything else.
    """
    return list(rows_of(*table_of(readings)))


def batches(entries: Iterable[Entry]) -> list[BatchRecord]:
    """Return the batches of a log from its events, in the order of their openings."""
    history = BatchHistory()
    for entry in entries:
        history.add(entry)
    return history.batches


def table_of(readings: Statement | Iterable[Reading], name: str | None = None) -> tuple[Table | None, Iterator[Any]]:
    """Return the table of readings, by its name or else by the first reading, and the readings; None if there is none.

    Raises ValueError for an unknown name, and TypeError for readings of no table.
    """
    if isinstance(readings, Statement):
        return TABLES["statement"], iter(readings.lines)
    coming = iter(readings)
    if name is not None:
        if name not in TABLES:
            raise ValueError(f"there is no table {name!r}: there are {', '.join(TABLES)}")
        return TABLES[name], coming
    if (first := next(coming, None)) is None:
        return None, coming
    return _table_with(first), chain([first], coming)


def _table_with(reading: object) -> Table:
    for table in TABLES.values():
        if isinstance(reading, table.of):
            return table
    raise TypeError(f"{type(reading).__name__} is not a reading of a table: give {_KINDS}")


_KINDS = ", ".join(table.of.__name__ for table in TABLES.values())


def rows_of(table: Table | None, readings: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows of readings. Raises TypeError for a reading of another table."""
    if table is None:
        return
    values: Callable[[Any], dict[str, Any]] = _VALUES.get(table.of, msgspec.structs.asdict)
    if table.of is Entry:
        values = _event_values()
    shape = [(name, _SHAPES.get(kind)) for name, kind in table.columns.items()]
    for reading in readings:
        if not isinstance(reading, table.of):
            raise TypeError(f"{type(reading).__name__} among readings of {table.of.__name__}: give one kind at a time")
        found = values(reading)
        yield {name: found[name] if convert is None else convert(found[name]) for name, convert in shape}


def _time(micros: int | None) -> datetime | None:
    return None if micros is None else _EPOCH + timedelta(microseconds=micros)


def _json(value: Any) -> str | None:  # noqa: ANN401 - a mapping, bytes of JSON, or None
    if value is None or isinstance(value, bytes):
        return None if value is None else value.decode()
    return msgspec.json.encode(value).decode()


_SHAPES: dict[str, Callable[[Any], Any]] = {"time": _time, "json": _json}


def _batch_values(batch: BatchRecord) -> dict[str, Any]:
    payouts: dict[str, int] = {}
    for payout in batch.payouts:
        payouts[payout.receiver] = payouts.get(payout.receiver, 0) + payout.amount
    return msgspec.structs.asdict(batch) | {"payouts": payouts, "paid": sum(payouts.values())}


_OF_BILLING = "unbilled", "unbilled_price", "owed", "credit", "overdue", "asset", "asset_decimals"


def _balance_values(balance: Balance) -> dict[str, Any]:
    """Return a balance with what a postpaid account owes; None there for a prepaid one."""
    billing = balance.billing
    billed = {name: getattr(billing, name, None) for name in _OF_BILLING}
    mode, limit = ("prepaid", None) if billing is None else ("postpaid", billing.limit)
    return msgspec.structs.asdict(balance) | billed | {"billing": mode, "credit_limit": limit}


def _line_values(line: StatementLine) -> dict[str, Any]:
    amounts = {
        f"{name}_{side}": getattr(found, name)
        for side, found in (("change", line.change), ("after", line.balance))
        for name in _STATES
    }
    return msgspec.structs.asdict(line) | amounts


def _event_values() -> Callable[[Entry], dict[str, Any]]:
    rows = EventRows()

    def values(entry: Entry) -> dict[str, Any]:
        row = rows.row(entry)
        amount = None if row.amount is None else int(row.amount)
        return row._asdict() | {"at": entry.at, "amount": amount, "usage": getattr(entry.event, "usage", None)}

    return values


_VALUES: dict[type, Callable[[Any], dict[str, Any]]] = {
    Balance: _balance_values,
    BatchRecord: _batch_values,
    StatementLine: _line_values,
}
