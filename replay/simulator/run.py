"""Runs by seed: one, or many; a run that fails is shrunk to its shortest form."""

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
from .laws import DECLARED_ERRORS_ONLY, Violated
from .market import mock_market
from .plans import Tariff, drawn
from .process import Engine
from .reads import Projection
from .report import SimulationFailed, SimulationReport
from .world import World

STEPS = 300
"""The default number of steps of a run."""

REPEATS = "the same seed gives the same run"
"""The only law that takes two runs to break."""

_MAX_LINE_LENGTH = 400


class Options(TypedDict, total=False):
    """The parameters of a run, beside its seed.

    `steps`: their number. `faults`: the kinds that may strike (`all`, `none`, or some of `faults.KINDS`). `policies`:
    prices, each of a plan whose other terms are drawn; `plans`: more plans, as they are. `projections`: by name,
    functions that fold an entry into a state. `harness`: makes the chain's side from the run's random generator.
    `engine`: makes the engine of a process from its store and its clock.
    """

    steps: int
    faults: str | Iterable[str]
    policies: Sequence[Tariff]
    plans: Sequence[CreatePlan]
    projections: Mapping[str, Projection]
    harness: Callable[[Random], Harness]
    engine: Engine


def simulate(seed: int, **options: Unpack[Options]) -> SimulationReport:
    """Make one run. The same seed and options give the same run on any machine.

    Raises SimulationFailed where a law does not hold; BadData for an unknown fault or policy, and PaymentRequired for a
    plan that a ledger refuses.
    """
    steps = options.get("steps", STEPS)
    chosen = _chosen(options)
    world = World(
        seed,
        faults=chosen,
        harness=options.get("harness", mock_market),
        engine=options.get("engine", Ledger),
        projections=options.get("projections", {}),
    )
    try:
        harness = world.market.harness
        given = [*options.get("plans", ())]
        tariffs = options.get("policies", ())
        plans = [*given, *(drawn(world.random, tariffs, harness.asset, harness.plans) if tariffs or not given else ())]
        with _only(Violated, PaymentRequired):
            world.begin(plans)
        with _only(Violated):
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
            trace=[_line(*traced) for traced in world.trace],
            command=_command(seed, min(steps, world.steps), chosen, options),
        ) from violated
    finally:
        world.market.close()


@contextmanager
def _only(*known: type[Exception]) -> Iterator[None]:
    """Turn any other exception into Violated."""
    try:
        yield
    except known:
        raise
    except Exception as error:
        raise Violated(DECLARED_ERRORS_ONLY, traceback.format_exc()) from error


def repeated(seed: int, **options: Unpack[Options]) -> SimulationReport:
    """Make one run twice. Raises SimulationFailed as `simulate` does, and where the second has another report."""
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
    """Make one run for each seed and yield its report; make the first one twice, and compare.

    Raises SimulationFailed at the first run that fails: in its shortest form, unless `shrink` is False.
    """
    for run, seed in enumerate(seeds):
        try:
            yield simulate(seed, **options) if run else repeated(seed, **options)
        except SimulationFailed as failed:
            raise (shortest(failed, **options) if shrink else failed) from None


def shortest(failed: SimulationFailed, **options: Unpack[Options]) -> SimulationFailed:
    """Return a failure of the same law by the same seed, with no more steps, and only the kinds of faults it needs."""
    needed: frozenset[str] | None = None
    while failed.faults != needed:  # without one kind, another may become unnecessary
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


def _line(step: int, subject: str, action: str, result: object) -> str:
    line = f"{step}: {subject} {action} {result}".rstrip()
    return line if len(line) <= _MAX_LINE_LENGTH else f"{line[:_MAX_LINE_LENGTH]}…"


def _command(seed: int, steps: int, chosen: frozenset[str], options: Options) -> str:
    """Return the command line that repeats a run; the Python call where it had options that are Python objects."""
    named = ",".join(kind for kind in kinds.KINDS if kind in chosen) or "none"
    faults = "all" if len(chosen) == len(kinds.KINDS) else named
    others = sorted(set(options) - {"steps", "faults", "policies"})
    if others:
        given = [f"{name}=…" for name in ("policies", *others) if name in options]
        words = [f"steps={steps}", f"faults={faults!r}", *given]
        return f"simulate({', '.join([str(seed), *words])})"
    policies = [word for tariff in options.get("policies", ()) for word in ("--policy", _notation_of(tariff))]
    return shlex.join(
        ["tollbook", "simulate", "--seed", str(seed), "--steps", str(steps), "--faults", faults, *policies]
    )


def _notation_of(tariff: Tariff) -> str:
    if isinstance(tariff, str):
        return tariff
    name, parameters = tariff
    try:
        return notation(name, parameters)
    except ValueError:
        return f"{name}:@FILE.json"
