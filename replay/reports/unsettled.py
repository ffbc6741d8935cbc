"""The age of unsettled money: when the oldest unsettled unit of each asset was earned, read from a log.

A unit is unsettled where a lot that no receiver was paid for directly has earned it, and no confirmed batch covers it.
Batches that failed cover nothing, and neither do those that are open. Per lot:

    since when has it earned more than it had at its last confirmed covering, without a break?

So a charge that was given back before it was settled makes nothing wait. A lot of credits is followed event by event,
on the terms that it has now; a window earns by itself, from its covering or from its start on.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from msgspec.structs import replace

from ledger.accounts import Lot
from ledger.books import Books
from ledger.events import (
    Adjusted,
    Charged,
    Draws,
    Lapsed,
    Recorded,
    Reinstated,
    Released,
    Reversed,
    Started,
)
from ledger.expiry import due
from ledger.log import Commit, Entry, entries
from ledger.readings import Reading
from ledger.tariffs import Tariffs

ReadCommits: TypeAlias = Callable[[int], Iterator[Commit]]
"""Yields the commits of a log with an event after a sequence, as `Store.read` and `Ledger.commits` do."""

UNFUNDED = ""
"""Stands for the chain of what no chain holds."""


def oldest_unsettled(read: ReadCommits, books: Books) -> dict[str, int]:
    """Return, by asset, when its oldest unsettled unit was earned (UTC microseconds), as of the log's books.

    Assets of which no receiver is due anything are left out. The log is read from the oldest covering on, and from the
    purchase of the oldest lot that has earned and was never covered.
    """
    waiting = _Waiting(books)
    waiting.follow(read)
    due_now = {each.asset for each in Reading(books, books.at).earned() if max(each.due.values(), default=0) > 0}
    return {asset: at for asset, at in waiting.oldest().items() if asset in due_now}


def outstanding_by_chain(books: Books) -> dict[tuple[str, str], int]:
    """Return the outstanding money of each asset on each chain, as of the books, where that is not 0; on the chain
    UNFUNDED it was earned from purchases without funding, which no batch pays out."""
    found: Counter[tuple[str, str]] = Counter()
    for account in books.accounts.values():
        for lot in due(account, books.plans[account.plan], books.at, Tariffs())[0].lots.values():
            if lot.funding != "direct":
                found[lot.asset, UNFUNDED if lot.escrow is None else lot.escrow.chain] += lot.earned(books.at)
    for settling in books.settlings.values():
        for asset, receivers in settling.settled.items():
            found[asset, settling.contract_ref.chain] -= sum(receivers.values())
    return {place: amount for place, amount in sorted(found.items()) if amount}


class _Step(NamedTuple):
    """At a time, a lot's used credits changed by so much."""

    at: int
    change: int


class _Waiting:
    def __init__(self, books: Books) -> None:
        self._books = books
        self._found: dict[str, int] = {}
        self._lots: dict[int, Lot] = {}
        self._covered: dict[int, tuple[int, int]] = {}
        self._steps: dict[int, list[_Step]] = defaultdict(list)
        self._unwritten: list[Recorded] = []
        for account in books.accounts.values():
            ahead, events = due(account, books.plans[account.plan], books.at, Tariffs())
            self._unwritten += events
            for lot in ahead.lots.values():
                if lot.funding != "direct" and lot.earned(books.at):
                    self._add(lot)

    def _add(self, lot: Lot) -> None:
        seq, at = self._covering(lot)
        if lot.credits:
            self._lots[lot.id], self._covered[lot.id] = lot, (seq, at)
        elif lot.earned(self._books.at) > lot.earned(at):
            self._note(lot.asset, max(at, lot.start))

    def _covering(self, lot: Lot) -> tuple[int, int]:
        """The sequence and the time up to which confirmed batches cover a lot; 0 and 0 where none does."""
        if lot.escrow is None:
            return 0, 0
        return self._books.settling(lot.escrow.contract_ref).covered.get(lot.asset, (0, 0))

    def follow(self, read: ReadCommits) -> None:
        """Read what happened to the lots since they were covered, then what is due and not written yet."""
        if self._lots:
            known = {covered: _known(read, *covered) for covered in set(self._covered.values())}
            start = min(max(name, known[self._covered[name]]) for name in self._lots)
            for entry in self._read(read, start):
                self._take(entry)
        for event in self._unwritten:
            self._take(Entry(self._books.seq + 1, self._books.at, event))

    def _read(self, read: ReadCommits, after: int) -> Iterator[Entry]:
        for commit in read(after):
            if commit.first_seq > self._books.seq:
                return
            yield from entries((commit,))

    def _take(self, entry: Entry) -> None:
        at = getattr(entry.event, "instant", None) or entry.at
        for name, change in _uses(entry.event):
            if name in self._lots:
                seq, upto = self._covered[name]
                if entry.seq > seq or entry.at > upto:
                    self._steps[name].append(_Step(at, change))

    def oldest(self) -> dict[str, int]:
        """The oldest unit of each asset that has one."""
        for name, steps in self._steps.items():
            if (at := _since(self._lots[name], steps)) is not None:
                self._note(self._lots[name].asset, at)
        return self._found

    def _note(self, asset: str, at: int) -> None:
        self._found[asset] = min(at, self._found.get(asset, at))


def _known(read: ReadCommits, seq: int, at: int) -> int:
    """Return the covered sequence, or 0 where it is not of this log: an adopted batch covers the log that was lost, so
    only its time shows what it covers of this one."""
    commit = next(read(seq - 1), None) if seq else None
    return seq if commit is not None and commit.at <= at else 0


def _uses(event: Recorded) -> Draws:
    """The credits that an event uses up, by lot; below 0 for those that it gives back."""
    match event:
        case Charged():
            return (*event.draws, *event.repaid)
        case Adjusted():
            sign = 1 if event.credits > 0 else -1
            return (*((lot, sign * credits) for lot, credits in event.draws), *event.repaid)
        case Released() | Reversed() | Reinstated():
            return event.repaid
        case Lapsed():
            return ((event.lot, event.credits),)
        case Started():
            return ((event.lot, sum(credits for _, credits in event.draws)),)
    return ()


def _since(lot: Lot, steps: list[_Step]) -> int | None:
    """Since when a lot has earned more than before these steps, without a break; None where it has not."""
    used = lot.used - sum(step.change for step in steps)
    before, since = _earned(lot, used), None
    for step in steps:
        used += step.change
        if _earned(lot, used) <= before:
            since = None
        elif since is None:
            since = step.at
    return since


def _earned(lot: Lot, used: int) -> int:
    """Return the money that a lot earns with so many credits of it used."""
    within = min(max(used, 0), lot.credits - lot.withdrawn)
    return replace(lot, spent=within, lapsed=0).earned(lot.start)
