"""Time: instants do not lie ahead of their commit, and what was due is written before anything else, in order."""

from __future__ import annotations

from ledger.accounts import Account, Lot, OpenRequest
from ledger.amounts import SECOND
from ledger.events import (
    Adjusted,
    Charged,
    Extended,
    Invoiced,
    Lapsed,
    Overdue,
    Reheld,
    Reinstated,
    Released,
    Requested,
    SettlementOpened,
    Started,
    Withdrawn,
)
from ledger.periods import may_have_occurred, period_of_work
from ledger.reducers import late_until

from ..findings import time_text
from .case import Case

KIND = "time"


class Dues:
    """Due events of one commit: each account's come first, in the order of their instants."""

    def __init__(self) -> None:
        self._latest: dict[int, tuple[int, int, int]] = {}
        self._touched: set[int] = set()
        self._reinstated: set[int] = set()

    def begin(self) -> None:
        """A new commit."""
        self._latest.clear()
        self._touched.clear()
        self._reinstated.clear()

    def judge(self, case: Case) -> None:
        """The event's own instant, and whether anything was due before it."""
        if (account := case.account) is None:
            if isinstance(case.event, SettlementOpened):
                case.findings.checked[KIND] += 1
                self.everywhere(case)
            return
        case.findings.checked[KIND] += 1
        event, name = case.event, account.number
        self._touched.add(name)
        if isinstance(event, Started):
            lot = account.lots[event.lot]
            # A lot that is reinstated after its start begins at once.
            start = max(lot.start, case.at) if lot.id in self._reinstated else lot.start
            self._due(case, account, start, event.instant, (start, 0, lot.id))
        elif isinstance(event, Reheld) or (isinstance(event, Withdrawn) and on_credit_line(case, event)):
            pass  # it follows from what time did, or from the command
        elif isinstance(event, Released) and event.instant is not None:
            assert case.request is not None
            self._due(case, account, case.request.deadline, event.instant, (event.instant, 1, event.request))
        elif isinstance(event, Invoiced):
            due = account.billing.next_bill if account.billing is not None else 0
            self._due(case, account, due, event.instant, (event.instant, 3, 0))
        elif isinstance(event, Overdue):
            due = case.receivables.accounts[name].invoices[event.invoice].due
            self._due(case, account, due, event.instant, (event.instant, 4, event.invoice))
        elif isinstance(event, Lapsed):
            self._lapse(case, account, account.lots[event.lot], event.instant)
        elif isinstance(event, Withdrawn) and (over := lapsing(case, event)) is not None:
            self._lapse(case, account, over, event.instant)
        else:
            if name not in case.acted:
                case.acted.add(name)
                self._pending(case, account)
            if isinstance(event, Reinstated):
                self._reinstated.add(event.lot)
            _deadlines(case)

    def end(self, case: Case) -> None:
        """After a commit nothing is due on the accounts that it touched: what returned to an expired lot lapsed."""
        for name in self.touched(case):
            self._pending(case, case.books.accounts[name])

    def touched(self, case: Case) -> set[int]:
        """The accounts to which something happened in this commit."""
        return self._touched | case.acted

    def everywhere(self, case: Case) -> None:
        """Check that everything due is written before a batch, which counts all accounts."""
        for account in case.accounts():
            self._pending(case, account)

    def _due(self, case: Case, account: Account, due: int, instant: int, order: tuple[int, int, int]) -> None:
        if instant != due or due > case.at:
            later = "" if due == case.at else f", and its commit is of {time_text(case.at)}"
            message = f"it was due at {time_text(due)}{later}"
            case.find(KIND, "instant", due, instant, message)
        if account.number in case.acted:
            return
        latest = self._latest.get(account.number)
        if latest is not None and order < latest:
            message = "an event that was due earlier is written after one that was due later"
            case.find(KIND, "instant", f"{latest[0]} or later", instant, message)
        self._latest[account.number] = order
        case.instants[account.number] = instant

    def _lapse(self, case: Case, account: Account, lot: Lot, instant: int | None) -> None:
        if lot.expiry is None or lot.expiry > case.at:
            message = f"lot {lot.id} is not over"
            case.find(KIND, "instant", lot.expiry, instant, message)
        elif instant not in (None, lot.expiry, case.at):
            case.find(KIND, "instant", lot.expiry, instant, f"lot {lot.id} ended at {time_text(lot.expiry)}")
        elif instant == lot.expiry and instant < case.at:
            self._due(case, account, lot.expiry, instant, (instant, 2, lot.id))

    def _pending(self, case: Case, account: Account) -> None:
        if account.next_due is None or account.next_due > case.at or (KIND, account.number, 0) in case.reported:
            return
        for instant, what in overdue(account, case.at):
            message = f"{what} at {time_text(instant)}, and that is not written at {time_text(case.at)}"
            case.find(KIND, "instant", instant, None, message)
            case.reported.add((KIND, account.number, 0))


def overdue(account: Account, at: int) -> list[tuple[int, str]]:
    """Return the next due event of an account at a time: its instant, and what happens then."""
    return [
        *((lot.start, f"lot {lot.id} starts") for lot in account.lots.values() if lot.waits and lot.start <= at),
        *(
            (request.deadline, f"request {request.id} expires")
            for request in account.requests.values()
            if request.deadline <= at
        ),
        *(
            (lot.expiry, f"lot {lot.id} lapses")
            for lot in account.lots.values()
            if lot.left and lot.expiry is not None and lot.expiry <= at
        ),
        *_billing(account, at),
    ]


def _billing(account: Account, at: int) -> list[tuple[int, str]]:
    """Return what is due of a postpaid account's invoices."""
    if (billing := account.billing) is None:
        return []
    next_bill = [(billing.next_bill, "a period ends")] if 0 < billing.next_bill <= at else []
    late = [each for each in billing.invoices.values() if each.owed and not each.overdue and each.due <= at]
    return next_bill + [(each.due, f"invoice {each.number} is overdue") for each in late]


def lapsing(case: Case, event: Withdrawn) -> Lot | None:
    """The expired lot whose rest leaves with its money instead of lapsing; None for a withdrawal that was asked for."""
    assert case.account is not None
    if event.fact is not None or on_credit_line(case, event):
        return None
    lots = [case.account.lots[name] for name, _ in event.draws]
    expired = [lot for lot in lots if lot.expiry is not None and lot.expiry <= case.at]
    if len(lots) == 1 and (expired or event.instant is not None):
        return lots[0]
    return None


def on_credit_line(case: Case, event: Withdrawn) -> bool:
    """Return True if the event withdraws from the account's credit line, which only follows from something else."""
    assert case.account is not None
    billing = case.account.billing
    return billing is not None and any(lot == billing.line for lot, _ in event.draws)


def _deadlines(case: Case) -> None:
    """A request holds for the plan's time, and may be made to last up to the plan's longest request."""
    event, plan = case.event, case.plan
    assert plan is not None
    if isinstance(event, Requested):
        due = case.at + plan.terms.hold_seconds * SECOND
        if event.deadline != due:
            case.find(KIND, "deadline", due, event.deadline, f"the plan holds for {plan.terms.hold_seconds} seconds")
    elif isinstance(event, Extended | Charged) and event.deadline is not None and case.request is not None:
        longest = max(case.request.at + plan.terms.longest_seconds * SECOND, case.request.deadline)
        if not case.request.deadline <= event.deadline <= longest:
            expected = f"{case.request.deadline} to {longest}"
            case.find(KIND, "deadline", expected, event.deadline, "a deadline moves on, up to the longest request")
    elif isinstance(event, Adjusted) and event.expiry is not None and event.expiry <= case.at:
        case.find(KIND, "expiry", f"after {case.at}", event.expiry, "the new expiry lies in the past")
    if isinstance(event, Charged):
        if not occurs(case, event):
            message = "no work was done then: after the charge, or more than ten years before it"
            case.find(KIND, "occurred_at", case.at, event.occurred_at, message)
        _late(case, event, case.late)


def occurs(case: Case, event: Charged) -> bool:
    """True if the work of a charge may have been done when it says."""
    return event.occurred_at is None or may_have_occurred(event.occurred_at, case.at)


def _late(case: Case, event: Charged, late: OpenRequest | None) -> None:
    assert case.plan is not None
    if not event.request:
        _late_directly(case, event)
    elif event.late != (late is not None):
        case.find(KIND, "late", late is not None, event.late, "late is a charge of a request that expired, and only it")
    if late is not None and (not event.final or case.at >= late_until(case.plan, late)):
        until = time_text(late_until(case.plan, late))
        case.find(KIND, "late", until, case.at, f"request {late.id} could be charged once more, until {until}")


def _late_directly(case: Case, event: Charged) -> None:
    """A direct charge is late where access has ended: then for as long as a request may be charged late, and for work
    that was done before the end, as far as is known. It is also late for work whose period is no longer kept."""
    assert case.account is not None
    assert case.plan is not None
    lots = [lot for lot in case.account.lots.values() if lot.started]
    late = not any(lot.lives(case.at) for lot in lots)
    _, metered_late = period_of_work(case.plan.terms.period, case.account.purchases, case.at, event.occurred_at)
    if event.late != (late or metered_late):
        message = "late is a direct charge after access has ended, or for work of a period that is no longer kept, only"
        case.find(KIND, "late", late or metered_late, event.late, message)
        return
    end = max((lot.expiry for lot in lots if lot.expiry is not None), default=0)
    until = end + case.plan.terms.late_seconds * SECOND
    if late and (case.at >= until or (event.occurred_at is not None and event.occurred_at >= end)):
        message = (
            f"access ended at {time_text(end)}, and what was done by then could be charged until {time_text(until)}"
        )
        case.find(KIND, "late", until, case.at, message)
