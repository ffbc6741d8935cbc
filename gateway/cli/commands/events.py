"""`tollbook events`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Annotated

import typer

from ledger.errors import LogError
from ledger.events import EVENT_TYPES, Adjusted, Charged, Event, Lapsed, tag
from ledger.folding import books_at
from ledger.log import Entry, entries
from ledger.plugins import Store
from ledger.statements import Units, describe
from replay.audit.findings import time_text
from replay.reports.event_rows import EventRows, Subject
from replay.reports.shown_units import ShownUnits

from ... import answers
from ...errors import UsageError
from ...logs import opened, within
from .. import render
from ..completion import one_of
from ..options import After, Json, Log

_Limit = Annotated[int | None, typer.Option(metavar="N", min=1, help="At most N events.", show_default=False)]
_Types = Annotated[
    list[str] | None,
    typer.Option(
        "--type",
        metavar="T",
        help="Only events of this type; may be given again.",
        show_default=False,
        autocompletion=one_of(map(tag, EVENT_TYPES)),
    ),
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

    The oldest come first; events that are written while the command runs are not listed. A line has the sequence, the
    time, the type, the subscriber and plan (or the plan or agent), and what happened, with credits and usage. Hashes
    are not checked, so that a damaged log can be inspected; `tollbook audit` checks them. If nothing matches, nothing
    is printed. On a terminal the list goes through $PAGER if that is set, else it ends after 200 events.

    Exit codes: 0 done, also if nothing matches; 2 could not run.
    """
    types = _known_types(type or [])
    with opened(log) as store, render.paged(json):
        within(store, after)
        if json:
            for entry, _ in islice(_matching(store, after, types, account), limit):
                render.json(answers.event(entry))
            return
        units = _units(store)
        found = _matching(store, after, types, account)
        for entry, subject in islice(found, most := render.most(limit)):
            render.line(_text(entry, subject, units(entry.event)))
        if limit is None and most is not None and next(found, None) is not None:
            render.rest(f"the first {most} events")


def _known_types(types: list[str]) -> set[str]:
    """Return the types as a set. Raises UsageError for a type that no event has."""
    known = [tag(event_type) for event_type in EVENT_TYPES]
    for name in types:
        if name not in known:
            raise UsageError(f"there is no type of event {name!r}", f"the types are {', '.join(known)}")
    return set(types)


def _matching(store: Store, after: int, types: set[str], account: int | None) -> Iterator[tuple[Entry, Subject]]:
    """Yield the events that pass the filters, each with its account. The log is read from its start, since a charge
    does not name its subscriber, nor a release its account."""
    upto, rows = store.head().seq, EventRows()
    for entry in entries(store.read()):
        if entry.seq > upto:
            return
        subject = rows.subject(entry)
        mine = account is None or subject.account == account
        if mine and entry.seq > after and (not types or tag(entry.event) in types):
            yield entry, subject


def _units(store: Store) -> Callable[[Event], Units]:
    """Return how an event's amounts are shown: as whole numbers where the log is damaged and has no books."""
    try:
        return ShownUnits(books_at(store)).of
    except LogError:
        return lambda _: Units()


def _text(entry: Entry, subject: Subject, units: Units) -> str:
    event = entry.event
    named = subject.plan or getattr(event, "plan", "") or getattr(event, "name", "")
    of = named if subject.subscriber is None else f"{subject.subscriber} on {named}"
    what = ", ".join([describe(event, units), *_amounts(event, units)])
    return f"{entry.seq:>9}  {time_text(entry.at)}  {tag(event):<10}  {of:<16}  {what}".rstrip()


def _amounts(event: Event, units: Units) -> Iterator[str]:
    """Yield the credits of an event that its description leaves out, and its usage."""
    if isinstance(event, Charged | Adjusted | Lapsed):
        yield f"{units.credits(event.credits)} credits"
    yield from (f"{count:,} {dimension}" for dimension, count in getattr(event, "usage", {}).items())
