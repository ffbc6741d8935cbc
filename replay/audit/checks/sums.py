"""The auditor's own sums: meters, holds of open requests, limits, and the charges that are corrected later."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Container
from typing import TYPE_CHECKING, Any

from ledger.amounts import SECOND
from ledger.events import (
    Adjusted,
    Charged,
    CreditsLimit,
    Event,
    Frozen,
    Reheld,
    Reinstated,
    Released,
    Requested,
    Reversed,
    Usage,
    Withdrawn,
)
from ledger.periods import kept, period
from ledger.reducers import late_until

if TYPE_CHECKING:
    from .case import Case


class Meter:
    """Usage in one scope, whether anything was charged there at all, the net credits that were paid, and those that
    were owed and never paid."""

    __slots__ = ("charged", "net", "shortfall", "usage")

    def __init__(self) -> None:
        self.usage: defaultdict[str, int] = defaultdict(int)
        self.charged = False
        self.net = 0
        self.shortfall = 0

    def add(self, usage: Usage) -> None:
        """Count more usage; dimensions whose total is 0 are left out."""
        own = self.usage
        for name, units in usage.items():
            if units:
                own[name] += units
                if not own[name]:
                    del own[name]
        self.charged = True


def _add(usage: Usage, more: Usage, sign: int = 1) -> None:
    """Add to a usage itself; dimensions whose total is 0 are left out."""
    for name, units in more.items():
        if total := usage.get(name, 0) + sign * units:
            usage[name] = total
        else:
            usage.pop(name, None)


class AccountSums:
    """The auditor's own sums of one account: what its open requests hold, the periods in which requests were admitted
    that may still be charged, its meters by period, the units that no rate read, the credits that were never paid, and
    how far its limits are used.

    `arrival` is that of the rate limit (GCRA, in microseconds times the limit's requests), `window` the current window
    of the credits limit, what was charged in it, and the first charge in it. `leaving`: a chain has asked for the
    freeze.
    """

    __slots__ = ("arrival", "held", "leaving", "meters", "periods", "shortfall", "unpriced", "window")

    def __init__(self) -> None:
        self.held = 0
        self.arrival = 0
        self.window = (0, 0, 0)
        self.meters: dict[str, Meter] = {}
        self.periods: dict[int, str] = {}
        self.unpriced: Usage = {}
        self.shortfall = 0
        self.leaving = False


class Sums:
    """The auditor's own sums, moved by what the events say.

    `holds` has what each open request still holds, `requests` the meters of those that were charged in part, `charges`
    the charges that are corrected later, `reversals` the credits and the money that lots have lost by reversals, and
    `admitted` the sequence of every request there ever was, in order.
    """

    def __init__(self, corrected: Container[int]) -> None:
        self.accounts: dict[int, AccountSums] = {}
        self.requests: dict[int, Meter] = {}
        self.holds: dict[int, int] = {}
        self.charges: dict[int, Charged] = {}
        self.reversals: dict[int, tuple[int, int]] = {}
        self.admitted = array("q")
        self._corrected = corrected

    def was_admitted(self, request: int) -> bool:
        """True if that sequence is a request, open or closed."""
        index = bisect_left(self.admitted, request)
        return index < len(self.admitted) and self.admitted[index] == request

    def account(self, number: int) -> AccountSums:
        """Return the sums of an account; new ones if it has none."""
        own = self.accounts.get(number)
        if own is None:
            own = self.accounts[number] = AccountSums()
        return own

    def period(self, account: int, name: str) -> Meter | None:
        """Return an account's meter in a period; None if nothing was charged there, or it is no longer kept."""
        own = self.accounts.get(account)
        return None if own is None else own.meters.get(name)

    def kept(self, case: Case, number: int) -> tuple[str, ...]:
        """Return the periods whose meters are kept: the current one, the one before, and those in which requests were
        admitted that may still be charged."""
        assert case.plan is not None
        account = case.books.accounts[number]
        periods = self.account(number).periods
        late = {name for name, each in account.late.items() if case.at < late_until(case.plan, each)}
        open_ = (name for request, name in periods.items() if request in account.requests or request in late)
        return (*kept(case.plan.terms.period, account.purchases, case.at), *open_)

    def requested(self, case: Case, event: Requested) -> None:
        """Add an open request, which counts against the limits and is metered in the period of its admission."""
        assert case.plan is not None
        assert case.account is not None
        terms = case.plan.terms
        self.admitted.append(case.seq)
        self.holds[case.seq] = event.hold
        own = self.account(event.account)
        own.held += event.hold
        own.periods[case.seq] = case.calendar.get(terms.period) or period(terms.period, case.account.purchases, case.at)
        if (rate := terms.limits.rate) is not None:
            own.arrival = max(own.arrival, case.at * rate.requests) + rate.seconds * SECOND

    def reheld(self, case: Case, event: Reheld) -> None:
        """Change what a request holds."""
        held = sum(credits for _, credits in event.draws)
        self.account(event.account).held += held - self.holds.get(event.request, 0)
        self.holds[event.request] = held

    def released(self, case: Case, event: Released) -> None:
        """Close a request; one that expired may still be charged."""
        self._close(case, event.request)
        if event.reason != "expired":
            self.requests.pop(event.request, None)
            if case.account is not None:
                self.account(case.account.number).periods.pop(event.request, None)

    def charged(self, case: Case, event: Charged) -> None:
        """Add a charge to the meters of its period and its request, and consume the hold."""
        if case.seq in self._corrected:
            self.charges[case.seq] = event
        own = self.account(event.account)
        meter = own.meters.get(event.period)
        if meter is None:
            meter = self._meter(case, own, event.period)
        meter.add(event.usage)
        meter.net += event.credits
        meter.shortfall += event.shortfall
        own.shortfall += event.shortfall
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
        """Add a correction to the period's net, and its usage to the period's meter and to that of an open request."""
        own = self.account(event.account)
        own.shortfall += event.shortfall
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

    def _meter(self, case: Case, own: AccountSums, period: str) -> Meter:
        """Add a meter; those of periods that are no longer kept are dropped."""
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
        """Add to the credits and money that a lot has lost by reversals."""
        credits, money = self.reversals.get(event.lot, (0, 0))
        self.reversals[event.lot] = credits + event.credits, money + event.money

    def reinstated(self, case: Case, event: Reinstated) -> None:
        """Forget the reversals of a lot."""
        self.reversals.pop(event.lot, None)

    def left(self, case: Case, event: Frozen | Withdrawn) -> None:
        """Note that a chain reports the subscriber's exit."""
        if event.fact is not None:
            self.account(event.account).leaving = True


def _count(own: AccountSums, limit: CreditsLimit, seq: int, at: int, credits: int) -> None:
    """Count credits that are charged in a window of the limit; the first charge of a window begins it."""
    number, charged, first = own.window
    if number != at // (limit.seconds * SECOND):
        number, charged, first = at // (limit.seconds * SECOND), 0, seq
    own.window = number, charged + credits, first


def _recount(own: AccountSums, limit: CreditsLimit, seq: int, at: int, event: Adjusted) -> None:
    """Count a correction: of a charge of the current window, in that window; of an earlier charge, not at all; of a
    period, in the current window."""
    current = own.window[0] == at // (limit.seconds * SECOND)
    if event.charge:
        if not current or event.charge < own.window[2]:
            return
    elif not current and event.credits <= 0:
        return
    _count(own, limit, seq, at, event.credits)
    own.window = own.window[0], max(0, own.window[1]), own.window[2]


ADDERS: dict[type[Event], Callable[[Sums, Case, Any], None]] = {
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
