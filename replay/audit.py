"""The audit: a log is read as it stands on disk, and everything in it is computed again.

Nothing is believed: not the store, not a snapshot, not the engine's decisions. Hashes, sequence and time are followed
over the stored bytes; then each event is held to what it refers to, and to the price, meter, hold, draws and money that
follow from everything before it; batches are made again, payouts and roots; and the books that the reducers fold are
held to the legs that the movements say.

A commit that cannot be read ends the fold, since nothing after it can be judged; hashes are still followed to the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from ledger.events import Charged, Recorded, decode
from ledger.log import TEXT, Snapshot
from ledger.plugins import Store

from .chain import Chain, Checkpoint, checkpoint, compare
from .checks import BY_EVENT, DIFFERENCE, KINDS, earnings, ordinary, outstanding, references, snapshots, totals
from .checks.adjustments import pending_falls
from .checks.case import Case
from .checks.times import KIND, Dues
from .findings import Findings, Report, ReportHead, Unverified, time_text
from .rows import Row, Source, Unreadable, source

__all__ = ["audit", "checkpoint"]

Progress = Callable[[int, int], None]
"""Told now and then how far an audit is: the sequence reached, and the last one."""

_TOLD_EVERY = 500
_END = "; what follows it is not folded"


def audit(
    where: str | Path | Store,
    *,
    since: Checkpoint | str | None = None,
    against: str | Path | Store | None = None,
    progress: Progress | None = None,
) -> Report:
    """Audit a log file, or an open store.

    `since` is a head that an earlier audit saw and that must still stand; `against` is a copy of the log, or the JSON
    of a saved audit. Raises NotFound, NotALog or WrongVersion where there is no log to audit.
    """
    early = checkpoint(since) if isinstance(since, str) else since
    log = source(where)
    try:
        return _Audit(log, [early] if early is not None else []).run(against, progress)
    finally:
        log.close()


class _Audit:
    def __init__(self, log: Source, checkpoints: list[Checkpoint]) -> None:
        self._log = log
        self._findings = Findings()
        self._checkpoints = checkpoints
        self._case = Case(self._findings, frozenset())
        self._dues = Dues()
        self._snapshots: dict[int, Snapshot] = {}
        self._folds = True

    def run(self, against: str | Path | Store | None, progress: Progress | None) -> Report:
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
        if self._folds:
            self._guarded("books", lambda: totals.end(self._case))
            self._guarded("earned", lambda: earnings.end(self._case))
            self._guarded("books", lambda: outstanding.end(self._case))
        return self._report(chain, kinds)

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
                    snapshots.judge(self._case, snapshot, chain.hash)
                if progress is not None and chain.commits % _TOLD_EVERY == 0:
                    progress(chain.seq, max(last, chain.seq))
        except Unreadable as error:
            self._folds = False
            message = f"the log cannot be read beyond {chain.seq}: {error}"
            self._findings.add("unreadable", chain.seq + 1, "page", None, str(error), message)
        if progress is not None:
            progress(chain.seq, chain.seq)

    def _commit(self, row: Row) -> None:
        case = self._case
        events = self._events(row)
        if events is None or not self._folds or type(row.at) is not int:
            self._folds = False
            return
        case.begin(row.first_seq, row.at, events)
        self._dues.begin()
        for case.seq, case.event in enumerate(events, row.first_seq):
            self._event(case)
            if not self._folds:
                return
        self._guarded("time", lambda: self._dues.end(case))
        if case.falls:
            self._guarded("price", lambda: pending_falls(case))

    def _events(self, row: Row) -> list[Recorded] | None:
        """The events of a commit, or a finding."""
        self._findings.checked["schema"] += 1
        end = _END if self._folds else ""
        if row.kind != TEXT or row.body is None:
            message = f"commit {row.first_seq} is not a JSON array of events{end}"
            self._findings.add("schema", row.first_seq, "body", "text", "blob" if row.body else None, message)
            return None
        try:
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

    def _report(self, chain: Chain, kinds: tuple[str, ...]) -> Report:
        self._count()
        found = sorted(self._findings.listed, key=lambda each: (each.seq is None, each.seq or 0))
        unverified, unsealed = self._case.unverified, self._case.unsealed
        return Report(
            log=self._log.name,
            verdict="findings" if found else "clean",
            head=ReportHead(
                seq=chain.seq,
                commits=chain.commits,
                at=time_text(chain.at) if chain.commits else None,
                hash=chain.hash.hex(),
            ),
            checks=self._findings.checks(kinds),
            unverified=Unverified(
                charges=sum(unverified.values()),
                policies=tuple(sorted(unverified)),
                batches=sum(unsealed.values()),
                chains=tuple(sorted(unsealed)),
            ),
            findings=tuple(found),
        )

    def _count(self) -> None:
        """Add what was counted on the way to the kinds of checks that it was checked for."""
        case, checked = self._case, self._findings.checked
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
