"""The audit: a log is read as it stands on disk, and everything in it is computed again.

Nothing is believed: not the store, not a snapshot, not the engine's decisions. Hashes, sequence and time are followed
over the stored bytes; then each event is held to what it refers to, and to the price, meter, hold, draws and money that
follow from everything before it; batches are made again, payouts and roots; and the books that the reducers fold are
held to the legs that the movements say.

A commit that cannot be read ends the fold, since nothing after it can be judged; hashes are still followed to the end.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from multiprocessing import get_context
from pathlib import Path

import msgspec

from ledger import plugins
from ledger.errors import LedgerError
from ledger.events import Charged, Recorded, decode
from ledger.log import TEXT, Snapshot
from ledger.plugins import Store

from .checks import (
    BY_EVENT,
    DIFFERENCE,
    KINDS,
    earnings,
    holds,
    ordinary,
    outstanding,
    references,
    snapshots,
    standing,
    totals,
    whole,
)
from .checks.adjustments import pending_falls
from .checks.case import Case
from .checks.times import KIND, Dues
from .findings import Findings, Leap, Report, ReportHead, Unverified, in_order, time_text
from .hashes import Chain, Checkpoint, checkpoint, compare
from .onchain import EarnedByBatch, compared
from .parallel import TOGETHER, Part, Place, Share, together
from .rows import FileRows, Row, Source, Unreadable, source

__all__ = ["audit", "checkpoint"]

Progress = Callable[[int, int], None]
"""Told now and then how far an audit is: the sequence reached, and the last one."""

LONG = 100_000
"""Events from which on it is worth starting processes to audit a log in."""

_TOLD_EVERY = 500
_COPY = "copy a log that is open with `tollbook copy`"
_EMPTY = f"there are 0 events: a copy of the file of a log that was open may have lost them; {_COPY}"
_END = "; what follows it is not folded"


def audit(
    where: str | Path | Store,
    *,
    since: Checkpoint | str | None = None,
    against: str | Path | Store | None = None,
    progress: Progress | None = None,
    processes: int | None = 1,
    executor: Executor | None = None,
    chains: Sequence[plugins.Chain] = (),
) -> Report:
    """Audit a log file, or an open store.

    `since` is a head that an earlier audit saw and that must still stand; `against` is a copy of the log, or the JSON
    of a saved audit. A log file can be audited by several `processes` at once, None being as many as there are cores if
    it is long enough to be worth it, or in so many parts on an `executor` whose workers can read that file. An open
    store, or a log that is compared with a copy, is audited in this process. The report is the same, however it is
    made: what a log with findings has is found in one process.

    With `chains`, connections to contracts, the log is also held to what these have (`onchain`): all of those that it
    has money in should be given (`onchain.read(log).places()` names them). They are read, and nothing is sent.

    Raises NotFound, NotALog or WrongVersion where there is no log to audit, and ChainUnavailable.
    """
    early = checkpoint(since) if isinstance(since, str) else since
    checkpoints = [early] if early is not None else []
    report, earned = _audited(where, checkpoints, against, progress, processes, executor)
    return compared(report, where, chains, earned) if chains else report


def _audited(
    where: str | Path | Store,
    checkpoints: list[Checkpoint],
    against: str | Path | Store | None,
    progress: Progress | None,
    processes: int | None,
    executor: Executor | None,
) -> tuple[Report, EarnedByBatch]:
    """The report from the log alone, and what was earned at each batch."""
    log = source(where)
    try:
        number = _processes(log, processes)
        if isinstance(log, FileRows) and number > 1 and against is None:
            with _workers(executor, number) as workers:
                proven = _in_parts(log, checkpoints, number, workers)
            if proven is not None:
                if progress is not None:
                    progress(proven[0].head.seq, proven[0].head.seq)
                return proven
        return _Audit(log, checkpoints).run(against, progress)
    finally:
        log.close()


def _processes(log: Source, processes: int | None) -> int:
    if not log.last():
        return 1
    if processes is not None:
        return processes
    return _cores() if log.last() >= LONG else 1


def _cores() -> int:
    """The cores that this process may use, where the system can tell; else those of the machine."""
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable is not None else os.cpu_count() or 1


def _workers(executor: Executor | None, processes: int) -> AbstractContextManager[Executor]:
    """The executor that was given, or one of new processes. They are spawned: a fork would copy locks and threads."""
    if executor is not None:
        return nullcontext(executor)
    return ProcessPoolExecutor(processes, mp_context=get_context("spawn"))


def _in_parts(
    log: FileRows, checkpoints: list[Checkpoint], number: int, workers: Executor
) -> tuple[Report, EarnedByBatch] | None:
    """Audit the log in parts. None where these do not prove that it is clean."""
    said = log.name, log.last(), checkpoints, number
    futures = [workers.submit(audit_part, *said, index) for index in range(number)]
    try:
        parts = [future.result() for future in futures]
    except BrokenExecutor as error:
        hint = "run it with one process; a script that starts several guards itself by `if __name__ == '__main__':`"
        raise ProcessDied("a process of the audit died", hint) from error
    finally:
        for future in futures:
            future.cancel()
    proofs = [part for part in parts if part is not None]
    case = Case(Findings(), frozenset(), log.id)
    try:
        if len(proofs) < number or not together(case, proofs, log.snapshots()):
            return None
    except Exception:  # noqa: BLE001 - a log in which the parts do not fit together is not clean
        return None
    return _report(log.name, proofs[0].end, case, KINDS, proofs[0].leaps), case.settled.earned


def audit_part(path: str, upto: int, checkpoints: list[Checkpoint], of: int, index: int) -> Part | None:
    """One part of an audit, in a process of its own. None where it does not prove its accounts to be right."""
    log = FileRows(Path(path), upto)
    try:
        return _Audit(log, checkpoints if not index else []).part(Share(index, of))
    except Exception:  # noqa: BLE001 - what a part cannot take, the audit in one process finds
        return None
    finally:
        log.close()


class ProcessDied(LedgerError):
    """A process that audited a part of the log died."""

    hint = "run it again with one process"


class _Audit:
    def __init__(self, log: Source, checkpoints: list[Checkpoint]) -> None:
        self._log = log
        self._findings = Findings()
        self._checkpoints = checkpoints
        self._case = Case(self._findings, frozenset())
        self._dues = Dues()
        self._snapshots: dict[int, Snapshot] = {}
        self._share: Share | None = None
        self._folds = True

    def run(self, against: str | Path | Store | None, progress: Progress | None) -> tuple[Report, EarnedByBatch]:
        kinds = KINDS if against is None else (*KINDS, DIFFERENCE)
        if against is not None and (saved := compare(self._log, against, self._findings)) is not None:
            self._checkpoints.append(saved)
        self._case = Case(self._findings, _corrected(self._log), self._log.id)
        self._snapshots = self._log.snapshots()
        chain = Chain(self._log.origin, self._findings, self._checkpoints)
        self._follow(chain, progress)
        chain.end()
        for flaw in self._log.flaws():
            self._findings.add("unreadable", None, "file", "ok", flaw, f"the file is damaged: {flaw}")
        if missing := self._log.incomplete():
            self._findings.add("unreadable", None, "write-ahead file", "present", "missing", f"{missing}; {_COPY}")
        if self._folds:
            self._end()
            self._guarded("books", self._whole)
        report = _report(self._log.name, _place(chain), self._case, kinds, tuple(chain.leaps))
        return report, self._case.settled.earned

    def part(self, share: Share) -> Part | None:
        """Audit a share of the accounts. None where anything is found, or cannot be judged alone."""
        self._share = share
        case = self._case = Case(self._findings, _corrected(self._log), self._log.id)
        case.taken = []
        self._snapshots = self._log.snapshots()
        chain = Chain(self._log.origin, self._findings, self._checkpoints, hashes=not share.index)
        self._follow(chain, None)
        chain.end()
        if self._folds:
            self._end()
        last = share.index == share.of - 1
        if self._findings.counts or (last and (self._log.incomplete() or self._log.flaws())):
            return None
        _count(case)
        if share.index:  # the first part counts the commits
            self._findings.checked.subtract(dict.fromkeys(("unreadable", "sequence", "time", "schema"), chain.commits))
        return Part(
            end=_place(chain),
            events=share.events,
            checked=self._findings.checked,
            unverified=case.unverified,
            taken=case.taken,
            counted=whole.count(case),
            batches=share.batches,
            earnings=share.earnings,
            settlings=case.books.settlings,
            snapshots=share.snapshots,
            leaps=tuple(chain.leaps),
        )

    def _end(self) -> None:
        self._guarded("books", lambda: totals.end(self._case))
        self._guarded("earned", lambda: earnings.end(self._case))
        self._guarded("books", lambda: outstanding.unpaid(self._case))

    def _whole(self) -> None:
        counted = whole.count(self._case)
        whole.end(self._case, counted)
        outstanding.end(self._case, counted, self._case.books.settlings)

    def _follow(self, chain: Chain, progress: Progress | None) -> None:
        """Each commit: as bytes, then as events."""
        last = self._log.last()
        try:
            for row in self._log.rows():
                self._findings.checked["unreadable"] += 1
                self._case.head = chain.seq, chain.hash
                chain.follow(row)
                self._commit(row)
                if self._folds and (snapshot := self._snapshots.get(chain.seq)) is not None:
                    self._snapshot(snapshot, chain)
                if self._share is not None and (self._findings.counts or not self._folds):
                    return
                if progress is not None and chain.commits % _TOLD_EVERY == 0:
                    progress(chain.seq, max(last, chain.seq))
        except Unreadable as error:
            self._folds = False
            message = f"the log cannot be read beyond {chain.seq}: {error}"
            self._findings.add("unreadable", chain.seq + 1, "page", None, str(error), message)
        if progress is not None:
            progress(chain.seq, chain.seq)

    def _snapshot(self, snapshot: Snapshot, chain: Chain) -> None:
        if self._share is None:
            snapshots.judge(self._case, snapshot, chain.hash)
        elif snapshot.hash == chain.hash:
            self._share.snapshot(self._case, snapshot)

    def _commit(self, row: Row) -> None:
        case = self._case
        events = self._events(row)
        if events is None or not self._folds or type(row.at) is not int:
            self._folds = False
            return
        case.begin(row.first_seq, row.at, events)
        self._dues.begin()
        for case.seq, case.event in enumerate(events, row.first_seq):
            if self._share is not None and not self._share.judges(case):
                continue
            self._event(case)
            if not self._folds:
                return
        if self._share is not None:
            case.books.seq = case.seq
        self._guarded("time", lambda: self._dues.end(case))
        self._guarded("books", lambda: self._laws(case))
        if case.falls:
            self._guarded("price", lambda: pending_falls(case))

    def _laws(self, case: Case) -> None:
        """What holds of an account after every commit."""
        for number in self._dues.touched(case):
            account = case.books.accounts[number]
            standing.end(case, account)
            if account.requests or case.lent:
                holds.end(case, account)

    def _events(self, row: Row) -> list[Recorded] | None:
        """The events of a commit, or a finding."""
        self._findings.checked["schema"] += 1
        end = _END if self._folds else ""
        if row.kind != TEXT or row.body is None:
            message = f"commit {row.first_seq} is not a JSON array of events{end}"
            self._findings.add("schema", row.first_seq, "body", "text", "blob" if row.body else None, message)
            return None
        try:
            row.body.decode()  # the decoder looks at no text in fields that it does not know
            events = decode(row.body)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            message = f"commit {row.first_seq} cannot be decoded: {error}{end}"
            self._findings.add(
                "schema", row.first_seq, "body", "events", row.body[:100].decode(errors="replace"), message
            )
            return None
        if len(events) != row.count:
            message = f"commit {row.first_seq} says {row.count} events and holds {len(events)}"
            self._findings.add("sequence", row.first_seq, "count", row.count, len(events), message)
        return events

    def _event(self, case: Case) -> None:
        """Judge an event on what came before it, let it happen, and judge what it came to."""
        if not ordinary.recognised(case) and not self._judged(case):
            case.passed_over = True
            return
        try:
            case.fold()
            totals.after(case)
            holds.after(case)
        except Exception as error:  # noqa: BLE001 - reducers and journal expect what decide would write
            self._folds = False
            case.find("books", "event", None, None, f"this cannot be folded: {type(error).__name__}: {error}{_END}")

    def _judged(self, case: Case) -> bool:
        """Let all checks of an event look at it. False where it cannot be folded, which was found."""
        checked = case.findings.checked
        checked["schema"] += 1
        try:
            if not references.resolve(case):
                return False
            self._dues.judge(case)
            for kind, _, judge in BY_EVENT.get(type(case.event), ()):
                if self._share is None or kind not in TOGETHER:
                    checked[kind] += 1
                    judge(case)
        except Exception as error:  # noqa: BLE001 - a hostile event may break any rule that a check relies on
            case.find("schema", "event", None, None, f"this cannot be judged: {type(error).__name__}: {error}")
        return True

    def _guarded(self, kind: str, check: Callable[[], None]) -> None:
        """A check of the whole that malformed events may break."""
        try:
            check()
        except Exception as error:  # noqa: BLE001 - an audit answers, whatever the log holds
            message = f"this cannot be judged: {type(error).__name__}: {error}"
            self._findings.add(kind, self._case.seq or None, "event", None, None, message)


def _place(chain: Chain) -> Place:
    return Place(chain.seq, chain.commits, chain.at, chain.hash)


def _report(name: str, end: Place, case: Case, kinds: tuple[str, ...], leaps: tuple[Leap, ...]) -> Report:
    _count(case)
    found = in_order(case.findings.listed)
    return Report(
        log=name,
        verdict="findings" if found else "clean",
        head=ReportHead(
            seq=end.seq,
            commits=end.commits,
            at=time_text(end.at) if end.commits else None,
            hash=end.hash.hex(),
        ),
        checks=case.findings.checks(kinds),
        unverified=Unverified(
            charges=sum(case.unverified.values()),
            policies=tuple(sorted(case.unverified)),
            batches=sum(case.unsealed.values()),
            chains=tuple(sorted(case.unsealed)),
        ),
        findings=found,
        warnings=() if end.seq or found else (_EMPTY,),
        leaps=leaps,
    )


def _count(case: Case) -> None:
    """Add what was counted on the way to the kinds of checks that it was checked for."""
    checked = case.findings.checked
    checked.update(conservation=case.folded, overspend=case.touched, hold=case.touched, books=case.compared)
    for event, number in case.recognised.items():
        checked.update(dict.fromkeys(("schema", KIND, *(("meter",) if event is Charged else ())), number))
        for kind, *_ in BY_EVENT.get(event, ()):
            checked[kind] += number


class _Peek(msgspec.Struct):
    """What a first look at an event is for: which charges are corrected later, so that only those are kept."""

    type: str = ""
    charge: int = 0


_peek = msgspec.json.Decoder(list[_Peek])


def _corrected(log: Source) -> frozenset[int]:
    return frozenset(_corrections(log))


def _corrections(log: Source) -> Iterator[int]:
    try:
        for row in log.rows():
            if row.body is not None and (b'"charge"' in row.body or b"\\u" in row.body):
                try:
                    yield from (each.charge for each in _peek.decode(row.body) if each.charge)
                except (msgspec.MsgspecError, RecursionError, ValueError):
                    continue
    except Unreadable:
        return
