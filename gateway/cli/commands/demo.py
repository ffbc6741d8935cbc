"""`tollbook demo`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ...demo import Options, Summary, run, show
from ...errors import UsageError
from .. import render
from ..completion import one_of, policies
from ..errors import BAD_ANSWER, DONE, UNKNOWN, write_warning
from ..options import Json
from ..progress import progress

_Trace = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="A trace in CSV or JSONL (Azure LLM, BurstGPT, Mooncake, a usage log), or a customer profile (.json); "
        "without it usage is generated.",
        show_default=False,
    ),
]
_Db = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The new log; :memory: keeps nothing. Without it: the first free tollbook-demo*.db.",
        show_default=False,
    ),
]
_Policy = Annotated[
    str | None,
    typer.Option(
        metavar="P",
        help="The price: NAME, NAME:key=value,… or NAME:@FILE.json. `tollbook policies` lists the names.",
        show_default=False,
        autocompletion=policies,
    ),
]
_Subscribers = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Customers, if the trace names none: 50 without it.", show_default=False),
]
_Requests = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Requests, if usage is generated or drawn from a profile: 20,000 without it.",
        show_default=False,
    ),
]
_Seed = Annotated[int, typer.Option(metavar="N", help="The seed of everything random.")]
_Chain = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Where to settle: mock, in a file beside the log; evm, on a local EVM chain.",
        autocompletion=one_of(("mock", "evm")),
    ),
]
_Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        "--dimension",
        metavar="NAME",
        help="A column of the trace that is usage, or NAME=subscriber: that names the customer, though its name is not "
        "recognised; may be given again.",
        show_default=False,
    ),
]
_SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave out lines of the trace that cannot be read.")]

_CUSTOMER = "=subscriber"


def demo(
    trace: _Trace = None,
    db: _Db = None,
    policy: _Policy = None,
    subscribers: _Subscribers = None,
    requests: _Requests = None,
    seed: _Seed = 0,
    chain: _Chain = "mock",
    column: _Columns = None,
    skip_bad: _SkipBad = False,
    json: Json = False,
) -> int:
    """Run a sample business: sell, charge, correct, settle and audit.

    \b
    Examples:
      tollbook demo
      tollbook demo --trace AzureLLMInferenceTrace_conv.csv --db toll.db
      tollbook demo --policy 'complexity:weights.input_tokens=1/1000,weights.output_tokens=3/1000'
      tollbook demo --policy 'graduated:dimension=calls,tiers=100@0/1000@2/inf@1' --requests 5000
      tollbook demo --trace usage.csv --column pages --policy 'package:dimension=pages,size=10,credits=25'
      tollbook demo --chain evm

    Customers buy plans, requests are admitted and charged, some charges are corrected, earned money is settled, and
    the log is audited. The log is kept for the other commands.

    Columns of a trace are recognised by name, in any case and with spaces, dashes or underscores: timestamp,
    subscriber (user_id, customer, account, org, …), plan, agent, model, input_tokens (prompt_tokens, ContextTokens, …),
    output_tokens, cached and reasoning tokens, seconds, calls. --column NAME=subscriber names the customer's where none
    is recognised, or two may be it; a request without a customer gets one that is drawn. Other columns are usage if
    --column (or --dimension) names them or the policy reads them; a warning lists the ignored ones. Usage that no rate
    of the policy reads is counted in the summary; a trace with no other usage is an error. So is a price by the second
    for a trace without seconds: only generated usage has them by itself.

    The clock is the trace's: the same trace, options and version give the same head. Payments are in escrow, and
    earned money is settled, on a mock chain in LOG.mock beside the log. With --chain evm it is a local EVM chain that
    runs as long as the demo (anvil if it is installed, else eth-tester: pip install 'tollbook[evm]'). Customers pay in
    tokens there, and the summary compares the gas used with that of one transfer per charge.

    Exit codes: 0 done; 1 findings, or an admitted request was never charged; 2 could not run; 3 a batch is unknown.
    """
    dimensions, customers = _meanings(column or ())
    options = Options(
        trace=trace,
        db=db,
        policy=policy,
        subscribers=50 if subscribers is None else subscribers,
        requests=20_000 if requests is None else requests,
        seed=seed,
        chain=chain,
        skip_bad=skip_bad,
        dimensions=dimensions,
        subscriber_column=customers,
    )
    return _run(options, subscribers, requests, json)


def _meanings(columns: Sequence[str]) -> tuple[list[str], str]:
    """Return the columns that are usage, and the one that names the customer; empty if none does. Raises UsageError
    for two that do."""
    named = [column.removesuffix(_CUSTOMER) for column in columns if column.endswith(_CUSTOMER)]
    if len(named) > 1:
        raise UsageError(f"two columns name the customer: {', '.join(named)}", "give one NAME=subscriber")
    return [column for column in columns if not column.endswith(_CUSTOMER)], "".join(named)


def _run(options: Options, subscribers: int | None, requests: int | None, json: bool) -> int:
    with progress(quiet=json) as report:
        summary = run(options, report)
    if summary.source.ignored:
        names = ", ".join(map(repr, summary.source.ignored))
        hint = "name one with --column if it is usage, with --column NAME=subscriber if it names the customer"
        write_warning(f"ignored columns of {options.trace}: {names}", hint, json)
    _warn_of_counts(summary, subscribers, requests, json)
    if json:
        render.json(summary)
    else:
        show(summary)
    return _exit_code(summary)


def _warn_of_counts(summary: Summary, subscribers: int | None, requests: int | None, json: bool) -> None:
    """Say which numbers that were asked for do not count, since the trace has its own."""
    source = summary.source
    if source.kind in ("generated", "profile"):
        return
    if requests is not None:
        message = f"--requests {requests} counts for generated usage: all {source.rows:,} of {source.file} were made"
        write_warning(message, "shorten the trace to have fewer", json)
    if subscribers is not None and not source.drawn:
        message = f"--subscribers {subscribers} counts for a trace that names no customers, and {source.file} does"
        write_warning(message, "leave it out", json)


def _exit_code(summary: Summary) -> int:
    if not summary.audit.clean or summary.charged.uncharged:
        return BAD_ANSWER
    return UNKNOWN if summary.open_batches else DONE
