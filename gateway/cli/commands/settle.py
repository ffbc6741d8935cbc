"""`tollbook settle`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import Hashes, Json, Log

if TYPE_CHECKING:
    from ledger.readings import Earned
    from replay.reports.batches import BatchTold
    from replay.reports.money import Money

_Chain = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The chain's CAIP-2 name; mock is mock:local. Without it: the one that has LOG's escrow, else mock:local.",
        show_default=False,
    ),
]
_Asset = Annotated[str | None, typer.Option(metavar="A", help="Open a batch of this one only.", show_default=False)]
_Contract = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="A contract of the chain that LOG knows nothing of yet.", show_default=False),
]
_Wait = Annotated[int, typer.Option(metavar="SECONDS", min=0, help="Wait for the chain at most so long.")]
_Adopt = Annotated[bool, typer.Option("--adopt", help="First take in the batches that the chain has and LOG lacks.")]


def settle(
    log: Log,
    chain: _Chain = None,
    contract: _Contract = None,
    asset: _Asset = None,
    wait: _Wait = 60,
    adopt: _Adopt = False,
    hashes: Hashes = False,
    json: Json = False,
) -> int:
    """Pay out what was earned since the last time, exactly once, however often this is run or interrupted.

    \b
    Examples:
      tollbook settle LOG
      tollbook settle LOG --asset USD --wait 300 --json
      tollbook settle LOG --chain mock:local --adopt
      tollbook settle LOG --chain eip155:8453 --contract 0x…

    What the chain has seen (purchases, exits) is taken into LOG, and batches that are still open are finished. Then
    what was earned since is netted into one batch an asset: a payout for each receiver, a leaf for each account, one
    root over the leaves. The batch is written into LOG before anything is signed, and what was signed before it is
    sent. So wherever it stops, run it again: it reads the chain first, and goes on from there.

    Without --chain it is the one chain on which LOG has money in escrow, else mock:local. The mock chain of LOG lives
    in LOG.mock, beside it, with the contract tollbook; where purchases in LOG name another contract, that one's lives
    in LOG.CONTRACT.mock. A file that is lost is never made anew where LOG has money in it.

    On an EVM chain (eip155:…) the node's URL and the operator's key come from the environment: TOLLBOOK_EVM_URL, and
    TOLLBOOK_EVM_KEY or TOLLBOOK_EVM_KEYSTORE. The first time --contract names the contract that sells LOG's plans.
    Leaf files are published in LOG.leaves, or where TOLLBOOK_EVM_LEAVES says. `tollbook chain` starts, deploys and
    shows such chains.

    A LOG that was restored from a backup may lack batches that the chain has. Nothing is settled then, until --adopt
    takes them in from the leaf files that were published with them.

    Exits 0 where all is done or nothing is to be settled; 1 where a batch failed (its payouts are in the next one); 3
    where one is still open, so that this must be run again; 2 where it could not be done.
    """
    from ledger import Ledger

    from ... import answers_settlement
    from ...logs import opened
    from ...settle.run import Run, pauses
    from ...settle.target import check_writable, chosen
    from .. import render
    from ..progress import progress

    with opened(log, warn=False):  # it is opened again to be written, which says what is wrong with it
        check_writable(log)  # and this makes no log, and turns no empty file into one
    with progress(quiet=json) as told, Ledger.open(log) as ledger:
        begun, before = ledger.head, ledger.earned()
        name = chosen(ledger, log, chain, contract)
        run = Run(ledger, log, name, contract, as_json=json)
        run.settle(asset, adopt, pauses(wait, told))
        met = run.batches
        ran_out = _ran_out(ledger.as_of(seq=begun.seq).earned(), before) if met and not json else []
    money, end = _money(log)
    if json:
        render.json(answers_settlement.settle_answer(log, name, met, money))
        return _exit_code(met)
    _show(log, name, met, money, end, hashes)
    if ran_out:
        _show_ran_out(ran_out, begun.at, end)
    return _exit_code(met)


def _exit_code(met: list[BatchTold]) -> int:
    from ..errors import BAD_ANSWER, DONE, UNKNOWN

    states = {batch.state for batch in met}
    if states - {"confirmed", "failed"}:
        return UNKNOWN
    return BAD_ANSWER if "failed" in states else DONE


def _money(log: Path) -> tuple[list[Money], int]:
    """The money as the log has it now, and the time of its last entry."""
    from ledger.folding import books_at
    from replay.reports.money import money_of

    from ...logs import opened

    with opened(log) as store:
        books = books_at(store)
        return money_of(store, books), books.at


def _show(log: Path, chain: str, met: list[BatchTold], money: list[Money], end: int, hashes: bool) -> None:
    from ... import answers
    from .. import render, settlement_tables

    path = answers.path_text(log)
    render.line(f"{path} on {chain}" if met else f"{path} on {chain}: nothing to settle")
    settlement_tables.show_money(money, end)
    settlement_tables.show_elsewhere(money, chain)
    if met:
        render.line()
        settlement_tables.show_batches(met, "batches of this run", hashes)
    if still := [str(batch.number) for batch in met if batch.ended is None]:
        render.line()
        render.line(f"batch {', '.join(still)} has not ended yet: run this again")


def _ran_out(then: list[Earned], now: list[Earned]) -> list[tuple[str, int]]:
    """What time alone has earned between two readings of the same events, by asset."""
    before = {each.asset: each.earned for each in then}
    gains = ((each.asset, each.earned - before.get(each.asset, 0)) for each in now)
    return [(asset, gain) for asset, gain in gains if gain > 0]


def _show_ran_out(gains: list[tuple[str, int]], begun: int, end: int) -> None:
    from .. import render
    from ..settlement_tables import seconds_text, span

    amounts = " and ".join(f"{render.amount(gain)} {asset}" for asset, gain in gains)
    since = f"{seconds_text(begun)}, {span(end - begun)} before this run"
    render.line()
    render.line(f"{amounts} was earned by time alone since the log's last entry ({since}):")
    render.line("windows ran on, and credits lapsed")
