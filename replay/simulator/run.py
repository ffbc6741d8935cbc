"""Runs by seed: one, or many; and of one that fails, the shortest that still does."""

from __future__ import annotations

import shlex
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from random import Random
from typing import TypedDict, Unpack

from chains.testing import Harness
from ledger.commands import CreatePlan
from ledger.engine import Ledger
from ledger.refusals import PaymentRequired
from pricing.notation import notation

from . import faults as kinds
from .market import mock_market
from .oracle import SPEAKS, Violated
from .plans import Tariff, drawn
from .process import Engine
from .report import SimulationFailed, SimulationReport
from .world import Projection, World

STEPS = 300
"""How many steps a run has by default."""

REPEATS = "the same seed gives the same run"
"""The one law that no single run can break."""

_MAX_LINE_LENGTH = 400


class Options(TypedDict, total=False):
    """What a run is made of, beside its seed.

    `steps`: how many. `faults`: the kinds that may strike (`all`, `none`, or some of `faults.KINDS`). `policies`: what
    is sold, each on a plan of its own whose other terms are drawn; `plans`: more plans, as they are. `projections`: by
    name, functions that fold an entry into a state. `harness`: makes the chain's side from the run's die. `engine`:
    makes the engine of a process from its store and its clock.
    """

    steps: int
    faults: str | Iterable[str]
    policies: Sequence[Tariff]
    plans: Sequence[CreatePlan]
    projections: Mapping[str, Projection]
    harness: Callable[[Random], Harness]
    engine: Engine


def simulate(seed: int, **options: Unpack[Options]) -> SimulationReport:
    """One run. The same seed and options give the same run, whatever the machine.

    Raises SimulationFailed where a law does not hold; BadData for a fault or a policy that there is not, and
    PaymentRequired for a plan that no ledger would sell.
    """
    steps = options.get("steps", STEPS)
    chosen = _chosen(options)
    world = World(
        seed,
        faults=chosen,
        market=options.get("harness", mock_market),
        engine=options.get("engine", Ledger),
        projections=options.get("projections", {}),
    )
    try:
        harness = world.market.harness
        given = [*options.get("plans", ())]
        tariffs = options.get("policies", ())
        plans = [*given, *(drawn(world.random, tariffs, harness.asset, harness.plans) if tariffs or not given else ())]
        with _nothing_but(Violated, PaymentRequired):
            world.begin(plans)
        with _nothing_but(Violated):
            for _ in range(steps):
                world.step()
            world.end()
        return _report(seed, steps, plans, world)
    except Violated as violated:
        raise SimulationFailed(
            seed=seed,
            step=world.steps,
            steps=min(steps, world.steps),
            law=violated.law,
            found=str(violated),
            faults=chosen,
            trace=[_line(*told) for told in world.trace],
            command=_command(seed, min(steps, world.steps), chosen, options),
        ) from violated
    finally:
        world.market.close()


@contextmanager
def _nothing_but(*known: type[Exception]) -> Iterator[None]:
    """Whatever else is raised inside is a finding."""
    try:
        yield
    except known:
        raise
    except Exception as error:
        raise Violated(SPEAKS, traceback.format_exc()) from error


def repeated(seed: int, **options: Unpack[Options]) -> SimulationReport:
    """One run, twice. Raises SimulationFailed as `simulate` does, and where the second comes to anything else."""
    first, second = simulate(seed, **options), simulate(seed, **options)
    if first != second:
        chosen, steps = _chosen(options), options.get("steps", STEPS)
        raise SimulationFailed(
            seed=seed,
            step=steps,
            steps=steps,
            law=REPEATS,
            found=f"it ended with {first.head} and with {second.head}",
            faults=chosen,
            trace=(),
            command=_command(seed, steps, chosen, options),
        )
    return first


def explore(seeds: Iterable[int], *, shrink: bool = True, **options: Unpack[Options]) -> Iterator[SimulationReport]:
    """One run after the other, each report as it comes; the first one is done twice, and must come to the same. Raises
    SimulationFailed at the first that fails: its shortest form, unless `shrink` is False."""
    for run, seed in enumerate(seeds):
        try:
            yield simulate(seed, **options) if run else repeated(seed, **options)
        except SimulationFailed as failed:
            raise (shortest(failed, **options) if shrink else failed) from None


def shortest(failed: SimulationFailed, **options: Unpack[Options]) -> SimulationFailed:
    """A failure of the same law by the same seed, with no more steps and without the kinds of faults that it does not
    need."""
    needed: frozenset[str] | None = None
    while failed.faults != needed:  # without one kind another may be needed no longer
        needed = failed.faults
        for kind in sorted(needed):
            fewer: Options = {**options, "steps": failed.steps, "faults": failed.faults - {kind}}
            try:
                simulate(failed.seed, **fewer)
            except SimulationFailed as other:
                if other.law == failed.law:
                    failed = other
    return failed


def _chosen(options: Options) -> frozenset[str]:
    faults = options.get("faults", "all")
    return kinds.chosen(faults if isinstance(faults, str) else tuple(faults))


def _report(seed: int, steps: int, plans: Sequence[CreatePlan], world: World) -> SimulationReport:
    events = Counter(type(entry.event).__name__ for entry in world.oracle.entries)
    return SimulationReport(
        seed=seed,
        steps=steps,
        policies=tuple(world.oracle.books.plans[plan.plan].terms.tariff.policy for plan in plans),
        actions=_sorted(world.actions),
        commands=_sorted(world.commands),
        refused=_sorted(world.refused),
        failed=_sorted(world.failed),
        unheard=world.unheard,
        faults=_sorted(world.faults.struck),
        restarts=world.restarts,
        events=_sorted(events),
        commits=len(world.disk.commits),
        batches=len(world.oracle.confirmed),
        seq=world.disk.head.seq,
        head=world.disk.head.hash.hex(),
    )


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return {name: count for name, count in sorted(counts.items()) if count}


def _line(step: int, who: str, does: str, what: object) -> str:
    line = f"{step}: {who} {does} {what}".rstrip()
    return line if len(line) <= _MAX_LINE_LENGTH else f"{line[:_MAX_LINE_LENGTH]}…"


def _command(seed: int, steps: int, chosen: frozenset[str], options: Options) -> str:
    """The command line that repeats a run, or, where it was given objects of Python, the call."""
    named = ",".join(kind for kind in kinds.KINDS if kind in chosen) or "none"
    faults = "all" if len(chosen) == len(kinds.KINDS) else named
    others = sorted(set(options) - {"steps", "faults", "policies"})
    if others:
        given = [f"{name}=…" for name in ("policies", *others) if name in options]
        said = [f"steps={steps}", f"faults={faults!r}", *given]
        return f"simulate({', '.join([str(seed), *said])})"
    policies = [word for tariff in options.get("policies", ()) for word in ("--policy", _written(tariff))]
    return shlex.join(
        ["tollbook", "simulate", "--seed", str(seed), "--steps", str(steps), "--faults", faults, *policies]
    )


def _written(tariff: Tariff) -> str:
    if isinstance(tariff, str):
        return tariff
    name, parameters = tariff
    try:
        return notation(name, parameters)
    except ValueError:
        return f"{name}:@FILE.json"
