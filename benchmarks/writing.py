"""Durable charges: alone, in batches, by many concurrent callers, on one hot account, with requests, with keys."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from ledger import AsyncLedger, Charge, Ledger

from .bare import ENCODE, GROUPS, SQLITE, STRUCTS, SYNC, batching, committing, encoding, grouping, shares, syncing
from .figures import Aim, Comparison
from .peers import eventsourced, postgres
from .rounds import Contender, Trial
from .workload import Load, came_to, chain_of, digest, seq_of, writer
from .workshop import Workshop

SUBJECT = "tollbook"
FEW, MANY = 10, 1_000
"""Numbers of concurrent callers."""


def comparisons(workshop: Workshop) -> list[Comparison]:
    """Return all figures of writing."""
    return [*_alone(workshop), *_batches(workshop), *_crowds(workshop), *_hot(workshop), *_pairs(workshop)]


def _alone(workshop: Workshop) -> list[Comparison]:
    size = workshop.size
    load = Load(size.accounts, 1, size.singles)
    aim = Aim(SQLITE, 1 / 1.3, "at most 1.3 times a bare SQLite commit")
    peers = (eventsourced.charging(load), postgres.charging(workshop, load, 1))
    keyed = Load(size.accounts, 1, size.singles, keyed=True)
    return [
        _comparison(workshop, "write.single", "one durable charge", load, [SQLITE, SYNC], peers, aim),
        _comparison(workshop, "write.single.keyed", "one durable charge with a key", keyed, [SQLITE]),
    ]


def _batches(workshop: Workshop) -> list[Comparison]:
    size = workshop.size
    _, few, some, most = size.batches
    largest = Load(size.accounts, most, 2)
    aims = (
        Aim(STRUCTS, 1 / 3, "a third of the floor of the same bytes"),
        Aim(eventsourced.NAME, 6, "6 times eventsourcing"),
    )
    every = [STRUCTS, SQLITE, SYNC, ENCODE]
    return [
        _batch(workshop, Load(size.accounts, few, size.charges // few), [STRUCTS, SQLITE]),
        _batch(workshop, (load := Load(size.accounts, some, size.charges // some)), every, _peers(workshop, load)),
        _batch(workshop, largest, every, _peers(workshop, largest), *aims),
        _batch(workshop, Load(size.accounts, most, 2, keyed=True), [STRUCTS, SQLITE]),
    ]


def _batch(
    workshop: Workshop, load: Load, beside: Sequence[str], peers: Sequence[Contender] = (), *aims: Aim
) -> Comparison:
    name = f"write.batch.{load.batch}{'.keyed' if load.keyed else ''}"
    title = f"a charge{' with a key' if load.keyed else ''}, {load.batch:,} a batch"
    return _comparison(workshop, name, title, load, beside, peers, *aims)


def _peers(workshop: Workshop, load: Load) -> tuple[Contender, Contender]:
    return eventsourced.charging(load), postgres.charging_sets(workshop, load)


def _crowds(workshop: Workshop) -> list[Comparison]:
    size = workshop.size
    few, many = FEW, min(MANY, size.charges)
    aim = Aim(GROUPS, 1 / 3, "a third of the asyncio floor")
    found = []
    for callers, each in ((few, size.few), (many, size.many)):
        load = Load(size.accounts, callers, each)
        found.append(_crowd(workshop, "asyncio", callers, load, () if callers == few else (aim,)))
        found.append(_crowd(workshop, "threads", callers, load))
    keyed = Load(size.accounts, many, size.many, keyed=True)
    return [*found, _crowd(workshop, "asyncio", many, keyed)]


def _crowd(workshop: Workshop, kind: str, callers: int, load: Load, aims: Sequence[Aim] = ()) -> Comparison:
    """Single charges by that many concurrent callers, each waiting for its answer before it charges again."""
    what = "hold and charge" if load.held else "charges on one hot account" if load.hot else "single charges"
    words = f"{what}{' with keys' if load.keyed else ''}, {callers:,} {'tasks' if kind == 'asyncio' else kind} at once"
    kept = [word for word, holds in (("pairs", load.held), ("keyed", load.keyed), ("hot", load.hot)) if holds]
    name = ".".join(("write", kind, str(callers), *kept))
    subject = _ledger(workshop, load, (_tasks if kind == "asyncio" else _threads)(callers))
    others = [committing(workshop, load) if load.held else grouping(workshop, load, callers)]
    if callers == FEW:
        others.append(postgres.charging(workshop, load, callers))
    unit = "pair" if load.held else "charge"
    return Comparison(name, words, unit, load.charges, subject, tuple(others), tuple(aims))


def _hot(workshop: Workshop) -> list[Comparison]:
    size = workshop.size
    load = Load(size.accounts, size.batches[-1], 2, hot=True)
    callers = min(MANY, size.charges)
    crowd = Load(size.accounts, callers, size.many, hot=True)
    title = f"a charge on one hot account, {size.batches[-1]:,} a batch"
    few = Load(size.accounts, FEW, size.few, hot=True)
    return [
        _comparison(workshop, "write.hot", title, load, [STRUCTS], _peers(workshop, load)),
        _crowd(workshop, "asyncio", FEW, few),
        _crowd(workshop, "asyncio", callers, crowd),
    ]


def _pairs(workshop: Workshop) -> list[Comparison]:
    size = workshop.size
    single = Load(size.accounts, 1, size.singles // 2, held=True)
    batch = Load(size.accounts, size.batches[-1], 1, held=True)
    callers = min(MANY, size.charges)
    crowd = Load(size.accounts, callers, max(1, size.many // 2), held=True)
    title = f"hold and charge, {size.batches[-1]:,} a batch"
    return [
        _comparison(workshop, "write.pairs.single", "hold and charge, one by one", single, [SQLITE]),
        _comparison(workshop, "write.pairs.batch", title, batch, [STRUCTS, SQLITE]),
        _crowd(workshop, "asyncio", callers, crowd),
    ]


def _comparison(
    workshop: Workshop,
    name: str,
    title: str,
    load: Load,
    beside: Sequence[str],
    peers: Sequence[Contender] = (),
    *aims: Aim,
) -> Comparison:
    made = {SYNC: syncing, SQLITE: committing, ENCODE: encoding, STRUCTS: batching}
    others = (*(made[each](workshop, load) for each in beside), *peers)
    unit = "pair" if load.held else "charge"
    return Comparison(name, title, unit, load.charges, _ledger(workshop, load), others, aims)


# -- the subject -------------------------------------------------------------------------------------------------------


def _ledger(workshop: Workshop, load: Load, work: Callable[[Ledger, Load], Callable[[], None]] = writer) -> Contender:
    @contextmanager
    def prepare(folder: Path) -> Iterator[Trial]:
        with workshop.shop(folder, load.accounts) as ledger:
            begun = ledger.head.seq

            def answer() -> tuple[str, str, int]:
                whole = "whole" if chain_of(folder / "shop.db") == ledger.head.hash.hex() else "broken"
                return came_to(ledger), whole, ledger.head.seq - begun

            yield Trial(work(ledger, load), answer)

    events = load.charges * (2 if load.held else 1)
    return Contender(SUBJECT, prepare, lambda: (digest(load.spent()), "whole", events))


def _tasks(callers: int) -> Callable[[Ledger, Load], Callable[[], None]]:
    def work(ledger: Ledger, load: Load) -> Callable[[], None]:
        direct = None if load.held else [[load.direct(n) for n in numbers] for numbers in shares(load, callers)]
        return lambda: asyncio.run(_run_tasks(ledger, load, direct, callers))

    return work


async def _run_tasks(ledger: Ledger, load: Load, direct: list[list[Charge]] | None, callers: int) -> None:
    shared = AsyncLedger(ledger)

    async def charge(charges: Sequence[Charge]) -> None:
        for each in charges:
            await shared.execute(each)

    async def hold_and_charge(numbers: Sequence[int]) -> None:
        for number in numbers:
            answer = await shared.execute(load.hold(number))
            await shared.execute(load.final(number, seq_of(answer)))

    if direct is not None:
        await asyncio.gather(*(charge(charges) for charges in direct))
    else:
        await asyncio.gather(*(hold_and_charge(numbers) for numbers in shares(load, callers)))


def _threads(callers: int) -> Callable[[Ledger, Load], Callable[[], None]]:
    def work(ledger: Ledger, load: Load) -> Callable[[], None]:
        direct = [[load.direct(n) for n in numbers] for numbers in shares(load, callers)]

        def charge(charges: Sequence[Charge]) -> None:
            for each in charges:
                ledger.execute(each)

        def run() -> None:
            with ThreadPoolExecutor(callers) as pool:
                list(pool.map(charge, direct))

        return run

    return work
