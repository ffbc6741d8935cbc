"""`tollbook events`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Annotated

import typer

from ledger.errors import LogError
from ledger.events import EVENT_TYPES, Event, tag
from ledger.folding import books_at
from ledger.log import Entry, entries
from ledger.plugins import Store
from ledger.statements import Units, describe
from replay.audit.findings import time_text
from replay.reports.event_rows import EventRows
from replay.reports.shown_units import ShownUnits

from ... import answers
from ...errors import UsageError
from ...logs import opened, within
from .. import render
from ..options import After, Json, Log

_Limit = Annotated[int | None, typer.Option(metavar="N", min=1, help="At most N events.", show_default=False)]
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
    """List the events of a log, one per line.

    \b
    Examples:
      tollbook events LOG --limit 5
      tollbook events LOG --type charged --type adjusted --json
      tollbook events LOG --account 3 --after 1200
      tollbook events LOG --json | tail -1

    The oldest come first; events that are written while the command runs are not listed. Hashes are not checked, so
    that a damaged log can be inspected; `tollbook audit` checks them. If nothing matches, nothing is printed.
    """
    types = _known_types(type or [])
    with opened(log) as store:
        within(store, after)
        units = _units(store)
        for entry in islice(_matching(store, after, types, account), limit):
            if json:
                render.json(answers.event(entry))
            else:
                render.line(_text(entry, units(entry.event)))


def _known_types(types: list[str]) -> set[str]:
    """Return the types as a set. Raises UsageError for a type that no event has."""
    known = [tag(event_type) for event_type in EVENT_TYPES]
    for name in types:
        if name not in known:
            raise UsageError(f"there is no type of event {name!r}", f"the types are {', '.join(known)}")
    return set(types)


def _matching(store: Store, after: int, types: set[str], account: int | None) -> Iterator[Entry]:
    """Yield the events that pass the filters. For an account the log is read from its start, since a release names
    only its request."""
    upto, rows = store.head().seq, EventRows()
    for entry in entries(store.read(after if account is None else 0)):
        if entry.seq > upto:
            return
        mine = account is None or rows.account(entry) == account
        if mine and entry.seq > after and (not types or tag(entry.event) in types):
            yield entry


def _units(store: Store) -> Callable[[Event], Units]:
    """Return how an event's amounts are shown: as whole numbers where the log is damaged and has no books."""
    try:
        return ShownUnits(books_at(store)).of
    except LogError:
        return lambda _: Units()


def _text(entry: Entry, units: Units) -> str:
    account = getattr(entry.event, "account", None)
    of = f"account {account}" if account else getattr(entry.event, "plan", "") or getattr(entry.event, "name", "")
    what = describe(entry.event, units)
    return f"{entry.seq:>9}  {time_text(entry.at)}  {tag(entry.event):<20}  {of:<14}  {what}".rstrip()
