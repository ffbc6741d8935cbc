"""`tollbook settle`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ledger import Ledger
from ledger.amounts import money_text
from ledger.readings import Earned
from replay.batch_history import BatchRecord
from replay.reports.money import Money, money_now

from ... import answers, answers_settlement
from ...logs import lock_seconds, opened
from ...settle.run import SettlementRun, pauses
from ...settle.target import check_writable, chosen
from .. import render, settlement_tables
from ..errors import BAD_ANSWER, DONE, UNKNOWN, write_warning
from ..options import Hashes, Json, Log
from ..progress import progress

_Chain = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The chain's CAIP-2 name; mock is mock:local. Without it: the chain of LOG's escrow, else mock:local.",
        show_default=False,
    ),
]
_Asset = Annotated[str | None, typer.Option(metavar="A", help="Open a batch of this asset only.", show_default=False)]
_Contract = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="A contract of the chain that LOG does not know yet.", show_default=False),
]
_Wait = Annotated[int, typer.Option(metavar="SECONDS", min=0, help="Wait for the chain at most this long.")]
_Adopt = Annotated[bool, typer.Option("--adopt", help="First import the batches that the chain has and LOG lacks.")]


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
    """Pay out earned money on a chain, exactly once.

    \b
    Examples:
      tollbook settle LOG
      tollbook settle LOG --asset USD --wait 300 --json
      tollbook settle LOG --chain mock:local --adopt
      tollbook settle LOG --chain eip155:8453 --contract 0x…

    What the chain has seen (purchases, exits) is imported into LOG, and open batches are finished. What was earned
    since the last batch is netted into one batch per asset: a payout for each receiver, a leaf for each account, one
    root over the leaves. The batch is written into LOG before anything is signed, and the signed transaction before it
    is sent. After an interruption or a crash, run it again: it reads the chain first, then continues.

    Without --chain it is the one chain on which LOG has money in escrow, else mock:local. The mock chain of LOG is the
    file LOG.mock beside it, with the contract tollbook; for another contract it is LOG.CONTRACT.mock. A lost file is
    never replaced by a new one while LOG has money in it.

    On an EVM chain (eip155:…) the node's URL and the operator's key come from the environment: TOLLBOOK_EVM_URL, and
    TOLLBOOK_EVM_KEY or TOLLBOOK_EVM_KEYSTORE. The first time, --contract names the contract that sells LOG's plans.
    Leaf files are published in LOG.leaves, or where TOLLBOOK_EVM_LEAVES says. `tollbook chain` runs, deploys and
    inspects such chains.

    While another process holds LOG's lock this waits 30 seconds, or as many as TOLLBOOK_LOCK_SECONDS says.

    A LOG that was restored from a backup may lack batches that the chain has. Nothing is settled then until --adopt
    imports them from the leaf files that were published with them.

    Exit codes: 0 done, or nothing to settle; 1 a batch failed (its payouts are in the next one); 2 it could not run; 3
    a batch is still open: run it again.
    """
    with opened(log, warn=False):  # opening it to be written warns too
        check_writable(log)  # and would create a log that does not exist
    with progress(quiet=json) as report, Ledger.open(log, lock_seconds=lock_seconds()) as ledger:
        begun, before = ledger.head, ledger.earned()
        name = chosen(ledger, log, chain, contract)
        run = SettlementRun(ledger, log, name, contract, warn=lambda message, hint: write_warning(message, hint, json))
        run.settle(asset, adopt, pauses(wait, report))
        met = run.batches
        ran_out = _earned_by_time(ledger.as_of(seq=begun.seq).earned(), before) if met and not json else []
        money, end = money_now(ledger)
    if json:
        render.json(answers_settlement.settle_answer(log, name, met, money))
        return _exit_code(met)
    _show(log, name, met, money, end, hashes)
    if ran_out:
        _show_earned_by_time(ran_out, begun.at, end)
    return _exit_code(met)


def _exit_code(met: list[BatchRecord]) -> int:
    states = {batch.state for batch in met}
    if states - {"confirmed", "failed"}:
        return UNKNOWN
    return BAD_ANSWER if "failed" in states else DONE


def _show(log: Path, chain: str, met: list[BatchRecord], money: list[Money], end: int, hashes: bool) -> None:
    path = answers.path_text(log)
    render.line(f"{path} on {chain}" if met else f"{path} on {chain}: nothing to settle")
    settlement_tables.show_money(money, end)
    settlement_tables.show_elsewhere(money, chain)
    if met:
        render.line()
        decimals = {each.asset: each.asset_decimals for each in money}
        settlement_tables.show_batches(met, "batches of this run", decimals, hashes)
    if still := [str(batch.number) for batch in met if batch.ended is None]:
        render.line()
        render.line(f"batch {', '.join(still)} has not ended yet: run this again")


def _earned_by_time(then: list[Earned], now: list[Earned]) -> list[str]:
    """Return the money that time alone has earned between two readings of the same events, by asset."""
    before = {reading.asset: reading.earned for reading in then}
    gains = ((reading, reading.earned - before.get(reading.asset, 0)) for reading in now)
    return [money_text(gain, reading.asset, reading.asset_decimals) for reading, gain in gains if gain > 0]


def _show_earned_by_time(gains: list[str], begun: int, end: int) -> None:
    amounts = " and ".join(gains)
    since = f"{settlement_tables.seconds_text(begun)}, {settlement_tables.span(end - begun)} before this run"
    render.line()
    render.line(f"{amounts} was earned by time alone since the log's last entry ({since}):")
    render.line("windows ran on, and credits lapsed")
