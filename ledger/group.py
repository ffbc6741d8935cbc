"""Deciding a group of commands: pure, without store, lock or stored bytes.

Commands are decided in order, each on the books as the commands before it leave them. The books themselves are never
changed: the first accepted command needs no draft, and later ones are decided on a `Draft` over the books.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from .books import Books
from .commands import Adjust, AnyCommand, Request
from .decisions import decide
from .decisions.context import NO_EVIDENCE, Context, Decision, Replay
from .draft import Draft
from .events import Recorded
from .identity import OlderKey, referenced_seq
from .log import Entry, Head
from .outcomes import Answer
from .refusals import Refused
from .tariffs import Tariffs


class Evidence(NamedTuple):
    """Readings that a decision may need beside the books.

    `entry` reads one event of the log by its sequence, that of a closed request or charge which a command refers to;
    `older_key` finds a key that the books no longer hold.
    """

    entry: Callable[[int], Entry]
    older_key: OlderKey


class DecidedGroup(NamedTuple):
    """The events of a group, to append in one commit, and one outcome per command.

    A `Replay` stands for the answer at its sequence, an exception for a fault in deciding that command. `refused` are
    the refused requests, which a plan may record.
    """

    events: list[Recorded]
    outcomes: list[Answer | Replay | Refused | Exception]
    refused: list[tuple[Request, Refused]]


def decide_group(
    books: Books,
    commands: Iterable[AnyCommand],
    evidence: Evidence,
    at: int,
    *,
    tariffs: Tariffs,
    ledger: str,
    head: Head,
    behind: int = 0,
) -> DecidedGroup:
    """Decide admitted commands on the books at a log's head, for a commit at a time (UTC microseconds).

    `ledger` is the log's id; `behind` is how far the clock is behind that time, in microseconds. Raises nothing:
    an error in deciding a command is that command's outcome.
    """
    context = Context(books, at, tariffs, ledger, head, NO_EVIDENCE, {}, behind, evidence.older_key)
    group = _Group(context, evidence.entry)
    return DecidedGroup(group.events, [group.decide(command) for command in commands], group.refused)


class _Group:
    """A group in progress: the events so far, and the draft that they make of the books."""

    def __init__(self, context: Context, entry: Callable[[int], Entry]) -> None:
        self.events: list[Recorded] = []
        self.refused: list[tuple[Request, Refused]] = []
        self._context = context
        self._entry = entry
        self._draft: Draft | None = None

    def decide(self, command: AnyCommand) -> Answer | Replay | Refused | Exception:
        """Decide one command on the books as the group leaves them so far, and add its events."""
        context = self._context
        if self._draft is None and self.events:
            context.books = self._draft = Draft.over(context.books, context.at)
            self._record(self._draft, self.events)
        try:
            needed = command.key is not None or referenced_seq(command) != 0
            context.evidence = self._read(command) if needed else NO_EVIDENCE
            decision = decide(context, command)
        except Exception as error:  # noqa: BLE001 - a fault in one command must not fail the others
            return error
        if not isinstance(decision, Decision):
            if isinstance(decision, Refused) and isinstance(command, Request):
                self.refused.append((command, decision))
            return decision
        own = decision.own
        events = [*decision.due, *own] if decision.due else own
        self.events += events
        if self._draft is not None:
            self._record(self._draft, events)
        last = context.head.seq + len(self.events)
        return Answer(last - len(own) + 1, context.at, own[0]) if own else Answer(last, context.at, None)

    @staticmethod
    def _record(draft: Draft, events: list[Recorded]) -> None:
        for event in events:
            draft.record(event)

    def _read(self, command: AnyCommand) -> Mapping[int, Entry]:
        """Return the event of a closed request or charge that a command refers to, from the log or from the group."""
        seq, head = referenced_seq(command), self._context.head.seq
        needed = isinstance(command, Adjust) or seq not in self._context.books.open
        if not needed or not 0 < seq <= head + len(self.events):
            return NO_EVIDENCE
        if seq <= head:
            return {seq: self._entry(seq)}
        return {seq: Entry(seq, self._context.at, self.events[seq - head - 1])}
