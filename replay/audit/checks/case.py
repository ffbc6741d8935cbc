"""The case that checks judge: one event, and everything that the auditor has folded before it.

The auditor has the books (by `reducers`), the journal (by `movements`), and its own sums (`sums`, `settled`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ledger.accounts import Account, OpenRequest
from ledger.amounts import SECOND, amount_text, money_text
from ledger.books import Books
from ledger.catalogue import Plan
from ledger.events import (
    Charged,
    Draws,
    Event,
    Recorded,
    Usage,
)
from ledger.movements import Journal
from ledger.periods import period
from ledger.plugins import Policy, Price
from ledger.rating import declares_dimensions, derivable, name_of
from ledger.reducers import reduce
from ledger.tariffs import Tariffs

from ..findings import Findings
from ..unverified import Gaps, Priced, count, reason_of
from .receivables import ADDS, Receivables
from .settled import MOVES, Settled
from .sums import ADDERS, Sums

DAY = 86_400 * SECOND

_MAX_CACHED = 20_000


ELSEWHERE = Account(0, "", "")
"""The placeholder in the books for each account that is judged in another part of the audit."""


def _calendar(at: int) -> dict[str, str]:
    """Return the periods of a day by metering, except those that a purchase begins; none beyond the calendar."""
    try:
        return {metering: period(metering, (), at) for metering in ("month", "day", "forever")}
    except OverflowError:
        return {}


class CachedTotals:
    """A policy that caches its totals, lines and all: it is pure, and a period's total is the next charge's total
    before."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.version, self.scope, self.monotone = policy.version, policy.scope, policy.monotone
        self.name = name_of(policy)
        self._totals: dict[tuple[object, object], Price] = {}

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the policy's parameters."""
        return self._policy.parameters

    def total(self, usage: Mapping[str, int], labels: Mapping[str, str]) -> Price:
        """Return the policy's total."""
        key = (tuple(usage.items()), tuple(labels.items()))
        price = self._totals.get(key)
        if price is None:
            if len(self._totals) >= _MAX_CACHED:
                self._totals.clear()
            price = self._totals[key] = self._policy.total(usage, labels)
        return price


class Case:
    """One event, what it is about, and everything known before it (or, for the checks that come after, with it).

    `request` is the open request that the event is about, `late` the expired one that may still be charged. `ledger` is
    the log's id, `head` its head before the event's commit (sequence and hash), `first` that commit's first sequence,
    `commit` its events, `acted` the accounts that acted in it, and `calendar` the periods of its day.

    `instants` are by account the instants of the last due events in the commit, `lent` what open requests gave up in it
    that no other one holds yet, and `borrowed` those credits that a later charge takes.

    `taken` collects, in one part of an audit, the digests of payments and facts that may be ingested only once.
    `folded`, `touched` and `compared` count events, those of them about an account, and lots that were compared with
    the journal; `types` counts events by type, `accepted` those of them that the fast path accepted. `reported` has the
    kinds, accounts and lots that have a finding, so that one fault is reported once.
    """

    __slots__ = (
        "_day",
        "_gaps",
        "_policies",
        "_ratings",
        "accepted",
        "account",
        "acted",
        "at",
        "books",
        "borrowed",
        "calendar",
        "commit",
        "compared",
        "event",
        "falls",
        "findings",
        "first",
        "folded",
        "head",
        "instants",
        "journal",
        "late",
        "ledger",
        "lent",
        "passed_over",
        "plan",
        "receivables",
        "reported",
        "request",
        "seq",
        "settled",
        "sums",
        "taken",
        "tariffs",
        "touched",
        "types",
        "unverified",
        "unverified_batches",
    )  # fmt: skip

    event: Recorded

    def __init__(self, findings: Findings, corrected: frozenset[int], ledger: str = "") -> None:
        self.findings, self.ledger = findings, ledger
        self.books, self.journal, self.sums = Books(), Journal(), Sums(corrected)
        self.settled, self.receivables = Settled(), Receivables()
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
        self.reported: set[tuple[str, int, int]] = set()
        self.acted: set[int] = set()
        self.instants: dict[int, int] = {}
        self.lent: dict[int, list[tuple[int, Draws]]] = {}
        self.borrowed: dict[int, int] = {}
        self.calendar: dict[str, str] = {}
        self.taken: list[bytes] | None = None
        self._day = -1
        self.folded = self.touched = self.compared = 0
        self.accepted: Counter[type[Event]] = Counter()
        self.types: Counter[type[Event]] = Counter()
        self.unverified: Gaps = {}
        self._gaps: dict[tuple[str, int], str] = {}
        self.unverified_batches: dict[str, int] = {}
        self._policies: dict[tuple[str, int], Policy | None] = {}
        self._ratings: dict[tuple[str, int], Policy | None] = {}

    def begin(self, first: int, at: int, events: Sequence[Recorded]) -> None:
        """Begin a new commit."""
        self.first, self.at, self.commit = first, at, events
        self.acted.clear()
        self.instants.clear()
        self.books.advance(at)
        if (day := at // DAY) != self._day:
            self._day, self.calendar = day, _calendar(at)

    def accounts(self) -> Iterator[Account]:
        """Yield all accounts that are judged here."""
        return (account for account in self.books.accounts.values() if account is not ELSEWHERE)

    def credits(self, amount: int) -> str:
        """Return credits of the event's plan as a finding's message has them."""
        return amount_text(amount, 0 if self.plan is None else self.plan.terms.decimals)

    def money(self, amount: int, asset: str) -> str:
        """Return money as a finding's message has it."""
        return money_text(amount, asset, self.books.decimals(asset))

    def find(self, kind: str, field: str, expected: object, found: object, message: str) -> None:
        """Report a finding about this event."""
        self.findings.add(kind, self.seq, field, expected, found, message)

    def report(self, kind: str, account: int, field: str, expected: object, found: object, message: str) -> None:
        """Report a finding about an account once: until the fault is gone, later events would report the same one."""
        if (kind, account, 0) not in self.reported:
            self.reported.add((kind, account, 0))
            self.find(kind, field, expected, found, message)

    def policy(self, version: int) -> Policy | None:
        """Return the policy of the plan's tariff version; None where it is not installed in that version."""
        assert self.plan is not None
        try:
            return self._policies[self.plan.terms.plan, version]
        except KeyError:
            policy = self._policies[self.plan.terms.plan, version] = self._made(self.plan, version)
            return policy

    def _made(self, plan: Plan, version: int) -> Policy | None:
        try:
            policy = self.tariffs.policy(plan, version)
            return CachedTotals(policy) if policy.scope == "period" and not derivable(policy) else policy
        except Exception as error:  # noqa: BLE001 - a policy is foreign code; one that cannot be made is not installed
            self._gaps[plan.terms.plan, version] = reason_of(error)
            return None

    def rating(self, version: int) -> Policy | None:
        """Return the policy of the plan's tariff version itself, not cached, with everything that it offers."""
        assert self.plan is not None
        try:
            return self._ratings[self.plan.terms.plan, version]
        except KeyError:
            policy = None if self.policy(version) is None else self.tariffs.policy(self.plan, version)
            self._ratings[self.plan.terms.plan, version] = policy
            return policy

    def reads(self, version: int, usage: Usage, labels: dict[str, str]) -> bool:
        """True if the tariff version is known to read all dimensions of a usage, or the plan lets unread ones pass."""
        assert self.plan is not None
        policy = self.rating(version)
        if policy is None or self.plan.terms.unpriced == "free":
            return policy is not None
        if not declares_dimensions(policy):
            return True
        read = policy.reads(labels)
        return read is None or read.issuperset(usage)

    def compares(self, event: Charged) -> bool:
        """True if a charge without lines is computed with them, too, to see that `total` and `credits_of` of its policy
        agree: the first of an account in a period, and one in 64, since lines take several times as long."""
        assert self.account is not None
        return self.seq % 64 == 0 or event.period not in self.account.meters

    def gap(self, version: int) -> str:
        """Return why `policy` is None."""
        assert self.plan is not None
        return self._gaps.get((self.plan.terms.plan, version), "")

    def cannot_reprice(self, version: int, priced: Priced, error: Exception | None = None) -> None:
        """Count the event as unverified: the tariff's policy is not installed in its version, or raised `error`."""
        assert self.plan is not None
        tariff = self.plan.tariffs[version - 1]
        reason = self.gap(version) if error is None else reason_of(error)
        count(self.unverified, (tariff.policy, tariff.policy_version), self.seq, reason, priced)

    def cannot_recompute_root(self, chain: str) -> None:
        """Count a batch as unverified: no plugin of that kind of chain is installed."""
        self.unverified_batches[chain] = self.unverified_batches.get(chain, 0) + 1

    def fold(self) -> None:
        """Fold the event into the books, the journal, and the sums."""
        event, kind = self.event, type(self.event)
        self.types[kind] += 1
        reduce(self.books, self.seq, self.at, event)
        self.journal.follow(self.seq, event)
        if (count := ADDERS.get(kind)) is not None:
            count(self.sums, self, event)
        if (move := MOVES.get(kind)) is not None:
            move(self.settled, self.seq, self.at, event)
        if (add := ADDS.get(kind)) is not None:
            add(self.receivables, self.seq, event)
