"""The findings of an audit as plain values that serialise as the contract's AUDIT."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from ledger.periods import time_text as time_text

from .totals import Totals
from .unverified import Unverified

CLEAN = "clean"

MAX_LISTED = 100
"""Findings of one kind that are listed. All are counted."""

_MAX_LENGTH = 200
_WIDEST = 1024


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One fault in the log. `seq` is the event's sequence, or that of its commit."""

    kind: str
    seq: int | None
    field: str
    expected: Any
    found: Any
    message: str


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of finding: how many things were checked for it, and how many findings that gave."""

    name: str
    checked: int
    findings: int


class ReportHead(msgspec.Struct, frozen=True, kw_only=True):
    """The end of the log as it was read."""

    seq: int
    commits: int
    at: str | None
    hash: str


class Leap(msgspec.Struct, frozen=True, kw_only=True):
    """A jump of the log's time, after which time did not move: the clock was behind its log.

    `seq` is that of the commit at which it jumped, to `at`, by `ahead_us` microseconds; so many later `commits` have
    exactly that time.
    """

    seq: int
    at: str
    ahead_us: int
    commits: int


class Leaps(NamedTuple):
    """The farthest leaps of a log, in order, and how many more there are."""

    listed: tuple[Leap, ...] = ()
    more: int = 0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an audit.

    `verdict` is `clean`: everything was verified, and nothing is wrong; or `clean, 2,098 prices not verified`: nothing
    is wrong in what could be verified; or `findings`. `unverified` says by policy what was not verified, and why.
    `warnings` name what is no fault of the log, but probably not what was meant to be audited; `leaps` of the clock and
    `notes` of what else is in the file are listed, and are no findings.

    `ledger` is the log's id. `proven_to` is the sequence of the last earlier head that was given and that the log still
    has, None without one; `unseen` says what this audit cannot see. `begin` is the time of the first commit, `versions`
    are those of Tollbook, Python and SQLite; `totals` are those of the log as it is, also with
    findings; None where not every event could be folded.
    """

    log: str
    verdict: str
    head: ReportHead
    checks: tuple[Check, ...]
    unverified: Unverified
    findings: tuple[Finding, ...]
    warnings: tuple[str, ...] = ()
    leaps: tuple[Leap, ...] = ()
    notes: tuple[str, ...] = ()
    ledger: str = ""
    proven_to: int | None = None
    unseen: tuple[str, ...] = ()
    begin: str | None = None
    versions: dict[str, str] = {}
    totals: Totals | None = None

    @property
    def clean(self) -> bool:
        """True if the verdict is `clean`: there are no findings, and everything was verified."""
        return self.verdict == CLEAN

    @property
    def passed(self) -> bool:
        """True if there are no findings, and Tollbook's own plugins were there to look for them.

        It is also true where prices of other policies were not verified, which the verdict says.
        """
        return not self.findings and not self.unverified.built_in_missing


def verdict(findings: Sequence[Finding], unverified: Unverified) -> str:
    """Return the verdict in words."""
    if findings:
        return "findings"
    return f"{CLEAN}, {unverified} not verified" if str(unverified) else CLEAN


class Findings:
    """Collects the findings of the checks: each with the expected value and the one in the log."""

    def __init__(self) -> None:
        self.checked: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.listed: list[Finding] = []

    def add(self, kind: str, seq: int | None, field: str, expected: object, found: object, message: str) -> None:
        """Count a finding, and list it if there are at most MAX_LISTED of its kind."""
        self.counts[kind] += 1
        if self.counts[kind] <= MAX_LISTED:
            finding = Finding(
                kind=kind, seq=seq, field=field, expected=_plain(expected), found=_plain(found), message=message
            )
            self.listed.append(finding)

    def checks(self, kinds: tuple[str, ...]) -> tuple[Check, ...]:
        """Return the counts of these kinds as checks, in their order."""
        return tuple(Check(name=kind, checked=self.checked[kind], findings=self.counts[kind]) for kind in kinds)


def in_order(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings sorted by sequence; those without one come last."""
    return tuple(sorted(found, key=lambda each: (each.seq is None, each.seq or 0)))


def _plain(value: object) -> object:
    """Return a value as JSON can represent it, cut to a readable length."""
    match value:
        case None | bool():
            return value
        case int():
            return value if value.bit_length() <= _WIDEST else f"a whole number of {value.bit_length()} bits"
        case bytes():
            return _cut(value.hex())
        case str():
            return _cut(value.encode(errors="replace").decode())
        case dict():
            return {_cut(str(name)): _plain(each) for name, each in list(value.items())[:_MAX_LENGTH]}
        case list() | tuple():
            return [_plain(each) for each in value[:_MAX_LENGTH]]
        case _:
            return _cut(str(value))


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}…"
