"""Readings as Arrow tables (extra `arrow`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any

from ledger.errors import MissingExtra
from ledger.statements import Statement

from .rows import Kind, Reading, Table, rows_of, table_of

if TYPE_CHECKING:
    import pyarrow

ROWS_AT_ONCE = 10_000
"""The rows of one record batch."""

MONEY_DIGITS = 38
"""The most digits of money in Arrow, as Polars and databases have them; rows of `to_dicts` have any number."""


def to_arrow(readings: Statement | Iterable[Reading], table: str | None = None) -> pyarrow.Table:
    """Return readings of one kind as an Arrow table. `table` names it where there may be no reading.

    Raises MissingExtra without pyarrow, TypeError for readings of no table or of several, and ValueError for no reading
    without a name, and for money of more than MONEY_DIGITS digits.
    """
    return arrow_batches(readings, table).read_all()


def arrow_batches(
    readings: Statement | Iterable[Reading], table: str | None = None, rows: int = ROWS_AT_ONCE
) -> pyarrow.RecordBatchReader:
    """Return a reader of record batches of that many rows each, as `to_arrow` has them: a whole log of events takes no
    more memory than one batch. Raises as `to_arrow` does, also while it is read."""
    arrow = _pyarrow()
    shape, coming = table_of(readings, table)
    if shape is None:
        raise ValueError("without a reading the table is not known: give its name, such as table='balances'")
    schema = arrow.schema([(name, _type(arrow, kind)) for name, kind in shape.columns.items()])
    return arrow.RecordBatchReader.from_batches(schema, _batches(arrow, schema, shape, coming, rows))


def _pyarrow() -> Any:  # noqa: ANN401 - a module
    try:
        import pyarrow
    except ModuleNotFoundError as error:
        message = "Arrow tables need the package pyarrow, which is not installed"
        raise MissingExtra(message, 'run: pip install "tollbook[arrow]"') from error
    return pyarrow


def _type(arrow: Any, kind: Kind) -> Any:  # noqa: ANN401 - pyarrow has no types
    match kind:
        case "whole":
            return arrow.int64()
        case "money":
            return arrow.decimal128(MONEY_DIGITS, 0)
        case "time":
            return arrow.timestamp("us", tz="UTC")
        case "yes or no":
            return arrow.bool_()
        case "text" | "json":
            return arrow.string()


def _batches(arrow: Any, schema: Any, table: Table, readings: Iterator[Any], rows: int) -> Iterator[Any]:  # noqa: ANN401
    money = [name for name, kind in table.columns.items() if kind == "money"]
    coming = rows_of(table, readings)
    while part := list(islice(coming, rows)):
        for name in money:
            for row in part:
                row[name] = _decimal(row[name], name)
        yield arrow.RecordBatch.from_pylist(part, schema=schema)


def _decimal(amount: int | None, column: str) -> Decimal | None:
    if amount is None:
        return None
    if abs(amount) >= 10**MONEY_DIGITS:
        raise ValueError(f"{column} has more than {MONEY_DIGITS} digits, which Arrow does not hold: use to_dicts")
    return Decimal(amount)
