"""`tollbook events`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from ..options import After, Json, Log

if TYPE_CHECKING:
    from ledger.log import Entry
    from ledger.plugins import Store

_Limit = Annotated[int | None, typer.Option(metavar="N", min=1, help="At most so many.", show_default=False)]
_Types = Annotated[
    list[str] | None,
    typer.Option("--type", metavar="T", help="Only events of this type; may be given again.", show_default=False),
]
_Account = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Only events of the account of this number.", show_default=False)
]


def events(
    log: Log,
    after: After = 0,
    limit: _Limit = None,
    type: _Types = None,
    account: _Account = None,
    json: Json = False,
) -> None:
    """What happened, one event a line, oldest first, as far as the log went when this was asked.

    \b
    Examples:
      tollbook events LOG --limit 5
      tollbook events LOG --type charged --type adjusted --json
      tollbook events LOG --account 3 --after 1200
      tollbook events LOG --json | tail -1

    The hashes are not checked, so that a log with damage can be looked at; `tollbook audit` checks them. Where
    nothing matches, nothing is printed.
    """
    from ... import answers
    from ...logs import opened, within
    from .. import render

    types = _known(type or [])
    with opened(log) as store:
        within(store, after)
        for entry in islice(_matching(store, after, types, account), limit):
            if json:
                render.json(answers.event(entry))
            else:
                render.line(_text(entry))


def _known(types: list[str]) -> set[str]:
    from ledger.events import EVENT_TYPES, tag

    from ..errors import Usage

    names = [tag(each) for each in EVENT_TYPES]
    for name in types:
        if name not in names:
            raise Usage(f"there is no type of event {name!r}", f"the types are {', '.join(names)}")
    return set(types)


def _matching(store: Store, after: int, types: set[str], account: int | None) -> Iterator[Entry]:
    """The events that pass the filters. An account's are read from the start: a release names only its request."""
    from ledger.events import tag
    from ledger.log import entries
    from replay.reports.event_rows import EventRows

    upto, rows = store.head().seq, EventRows()
    for entry in entries(store.read(after if account is None else 0)):
        if entry.seq > upto:
            return
        mine = account is None or rows.account(entry) == account
        if mine and entry.seq > after and (not types or tag(entry.event) in types):
            yield entry


def _text(entry: Entry) -> str:
    from ledger.events import tag
    from ledger.statements import describe
    from replay.audit.findings import time_text

    account = getattr(entry.event, "account", None)
    of = f"account {account}" if account else getattr(entry.event, "plan", "") or getattr(entry.event, "name", "")
    return f"{entry.seq:>9}  {time_text(entry.at)}  {tag(entry.event):<20}  {of:<14}  {describe(entry.event)}".rstrip()
