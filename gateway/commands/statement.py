"""`tollbook statement`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import AsOf, Json, Log, Plan, Subscriber

if TYPE_CHECKING:
    from ledger.statements import Amounts, Statement

_From = Annotated[
    str | None,
    typer.Option("--from", metavar="MOMENT", help="Only what comes after this moment.", show_default=False),
]
_Proof = Annotated[
    int | None,
    typer.Option("--proof", metavar="BATCH", help="Prove it against a settled batch.", show_default=False),
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

    It opens with what a statement up to --from closes with. A line without a sequence is what time has done and
    nothing has written yet.
    """
    from .. import render, shapes
    from ..errors import Usage
    from ..reading import opened, statement_of

    if proof is not None:
        raise Usage("this release settles nothing yet, so there is no batch to prove against", "leave --proof out")
    with opened(log) as store:
        now, found = statement_of(store, subscriber, plan, as_of, begin)
        decimals = next(each.decimals for each in now.balances(subscriber, plan))
    answer = shapes.statement(log, now, found)
    if json:
        render.json(answer)
        return
    title = f"{subscriber} on {plan}, account {found.account}, as of {now.seq}, {answer['as_of']['at']}"
    columns = ("seq", "at", "what", ">available", ">held", ">spent", ">available after", ">held after")
    render.table(columns, _rows(found, [line["at"] for line in answer["lines"]], decimals), title)


def _rows(found: Statement, times: list[str], decimals: int) -> Iterator[tuple[object, ...]]:
    from ..render import amount

    def after(balance: Amounts) -> tuple[str, str]:
        return amount(balance.available, decimals), amount(balance.held, decimals)

    yield ("", "", "opening", "", "", "", *after(found.opening))
    for line, at in zip(found.lines, times, strict=True):
        change = (amount(part, decimals, True) for part in (line.change.available, line.change.held, line.change.spent))
        yield (line.seq or "", at, line.text, *change, *after(line.balance))
    yield ("", "", "closing", "", "", "", *after(found.closing))
