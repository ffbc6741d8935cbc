"""`tollbook simulate`."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from replay.simulator import SimulationFailed, SimulationReport, explore

from .. import render
from ..completion import policies
from ..errors import BAD_ANSWER, DONE
from ..options import Json
from ..progress import progress
from ..render import amount, line, table

_Seed = Annotated[
    int | None,
    typer.Option(metavar="N", min=0, help="The first seed. Without it: a random one.", show_default=False),
]
_Seeds = Annotated[
    int | None,
    typer.Option(metavar="COUNT", min=1, help="Runs. Without it: 1 with --seed, else 20.", show_default=False),
]
_Steps = Annotated[int, typer.Option(metavar="N", min=0, help="Steps in each run.")]
_Policies = Annotated[
    list[str] | None,
    typer.Option(
        "--policy",
        metavar="P",
        help="Sell at this price: NAME, NAME:key=value,… or NAME:@FILE.json; may be given again.",
        show_default=False,
        autocompletion=policies,
    ),
]
_Faults = Annotated[
    str, typer.Option(metavar="KINDS", help="Faults to inject: all, none, or some, separated by commas.")
]

FRESH_RUNS = 20
_FRESH_SEEDS = 2**32


def simulate(
    seed: _Seed = None,
    seeds: _Seeds = None,
    steps: _Steps = 300,
    policy: _Policies = None,
    faults: _Faults = "all",
    json: Json = False,
) -> int:
    """Test the whole engine under simulated crashes and faults.

    \b
    Examples:
      tollbook simulate
      tollbook simulate --seeds 200 --policy 'package:dimension=calls,size=10,credits=25'
      tollbook simulate --seed 1234 --steps 80 --faults crash,power

    Several processes, the outbox, the watcher and a chain run through crashes, power cuts, full disks, concurrent
    writers and a faulty chain. After every step the invariants are checked.

    A seed determines everything: clock, disk, chain, callers, and the order in which processes run. The same seed,
    options and version give the same run; the first run is repeated to check that. No file is written: the logs are in
    memory.

    Kinds of faults: crash, power, interrupt, write, unknown, space, lock, read, snapshot, overtake, clock, node, send,
    lie, reorganise, operator. replay/simulator/README.md explains them, and the invariants.

    Exit codes: 0 every invariant held in all runs; 1 one did not: the first such run is shown with its last steps and
    a command that repeats it, shortened as far as possible; 2 it could not run.
    """
    first = secrets.randbelow(_FRESH_SEEDS) if seed is None else seed
    runs = seeds or (FRESH_RUNS if seed is None else 1)
    reports: list[SimulationReport] = []
    failure: SimulationFailed | None = None
    with progress(quiet=json) as report_progress:
        try:
            for report in explore(range(first, first + runs), steps=steps, policies=policy or [], faults=faults):
                reports.append(report)
                report_progress("simulate", len(reports), runs)
        except SimulationFailed as failed:
            failure = failed
    if json:
        render.json(_answer(first, runs, steps, reports, failure))
    else:
        _show(first, runs, steps, reports, failure)
    return DONE if failure is None else BAD_ANSWER


_COUNTS = ("commands", "refused", "failed", "faults", "events", "actions")
_SUMS = ("unheard", "restarts", "commits", "batches")


def _answer(
    first: int, runs: int, steps: int, reports: Sequence[SimulationReport], failure: SimulationFailed | None
) -> dict[str, Any]:
    answer: dict[str, Any] = {"seed": first, "seeds": runs, "ran": len(reports), "steps": steps}
    answer |= {name: _counted(reports, name) for name in _COUNTS}
    answer |= {name: sum(getattr(report, name) for report in reports) for name in _SUMS}
    answer["heads"] = {str(report.seed): report.head for report in reports}
    answer["failure"] = None
    if failure is not None:
        keys = ("seed", "step", "law", "found", "trace", "command")
        answer["failure"] = {key: getattr(failure, key) for key in keys} | {"faults": sorted(failure.faults)}
    return answer


def _counted(reports: Sequence[SimulationReport], name: str) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for report in reports:
        counts.update(getattr(report, name))
    return dict(sorted(counts.items()))


def _show(
    first: int, runs: int, steps: int, reports: Sequence[SimulationReport], failure: SimulationFailed | None
) -> None:
    last = first + runs - 1
    line(f"seed {first}, {steps} steps" if runs == 1 else f"seeds {first} to {last}, {steps} steps each")
    done = [
        ("steps", sum(report.steps for report in reports)),
        *(("answers to " + name, count) for name, count in _counted(reports, "commands").items()),
        ("refusals among them", sum(_counted(reports, "refused").values())),
        ("errors reported to callers", sum(_counted(reports, "failed").values())),
        ("callers without an answer", sum(report.unheard for report in reports)),
        *(("fault: " + name, count) for name, count in _counted(reports, "faults").items()),
        ("engines opened", sum(report.restarts for report in reports)),
        ("events", sum(_counted(reports, "events").values())),
        ("commits", sum(report.commits for report in reports)),
        ("batches settled", sum(report.batches for report in reports)),
    ]
    line()
    table(("what was done", ">count"), [(name, amount(count)) for name, count in done])
    line()
    if failure is None:
        line(f"every law held in {len(reports)} of {runs} runs")
    else:
        line(str(failure))
