"""`tollbook batches`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..options import Hashes, Json, Log

if TYPE_CHECKING:
    from replay.reports.batches import BatchTold

_Chain = Annotated[
    str | None, typer.Option(metavar="NAME", help="Only those on this chain; mock is mock:local.", show_default=False)
]
_Limit = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Only the last so many: 20 in text, all in JSON.", show_default=False),
]

MAX_SHOWN = 20


def batches(
    log: Log,
    chain: _Chain = None,
    limit: _Limit = None,
    hashes: Hashes = False,
    json: Json = False,
) -> None:
    """What is settled and outstanding, and the batches of a log in the order in which they were opened.

    \b
    Examples:
      tollbook batches LOG
      tollbook batches LOG --chain mock:local --limit 5 --hashes
      tollbook batches LOG --json

    A batch is opened, submitted, committed (the chain has it), and confirmed (paid out, and final) or failed (its
    payouts are in the next one); unknown is one whose answer did not come. `tollbook settle LOG` brings it on. A number
    that never got to the chain is given out again, so it may stand here twice.

    earned = settled + outstanding. What is outstanding is not paid yet, or not paid for: lots without funding earn too.
    """
    from ledger.folding import books_at
    from replay.reports import batches, money

    from ... import answers_settlement
    from ...logs import opened
    from .. import render

    with opened(log) as store:
        history = batches.History(store)
        books = books_at(store, seq=history.upto)
        earned = money.money_of(store, books)
    told = _on(history.batches.told, chain)
    if json:
        render.json(answers_settlement.batches_answer(log, told if limit is None else told[-limit:], earned))
        return
    from ... import answers
    from .. import settlement_tables

    path = answers.path_text(log)
    render.line(path)
    settlement_tables.show_money(earned, books.at)
    settlement_tables.show_elsewhere(earned, None)
    render.line()
    if not told:
        render.line("no batch was opened yet")
        return
    shown = told[-(limit or MAX_SHOWN) :]
    title = "batches" if len(shown) == len(told) else f"the last {len(shown)} of {len(told)} batches"
    settlement_tables.show_batches(shown, title, hashes)
    if len(shown) < len(told):
        render.line(f"--limit {len(told)} shows them all")


def _on(told: list[BatchTold], chain: str | None) -> list[BatchTold]:
    """Those on one chain. Raises NotFound where there are none."""
    from ledger.errors import NotFound

    from ...settle.target import chain_name

    if chain is None:
        return told
    known = {each.chain for each in told}
    name = chain_name(chain, known)
    found = [each for each in told if each.chain == name]
    if not found:
        there = ", ".join(sorted(known))
        hint = f"there are batches on {there}" if there else "`tollbook settle LOG` opens the first one"
        raise NotFound(f"no batch is on {name}", hint)
    return found
