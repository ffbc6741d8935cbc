"""`tollbook statement`."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from ledger.amounts import exact_text
from ledger.rounding import Rounding
from ledger.statements import Amounts, Statement

from ... import answers
from ...logs import opened, rounding_of, statement_of
from ...settle.proofs import BatchProof, batch_proof
from .. import render
from ..options import AsOf, Json, Log, Plan, Subscriber
from ..render import amount, command, counted, line

From = Annotated[
    str | None,
    typer.Option("--from", metavar="MOMENT", help="Only movements after this moment.", show_default=False),
]
_Proof = Annotated[
    int | None,
    typer.Option("--proof", metavar="BATCH", min=1, help="Prove its leaf in this batch.", show_default=False),
]

_Limit = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="In text, only the last N movements and the closing.", show_default=False),
]


def statement(
    log: Log,
    subscriber: Subscriber,
    plan: Plan,
    as_of: AsOf = None,
    begin: From = None,
    proof: _Proof = None,
    limit: _Limit = None,
    json: Json = False,
) -> None:
    """List every movement of one account, with running balances.

    \b
    Examples:
      tollbook statement LOG --subscriber alice --plan pro
      tollbook statement LOG --subscriber alice --plan pro --as-of 1200 --json
      tollbook statement LOG --subscriber alice --plan pro --from 2023-11-16T18:00:00Z --as-of 2023-11-16T19:00:00Z
      tollbook statement LOG --subscriber alice --plan pro --proof 1

    opening + changes = closing. With --from it opens with the closing balance of a statement up to that moment. A line
    without a sequence is a change by time alone, such as an expiry, which no event has recorded yet.

    --proof adds the account's leaf in a batch (in money, all that it was charged and credited up to the batch's
    opening) and the hashes from the leaf to the batch's root, which the chain has. The proof shows what the operator
    committed to; the lines above show that the figures are right. `tollbook batches LOG` lists the batches.

    Exit codes: 0 done; 2 could not run, or there is no such account, batch or leaf.
    """
    with opened(log) as store:
        now, account = statement_of(store, subscriber, plan, as_of, begin)
        subscriber = account.subscriber
        rounding = rounding_of(store, now, account)
        proven = None if proof is None else batch_proof(store, proof, subscriber, plan)
    answer = answers.statement(log, now, account, rounding, None if proven is None else proven.answer())
    if json:
        render.json(answer)
        return
    title = f"{subscriber} on {plan}, account {account.account}, as of {now.seq}, {answer['as_of']['at']}"
    columns = (">seq", "at", "~what", ">available", ">held", ">spent", ">available after", ">held after")
    with render.paged():
        times = [movement["at"] for movement in answer["lines"]]
        rows = list(_rows(account, times))
        most = render.most(limit)
        shown = rows if most is None else rows[-most - 1 :]  # the closing balance is a row, too
        render.table(columns, shown, title, goes=("held after", "spent", "held"))
        if most is not None and most < len(account.lines):
            render.rest(f"the last {most} of {render.counted(len(account.lines), 'movement')}")
    _show_sums(account, rounding)
    if proven is not None:
        _show_proof(proven, log, now.units(subscriber, plan).assets.get(proven.batch.asset, 0))


def _rows(account: Statement, times: list[str]) -> Iterator[tuple[object, ...]]:
    decimals = account.decimals

    def after(balance: Amounts) -> tuple[str, str]:
        return amount(balance.available, decimals), amount(balance.held, decimals)

    yield ("", "", "opening", "", "", "", *after(account.opening))
    for movement, at in zip(account.lines, times, strict=True):
        change = movement.change
        changes = (amount(part, decimals, True) for part in (change.available, change.held, change.spent))
        yield (movement.seq or "", at, movement.text, *changes, *after(movement.balance))
    yield ("", "", "closing", "", "", "", *after(account.closing))


def _show_sums(account: Statement, rounding: Rounding) -> None:
    """Show what was not paid, what has no price, and what rounding added."""
    if account.shortfall:
        line(f"{amount(account.shortfall, account.decimals)} credits were used and not paid (shortfall)")
    if account.unpriced:
        units = ", ".join(f"{units} {name}" for name, units in sorted(account.unpriced.items()))
        line(f"no price for {units}")
    if rounding.added_percent not in (None, "0.0"):
        exact = exact_text(Fraction(rounding.exact), account.decimals)
        charges, priced = counted(rounding.charges, "charge"), amount(rounding.priced, account.decimals)
        line(f"{charges} of exactly {exact} cost {priced}: rounding added {rounding.added_percent} %")
    if rounding.unknown:
        line(f"what rounding added to {rounding.unknown:,} of the charges is not known: {rounding.reason}")


def _show_proof(proven: BatchProof, log: Path, decimals: int) -> None:
    """Show the proof, what it proves, how to read the chain's root, and a command that checks the proof."""
    proof, batch, leaf = proven.proof, proven.batch, proven.proof.leaf
    counters = f"charged {amount(leaf.charged, decimals)}, credited {amount(leaf.credited, decimals)} {batch.asset}"
    stored = f" ({leaf.charged} and {leaf.credited} in the leaf, in the asset's smallest unit)" * bool(decimals)
    line()
    line(f"batch {batch.number} of {batch.contract} on {batch.chain}, in {batch.asset}: {batch.state}")
    line(f"  leaf   {leaf.subscriber} on {leaf.plan}: {counters} in all{stored}")
    line(f"  hash   {proof.leaf_hash}")
    line(f"  root   {proof.root}")
    for index, sibling in enumerate(proof.proof or ("(empty: it is the only leaf)",)):
        line(f"  {'' if index else 'proof':<6} {sibling}")
    line(
        "If the chain has this root, the operator has committed to these two counters for this account; "
        "that is all it proves."
    )
    says, reads = proven.root_source(log)
    line(says)
    if reads is not None:
        command(f"  {reads}")
    line("To check the proof against the root:")
    command(f"  {proven.check_command()}")
