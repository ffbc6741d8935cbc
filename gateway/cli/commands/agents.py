"""`tollbook agents`."""

from __future__ import annotations

from ledger.folding import books_at
from replay.reports.catalogue import agents_of

from ... import answers
from ...logs import opened
from .. import render
from ..options import Json, Limit, Log


def agents(log: Log, limit: Limit = None, json: Json = False) -> None:
    """List the agents of a log: the services behind its plans.

    \b
    Examples:
      tollbook agents LOG
      tollbook agents LOG --json

    In the order in which they were registered, as last updated. A retired agent takes no new requests. --json has the
    endpoints and the metadata, too.

    Exit codes: 0 done; 2 could not run.
    """
    with opened(log) as store:
        books = books_at(store)
    answer = answers.catalogue(log, books.seq, books.at) | {"agents": agents_of(books)[: limit if json else None]}
    if json:
        render.json(answer)
        return
    with render.paged():
        shown = answer["agents"][: render.most(limit)]
        rows = [
            (
                each["agent"],
                each["number"],
                list(each["plans"]) or "-",
                each["owner"],
                "yes" * each["retired"],
            )
            for each in shown
        ]
        title = f"{answer['log']} as of {answer['as_of']['seq']}"
        render.table(("agent", ">number", "plans", "owner", "retired"), rows, title)
        if len(shown) < len(answer["agents"]):
            render.rest(f"the first {len(shown)} of {len(answer['agents']):,} agents")
