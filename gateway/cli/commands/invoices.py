"""`tollbook invoices`."""

from __future__ import annotations

from typing import Any

from ledger.amounts import amount_text, money_text
from ledger.errors import NotFound
from ledger.readings import InvoiceReading

from ... import answers
from ...logs import opened, reading, subscriber_in
from .. import render
from ..options import AsOf, Json, Limit, Log, OnePlan, OneSubscriber


def invoices(
    log: Log,
    subscriber: OneSubscriber = None,
    plan: OnePlan = None,
    as_of: AsOf = None,
    limit: Limit = None,
    json: Json = False,
) -> None:
    """List the invoices of postpaid plans, and what is owed.

    \b
    Examples:
      tollbook invoices LOG
      tollbook invoices LOG --subscriber alice --json
      tollbook invoices LOG --plan payg --as-of now --limit 20

    Of an invoice, amount = paid + credited + written off + owed; credited is what credit notes and earlier payments
    have taken off. A credit note has an amount below 0 and nothing else. Of a customer, all amounts together are what
    was paid and written off, and is owed, less credit: money that pays the next invoices. In text, credited and written
    off are left out if they are zero in all invoices.

    Without --as-of the invoices are those at the log's last event; at a later moment they include those of periods that
    have ended since. The charges of an invoice are those of `tollbook statement` from the sequence of the invoice
    before it (`after` in JSON) to its own: --from SEQ --as-of SEQ.

    Exit codes: 0 done; 2 could not run, or a filter matches no invoice.
    """
    with opened(log) as store:
        now = reading(store, as_of)
        if subscriber is not None:
            subscriber = subscriber_in(now, subscriber)
        found = now.invoices(subscriber, plan)
        credit = [each for each in now.balances(subscriber, plan) if each.billing is not None and each.billing.credit]
    if not found and (subscriber is not None or plan is not None):
        raise NotFound("no invoice matches", "`tollbook invoices LOG` lists them all")
    answer = answers.invoices(log, now, found[:limit], credit)
    if json:
        render.json(answer)
        return
    if not found:
        render.line(
            "there are no invoices: plans with billing=postpaid have them, from the end of their first period on"
        )
        return
    with render.paged():
        _show(found, answer, limit)
        for account in credit:
            if (billing := account.billing) is not None:
                money = money_text(billing.credit, billing.asset, billing.asset_decimals)
                render.line(f"{money} of {account.subscriber} on {account.plan} pays the next invoices")


_COLUMNS = (
    *("subscriber", "plan", ">invoice", "period", "status", "due"),
    *(">credits", ">amount", ">paid", ">credited", ">written off", ">owed", ">seq"),
)
_RARE = ("credited", "written_off")
"""Parts of an amount that are left out if they are zero in all invoices."""


def _show(found: list[InvoiceReading], answer: dict[str, Any], limit: int | None) -> None:
    shown = found[: render.most(limit)]
    zero = {part for part in _RARE if not any(getattr(one, part) for one in found)}
    rows = [_row(one, shape["due"], zero) for one, shape in zip(shown, answer["invoices"], strict=False)]
    title = f"{answer['log']} as of {answer['as_of']['seq']}, {answer['as_of']['at']}"
    render.table(_COLUMNS, rows, title, goes=("seq", "credits", "paid", "credited", "written off"))
    of_all = ""
    if len(shown) < len(found):
        render.rest(f"the first {len(shown)} of {len(found):,} invoices")
        of_all = "on all of them "
    for asset, decimals in sorted({(one.asset, one.asset_decimals) for one in found}):
        owed = sum(one.owed for one in found if one.asset == asset)
        written_off = sum(one.written_off for one in found if one.asset == asset)
        rest = f", {money_text(written_off, asset, decimals)} written off" if written_off else ""
        render.line(f"{of_all}{money_text(owed, asset, decimals)} owed{rest}")


def _row(one: InvoiceReading, due: str, zero: set[str]) -> tuple[object, ...]:
    amount, paid, owed = (amount_text(each, one.asset_decimals) for each in (one.money, one.paid, one.owed))
    rare = ("" if part in zero else amount_text(getattr(one, part), one.asset_decimals) for part in _RARE)
    credits = amount_text(one.credits, one.decimals)
    return (
        one.subscriber,
        one.plan,
        one.invoice,
        one.period,
        one.status,
        "" if one.status == "credit_note" else due[:10],
        credits,
        f"{amount} {one.asset}",
        paid,
        *rare,
        owed,
        one.seq or "",
    )
