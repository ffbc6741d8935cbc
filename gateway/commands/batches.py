"""`tollbook batches`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..options import Json, Log

if TYPE_CHECKING:
    from ..settling import BatchTold

_Chain = Annotated[
    str | None, typer.Option(metavar="NAME", help="Only those on this chain; mock is mock:local.", show_default=False)
]


def batches(log: Log, chain: _Chain = None, json: Json = False) -> None:
    """All batches of a log in the order in which they were opened, and what is settled and outstanding.

    \b
    Examples:
      tollbook batches LOG
      tollbook batches LOG --chain mock:local
      tollbook batches LOG --json

    A batch is opened, submitted, committed (the chain has it), and confirmed (paid out, and final) or failed (its
    payouts are in the next one); unknown is one whose answer did not come. `tollbook settle LOG` brings it on. A number
    that never got to the chain is given out again, so it may stand here twice.

    earned = settled + outstanding. What is outstanding is not paid yet, or not paid for: lots without funding earn too.
    """
    from ledger.folding import books_at

    from .. import render, settling, shapes
    from ..reading import opened

    with opened(log) as store:
        history = settling.History(store)
        books = books_at(store, seq=history.upto)
        money = settling.money_of(store, books)
    told = _on(history.batches.told, chain)
    if json:
        render.json(settling.batches_answer(log, told, money))
        return
    path = shapes.path_text(log)
    if told:
        settling.show_batches(told, path)
    else:
        render.line(f"{path}: no batch was opened yet")
    settling.show_money(money, books.at)


def _on(told: list[BatchTold], chain: str | None) -> list[BatchTold]:
    """Those on one chain. Raises NotFound where there are none."""
    from ledger.errors import NotFound

    from ..settling import chain_name

    if chain is None:
        return told
    found = [each for each in told if each.chain == chain_name(chain)]
    if not found:
        there = ", ".join(sorted({each.chain for each in told}))
        hint = f"there are batches on {there}" if there else "`tollbook settle LOG` opens the first one"
        raise NotFound(f"no batch is on {chain_name(chain)}", hint)
    return found
