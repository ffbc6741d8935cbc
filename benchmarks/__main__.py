"""`python -m benchmarks` times everything at full size; `growth` shows how cost grows, `gas` the gas of a chain."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

from . import gas, growth, machine, pages, suite, tables
from .figures import Comparison, Quantity, Row
from .workshop import FULL, SMALL, Workshop

GROWTH_JSON = pages.ROOT / "docs" / "growth.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name; return its exit code."""
    given = _parser().parse_args(arguments)
    if given.command == "growth":
        saved = given.json or GROWTH_JSON
        if given.again:
            saved.unlink(missing_ok=True)
        points = growth.run(saved, growth.Scale(given.up_to, given.accounts_up_to), given.folder)
        if given.write_docs:
            growth.write_docs(points)
        return 0
    if given.command == "gas":
        return gas.run(given.write_docs)
    return _figures(given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.set_defaults(command="figures", json=None)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="figures whose name begins so")
    parser.add_argument("--size", choices=("full", "small"), default="full")
    parser.add_argument("--rounds", type=int, default=5, help="how often each contender runs (default 5)")
    parser.add_argument("--folder", type=Path, help="folder to write in, on the disk to measure (default: temporary)")
    parser.add_argument(
        "--json", type=Path, default=Path("benchmarks.json"), help="file to write the figures to, as JSON"
    )
    parser.add_argument("--markdown", action="store_true", help="print the table in Markdown as well, at the end")
    parser.add_argument("--write-docs", action="store_true", help="fill the tables of docs/performance.md (and README)")
    commands = parser.add_subparsers(dest="command", required=False)
    grow = commands.add_parser("growth", help="the same figures at ever longer logs and ever more accounts")
    grow.add_argument("--up-to", type=_number, default=10**6, metavar="EVENTS", help="longest log (default 1e6)")
    grow.add_argument("--accounts-up-to", type=_number, default=10**5, metavar="ACCOUNTS", help="(default 1e5)")
    grow.add_argument("--folder", type=Path, help="folder in which logs are built, and kept for a later, longer run")
    grow.add_argument("--json", type=Path, help="file to save points in; saved points are not measured again")
    grow.add_argument("--again", action="store_true", help="measure all points again, for changed code")
    grow.add_argument("--write-docs", action="store_true", help="draw the plots, fill the table of docs/performance.md")
    paid = commands.add_parser("gas", help="what the settlement contract costs on an EVM chain (needs the extra evm)")
    paid.add_argument("--write-docs", action="store_true", help="fill the table of docs/performance.md")
    return parser


def _number(text: str) -> int:
    return int(float(text))


def _figures(given: argparse.Namespace) -> int:
    begun = time.monotonic()
    workshop = Workshop(FULL if given.size == "full" else SMALL, given.folder)
    wanted = tuple(given.only) or ("",)
    try:
        taken_on = machine.machine(workshop.folder)
        print(machine.sentence(taken_on), flush=True)
        figures = [each for each in suite.figures(workshop) if each.name.startswith(wanted)]
        rows, failed = measured(figures, workshop.folder, given.rounds)
    finally:
        workshop.close()
    minutes = round((time.monotonic() - begun) / 60, 1)
    figures_file = {"machine": taken_on, "size": given.size, "rounds": given.rounds, "minutes": minutes}
    given.json.write_text(json.dumps(figures_file | {"figures": [row.as_json() for row in rows]}, indent=1) + "\n")
    print(f"\n{minutes} minutes; {given.json} has the figures.")
    if given.markdown:
        print(f"\n{tables.markdown(rows)}")
    if given.write_docs:
        _write_docs(taken_on, given.rounds, rows)
    return 1 if failed else 0


def measured(figures: Iterable[Comparison | Quantity], folder: Path, rounds: int) -> tuple[list[Row], int]:
    """Measure all figures, and print each as it is measured. Return their rows, and the number of figures that failed;
    the others are measured all the same."""
    rows: list[Row] = []
    failed = 0
    for figure in figures:
        try:
            measured_rows = figure.measure(folder, rounds)
        except Exception as error:  # noqa: BLE001 - a wrong answer, or any error of a peer
            traceback.print_exc()
            measured_rows = [Row(figure.name, figure.title, figure.unit, failed=f"{type(error).__name__}: {error}")]
            failed += 1
        for row in measured_rows:
            print(tables.text(row), flush=True)
        rows += measured_rows
    return rows, failed


def _write_docs(taken_on: dict[str, object], rounds: int, rows: Sequence[Row]) -> None:
    text = f"{machine.sentence(taken_on)} Medians of {rounds} rounds."
    pages.fill(pages.PAGE, pages.MACHINE, text)
    pages.fill(pages.PAGE, pages.FIGURES, tables.markdown(rows))
    for page in (pages.PAGE, pages.README):
        pages.fill(page, pages.AIMS, tables.markdown(tables.aimed(rows)))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers that were started are stopped
    sys.exit(main())
