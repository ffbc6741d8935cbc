"""One pass over a log: each commit as bytes, then as events, then the books that they result in.

A commit that cannot be read ends the fold, since nothing after it can be judged; hashes are still followed to the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeAlias

from ledger.events import Adjusted, Recorded
from ledger.log import TEXT, Snapshot
from ledger.log.bodies import UNREADABLE, decode, mentions
from ledger.plugins import Store

from .checks import (
    AT_END,
    BY_EVENT,
    account_rules,
    caches,
    conservation,
    fast_path,
    holds,
    invoices,
    outstanding,
    references,
    snapshots,
    totals,
)
from .checks.adjustments import pending_falls
from .checks.case import Case
from .checks.times import Dues
from .conclusion import count, kinds_of, report_of
from .findings import Findings, Report
from .hashes import Checkpoint, HashChain, compare
from .onchain import EarnedByBatch
from .parts import TOGETHER, LogEnd, Part, Partition
from .rows import Row, Source, Unreadable
from .tally import Tally, tally

Progress: TypeAlias = Callable[[int, int], None]
"""Called every few commits with the sequence that an audit has reached, and the last sequence of the log."""

_PROGRESS_EVERY = 500
_COPY = "copy a log that is open with `tollbook backup`"
_END = "; what follows it is not folded"


class Auditor:
    """Reads a log once, checks every commit and event, and folds its own books. Use one instance per pass."""

    def __init__(self, log: Source, checkpoints: list[Checkpoint]) -> None:
        self._log = log
        self._findings = Findings()
        self._checkpoints = checkpoints
        self._case = Case(self._findings, frozenset())
        self._dues = Dues()
        self._snapshots: dict[int, Snapshot] = {}
        self._partition: Partition | None = None
        self._folds = True
        self._sums: Tally | None = None

    def run(self, against: str | Path | Store | None, progress: Progress | None) -> tuple[Report, EarnedByBatch]:
        """Audit the whole log. Return its report, and what had been earned when each batch was opened."""
        kinds = kinds_of(self._checkpoints, against)
        self._check_ledger()
        if against is not None and (saved := compare(self._log, against, self._findings)) is not None:
            self._checkpoints.append(saved)
        self._case = Case(self._findings, _corrected(self._log), self._log.id)
        self._snapshots = self._log.snapshots()
        chain = HashChain(self._log.origin, self._findings, self._checkpoints)
        self._follow(chain, progress)
        chain.end()
        for flaw in self._log.flaws():
            self._findings.add("unreadable", None, *flaw)
        if missing := self._log.incomplete():
            self._findings.add("unreadable", None, "write-ahead file", "present", "missing", f"{missing}; {_COPY}")
        self._guarded("snapshot", lambda: caches.judge(self._findings, self._log))
        if self._folds:
            self._end()
            self._guarded("books", self._end_together)
        report = report_of(self._log, _end_of(chain), self._case, kinds, chain.leaps(), self._sums)
        return report, self._case.settled.earned

    def _check_ledger(self) -> None:
        """Report checkpoints of another ledger: they say nothing about this one's hashes."""
        foreign = [each for each in self._checkpoints if each.ledger and each.ledger != self._log.id]
        for each in foreign:
            self._checkpoints.remove(each)
            self._findings.checked[each.missing] += 1
            message = f"the noted head at {each.seq} is of the ledger {each.ledger!r}, and this is {self._log.id!r}"
            self._findings.add(each.missing, None, "ledger", each.ledger, self._log.id, message)

    def part(self, partition: Partition) -> Part | None:
        """Audit the accounts of a partition. Return None where anything is found, or cannot be judged alone."""
        self._partition = partition
        case = self._case = Case(self._findings, _corrected(self._log), self._log.id)
        case.taken = []
        self._snapshots = self._log.snapshots()
        chain = HashChain(self._log.origin, self._findings, self._checkpoints, hashes=not partition.index)
        self._follow(chain, None)
        chain.end()
        if self._folds:
            self._end()
        last = partition.index == partition.of - 1
        if last:
            self._guarded("snapshot", lambda: caches.judge(self._findings, self._log))
        if self._findings.counts or (last and (self._log.incomplete() or self._log.flaws())):
            return None
        count(case)
        if partition.index:  # the first part counts the commits
            self._findings.checked.subtract(dict.fromkeys(("unreadable", "sequence", "time", "schema"), chain.commits))
        return Part(
            end=_end_of(chain),
            events=partition.events,
            checked=self._findings.checked,
            unverified=case.unverified,
            taken=case.taken,
            counted=conservation.count(case),
            tally=tally(case),
            batches=partition.batches,
            earnings=partition.earnings,
            settlings=case.books.settlings,
            snapshots=partition.snapshots,
            leaps=chain.leaps(),
        )

    def _end(self) -> None:
        for kind, check in AT_END:
            self._guarded(kind, partial(check, self._case))

    def _end_together(self) -> None:
        """Judge what is counted over all accounts."""
        counted = conservation.count(self._case)
        conservation.end(self._case, counted)
        outstanding.end(self._case, counted, self._case.books.settlings)
        if not self._case.passed_over:
            with suppress(Exception):  # a log with findings may have what cannot be summed
                self._sums = tally(self._case)

    def _follow(self, chain: HashChain, progress: Progress | None) -> None:
        """Follow each commit: as bytes, then as events."""
        last = self._log.last()
        try:
            for row in self._log.rows():
                self._findings.checked["unreadable"] += 1
                self._case.head = chain.seq, chain.hash
                chain.follow(row)
                self._commit(row)
                if self._folds and (snapshot := self._snapshots.get(chain.seq)) is not None:
                    self._snapshot(snapshot, chain)
                if self._partition is not None and (self._findings.counts or not self._folds):
                    return
                if progress is not None and chain.commits % _PROGRESS_EVERY == 0:
                    progress(chain.seq, max(last, chain.seq))
        except Unreadable as error:
            self._folds = False
            message = f"the log cannot be read beyond {chain.seq}: {error}"
            self._findings.add("unreadable", chain.seq + 1, "page", None, str(error), message)
        if progress is not None:
            progress(chain.seq, chain.seq)

    def _snapshot(self, snapshot: Snapshot, chain: HashChain) -> None:
        if self._partition is None:
            snapshots.judge(self._case, snapshot, chain.hash)
        elif snapshot.hash == chain.hash:
            self._partition.snapshot(self._case, snapshot)

    def _commit(self, row: Row) -> None:
        case = self._case
        events = self._events(row)
        if events is None or not self._folds or type(row.at) is not int:
            self._folds = False
            return
        case.begin(row.first_seq, row.at, events)
        self._dues.begin()
        for case.seq, case.event in enumerate(events, row.first_seq):
            if self._partition is not None and not self._partition.judges(case):
                continue
            self._event(case)
            if not self._folds:
                return
        if self._partition is not None:
            case.books.seq = case.seq
        self._guarded("time", lambda: self._dues.end(case))
        self._guarded("books", lambda: self._after_commit(case))
        if case.falls:
            self._guarded("price", lambda: pending_falls(case))

    def _after_commit(self, case: Case) -> None:
        """Check what holds of an account after every commit that touched it."""
        for number in self._dues.touched(case):
            account = case.books.accounts[number]
            account_rules.end(case, account)
            invoices.within_limit(case, account)
            if account.requests or case.lent:
                holds.end(case, account)

    def _events(self, row: Row) -> list[Recorded] | None:
        """Decode the events of a commit. Return None where that fails, which is a finding."""
        self._findings.checked["schema"] += 1
        end = _END if self._folds else ""
        if row.kind != TEXT or row.body is None:
            message = f"commit {row.first_seq} is not a JSON array of events{end}"
            self._findings.add("schema", row.first_seq, "body", "text", "blob" if row.body else None, message)
            return None
        try:
            events = decode(row.kind, row.body, strict=True)
        except UNREADABLE as error:
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
        """Judge an event by what came before it, fold it, and judge the result."""
        if not fast_path.accepts(case) and not self._judged(case):
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
        """Run all checks of an event. Return False where it cannot be folded, which is a finding."""
        checked = case.findings.checked
        checked["schema"] += 1
        try:
            if not references.resolve(case):
                return False
            self._dues.judge(case)
            for kind, _, judge in BY_EVENT.get(type(case.event), ()):
                if self._partition is None or kind not in TOGETHER:
                    checked[kind] += 1
                    judge(case)
        except Exception as error:  # noqa: BLE001 - a hostile event may break any rule that a check relies on
            case.find("schema", "event", None, None, f"this cannot be judged: {type(error).__name__}: {error}")
        return True

    def _guarded(self, kind: str, check: Callable[[], None]) -> None:
        """Run a check that malformed events may break."""
        try:
            check()
        except Exception as error:  # noqa: BLE001 - an audit reports, even if the log is malformed
            message = f"this cannot be judged: {type(error).__name__}: {error}"
            self._findings.add(kind, self._case.seq or None, "event", None, None, message)


def _end_of(chain: HashChain) -> LogEnd:
    return LogEnd(chain.seq, chain.commits, chain.at, chain.hash, chain.begin)


def _corrected(log: Source) -> frozenset[int]:
    """Return the charges that are corrected later, so that only those are kept in memory."""
    return frozenset(_corrections(log))


def _corrections(log: Source) -> Iterator[int]:
    try:
        for row in log.rows():
            if row.body is not None and mentions(row.kind, row.body, Adjusted):
                try:
                    events = decode(row.kind, row.body)
                except UNREADABLE:
                    continue
                yield from (event.charge for event in events if isinstance(event, Adjusted) and event.charge)
    except Unreadable:
        return
