"""What the checks look at: one event in its place, and what the auditor has folded up to it.

The auditor has the books (by `reducers`), the journal (by `movements`), and a few sums of its own: meters, holds and
estimates of open requests, and the charges that are corrected later.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

from ledger.books import Account, Books, OpenRequest, Plan
from ledger.errors import LedgerError
from ledger.events import Adjusted, Charged, Recorded, Released, Requested, Usage
from ledger.log import Entry
from ledger.movements import Journal, Leg
from ledger.plugins import Policy, Price
from ledger.reducers import reduce
from ledger.tariffs import Tariffs

from ..findings import Findings
from .settled import MOVES, Settled

_MOST_REMEMBERED = 20_000


class Meter:
    """Usage in one scope, whether anything was charged there at all, and the net credits."""

    __slots__ = ("charged", "net", "usage")

    def __init__(self) -> None:
        self.usage: Usage = {}
        self.charged = False
        self.net = 0

    def add(self, usage: Usage) -> None:
        """Count more usage."""
        _add(self.usage, usage)
        self.charged = True


def _add(usage: Usage, more: Usage, sign: int = 1) -> None:
    """Add to usage in place; dimensions that come to 0 are left out."""
    for name, units in more.items():
        if total := usage.get(name, 0) + sign * units:
            usage[name] = total
        else:
            usage.pop(name, None)


class Sums:
    """The auditor's own sums, moved by what the events say."""

    def __init__(self, corrected: frozenset[int]) -> None:
        self.periods: dict[tuple[int, str], Meter] = {}
        self.requests: dict[int, Meter] = {}
        self.holds: dict[int, int] = {}
        self.held: dict[int, int] = {}
        self.pending: dict[int, Usage] = {}
        self.charges: dict[int, Charged] = {}
        self.admitted = array("q")
        self._corrected = corrected

    def was_admitted(self, request: int) -> bool:
        """Whether that sequence is a request, open or closed."""
        place = bisect_left(self.admitted, request)
        return place < len(self.admitted) and self.admitted[place] == request

    def move(self, case: Case) -> None:
        """Count the event."""
        event = case.event
        match event:
            case Requested():
                self.admitted.append(case.seq)
                self.requests[case.seq] = Meter()
                self.holds[case.seq] = event.hold
                self.held[event.account] = self.held.get(event.account, 0) + event.hold
                if event.estimate:
                    _add(self.pending.setdefault(event.account, {}), event.estimate)
            case Released():
                self._close(case, event.request, keep=event.reason == "expired")
            case Charged():
                self._charged(case, event)
            case Adjusted():
                self._adjusted(event)
            case _:
                pass

    def _charged(self, case: Case, event: Charged) -> None:
        if case.seq in self._corrected:
            self.charges[case.seq] = event
        meter = self.periods.get((event.account, event.period))
        if meter is None:
            meter = self.periods[event.account, event.period] = Meter()
        meter.add(event.usage)
        meter.net += event.credits
        if event.request:
            if (own := self.requests.get(event.request)) is not None:
                own.add(event.usage)
            taken = min(self.holds.get(event.request, 0), event.credits)
            if taken:
                self.holds[event.request] -= taken
                self.held[event.account] -= taken
            if event.final:
                self._close(case, event.request)

    def _adjusted(self, event: Adjusted) -> None:
        period = event.period or event.metered
        meter = self.periods.get((event.account, period))
        if meter is None and period and event.usage:
            meter = self.periods[event.account, period] = Meter()
        if meter is not None:
            meter.net += event.credits
            if event.usage:
                meter.add(event.usage)
        if event.usage and (own := self.requests.get(event.request)) is not None:
            own.add(event.usage)

    def _close(self, case: Case, request: int, keep: bool = False) -> None:
        account = case.account
        if account is not None and request in self.holds:
            self.held[account.number] -= self.holds.pop(request)
            if case.request is not None and case.request.estimate:
                _add(self.pending[account.number], case.request.estimate, -1)
        if not keep:
            self.requests.pop(request, None)


class Remembered:
    """A policy that remembers its totals: it is pure, and a period's total is the next charge's total before."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.version, self.scope, self.monotone = policy.version, policy.scope, policy.monotone
        self._totals: dict[tuple[object, object], Price] = {}

    @property
    def parameters(self) -> dict[str, Any]:
        """Those of the policy."""
        return self._policy.parameters

    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        """The policy's total."""
        place = (tuple(usage.items()), tuple(labels.items()))
        price = self._totals.get(place)
        if price is None:
            if len(self._totals) >= _MOST_REMEMBERED:
                self._totals.clear()
            price = self._totals[place] = self._policy.total(usage, labels)
        return price


class Case:
    """One event, what it is about, and everything known before it (or, for the checks that come after, with it).

    `request` is the open request that the event is about, `late` the expired one that may still be charged. `ledger` is
    the log's id, `head` its head before the event's commit (sequence and hash), `first` that commit's first sequence
    and `commit` its events.
    """

    __slots__ = (
        "_policies",
        "account",
        "at",
        "books",
        "commit",
        "event",
        "falls",
        "findings",
        "first",
        "head",
        "journal",
        "late",
        "ledger",
        "passed_over",
        "plan",
        "request",
        "seq",
        "settled",
        "sums",
        "tariffs",
        "told",
        "unsealed",
        "unverified",
    )  # fmt: skip

    event: Recorded

    def __init__(self, findings: Findings, corrected: frozenset[int], ledger: str = "") -> None:
        self.findings, self.ledger = findings, ledger
        self.books, self.journal, self.sums = Books(), Journal(), Sums(corrected)
        self.settled = Settled()
        self.tariffs = Tariffs()
        self.seq = self.at = self.first = 0
        self.head: tuple[int, bytes] = (0, b"")
        self.commit: Sequence[Recorded] = ()
        self.passed_over = False
        self.account: Account | None = None
        self.plan: Plan | None = None
        self.request: OpenRequest | None = None
        self.late: OpenRequest | None = None
        self.falls: dict[int, tuple[int, str, int]] = {}
        self.told: set[tuple[str, int, int]] = set()
        self.unverified: dict[str, int] = {}
        self.unsealed: dict[str, int] = {}
        self._policies: dict[tuple[str, int], Policy | None] = {}

    def find(self, kind: str, field: str, expected: object, found: object, message: str) -> None:
        """A finding about this event."""
        self.findings.add(kind, self.seq, field, expected, found, message)

    def policy(self, version: int) -> Policy | None:
        """The policy of the plan's tariff version; None where it is not installed in that version."""
        plan = self.plan
        assert plan is not None
        place = (plan.terms.plan, version)
        if place not in self._policies:
            try:
                policy = self.tariffs.policy(plan, version)
                self._policies[place] = Remembered(policy) if policy.scope == "period" else policy
            except LedgerError:
                self._policies[place] = None
            except Exception:  # noqa: BLE001 - a policy is foreign code; one that cannot be made is not installed
                self._policies[place] = None
        return self._policies[place]

    def cannot_reprice(self, version: int, charges: int = 0) -> None:
        """Note that the tariff's policy is not installed."""
        assert self.plan is not None
        name = self.plan.tariffs[version - 1].policy
        self.unverified[name] = self.unverified.get(name, 0) + charges

    def cannot_seal(self, chain: str) -> None:
        """Note that no plugin of that kind of chain is installed."""
        self.unsealed[chain] = self.unsealed.get(chain, 0) + 1

    def fold(self) -> list[Leg]:
        """Let the event happen: in the books, in the journal, and in the sums. Returns its legs."""
        reduce(self.books, self.seq, self.at, self.event)
        legs = self.journal.post(Entry(self.seq, self.at, self.event))
        self.sums.move(self)
        if (move := MOVES.get(type(self.event))) is not None:
            move(self.settled, self.seq, self.at, self.event)
        return legs
