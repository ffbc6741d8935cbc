"""The commands and their options, as Typer has them."""

from __future__ import annotations

from typing import Annotated

import typer

from .commands.audit import audit
from .commands.balance import balance
from .commands.batches import batches
from .commands.chain import chain
from .commands.copy import copy
from .commands.demo import demo
from .commands.events import events
from .commands.explain import explain
from .commands.export import export
from .commands.settle import settle
from .commands.simulate import simulate
from .commands.statement import statement

app = typer.Typer(
    name="tollbook",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done; 1 the answer is bad (findings, an explanation that disagrees, a failed batch); "
    "2 could not run; 3 outcome unknown, run again.",
)

app.command(short_help="Sell, charge, correct and audit; leaves a log to look at.")(demo)
app.command(short_help="Is everything in a log as it must be?")(audit)
app.command(short_help="Who has how much, at any moment.")(balance)
app.command(short_help="Every movement of one account.")(statement)
app.command(short_help="Pay out what was earned, exactly once.")(settle)
app.command(short_help="What was settled, and what is outstanding.")(batches)
app.command(short_help="What happened, one event a line.")(events)
app.command(short_help="Why a charge cost what it cost.")(explain)
app.command(short_help="The events as csv or ndjson.")(export)
app.command(short_help="Copy a log whole, also while it is written to.")(copy)
app.command(short_help="Run the engine through crashes and faults.")(simulate)
app.add_typer(chain, name="chain", short_help="The settlement contract on EVM chains: try it, deploy it, look at it.")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"tollbook {version('tollbook')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def tollbook(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Books for services that are paid per use: every balance, every charge and its price, from one append-only log.

    \b
    Examples:
      tollbook demo --db toll.db
      tollbook audit toll.db
      tollbook balance toll.db --as-of 1000
      tollbook statement toll.db --subscriber alice --plan pro
      tollbook settle toll.db
      tollbook batches toll.db
      tollbook events toll.db --type charged --limit 5 --json
      tollbook explain toll.db 1234
      tollbook copy toll.db backup.db
      tollbook simulate --seeds 100
      tollbook chain up

    LOG is an SQLite file. The commands that read it never change it, and work while another process writes.
    A MOMENT is a sequence number, a time such as 2023-11-16T18:15:46.680590Z, or the word now.
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
