"""`tollbook plans`."""

from __future__ import annotations

from typing import Any

from ledger.amounts import money_text
from ledger.folding import books_at
from replay.reports.catalogue import plans_of

from ... import answers, answers_policies
from ...logs import opened
from .. import render
from ..options import Json, Limit, Log
from ..settlement_tables import span

_SECOND = 1_000_000


def plans(log: Log, limit: Limit = None, json: Json = False) -> None:
    """List what a log sells: plans with their terms, tariffs and prices.

    \b
    Examples:
      tollbook plans LOG
      tollbook plans LOG --json

    In the order in which they were created, retired ones too: these are no longer sold, and purchases on them may still
    be used. The tariff is the one of new requests; its version counts the changes. --json has all terms.

    Exit codes: 0 done; 2 could not run.
    """
    with opened(log) as store:
        books = books_at(store)
    answer = answers.catalogue(log, books.seq, books.at) | {"plans": plans_of(books)[: limit if json else None]}
    if json:
        render.json(answer)
        return
    with render.paged():
        shown = answer["plans"][: render.most(limit)]
        columns = ("plan", "~sells", ">price", "~tariff", ">version", "owner", ">accounts", "retired")
        rows = [_row(each) for each in shown]
        render.table(columns, rows, f"{answer['log']} as of {answer['as_of']['seq']}", goes=("accounts", "version"))
        if len(shown) < len(answer["plans"]):
            render.rest(f"the first {len(shown)} of {len(answer['plans']):,} plans")


def _row(each: dict[str, Any]) -> tuple[object, ...]:
    terms, tariff = each["terms"], each["tariff"]
    granted = [f"{render.amount(terms['credits'], terms['decimals'])} credits"] * bool(terms["credits"])
    granted += [span(terms["seconds"] * _SECOND)] * bool(terms["seconds"])
    granted += ["trial"] * terms["trial"]
    price = money_text(sum(share["amount"] for share in terms["price"]), terms["asset"], terms["asset_decimals"] or 0)
    return (
        each["plan"],
        ", ".join(granted) or "-",
        price,
        answers_policies.tariff_text(tariff["policy"], tariff.get("parameters", {})),
        tariff["version"],
        each["owner"],
        f"{each['accounts']:,}",
        "yes" * each["retired"],
    )
