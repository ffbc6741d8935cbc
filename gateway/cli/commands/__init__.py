"""The commands of `tollbook`: one module each, imported when the command is run."""

from __future__ import annotations

from typing import Annotated

import typer

from ..lazy import LazyGroup


class Commands(LazyGroup):
    """The commands in the order of the help page. Each short help is the first sentence of the command's own help."""

    package = __name__
    short_help_of = {  # noqa: RUF012 - never changed
        "demo": "Run a sample business: sell, charge, correct, settle and audit.",
        "audit": "Verify a log: hash chain, order, balances, prices, settlement.",
        "balance": "Show account balances, now or at a point in time.",
        "statement": "List every movement of one account, with running balances.",
        "plans": "List what a log sells: plans with their terms, tariffs and prices.",
        "agents": "List the agents of a log: the services behind its plans.",
        "invoices": "List the invoices of postpaid plans, and what is owed.",
        "settle": "Pay out earned money on a chain, exactly once.",
        "batches": "List settlement batches, and the money settled and outstanding.",
        "events": "List the events of a log, one per line.",
        "explain": "Explain a charge: usage, tariff, price lines and corrections.",
        "export": "Export the events of a log as CSV, NDJSON or SQLite.",
        "plot": "Draw an account's balance over time, and the credits it was charged.",
        "backup": "Back up a log, even while another process writes to it; restore a backup.",
        "copy": "Back up a log: the same as `tollbook backup`.",
        "policies": "List the installed pricing policies, with parameters, an example, and what it charges.",
        "plugins": "List the installed policies, chains and stores, and the plugins that failed.",
        "simulate": "Test the whole engine under simulated crashes and faults.",
        "chain": "Run, deploy and inspect the settlement contract on EVM chains.",
    }


app = typer.Typer(
    name="tollbook",
    cls=Commands,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done; 1 the answer is bad (findings, an explanation that disagrees, a failed batch); "
    "2 could not run; 3 outcome unknown, run again.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # which only this option needs

        typer.echo(f"tollbook {version('tollbook')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def tollbook(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Accounting for services that are paid per use. Every balance, charge and price comes from one append-only log.

    \b
    Examples:
      tollbook demo --db toll.db
      tollbook audit toll.db
      tollbook balance toll.db --as-of 1000
      tollbook statement toll.db --subscriber alice --plan pro
      tollbook plans toll.db
      tollbook settle toll.db
      tollbook batches toll.db
      tollbook events toll.db --type charged --limit 5 --json
      tollbook explain toll.db 1234
      tollbook plot toll.db --subscriber alice --plan pro --out alice.svg
      tollbook backup toll.db monday.db
      tollbook simulate --seeds 100
      tollbook chain up

    LOG is an SQLite file. Commands that read it never change it, and work while another process writes.
    A MOMENT is a sequence number, a time such as 2023-11-16T18:15:46.680590Z, or the word now.
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
