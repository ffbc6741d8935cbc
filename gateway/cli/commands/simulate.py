"""`tollbook simulate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..options import Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replay.simulator import SimulationFailed, SimulationReport

_Seed = Annotated[
    int | None,
    typer.Option(metavar="N", min=0, help="Begin with this one. Without it: a fresh one.", show_default=False),
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
    ),
]
_Faults = Annotated[str, typer.Option(metavar="KINDS", help="What may go wrong: all, none, or some, with commas.")]

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
    """Run the whole engine through crashes, full disks, overtaking writers and a faulty chain, and hold it to its laws.

    \b
    Examples:
      tollbook simulate
      tollbook simulate --seeds 200 --policy 'package:dimension=calls,size=10,credits=25'
      tollbook simulate --seed 1234 --steps 80 --faults crash,power

    A seed drives everything: clock, disk, chain, callers, and which process goes on when. The same seed, options and
    version give the same run; the first one is done twice to see that. No file is written: the logs are in memory.

    Kinds of faults: crash, power, interrupt, write, unknown, space, lock, read, snapshot, overtake, clock, node, send,
    lie, reorganise, operator. What each does, and the laws, are in replay/simulator/README.md.

    Exits 0 where every law held in all runs; 1 at the first run where one did not, with its last steps and the command
    that repeats it, made as short as could be found; 2 where it could not be done.
    """
    import secrets

    from replay.simulator import SimulationFailed, explore

    from .. import render
    from ..errors import BAD_ANSWER, DONE
    from ..progress import progress

    first = secrets.randbelow(_FRESH_SEEDS) if seed is None else seed
    runs = seeds or (FRESH_RUNS if seed is None else 1)
    reports: list[SimulationReport] = []
    failure: SimulationFailed | None = None
    with progress(quiet=json) as told:
        try:
            for report in explore(range(first, first + runs), steps=steps, policies=policy or [], faults=faults):
                reports.append(report)
                told("simulate", len(reports), runs)
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
        told = ("seed", "step", "law", "found", "trace", "command")
        answer["failure"] = {name: getattr(failure, name) for name in told} | {"faults": sorted(failure.faults)}
    return answer


def _counted(reports: Sequence[SimulationReport], name: str) -> dict[str, int]:
    from collections import Counter

    counts: Counter[str] = Counter()
    for report in reports:
        counts.update(getattr(report, name))
    return dict(sorted(counts.items()))


def _show(
    first: int, runs: int, steps: int, reports: Sequence[SimulationReport], failure: SimulationFailed | None
) -> None:
    from ..render import amount, line, table

    last = first + runs - 1
    line(f"seed {first}, {steps} steps" if runs == 1 else f"seeds {first} to {last}, {steps} steps each")
    done = [
        ("steps", sum(report.steps for report in reports)),
        *(("answers to " + name, count) for name, count in _counted(reports, "commands").items()),
        ("refusals among them", sum(_counted(reports, "refused").values())),
        ("errors that callers were told", sum(_counted(reports, "failed").values())),
        ("callers who heard nothing", sum(report.unheard for report in reports)),
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
