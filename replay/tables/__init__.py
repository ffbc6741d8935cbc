"""Readings as tables, for notebooks: rows for pandas and Polars, Arrow tables, and pictures.

    import pandas as pd
    from replay.tables import batches, to_arrow, to_dicts

    pd.DataFrame(to_dicts(ledger.balances()))
    polars.from_arrow(to_arrow(ledger.events()))
    pd.DataFrame(to_dicts(batches(ledger.events())))

Column names are stable. Times are datetimes in UTC. Amounts are whole numbers of the smallest unit, never floats: of
credits, or of money. What maps names to numbers (usage, shares of receivers) is a text of JSON, so that a column has
one type for all rows. In Arrow (extra `arrow`) credits are int64 and money is decimal128(38, 0).

`replay.tables.pictures` (extra `plots`) draws an account's balance and usage over time.
"""

from .arrow import arrow_batches, to_arrow
from .rows import TABLES, Table, batches, to_dicts

__all__ = ["TABLES", "Table", "arrow_batches", "batches", "to_arrow", "to_dicts"]
