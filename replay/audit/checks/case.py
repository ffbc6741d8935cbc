"""What the checks look at: one event in its place, and what the auditor has folded up to it.

The auditor has the books (by `reducers`), the journal (by `movements`), and a few sums of its own: meters, holds and
estimates of open requests, and the charges that are corrected later.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Any

from ledger.accounts import Account, OpenRequest
from ledger.amounts import SECOND
from ledger.books import Books
from ledger.catalogue import Plan
from ledger.errors import LedgerError
from ledger.events import (
    Adjusted,
    Charged,
    CreditsLimit,
    Draws,
    Event,
    Frozen,
    Recorded,
    Reheld,
    Reinstated,
    Released,
    Requested,
    Reversed,
    Usage,
    Withdrawn,
)
from ledger.movements import Journal
from ledger.periods import kept, period
from ledger.plugins import Policy, Price
from ledger.rating import declares_dimensions, derivable
from ledger.reducers import late_until, reduce
from ledger.tariffs import Tariffs

from ..findings import Findings
from .settled import MOVES, Settled

DAY = 86_400 * SECOND

_MAX_REMEMBERED = 20_000


ELSEWHERE = Account(0, "", "")
"""What stands in the books for every account that is judged in another part of the audit."""


class Meter:
    """Usage in one scope, whether anything was charged there at all, the net credits that were paid, and what was owed
    and never paid."""

    __slots__ = ("charged", "net", "shortfall", "usage")

    def __init__(self) -> None:
        self.usage: defaultdict[str, int] = defaultdict(int)
        self.charged = False
        self.net = 0
        self.shortfall = 0

    def add(self, usage: Usage) -> None:
        """Count more usage; dimensions that come to 0 are left out."""
        own = self.usage
        for name, units in usage.items():
            if units:
                own[name] += units
                if not own[name]:
                    del own[name]
        self.charged = True


def _add(usage: Usage, more: Usage, sign: int = 1) -> None:
    """Add to usage in place; dimensions that come to 0 are left out."""
    for name, units in more.items():
        if total := usage.get(name, 0) + sign * units:
            usage[name] = total
        else:
            usage.pop(name, None)


def _calendar(at: int) -> dict[str, str]:
    """The periods of a day by metering, for what no purchase begins; none where no calendar has that day."""
    try:
        return {metering: period(metering, (), at, None) for metering in ("month", "day", "forever")}
    except OverflowError:
        return {}


class OwnAccount:
    """The auditor's own sums of one account: what its open requests hold, the periods in which requests were admitted
    that may still be charged, its meters by period, the units that no rate read, and how far its limits are used.

    `arrival` is that of the rate limit (GCRA, in microseconds times the limit's requests), `window` the current window
    of the credits limit, what was charged in it, and the first charge in it. `leaving`: a chain has asked for the
    freeze.
    """

    __slots__ = ("arrival", "held", "leaving", "meters", "periods", "unpriced", "window")

    def __init__(self) -> None:
        self.held = 0
        self.arrival = 0
        self.window = (0, 0, 0)
        self.meters: dict[str, Meter] = {}
        self.periods: dict[int, str] = {}
        self.unpriced: Usage = {}
        self.leaving = False


class Sums:
    """The auditor's own sums, moved by what the events say.

    `holds` has what each open request still holds, `requests` the meters of those that were charged in part, `charges`
    the charges that are corrected later, `reversals` the credits and the money that lots have lost by reversals, and
    `admitted` the sequence of every request there ever was, in order.
    """

    def __init__(self, corrected: Container[int]) -> None:
        self.accounts: dict[int, OwnAccount] = {}
        self.requests: dict[int, Meter] = {}
        self.holds: dict[int, int] = {}
        self.charges: dict[int, Charged] = {}
        self.reversals: dict[int, tuple[int, int]] = {}
        self.admitted = array("q")
        self._corrected = corrected

    def was_admitted(self, request: int) -> bool:
        """Whether that sequence is a request, open or closed."""
        place = bisect_left(self.admitted, request)
        return place < len(self.admitted) and self.admitted[place] == request

    def account(self, number: int) -> OwnAccount:
        """The sums of an account."""
        own = self.accounts.get(number)
        if own is None:
            own = self.accounts[number] = OwnAccount()
        return own

    def period(self, account: int, name: str) -> Meter | None:
        """An account's meter in a period; None where nothing was charged there, or the period is no longer kept."""
        own = self.accounts.get(account)
        return None if own is None else own.meters.get(name)

    def kept(self, case: Case, number: int) -> tuple[str, ...]:
        """The periods whose meters are kept: the current one, the one before, and those in which requests were admitted
        that may still be charged."""
        assert case.plan is not None
        account = case.books.accounts[number]
        periods = self.account(number).periods
        late = {name for name, each in account.late.items() if case.at < late_until(case.plan, each)}
        open_ = (name for request, name in periods.items() if request in account.requests or request in late)
        return (*kept(case.plan.terms.period, account.purchases, case.at), *open_)

    def requested(self, case: Case, event: Requested) -> None:
        """A request is open, and counts against the limits; it is metered in the period of its admission."""
        assert case.plan is not None
        assert case.account is not None
        terms = case.plan.terms
        self.admitted.append(case.seq)
        self.holds[case.seq] = event.hold
        own = self.account(event.account)
        own.held += event.hold
        own.periods[case.seq] = case.calendar.get(terms.period) or period(
            terms.period, case.account.purchases, case.at, None
        )
        if (rate := terms.limits.rate) is not None:
            own.arrival = max(own.arrival, case.at * rate.requests) + rate.seconds * SECOND

    def reheld(self, case: Case, event: Reheld) -> None:
        """A request holds otherwise."""
        held = sum(credits for _, credits in event.draws)
        self.account(event.account).held += held - self.holds.get(event.request, 0)
        self.holds[event.request] = held

    def released(self, case: Case, event: Released) -> None:
        """A request is over; one that expired may still be charged."""
        self._close(case, event.request)
        if event.reason != "expired":
            self.requests.pop(event.request, None)
            if case.account is not None:
                self.account(case.account.number).periods.pop(event.request, None)

    def charged(self, case: Case, event: Charged) -> None:
        """A charge moves the meters of its period and its request, and consumes the hold."""
        if case.seq in self._corrected:
            self.charges[case.seq] = event
        own = self.account(event.account)
        meter = own.meters.get(event.period)
        if meter is None:
            meter = self._meter(case, own, event.period)
        meter.add(event.usage)
        meter.net += event.credits
        meter.shortfall += event.shortfall
        if event.unpriced:
            _add(own.unpriced, event.unpriced)
        if case.plan is not None and (limit := case.plan.terms.limits.credits) is not None:
            _count(own, limit, case.seq, case.at, event.credits)
        request = event.request
        if not request:
            return
        if event.final:
            self._close(case, request)
            self.requests.pop(request, None)
            own.periods.pop(request, None)
            return
        self.requests.setdefault(request, Meter()).add(event.usage)
        taken = min(self.holds.get(request, 0), event.credits)
        if taken:
            self.holds[request] -= taken
            own.held -= taken

    def adjusted(self, case: Case, event: Adjusted) -> None:
        """A correction moves the period's net, and with usage its meter and that of an open request."""
        own = self.account(event.account)
        period = event.period or event.metered
        meter = own.meters.get(period)
        if meter is None and period and event.usage:
            meter = self._meter(case, own, period)
        if meter is not None:
            meter.net += event.credits
            meter.shortfall = max(0, meter.shortfall + event.shortfall)
            if event.usage:
                meter.add(event.usage)
        if event.unpriced:
            _add(own.unpriced, event.unpriced)
        if case.plan is not None and (limit := case.plan.terms.limits.credits) is not None:
            _recount(own, limit, case.seq, case.at, event)
        request = event.request
        late = case.account is not None and request in case.account.late
        if event.usage and (late or request in self.holds or request in self.requests):
            self.requests.setdefault(request, Meter()).add(event.usage)

    def _meter(self, case: Case, own: OwnAccount, period: str) -> Meter:
        """A new meter; those of periods that are no longer kept go."""
        if len(own.meters) > 1 and case.plan is not None and case.account is not None:
            periods = self.kept(case, case.account.number)
            own.meters = {name: meter for name, meter in own.meters.items() if name in periods}
            own.periods = {
                request: name
                for request, name in own.periods.items()
                if request in case.account.requests or request in case.account.late
            }
        meter = own.meters[period] = Meter()
        return meter

    def _close(self, case: Case, request: int) -> None:
        account = case.account
        if account is not None and request in self.holds:
            own = self.account(account.number)
            own.held -= self.holds.pop(request)

    def reversed(self, case: Case, event: Reversed) -> None:
        """What a lot has lost by reversals."""
        credits, money = self.reversals.get(event.lot, (0, 0))
        self.reversals[event.lot] = credits + event.credits, money + event.money

    def reinstated(self, case: Case, event: Reinstated) -> None:
        """It has that again."""
        self.reversals.pop(event.lot, None)

    def left(self, case: Case, event: Frozen | Withdrawn) -> None:
        """A chain has said that the subscriber leaves."""
        if event.fact is not None:
            self.account(event.account).leaving = True


def _count(own: OwnAccount, limit: CreditsLimit, seq: int, at: int, credits: int) -> None:
    """Credits are charged in the window of the limit; the first charge of a window begins it."""
    number, charged, first = own.window
    if number != at // (limit.seconds * SECOND):
        number, charged, first = at // (limit.seconds * SECOND), 0, seq
    own.window = number, charged + credits, first


def _recount(own: OwnAccount, limit: CreditsLimit, seq: int, at: int, event: Adjusted) -> None:
    """A correction of a charge of the current window moves that; of a charge before it, it does not. One of a period
    moves the current window."""
    current = own.window[0] == at // (limit.seconds * SECOND)
    if event.charge:
        if not current or event.charge < own.window[2]:
            return
    elif not current and event.credits <= 0:
        return
    _count(own, limit, seq, at, event.credits)
    own.window = own.window[0], max(0, own.window[1]), own.window[2]


SUMS: dict[type[Event], Callable[[Sums, Case, Any], None]] = {
    Requested: Sums.requested,
    Released: Sums.released,
    Charged: Sums.charged,
    Adjusted: Sums.adjusted,
    Reheld: Sums.reheld,
    Reversed: Sums.reversed,
    Reinstated: Sums.reinstated,
    Frozen: Sums.left,
    Withdrawn: Sums.left,
}
"""By event, which sums it moves; all other events move none of these."""


class Remembered:
    """A policy that remembers its totals, lines and all: it is pure, and a period's total is the next charge's total
    before."""

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
            if len(self._totals) >= _MAX_REMEMBERED:
                self._totals.clear()
            price = self._totals[place] = self._policy.total(usage, labels)
        return price


class Case:
    """One event, what it is about, and everything known before it (or, for the checks that come after, with it).

    `request` is the open request that the event is about, `late` the expired one that may still be charged. `ledger` is
    the log's id, `head` its head before the event's commit (sequence and hash), `first` that commit's first sequence,
    `commit` its events, `acted` the accounts that did something in it, and `calendar` the periods of its day.

    `instants` are by account the instants of what time did last in the commit, `lent` what open requests gave up in it
    that no other one holds yet, and `borrowed` where it was taken for a charge that is to come.

    `taken` collects, in one part of an audit, the digests of what may be taken in only once.
    `folded`, `touched` and `compared` count events, those of them about an account, and lots that were held to the
    journal; `accepted` counts, by type, the events that the fast path accepted.
    """

    __slots__ = (
        "_day",
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
        "request",
        "seq",
        "settled",
        "sums",
        "taken",
        "tariffs",
        "told",
        "touched",
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
        self.acted: set[int] = set()
        self.instants: dict[int, int] = {}
        self.lent: dict[int, list[tuple[int, Draws]]] = {}
        self.borrowed: dict[int, int] = {}
        self.calendar: dict[str, str] = {}
        self.taken: list[bytes] | None = None
        self._day = -1
        self.folded = self.touched = self.compared = 0
        self.accepted: Counter[type[Event]] = Counter()
        self.unverified: dict[str, int] = {}
        self.unsealed: dict[str, int] = {}
        self._policies: dict[tuple[str, int], Policy | None] = {}
        self._ratings: dict[tuple[str, int], Policy | None] = {}

    def begin(self, first: int, at: int, events: Sequence[Recorded]) -> None:
        """A new commit."""
        self.first, self.at, self.commit = first, at, events
        self.acted.clear()
        self.instants.clear()
        self.books.advance(at)
        if (day := at // DAY) != self._day:
            self._day, self.calendar = day, _calendar(at)

    def accounts(self) -> Iterator[Account]:
        """All accounts that are judged here."""
        return (account for account in self.books.accounts.values() if account is not ELSEWHERE)

    def find(self, kind: str, field: str, expected: object, found: object, message: str) -> None:
        """A finding about this event."""
        self.findings.add(kind, self.seq, field, expected, found, message)

    def tell(self, kind: str, account: int, field: str, expected: object, found: object, message: str) -> None:
        """A finding about an account, once: what comes after is the same fault, until it is right again."""
        if (kind, account, 0) not in self.told:
            self.told.add((kind, account, 0))
            self.find(kind, field, expected, found, message)

    def policy(self, version: int) -> Policy | None:
        """The policy of the plan's tariff version; None where it is not installed in that version."""
        assert self.plan is not None
        try:
            return self._policies[self.plan.terms.plan, version]
        except KeyError:
            policy = self._policies[self.plan.terms.plan, version] = self._made(self.plan, version)
            return policy

    def _made(self, plan: Plan, version: int) -> Policy | None:
        try:
            policy = self.tariffs.policy(plan, version)
            return Remembered(policy) if policy.scope == "period" and not derivable(policy) else policy
        except LedgerError:
            return None
        except Exception:  # noqa: BLE001 - a policy is foreign code; one that cannot be made is not installed
            return None

    def rating(self, version: int) -> Policy | None:
        """The policy itself of the plan's tariff version, with all that it offers beside its total."""
        assert self.plan is not None
        try:
            return self._ratings[self.plan.terms.plan, version]
        except KeyError:
            policy = None if self.policy(version) is None else self.tariffs.policy(self.plan, version)
            self._ratings[self.plan.terms.plan, version] = policy
            return policy

    def reads(self, version: int, usage: Usage, labels: dict[str, str]) -> bool:
        """Whether the tariff version surely reads all dimensions of a usage, or the plan does not mind."""
        assert self.plan is not None
        policy = self.rating(version)
        if policy is None or self.plan.terms.unpriced == "free":
            return policy is not None
        if not declares_dimensions(policy):
            return True
        read = policy.reads(labels)
        return read is None or read.issuperset(usage)

    def cannot_reprice(self, version: int, charges: int = 0) -> None:
        """Note that the tariff's policy is not installed."""
        assert self.plan is not None
        name = self.plan.tariffs[version - 1].policy
        self.unverified[name] = self.unverified.get(name, 0) + charges

    def cannot_seal(self, chain: str) -> None:
        """Note that no plugin of that kind of chain is installed."""
        self.unsealed[chain] = self.unsealed.get(chain, 0) + 1

    def fold(self) -> None:
        """Let the event happen: in the books, in the journal, and in the sums."""
        event, kind = self.event, type(self.event)
        reduce(self.books, self.seq, self.at, event)
        self.journal.follow(self.seq, event)
        if (count := SUMS.get(kind)) is not None:
            count(self.sums, self, event)
        if (move := MOVES.get(kind)) is not None:
            move(self.settled, self.seq, self.at, event)
