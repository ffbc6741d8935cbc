"""`tollbook statement`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import AsOf, Json, Log, Plan, Subscriber

if TYPE_CHECKING:
    from ledger.plugins import Store
    from ledger.statements import Amounts, Statement

    from ...settle.proofs import Proven

_From = Annotated[
    str | None,
    typer.Option("--from", metavar="MOMENT", help="Only what comes after this moment.", show_default=False),
]
_Proof = Annotated[
    int | None,
    typer.Option("--proof", metavar="BATCH", min=1, help="Prove its leaf in this batch.", show_default=False),
]


def statement(
    log: Log,
    subscriber: Subscriber,
    plan: Plan,
    as_of: AsOf = None,
    begin: _From = None,
    proof: _Proof = None,
    json: Json = False,
) -> None:
    """Every movement of one account, with running balances: opening + changes = closing.

    \b
    Examples:
      tollbook statement LOG --subscriber alice --plan pro
      tollbook statement LOG --subscriber alice --plan pro --as-of 1200 --json
      tollbook statement LOG --subscriber alice --plan pro --from 2023-11-16T18:00:00Z --as-of 2023-11-16T19:00:00Z
      tollbook statement LOG --subscriber alice --plan pro --proof 1

    It opens with what a statement up to --from closes with. A line without a sequence is what time has done and
    nothing has written yet.

    With --proof it also has the account's leaf in a batch (what it was charged and credited in all, in money, when the
    batch was opened) and the hashes that lead from there to the batch's root, which the chain has. That proves what
    the operator committed to; that the counters are right follows from the lines above. `tollbook batches LOG` lists
    the batches. A batch that is not there, or has no leaf of the account, exits 2.
    """
    from ... import answers
    from ...logs import opened, statement_of
    from .. import render

    with opened(log) as store:
        now, found = statement_of(store, subscriber, plan, as_of, begin)
        subscriber = found.subscriber
        decimals = next(each.decimals for each in now.balances(subscriber, plan))
        proven = None if proof is None else _proven(store, proof, subscriber, plan)
    answer = answers.statement(log, now, found, None if proven is None else proven.shape())
    if json:
        render.json(answer)
        return
    title = f"{subscriber} on {plan}, account {found.account}, as of {now.seq}, {answer['as_of']['at']}"
    columns = ("seq", "at", "what", ">available", ">held", ">spent", ">available after", ">held after")
    render.table(columns, _rows(found, [line["at"] for line in answer["lines"]], decimals), title)
    if found.unpriced:
        units = ", ".join(f"{units} {name}" for name, units in sorted(found.unpriced.items()))
        render.line(f"no price for {units}")
    if proven is not None:
        proven.show(log)


def _proven(store: Store, batch: int, subscriber: str, plan: str) -> Proven:
    from ...settle.proofs import proven

    return proven(store, batch, subscriber, plan)


def _rows(found: Statement, times: list[str], decimals: int) -> Iterator[tuple[object, ...]]:
    from ..render import amount
    from ..settlement_tables import short

    def after(balance: Amounts) -> tuple[str, str]:
        return amount(balance.available, decimals), amount(balance.held, decimals)

    yield ("", "", "opening", "", "", "", *after(found.opening))
    for line, at in zip(found.lines, times, strict=True):
        change = (amount(part, decimals, True) for part in (line.change.available, line.change.held, line.change.spent))
        yield (line.seq or "", at, short(line.text), *change, *after(line.balance))
    yield ("", "", "closing", "", "", "", *after(found.closing))
