"""`tollbook balance`."""

from __future__ import annotations

from typing import Any

from ledger.amounts import money_text
from ledger.errors import NotFound
from ledger.readings import Balance

from ... import answers
from ...logs import opened, reading, subscriber_in
from .. import render
from ..options import AsOf, Json, Limit, Log, OnePlan, OneSubscriber

_POSITIONS = ("available", "held", "spent", "lapsed", "withdrawn", "debt", "issued")
_OPTIONAL = ("held", "lapsed", "withdrawn", "debt")
"""Positions that are left out if they are zero in all accounts."""
_BILLED = ("limit", "unbilled", "owed", "credit")
"""What postpaid accounts have besides; left out likewise."""


def balance(
    log: Log,
    subscriber: OneSubscriber = None,
    plan: OnePlan = None,
    as_of: AsOf = None,
    limit: Limit = None,
    json: Json = False,
) -> None:
    """Show account balances, now or at a point in time.

    \b
    Examples:
      tollbook balance LOG
      tollbook balance LOG --subscriber alice --json
      tollbook balance LOG --plan pro --as-of 2023-11-16T19:00:00Z
      tollbook balance LOG --as-of now

    Without --as-of the balances are those at the log's last event. At a later moment they include what time alone
    changes: credits that expire, requests whose deadline passes. An EVM address matches in any spelling. Postpaid
    accounts have their credit limit, the credits that are not invoiced yet, what is owed on invoices, and credit, which
    pays the next ones. In text, an amount that is zero in all accounts is left out. What rounding added to prices is on
    a statement, and with each charge (`tollbook explain`).

    Exit codes: 0 done; 2 could not run, or a filter matches no account.
    """
    with opened(log) as store:
        now = reading(store, as_of)
        if subscriber is not None:
            subscriber = subscriber_in(now, subscriber)
        balances = now.balances(subscriber, plan)
    if not balances and (subscriber is not None or plan is not None):
        wanted = [f"subscriber {subscriber}"] * (subscriber is not None) + [f"plan {plan}"] * (plan is not None)
        raise NotFound(f"no account has {' and '.join(wanted)}", "`tollbook balance LOG` lists the accounts")
    answer = answers.balances(log, now, balances[:limit])
    if json:
        render.json(answer)
        return
    with render.paged():
        _show(balances, answer, limit)


def _show(balances: list[Balance], answer: dict[str, Any], limit: int | None) -> None:
    title = f"{answer['log']} as of {answer['as_of']['seq']}, {answer['as_of']['at']}"
    amounts = (f">{name}" for name in (*_POSITIONS, *_BILLED))
    columns = ("subscriber", "plan", *amounts, ">open", "access until", "admits")
    zero = {position for position in _OPTIONAL if not any(getattr(one, position) for one in balances)}
    zero |= {name for name in _BILLED if not any(getattr(one.billing, name, 0) for one in balances)}
    shown = balances[: render.most(limit)]
    rows = [_row(one, shape, zero) for one, shape in zip(shown, answer["accounts"], strict=False)]
    render.table(columns, rows, title, goes=("issued", "open", "withdrawn", "lapsed", "debt", "unbilled", "limit"))
    if len(shown) < len(balances):
        render.rest(f"the first {len(shown)} of {len(balances):,} accounts")
    for one in shown:
        if one.shortfall:
            short = render.amount(one.shortfall, one.decimals)
            render.line(f"{short} credits of {one.subscriber} on {one.plan} were used and not paid (shortfall)")
        if one.unpriced:
            units = ", ".join(f"{units} {name}" for name, units in sorted(one.unpriced.items()))
            render.line(f"no price for {units} of {one.subscriber} on {one.plan}")


def _row(one: Balance, shape: dict[str, object], zero: set[str]) -> tuple[object, ...]:
    positions = (
        "-" if position in zero else render.amount(getattr(one, position), one.decimals) for position in _POSITIONS
    )
    billed = ("-" if name in zero else _billed(one, name) for name in _BILLED)
    until = shape["access_until"] or "-"
    return (
        one.subscriber,
        one.plan,
        *positions,
        *billed,
        one.open_requests or "-",
        until,
        "yes" if one.admits else "no",
    )


def _billed(one: Balance, name: str) -> str:
    """Return what a postpaid account has of `_BILLED`: credits, or money with its asset; nothing for a prepaid one."""
    if (billing := one.billing) is None:
        return "-"
    amount = getattr(billing, name)
    if name in billing.credits_shown:
        return render.amount(amount, billing.decimals)
    return money_text(amount, billing.asset, billing.asset_decimals)
