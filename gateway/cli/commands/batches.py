"""`tollbook batches`."""

from __future__ import annotations

from typing import Annotated

import typer

from ledger.errors import NotFound
from ledger.folding import books_at
from replay.batch_history import BatchRecord
from replay.reports.batches import StoredBatches
from replay.reports.money import money_of

from ... import answers, answers_settlement
from ...logs import opened
from ...settle.target import chain_name
from .. import render, settlement_tables
from ..options import Hashes, Json, Log

_Chain = Annotated[
    str | None, typer.Option(metavar="NAME", help="Only those on this chain; mock is mock:local.", show_default=False)
]
_Limit = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Only the last N. Without it: 20 in text, all in JSON.", show_default=False),
]

MAX_SHOWN = 20


def batches(
    log: Log,
    chain: _Chain = None,
    limit: _Limit = None,
    hashes: Hashes = False,
    json: Json = False,
) -> None:
    """List settlement batches, and the money settled and outstanding.

    \b
    Examples:
      tollbook batches LOG
      tollbook batches LOG --chain mock:local --limit 5 --hashes
      tollbook batches LOG --json

    Batches are in the order in which they were opened. A batch is opened, submitted, committed (the chain has it), then
    confirmed (paid out, and final) or failed (its payouts are in the next batch). The outcome of an unknown batch is
    not known yet: `tollbook settle LOG` asks the chain. A number that never reached the chain is given out again, so it
    may be listed twice.

    Money is as of the log's last event; `ledger.earned()` in Python is of now, when a window of time has earned more.
    earned = settled + outstanding. Outstanding is what is not paid out yet, and what was earned from purchases and
    paid invoices without funding, which no batch pays out. What is owed on invoices is not earned before it is paid:
    `tollbook invoices LOG` lists it.

    Exit codes: 0 done; 2 could not run.
    """
    with opened(log) as store:
        history = StoredBatches(store)
        books = books_at(store, seq=history.upto)
        earned = money_of(store.read, books)
    selected = _on_chain(history.batches, chain)
    if json:
        shown = selected if limit is None else selected[-limit:]
        render.json(answers_settlement.batches_answer(log, shown, earned))
        return
    render.line(answers.path_text(log))
    settlement_tables.show_money(earned, books.at)
    settlement_tables.show_elsewhere(earned, None)
    render.line()
    if not selected:
        render.line("no batch was opened yet")
        return
    shown = selected[-(limit or MAX_SHOWN) :]
    title = "batches" if len(shown) == len(selected) else f"the last {len(shown)} of {len(selected)} batches"
    settlement_tables.show_batches(shown, title, books.assets, hashes)
    if len(shown) < len(selected):
        render.line(f"--limit {len(selected)} shows them all")


def _on_chain(history: list[BatchRecord], chain: str | None) -> list[BatchRecord]:
    """Return the batches on one chain; all of them without `chain`. Raises NotFound if there are none."""
    if chain is None:
        return history
    known = {batch.chain for batch in history}
    name = chain_name(chain, known)
    selected = [batch for batch in history if batch.chain == name]
    if not selected:
        there = ", ".join(sorted(known))
        hint = f"there are batches on {there}" if there else "`tollbook settle LOG` opens the first one"
        raise NotFound(f"no batch is on {name}", hint)
    return selected
