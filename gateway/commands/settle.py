"""`tollbook settle`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import Json, Log

if TYPE_CHECKING:
    from ..settling import BatchTold

_Chain = Annotated[str, typer.Option(metavar="NAME", help="The chain's CAIP-2 name; mock alone is mock:local.")]
_Asset = Annotated[str | None, typer.Option(metavar="A", help="Open a batch of this one only.", show_default=False)]
_Wait = Annotated[int, typer.Option(metavar="SECONDS", min=0, help="Wait for the chain at most so long.")]
_Adopt = Annotated[bool, typer.Option("--adopt", help="First take in the batches that the chain has and LOG lacks.")]


def settle(
    log: Log,
    chain: _Chain = "mock:local",
    asset: _Asset = None,
    wait: _Wait = 60,
    adopt: _Adopt = False,
    json: Json = False,
) -> int:
    """Pay out what was earned since the last time, exactly once, however often this is run or interrupted.

    \b
    Examples:
      tollbook settle LOG
      tollbook settle LOG --asset USD --wait 300 --json
      tollbook settle LOG --chain mock:local --adopt

    What the chain has seen (purchases, exits) is taken into LOG, and batches that are still open are finished. Then
    what was earned since is netted into one batch an asset: a payout for each receiver, a leaf for each account, one
    root over the leaves. The batch is written into LOG before anything is signed, and what was signed before it is
    sent. So wherever it stops, run it again: it reads the chain first, and goes on from there.

    The mock chain of LOG lives in LOG.mock, beside it, with the contract tollbook; where purchases in LOG name another
    contract, that one's lives in LOG.CONTRACT.mock.

    A LOG that was restored from a backup may lack batches that the chain has. Nothing is settled then, until --adopt
    takes them in from the leaf files that were published with them.

    Exits 0 where all is done or nothing is to be settled; 1 where a batch failed (its payouts are in the next one); 3
    where one is still open, so that this must be run again; 2 where it could not be done.
    """
    from ledger import Ledger

    from .. import render, settling
    from ..progress import progress
    from ..reading import opened
    from ..settlement import Run, pauses

    name = settling.chain_name(chain)
    plugin = settling.plugin_of(name)
    with opened(log):
        pass  # so that this makes no log, and turns no empty file into one
    with progress(quiet=json) as told, Ledger.open(log) as ledger:
        run = Run(ledger, log, name, plugin, as_json=json)
        run.settle(asset, adopt, pauses(wait, told))
        met = run.batches
    if json:
        render.json(settling.settle_answer(log, name, met))
    else:
        _show(log, name, met)
    return _exit_code(met)


def _exit_code(met: list[BatchTold]) -> int:
    from ..errors import BAD_ANSWER, DONE, UNKNOWN

    states = {batch.state for batch in met}
    if states - {"confirmed", "failed"}:
        return UNKNOWN
    return BAD_ANSWER if "failed" in states else DONE


def _show(log: Path, chain: str, met: list[BatchTold]) -> None:
    from ledger.folding import books_at

    from .. import render, settling, shapes
    from ..reading import opened

    path = shapes.path_text(log)
    if met:
        settling.show_batches(met, f"{path} on {chain}")
    else:
        render.line(f"{path} on {chain}: nothing to settle")
    with opened(log) as store:
        books = books_at(store)
        settling.show_money(settling.money_of(store, books), books.at)
    if still := [str(batch.number) for batch in met if batch.ended is None]:
        render.line()
        render.line(f"batch {', '.join(still)} has not ended yet: run this again")
