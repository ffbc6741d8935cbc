"""Rows of a trace in the order of their times: few of them in memory, the others in a temporary file."""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import overload

import msgspec

from .trace_formats import Row

MAX_ROWS_IN_MEMORY = 20_000
"""A trace with more rows than these is kept in a file (a row takes some 500 bytes of memory)."""

_BLOCK_ROWS = 500


def ordered(rows: Iterable[Row]) -> Sequence[Row]:
    """Return the rows in the order of their times; those of one time stay in the order in which they come.

    More than MAX_ROWS_IN_MEMORY go through a temporary file, so memory does not grow with them.
    """
    coming = iter(rows)
    first = list(islice(coming, MAX_ROWS_IN_MEMORY))
    following = list(islice(coming, 1))
    if following:
        return StoredRows(chain(first, following, coming))
    first.sort(key=lambda row: row.at)
    return first


class StoredRows(Sequence[Row]):
    """Rows in a temporary file without a name, which the system removes with this process. Read only, and in any order;
    reading them in turn is quick. SQLite sorts them beyond what it has in memory."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._file = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self._file.close)
        encode = msgspec.msgpack.Encoder().encode
        self._file.execute("CREATE TABLE came (at INTEGER NOT NULL, row BLOB NOT NULL)")
        self._file.execute("BEGIN")
        self._file.executemany("INSERT INTO came VALUES (?, ?)", ((row.at, encode(row)) for row in rows))
        self._file.execute("CREATE TABLE sorted AS SELECT row FROM came ORDER BY at, rowid")
        self._file.execute("DROP TABLE came")
        self._file.execute("COMMIT")
        self._length: int = self._file.execute("SELECT count(*) FROM sorted").fetchone()[0]
        self._decode = msgspec.msgpack.Decoder(Row).decode
        self._block: tuple[int, list[Row]] = (0, [])  # where it starts, and its rows

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...

    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(self._length))]
        at = index + self._length if index < 0 else index
        if not 0 <= at < self._length:
            raise IndexError(index)
        start, rows = self._block
        if not start <= at < start + len(rows):
            start = at - at % _BLOCK_ROWS
            rows = self._read(start)
            self._block = start, rows
        return rows[at - start]

    def __iter__(self) -> Iterator[Row]:
        for start in range(0, self._length, _BLOCK_ROWS):
            yield from self._read(start)

    def _read(self, start: int) -> list[Row]:
        found = self._file.execute(
            "SELECT row FROM sorted WHERE rowid > ? ORDER BY rowid LIMIT ?", (start, _BLOCK_ROWS)
        )
        return [self._decode(row) for (row,) in found]
