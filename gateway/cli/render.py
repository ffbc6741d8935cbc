"""Writes answers to stdout: tables that fit a terminal, the same columns as plain text elsewhere; JSON."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

import msgspec
from rich.cells import cell_len

from ledger.amounts import amount_text
from ledger.amounts import counted as counted

from .layout import laid_out, wrapped

amount = amount_text
"""Formats an amount; money with its asset is `ledger.amounts.money_text`."""


def json(answer: object) -> None:
    """Write one JSON value and a newline."""
    sys.stdout.write(msgspec.json.encode(answer).decode() + "\n")


def compact(value: object) -> str:
    """Return a value as JSON text on one line."""
    return msgspec.json.encode(value).decode()


def shown(text: object) -> str:
    """Escape characters that are not printable, so that text cannot control a terminal."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(text))


def width() -> int | None:
    """Return the width of the terminal; None where stdout is none, and lines may be of any length."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def line(text: str = "", style: str = "") -> None:
    """Write a text, on a terminal in lines that break at spaces. `style` is one of STYLES."""
    for part in text.split("\n"):
        for each in wrapped(shown(part), width() or sys.maxsize) or [""]:
            sys.stdout.write(_styled(each, style) + "\n")


def command(text: str, style: str = "") -> None:
    """Write a command line as one line, so that it can be copied."""
    sys.stdout.write(_styled(shown(text), style) + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "", goes: Sequence[str] = ()) -> None:
    """Write a table, laid out by `layout.laid_out`. A cell that is a list has a line for each of its items."""
    cells = [[[shown(part) for part in (cell if isinstance(cell, list) else [cell])] for cell in row] for row in rows]
    table = laid_out(columns, cells, width(), goes)
    if title:
        line(title)
    if table.head is not None:
        sys.stdout.write(_styled(table.head, "bold") + "\n")
        if sys.stdout.isatty():
            sys.stdout.write("─" * max(map(cell_len, (table.head, *table.lines))) + "\n")
    sys.stdout.writelines(f"{each}\n" for each in table.lines)
    if table.gone:
        line(f"no room for {', '.join(table.gone)}: a wider terminal shows them, and --json", "dim")


STYLES = {"bold": "1", "dim": "2", "good": "1;32", "bad": "1;31", "command": "36"}
"""Codes of the styles on a terminal that has them."""


def _styled(text: str, style: str) -> str:
    plain = not style or not text or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    return text if plain or not sys.stdout.isatty() else f"\x1b[{STYLES[style]}m{text}\x1b[0m"


@contextmanager
def paged(as_json: bool = False) -> Iterator[None]:
    """Page what is written in the context through `$PAGER`, if that is set and stdout is a terminal."""
    pager = os.environ.get("PAGER")
    if as_json or not pager or not sys.stdout.isatty():
        yield
        return
    sys.stdout.flush()
    terminal = sys.stdout
    # less: end at once if all is on one screen, keep styles, leave the text there
    process = subprocess.Popen(
        pager, shell=True, stdin=subprocess.PIPE, stdout=terminal, env={"LESS": "FRX", **os.environ}
    )
    assert process.stdin is not None
    try:
        sys.stdout = _Paged(process.stdin, encoding="utf-8", errors="backslashreplace", line_buffering=True)
        with suppress(BrokenPipeError):  # the reader has seen enough
            yield
            sys.stdout.flush()
    finally:
        with suppress(BrokenPipeError):
            sys.stdout.close()
        sys.stdout = terminal
        process.wait()


def most(limit: int | None) -> int | None:
    """Return how many rows of a list to write: `limit`; without one all, or on a terminal without a pager MAX_ROWS."""
    on_terminal = sys.stdout.isatty() and not isinstance(sys.stdout, _Paged)
    return MAX_ROWS if limit is None and on_terminal else limit


def rest(text: str) -> None:
    """Write that there are more rows than were written: `text`, and how to see them."""
    line(f"{text}: --limit N shows N, PAGER=less pages all, --json has all", "dim")


MAX_ROWS = 200
"""Rows of a list on a terminal, without a limit and a pager."""


class _Paged(io.TextIOWrapper):
    """A pipe to a pager, which is on a terminal."""

    def isatty(self) -> bool:
        return True
