"""`tollbook demo`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..options import Json

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
    typer.Option(metavar="FILE", help="The new log. Without it: the first free tollbook-demo*.db.", show_default=False),
]
_Policy = Annotated[
    str | None,
    typer.Option(metavar="P", help="The price: NAME, NAME:key=value,… or NAME:@FILE.json.", show_default=False),
]
_Subscribers = Annotated[int, typer.Option(metavar="N", min=1, help="Customers, where the trace names none.")]
_Requests = Annotated[int, typer.Option(metavar="N", min=1, help="Requests, where usage is generated or drawn.")]
_Seed = Annotated[int, typer.Option(metavar="N", help="What is drawn is drawn from this.")]
_Chain = Annotated[
    str,
    typer.Option(metavar="NAME", help="Where to settle: mock, in a file beside the log; evm, on a local EVM chain."),
]
_Dimensions = Annotated[
    list[str] | None,
    typer.Option(
        "--dimension",
        metavar="NAME",
        help="A column of the trace that is usage, though its name is not known; may be given again.",
        show_default=False,
    ),
]
_SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave out lines of the trace that cannot be read.")]


def demo(
    trace: _Trace = None,
    db: _Db = None,
    policy: _Policy = None,
    subscribers: _Subscribers = 50,
    requests: _Requests = 20_000,
    seed: _Seed = 0,
    chain: _Chain = "mock",
    dimension: _Dimensions = None,
    skip_bad: _SkipBad = False,
    json: Json = False,
) -> int:
    """Sell plans, admit and charge requests, correct some charges, settle what is earned, and audit the log alone.

    \b
    Examples:
      tollbook demo
      tollbook demo --trace AzureLLMInferenceTrace_conv.csv --db toll.db
      tollbook demo --policy 'complexity:weights.input_tokens=1/1000,weights.output_tokens=3/1000'
      tollbook demo --policy 'graduated:dimension=calls,tiers=100@0/1000@2/inf@1' --requests 5000
      tollbook demo --trace usage.csv --dimension pages --policy 'package:dimension=pages,size=10,credits=25'
      tollbook demo --chain evm

    The columns of a trace are known by name, in any case and with spaces, dashes or underscores: timestamp, subscriber,
    plan, agent, model, input_tokens (prompt_tokens, ContextTokens, …), output_tokens, cached and reasoning tokens,
    seconds, calls. Others are usage where --dimension names them or the policy reads them; what is ignored is told.
    Usage that no rate of the policy reads is counted in the summary, and a trace without any other is an error.

    The clock is the trace's: the same trace, options and version give the same head. What is paid for is held, and what
    is earned is settled, on a mock chain in LOG.mock beside the log. With --chain evm it is a local EVM chain that
    lives as long as the demo (anvil where it is installed, else eth-tester: pip install 'tollbook[evm]'). Customers pay
    in tokens there, and the gas of all of it is shown, beside that of one transfer a charge.

    Exits 1 where the audit has findings or an admitted request was never charged, 3 where a batch's outcome is unknown.
    """
    from ...demo import run, show
    from .. import render
    from ..errors import BAD_ANSWER, DONE, UNKNOWN, warning
    from ..progress import progress

    with progress(quiet=json) as told:
        summary = run(
            trace=trace,
            db=db,
            policy=policy,
            subscribers=subscribers,
            requests=requests,
            seed=seed,
            chain=chain,
            skip_bad=skip_bad,
            dimensions=dimension or (),
            progress=told,
        )
    if summary.source.ignored:
        names = ", ".join(map(repr, summary.source.ignored))
        hint = "name one with --dimension if it is usage"
        sys.stderr.write(warning(f"ignored columns of {trace}: {names}", hint, json) + "\n")
    if json:
        render.json(summary)
    else:
        show(summary, render.console())
    if summary.audit.verdict != "clean" or summary.charged.uncharged:
        return BAD_ANSWER
    return UNKNOWN if summary.open_batches else DONE
