"""Writes answers to stdout: tables with colour on a terminal, the same columns as plain text elsewhere; JSON."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from ledger.amounts import amount_text

if TYPE_CHECKING:
    from rich.console import Console


amount = amount_text
"""Formats an amount; money with its asset is `ledger.amounts.money_text`."""


def json(answer: object) -> None:
    """Write one JSON value and a newline."""
    sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")


def shown(text: object) -> str:
    """Escape characters that are not printable, so that text cannot control a terminal."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(text))


def line(text: str = "") -> None:
    """Write a line of text."""
    sys.stdout.write("\n".join(map(shown, text.split("\n"))) + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "") -> None:
    """Write a table. A column whose name begins with `>` is right-aligned, as numbers are."""
    cells = [[shown(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _rich_table(columns, cells, title)
        return
    names = [name.lstrip(">") for name in columns]
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    if title:
        line(title)
    for row in (names, *cells):
        padded = (
            cell.rjust(width) if name.startswith(">") else cell.ljust(width)
            for name, cell, width in zip(columns, row, widths, strict=True)
        )
        line("  ".join(padded).rstrip())


def console() -> Console:
    """Return a Rich console on stdout, with colour on a terminal that supports it."""
    from rich.console import Console

    class Piped(Console):
        def on_broken_pipe(self) -> None:
            """Leave a closed pipe to `main`. Rich exits 1, which is the code of a bad answer."""
            raise

    terminal = sys.stdout.isatty()
    return Piped(file=sys.stdout, force_terminal=terminal, highlight=False, emoji=False, soft_wrap=not terminal)


def _rich_table(columns: Sequence[str], cells: Iterable[Sequence[str]], title: str) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=SIMPLE_HEAD, title=title and Text(title), title_justify="left", pad_edge=False)
    for name in columns:
        drawn.add_column(name.lstrip(">"), justify="right" if name.startswith(">") else "left", overflow="fold")
    for row in cells:
        drawn.add_row(*map(Text, row))
    console().print(drawn)
