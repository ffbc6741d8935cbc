"""The engine: one object that people use. It holds the books in memory, and the clock that it was given.

    queue a command ▸ a leader takes the whole queue ▸ catch up with the head ▸ decide each on the books as they will be
    ▸ one append for all ▸ fold ▸ answer each ▸ hand over to the next leader

A lone caller pays one commit, a hundred callers share one, without a background thread. All answers of a group,
refusals included, are given after its append is durable; if that fails, every command of the group gets that error.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from itertools import count, pairwise
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias, Unpack

import msgspec

from .books import Books
from .clock import Clock, WallClock, system_clock
from .commands import (
    MAX_TIME,
    Adjust,
    AnyCommand,
    Command,
    OpenSettlement,
    Request,
    RequestTerms,
    Tick,
    admit,
)
from .decisions import decide
from .decisions.context import NO_EVIDENCE, Context, Decision, Replay
from .draft import Draft
from .errors import BadData, Closed, Conflict, Damaged, LogError
from .events import Recorded, decode_one, encode
from .folding import fold, latest_snapshot, snapshot_of
from .forking import opening, register
from .identity import referenced_seq
from .log import Commit, Entry, Head, decode_commit, encode_commit, entries, origin
from .plugins import HoldingStore, PausingStore, Store, stores
from .queue import CommandQueue
from .readers import check_follows, verified
from .refusal_records import RefusalRecords
from .refusals import Refusal, Refused
from .tariffs import Tariffs
from .views import Views

if TYPE_CHECKING:
    from .metering import RequestContext

SNAPSHOT_EVENTS = 50_000
"""A ledger that is closed this many events after its last snapshot leaves a new one."""
MAX_OPTIMISTIC_RETRIES = 3
"""So often another process may write first while a group is decided; then it is decided with the log held."""
_NOT_ALONE = nullcontext()


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What an accepted command came to: its first event, in its place. A repeated key or payment gets the same answer,
    which says that it is `repeated`.

    A `Tick` has no event of its own; its `seq` is that of the last event before its answer.
    """

    seq: int
    at: int
    event: Recorded | None
    repeated: bool = False

    accepted = True

    def __bool__(self) -> bool:
        return True

    def unwrap(self) -> Answer:
        """This answer; a refusal raises PaymentRequired instead."""
        return self


Outcome: TypeAlias = Answer | Refused
_Decided: TypeAlias = tuple[
    list[object], list[Outcome | Exception], list[Answer | Replay | Refused | Exception], Commit
]
"""The commands of a group; what they came to before its last commit, and in it; that commit: the log may have it."""


def _parts(commands: list[object]) -> Iterator[list[object]]:
    """The commands of a group by commit: a batch covers what stands before it, so its opening comes first in one."""
    if len(commands) == 1:
        yield commands
        return
    starts = [place for place, command in enumerate(commands) if isinstance(command, OpenSettlement) and place]
    for begin, end in pairwise((0, *starts, len(commands))):
        yield commands[begin:end]


class _Group:
    """What a group of commands has come to so far: its events, and the requests that were refused."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.events: list[Recorded] = []
        self.refused: list[tuple[Request, Refused]] = []
        self._draft: Draft | None = None

    def next_context(self) -> Context:
        """What the next command of the group is decided on."""
        if self._draft is None and self.events:
            draft = Draft.over(self.context.books, self.context.at)
            for event in self.events:
                draft.record(event)
            self.context.books = self._draft = draft
        return self.context

    def add(self, events: list[Recorded]) -> None:
        """Take in a command's events."""
        self.events += events
        if self._draft is not None:
            for event in events:
                self._draft.record(event)


class Ledger(Views):
    """An append-only ledger and its books.

    Open one with `Ledger.open`; close it, or use it in a `with`. All of its methods may be called from any thread.
    """

    def __init__(self, store: Store, clock: Clock = system_clock, read_only: bool = False) -> None:
        self._store, self._clock, self._read_only = store, clock, read_only
        self._tariffs = Tariffs()
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._queue: CommandQueue[Outcome] = CommandQueue(self._do, self._recall)
        self._notes = RefusalRecords()
        self._closed = False
        self._doing: list[object] = []
        self._decided: _Decided | None = None
        self._crowded = False  # whether another process wrote between the last two looks at the head
        self._last_read: list[Entry] = []
        super().__init__(store, self._lock)
        with self._lock:
            register(self)
            self._load()

    @classmethod
    def open(
        cls,
        where: str | Path | None = None,
        *,
        store: str | None = None,
        clock: Clock = system_clock,
        id: str | None = None,
        read_only: bool = False,
        accept_clock: bool = False,
    ) -> Ledger:
        """Open the ledger at `where`, or make one there; without `where`, one in memory.

        `store` names a store plugin (default: `sqlite`). `id` names a new ledger; its chain of hashes begins from it.
        A `clock` that the caller gives (any callable of UTC microseconds) is believed; the machine's own is not once it
        leapt while this process runs, until it is right again: `accept_clock` accepts it as it is now.
        Raises NotFound, NotALog, WrongVersion, Locked, Damaged or UnknownPlugin.
        """
        factory = stores.get(store or ("memory" if where is None else "sqlite"))
        with opening:
            opened = factory(where, id=id, read_only=read_only)
        try:
            ledger = cls(opened, clock, read_only)
        except BaseException:
            opened.close()
            raise
        if accept_clock:
            ledger.accept_clock()
        return ledger

    # -- writing -------------------------------------------------------------------------------------------------------

    def execute(self, command: Command) -> Outcome:
        """Do one command. Returns its answer, or the refusal; neither raises.

        Raises Locked, NotWritten or OutcomeUnknown where the log could not be written, and ClockMoved where nothing was
        written since the machine's clock leapt.
        """
        return self.execute_many([command])[0]

    def execute_many(self, commands: Iterable[Command]) -> list[Outcome]:
        """Do several commands in one commit, in order; each is accepted or refused for itself.

        An `OpenSettlement` begins a commit of its own, with what follows it; where that cannot be written, a note on
        the error says how many commands before it were done.
        """
        return self.queue.run(list(commands))

    @property
    def queue(self) -> CommandQueue[Outcome]:
        """The queue of commands; the async twin awaits the same one."""
        self._check_process()
        return self._queue

    def accept_clock(self) -> None:
        """Believe the machine's clock as it is now, though it leapt; for all ledgers of this process that have it.
        A clock that the caller gave is always believed."""
        if isinstance(self._clock, WallClock):
            self._clock.accept()

    def tick(self) -> None:
        """Write what time has done to all accounts."""
        self.execute(Tick())

    def snapshot(self) -> None:
        """Keep the books as they are, so that the next opening is quick. It changes nothing else."""
        with self._current():
            self._save_snapshot()

    def request(self, subscriber: str, plan: str, **terms: Unpack[RequestTerms]) -> RequestContext:
        """Hold, do the work, charge: `with ledger.request(…, estimate={…}) as request`.

        `terms` are those of the command `Request`. Entering raises PaymentRequired where it is refused.
        """
        from .metering import RequestContext

        return RequestContext(self, Request(subscriber=subscriber, plan=plan, **terms))

    # -- the life of the object ----------------------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of the log. A second call does nothing.

        Admissions whose callers were cancelled or interrupted are given back first; where that cannot be written, they
        end at their deadlines.
        """
        if self._closed or self._process != os.getpid():
            return
        if self._queue.abandoned and not self._read_only:
            self._queue.lead()
        with self._lock:
            self._closed = True
            try:
                if not self._read_only and self._head.seq - self._snapshot_seq >= SNAPSHOT_EVENTS:
                    with suppress(LogError):  # a cache: without it the next opening takes longer
                        self._save_snapshot()
            finally:
                self._readers.close()
                self._store.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._closed:
            return f"<Ledger {self._store.id}: closed>"
        books = self._books
        return f"<Ledger {self._store.id}: {books.seq} events, {len(books.plans)} plans, {books.opened} accounts>"

    def _repr_html_(self) -> str:
        return f"<code>{repr(self)[1:-1]}</code>"

    # -- a group: decide, append, fold ---------------------------------------------------------------------------------

    def _do(self, commands: list[object]) -> list[Outcome | Exception]:
        self._check_process()
        with self._lock:
            self._check_open()
            self._doing = commands
            return self._commit_all(commands)

    def _recall(self, commands: list[object]) -> list[Outcome | Exception]:
        """What a group came to, as far as the log has it, after an interrupt of whoever did it, or was about to: the
        outcomes of its first commands. What was refused or repeated, with nothing written, counts as not done."""
        self._check_process()
        with self._lock:
            self._check_open()
            if self._decided is None or self._decided[0] is not commands:
                return []
            _, done, outcomes, commit = self._decided
            self._catch_up()
            found = next(self._store.read(commit.first_seq - 1), None)
            if found is None or found.hash != commit.hash:
                return done
            return [*done, *map(self._told, outcomes)]

    def _commit_all(self, commands: list[object]) -> list[Outcome | Exception]:
        outcomes: list[Outcome | Exception] = []
        for part in _parts(commands):
            try:
                outcomes += self._commit(part, outcomes)
            except Exception as error:
                if not outcomes:
                    raise
                error.add_note(f"the {len(outcomes)} commands before the batch's opening were done")
                return [*outcomes, *[error] * (len(commands) - len(outcomes))]
        return outcomes

    def _commit(self, commands: list[object], done: list[Outcome | Exception]) -> list[Outcome | Exception]:
        """One commit, after those of the group that are `done`: decide, append, fold; again where another process was
        quicker.

        As long as no other process writes, a group is decided on the books as they are: the append compares heads.
        What writes nothing, such as a refusal, is only true of the head that it was decided on.
        """
        for overtaken in count():
            with self._alone() if overtaken >= MAX_OPTIMISTIC_RETRIES else _NOT_ALONE:
                if overtaken or self._crowded or self._stale:
                    self._catch_up()
                at, behind = self._moment()
                group = _Group(Context(self._books, at, self._tariffs, self._store.id, self._head, behind=behind))
                outcomes = [self._decide(group, command) for command in commands]
                if group.events:
                    noted = self._notes.ready(at)
                    try:
                        commit = encode_commit(self._head, at, [*group.events, *noted])
                        self._decided = self._doing, [*done], outcomes, commit  # from here on the log may have it
                        self._append(commit, [*group.events, *noted])
                    except Conflict:
                        self._crowded = True
                        continue
                    self._notes.written(at, noted)
                elif not overtaken and self._catch_up():
                    continue
            for request, refused in group.refused:
                self._notes.add(self._books, request, refused)
            return [self._told(outcome) for outcome in outcomes]
        raise AssertionError("counting never ends")

    def _alone(self) -> AbstractContextManager[None]:
        """What was overtaken again and again is decided while nobody else may write, where the store can do that."""
        return self._store.hold() if isinstance(self._store, HoldingStore) else _NOT_ALONE

    def _decide(self, group: _Group, command: object) -> Answer | Replay | Refused | Exception:
        """Decide one command on what the group has come to, and put its events there."""
        context = group.next_context()
        try:
            admitted = admit(command)
            needed = admitted.key is not None or type(admitted) is Adjust
            context.evidence = self._evidence(context, group, admitted) if needed else NO_EVIDENCE
            decision = decide(context, admitted)
            if not isinstance(decision, Decision):
                if isinstance(decision, Refused) and isinstance(admitted, Request):
                    group.refused.append((admitted, decision))
                return decision
        except Refusal as refusal:
            return refusal.refused
        except Exception as error:  # noqa: BLE001 - a fault in one command is not its neighbours'
            return error
        own = decision.own
        group.add([*decision.due, *own] if decision.due else own)
        last = self._head.seq + len(group.events)
        return Answer(last - len(own) + 1, context.at, own[0]) if own else Answer(last, context.at, None)

    def _evidence(self, context: Context, group: _Group, command: AnyCommand) -> Mapping[int, Entry]:
        """The events of closed things that the command is about, read from the log, or from the group before it."""
        seq = referenced_seq(command)
        needed = isinstance(command, Adjust) or seq not in context.books.open
        if not needed or not 0 < seq <= self._head.seq + len(group.events):
            return NO_EVIDENCE
        if seq <= self._head.seq:
            return {seq: self._entry(seq)}
        return {seq: Entry(seq, context.at, group.events[seq - self._head.seq - 1])}

    def _append(self, commit: Commit, events: list[Recorded]) -> None:
        self._store.append(self._head, commit)
        self._fold(commit, events)

    def _told(self, outcome: Answer | Replay | Refused | Exception) -> Outcome | Exception:
        return self._first_answer(outcome) if isinstance(outcome, Replay) else outcome

    def _first_answer(self, replay: Replay) -> Answer | Exception:
        try:
            entry = self._entry(replay.seq)
        except Exception as error:  # noqa: BLE001 - the rest of the group is written, and must hear so
            return error
        event = decode_one(encode(entry.event))  # the one that was read may be needed again
        return Answer(entry.seq, entry.at, event, repeated=True)

    # -- the books and the log -----------------------------------------------------------------------------------------

    def _load(self) -> None:
        """The books from the latest snapshot, if one holds, and from what came after it."""
        books, head, self._snapshot_seq = Books(), origin(self._store.id), 0
        if (cached := latest_snapshot(self._store)) is not None:
            books, snapshot = cached
            head = Head(snapshot.seq, snapshot.hash, books.at)
            self._snapshot_seq = snapshot.seq
        with self._books_lock:
            self._stale = True  # until head and books are of one another
            self._books, self._head = books, head
            self._stale = False
        self._catch_up()

    def _catch_up(self) -> bool:
        """Fold what other processes wrote since; whether they did."""
        if self._stale:
            self._load()
            return True
        head = self._store.head()
        self._crowded = head.hash != self._head.hash
        if not self._crowded:
            return False
        if head.seq <= self._head.seq:  # what was read from it, and may have been acknowledged, is gone
            raise Damaged(f"the log ends at {head.seq} by now, and this ledger has read it up to {self._head.seq}")
        for commit in self._store.read(self._head.seq):
            check_follows(self._head.seq, self._head.hash, commit)
            self._fold(commit, decode_commit(commit))
        return True

    def _fold(self, commit: Commit, events: list[Recorded]) -> None:
        with self._books_lock:
            self._stale = True  # until the fold is whole: an interrupt in the middle of it must not leave half of it
            self._scans.keep(self._books, events)
            fold(self._books, commit, events)
            self._head = commit.head
            self._stale = False

    def _save_snapshot(self) -> None:
        if self._head.seq:
            self._store.save_snapshot(snapshot_of(self._books, self._head))
            self._snapshot_seq = self._head.seq
            self._save_index(self._store)

    def _entry(self, seq: int) -> Entry:
        """One event, read again. Its whole commit is kept: who asks for one of a large commit asks for more of it."""
        if not self._last_read or not self._last_read[0].seq <= seq <= self._last_read[-1].seq:
            self._last_read = list(entries([next(verified(self._store, seq - 1))]))
        return self._last_read[seq - self._last_read[0].seq]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._check_process()
        with self._lock:
            self._check_open()
            yield

    @contextmanager
    def _current(self) -> Iterator[None]:
        with self._locked():
            self._catch_up()
            yield

    def _moment(self, writes: bool = True) -> tuple[int, int]:
        """The clock's time, never before the head's, and by how much the clock is behind that (0 where it is not).

        What it says is written, and must be read again. Raises BadData for a clock that gives no time, and ClockMoved
        for one that leapt, which readings (not `writes`) are spared.
        """
        clock = self._clock
        now = clock() if writes or not isinstance(clock, WallClock) else clock.estimate()
        if type(now) is not int or now > MAX_TIME:
            said = f"the clock gives {type(now).__name__}s, or a time beyond the year 9999"
            raise BadData(said, "give the ledger a clock of whole microseconds")
        at = self._head.at
        return (now, 0) if now >= at else (at, at - now)

    def _check_open(self) -> None:
        if self._closed:
            raise Closed("the ledger is closed")

    def _pause_for_fork(self, seconds: float) -> bool:
        """Let no thread in, and the store let go of its file, while this process forks; whether that was so."""
        if not self._lock.acquire(timeout=seconds):
            return False
        if not self._closed and isinstance(self._store, PausingStore):
            with suppress(Exception):  # the fork takes place all the same, and nobody may be locked out by it
                self._store.pause()
        return True

    def _resume_after_fork(self) -> None:
        """Let others in again, after `_pause_for_fork`."""
        self._lock.release()

    def _check_process(self) -> None:
        if self._process != os.getpid():
            raise Closed("this ledger was opened before a fork")
