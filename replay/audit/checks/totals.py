"""Two roads to one number: the books that the reducers folded against the journal of legs, lot by lot.

Also: legs that sum to zero, nothing issued twice, nothing below 0, holds equal to those of open requests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ledger.accounts import Account, Lot, Meter
from ledger.events import Withdrawn
from ledger.legs import AVAILABLE, SPENT, STATES
from ledger.movements import CREDITS

from .case import Case
from .sums import Meter as OwnMeter


def after(case: Case) -> None:
    """Check what an event moved, and the lots that it touched."""
    case.folded += 1
    journal = case.journal
    if journal.paid:
        _balanced(case)
    last = -1
    for number, lot_id, *_ in journal.moved:
        if lot_id != last:
            last = lot_id
            _touched(case, case.books.accounts[number], lot_id, journal.lots[number][lot_id])
    account = case.account
    if account is None:
        return
    case.touched += 1
    held = case.sums.accounts[account.number].held if account.number in case.sums.accounts else 0
    if account.held != held:
        _report_once(
            case, "hold", account.number, 0, "held", held, account.held, "holds are not those of open requests"
        )
    if isinstance(case.event, Withdrawn):
        _money_out(case, account, case.event)


def _balanced(case: Case) -> None:
    sums: Counter[str] = Counter()
    for leg in case.journal.paid:
        sums[leg.unit] += leg.amount
    if any(sums.values()):
        case.find("conservation", "legs", 0, dict(sums), "the legs of the event do not sum to zero")


def _touched(case: Case, account: Account, lot_id: int, states: list[int]) -> None:
    """Check a lot that an event touched (0: the account's debt). It was right before, so the event made it wrong."""
    lot = account.lots.get(lot_id)
    if lot is not None and lot.started:
        left, held, spent = lot.left, lot.held, lot.spent
        whole = [-lot.credits, left, held, spent, lot.lapsed, lot.withdrawn]
        if states == whole and left >= 0 and held >= 0 and spent >= 0 and not sum(whole) and min(whole[SPENT:]) >= 0:
            case.compared += 1
            return
    if sum(states):
        case.find("conservation", "legs", 0, {CREDITS: sum(states)}, "the legs of the event do not sum to zero")
    if lot_id:
        _lot(case, account, lot_id)
    else:
        _debt(case, account)


def _lot(case: Case, account: Account, lot_id: int) -> None:
    case.compared += 1
    number, lot = account.number, account.lots.get(lot_id)
    issued, *found = case.journal.states(number, lot_id)
    due, expected = 0, [0, 0, 0, 0, 0]
    if (
        lot is not None and lot.started
    ):  # what leaves a lot before its start is issued with it, and leaves in the same event
        due, expected = -lot.credits, [lot.left, lot.held, lot.spent, lot.lapsed, lot.withdrawn]
    if found != expected:
        message = f"lot {lot_id} of account {number} differs from the sum of its movements"
        _report_once(case, "books", number, lot_id, "lots", _by_state(expected), _by_state(found), message)
    if min(expected) < 0:
        _report_once(
            case, "overspend", number, lot_id, "lots", "0 or more", _by_state(expected), f"lot {lot_id} is below 0"
        )
    if issued != due:
        _report_once(
            case, "conservation", number, lot_id, "issued", -due, -issued, f"lot {lot_id} was not issued as it was sold"
        )


def _debt(case: Case, account: Account) -> None:
    found = -case.journal.credits(account.number, 0, "available")
    if found != account.debt:
        message = f"the debt of account {account.number} differs from the sum of its movements"
        _report_once(case, "books", account.number, 0, "debt", account.debt, found, message)
    if account.debt < 0:
        _report_once(
            case, "overspend", account.number, 0, "debt", "0 or more", account.debt, "more debt is repaid than was owed"
        )


def _money_out(case: Case, account: Account, event: Withdrawn) -> None:
    """Check that no more money leaves a lot than came with it."""
    for lot_id in event.money:
        lot = account.lots.get(lot_id)
        if lot is not None and lot.refunded > lot.cost:
            message = f"more money leaves lot {lot_id} than came with it"
            case.find("conservation", "money", f"at most {lot.cost}", lot.refunded, message)


def _report_once(
    case: Case, kind: str, account: int, lot: int, field: str, expected: object, found: object, message: str
) -> None:
    """Report a finding about a lot once: later events would report the same fault."""
    if (kind, account, lot) not in case.reported:
        case.reported.add((kind, account, lot))
        case.find(kind, field, expected, found, message)


def _by_state(values: Sequence[int]) -> dict[str, int]:
    return dict(zip(STATES[AVAILABLE:], values, strict=True))


# -- at the end --------------------------------------------------------------------------------------------------------


def end(case: Case) -> None:
    """Check that books and journal agree on each account, lot by lot."""
    case.seq = case.books.seq
    for account in case.accounts():
        for lot_id in account.lots:
            _lot(case, account, lot_id)
        _account(case, account)


def _account(case: Case, account: Account) -> None:
    """Check that the sums which the books keep beside the lots are those of the lots."""
    case.findings.checked["books"] += 1
    lots = account.lots.values()
    number = account.number
    own = case.sums.account(number)
    held_debt = account.debt - account.debt_spent
    sums = {
        "left": (account.left, sum(lot.left for lot in lots)),
        "held": (account.held, sum(lot.held for lot in lots) + held_debt),
        "holds": (account.held, sum(request.hold for request in account.requests.values())),
        "debt": (account.debt, sum(debt.credits for debt in account.debts)),
        "spent": (account.debt_spent, case.journal.credits(number, 0, "spent")),
        "burn": (account.burn, [lot.id for lot in sorted((lot for lot in lots if lot.left), key=_burn_order)]),
        "meters": ({name: _sums(meter) for name, meter in account.meters.items()}, _meters(case, account)),
        "unpriced": (account.unpriced, own.unpriced),
        "shortfall": (account.shortfall, own.shortfall),
        "limits": (_limits(account), (own.arrival, *own.window)),
        "agenda": (account.agenda, _agenda(account)),
    }
    for field, (kept, summed) in sums.items():
        if kept != summed:
            message = f"account {number} has a {field} that is not the sum of its parts"
            _report_once(case, "books", number, 0, field, summed, kept, message)
    _debt(case, account)


def _burn_order(lot: Lot) -> tuple[int, bool, int, int, int]:
    return lot.priority, lot.expiry is None, lot.expiry or 0, lot.start, lot.id


def _sums(meter: Meter | OwnMeter) -> tuple[int, int, dict[str, int]]:
    return meter.net, meter.shortfall, {name: units for name, units in meter.usage.items() if units}


def _meters(case: Case, account: Account) -> dict[str, tuple[int, int, dict[str, int]]]:
    return {name: _sums(case.sums.period(account.number, name) or OwnMeter()) for name in account.meters}


def _limits(account: Account) -> tuple[int, int, int, int]:
    return account.arrival, account.window, account.window_credits, account.window_from


def _agenda(account: Account) -> list[tuple[int, int, int]]:
    """Return what is due later: lots that start, requests that expire, credits that lapse, and invoices."""
    lots = account.lots.values()
    return sorted(
        [
            *((lot.start, 0, lot.id) for lot in lots if lot.waits),
            *((request.deadline, 1, request.id) for request in account.requests.values()),
            *((lot.expiry, 2, lot.id) for lot in lots if lot.left and lot.expiry is not None),
            *_billed(account),
        ]
    )


def _billed(account: Account) -> list[tuple[int, int, int]]:
    """Return when a postpaid account is invoiced next, and when invoices that are owed are overdue."""
    if (billing := account.billing) is None:
        return []
    unbilled = account.lots[billing.line].spent != billing.billed
    owed = [each for each in billing.invoices.values() if each.owed and not each.overdue]
    return [(billing.next_bill, 3, 0)] * unbilled + [(each.due, 4, each.number) for each in owed]
