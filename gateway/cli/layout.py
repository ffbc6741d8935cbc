"""Lays out tables in a given width, so that no number and no name is broken or cut.

A column in which no row has anything is left out. A table that is too wide is narrowed in this order: text goes on in
the next line, at spaces; the columns that may go are left out, one after the other; and what is still too wide becomes
a list of records, a line for each value.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple, TypeAlias

from rich.cells import cell_len

Cell: TypeAlias = Sequence[str]
"""The lines of a cell."""

_GAP = 2
_NARROWEST = 16
_EMPTY = ((), ("",), ("-",))


class Column(NamedTuple):
    """A column: its name, whether its cells are right-aligned, whether they are text that may be wrapped, its cells."""

    name: str
    right: bool
    text: bool
    cells: tuple[Cell, ...]

    @property
    def width(self) -> int:
        """The width of the name and of the widest line of a cell."""
        return max(cell_len(line) for cell in ((self.name,), *self.cells) for line in cell)

    @property
    def longest_word(self) -> int:
        """The width of the longest word of a text column."""
        texts = (text for cell in ((self.name,), *self.cells) for text in cell)
        words = (word for text in texts for word in text.split())
        return max(map(cell_len, words), default=0)


class Layout(NamedTuple):
    """The lines of a table: its head (None for records), the rest, and the names of the columns that were left out."""

    head: str | None
    lines: list[str]
    gone: list[str]


def laid_out(
    columns: Sequence[str], rows: Sequence[Sequence[Cell]], width: int | None = None, goes: Sequence[str] = ()
) -> Layout:
    """Lay out a table in at most `width` cells; None: as wide as it is.

    The name of a column begins with `>` if it is right-aligned, as numbers are, and with `~` if it is text. `goes`
    names the columns that may be left out, in the order in which they are.
    """
    made = [
        Column(name.lstrip(">~"), name.startswith(">"), name.startswith("~"), tuple(row[index] for row in rows))
        for index, name in enumerate(columns)
    ]
    kept = whole = [column for column in made if any(tuple(cell) not in _EMPTY for cell in column.cells)] or made
    gone: list[str] = []
    for name in (None, *(name for name in goes if name in [column.name for column in whole])):
        if name is not None:
            kept = [column for column in kept if column.name != name]
            gone.append(name)
        if (widths := _widths(kept, width)) is not None:
            return _grid(kept, widths, gone)
    return Layout(None, list(_records(whole, len(rows), width or 0)), [])


def wrapped(text: str, width: int) -> list[str]:
    """Return the lines of a text, broken at spaces only; all but the first are indented by two more than that."""
    if cell_len(text) <= width:
        return [text]
    indent = " " * (len(text) - len(text.lstrip()) + _GAP)
    return textwrap.wrap(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _widths(columns: Sequence[Column], width: int | None) -> list[int] | None:
    """Return the widths of the columns, with text columns narrowed where needed; None if they do not fit."""
    widths = [column.width for column in columns]
    excess = 0 if width is None else sum(widths) + _GAP * (len(columns) - 1) - width
    for index, column in enumerate(columns):
        if excess > 0 and column.text:
            least = min(widths[index], max(column.longest_word + _GAP, _NARROWEST))
            narrowed = max(widths[index] - excess, least)
            excess -= widths[index] - narrowed
            widths[index] = narrowed
    return widths if excess <= 0 else None


def _lines(column: Column, cell: Cell, width: int) -> list[str]:
    return [part for line in cell for part in (wrapped(line, width) if column.text else [line])]


def _grid(columns: Sequence[Column], widths: Sequence[int], gone: list[str]) -> Layout:
    def joined(cells: Sequence[str]) -> str:
        pads = (" " * (width - cell_len(cell)) for cell, width in zip(cells, widths, strict=True))
        placed = (
            pad + cell if column.right else cell + pad for column, cell, pad in zip(columns, cells, pads, strict=True)
        )
        return (" " * _GAP).join(placed).rstrip()

    lines: list[str] = []
    for row in zip(*(column.cells for column in columns), strict=True):
        parts = [_lines(column, cell, width) for column, cell, width in zip(columns, row, widths, strict=True)]
        lines += map(joined, zip_longest(*parts, fillvalue=""))
    return Layout(joined([column.name for column in columns]), lines, gone)


def _records(columns: Sequence[Column], rows: int, width: int) -> Iterator[str]:
    """Yield each value after the name of its column, or below it if they do not fit; an empty line between records."""
    label = max(cell_len(column.name) for column in columns) + _GAP
    for row in range(rows):
        if row:
            yield ""
        for column in columns:
            cell = [line.strip() for line in column.cells[row]]
            if tuple(cell) in _EMPTY:
                continue
            lines = _lines(column, cell, max(width - label, _NARROWEST))
            if label + max(map(cell_len, lines)) <= width:
                for index, line in enumerate(lines):
                    yield ("" if index else column.name).ljust(label) + line
            else:
                yield column.name
                for line in (part for text in cell for part in wrapped(text, width - _GAP)):
                    yield " " * _GAP * (cell_len(line) + _GAP <= width) + line
