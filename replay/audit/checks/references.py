"""Schema: what an event refers to must exist. An event that refers to nothing is found, and then passed over."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ledger.events import (
    Adjusted,
    AgentRegistered,
    AgentRetired,
    AgentUpdated,
    Charged,
    Extended,
    Frozen,
    Lapsed,
    PlanCreated,
    PlanRepriced,
    PlanRetired,
    Purchased,
    RefusedRequests,
    Reheld,
    Reinstated,
    Released,
    Requested,
    Reversed,
    SettlementAdopted,
    SettlementCommitted,
    SettlementConfirmed,
    SettlementFailed,
    SettlementOpened,
    SettlementSubmitted,
    SettlementUnknown,
    Started,
    Unfrozen,
    Withdrawn,
)
from ledger.identity import fact_digest, payment_digest
from ledger.refusals import Reason

from . import adoptions, settlements
from .case import Case


def resolve(case: Case) -> bool:
    """Find what the event is about. False where it cannot be folded, which is a finding."""
    case.account = case.plan = case.request = case.late = None
    event = case.event
    if event.fingerprint is not None and not _is_hex(event.fingerprint):
        return _lacks(case, "fingerprint", "hexadecimal digits", event.fingerprint, "a fingerprint is a digest")
    resolver = _RESOLVERS.get(type(event))
    return resolver is None or resolver(case, event)


def _lacks(case: Case, field: str, expected: object, found: object, message: str) -> bool:
    case.find("schema", field, expected, found, message)
    return False


def _is_hex(text: str) -> bool:
    try:
        return len(bytes.fromhex(text)) > 0
    except ValueError:
        return False


# -- catalogue ---------------------------------------------------------------------------------------------------------


def _plan_created(case: Case, event: PlanCreated) -> bool:
    if event.plan in case.books.plans:
        return _lacks(case, "plan", "a new name", event.plan, "a plan's name is used once")
    for field, name in (("plan", event.plan), ("onchain_id", event.onchain_id)):
        if name and (name in case.books.onchain or (field == "onchain_id" and name in case.books.plans)):
            return _lacks(case, field, "a new name", name, "leaves name plans by one or the other")
    return True


def _plan_changed(case: Case, event: PlanRepriced | PlanRetired) -> bool:
    plan = case.books.plans.get(event.plan)
    if plan is None:
        return _lacks(case, "plan", "a plan", event.plan, f"there is no plan {event.plan!r}")
    if isinstance(event, PlanRepriced) and event.tariff.version != plan.tariff.version + 1:
        expected, found = plan.tariff.version + 1, event.tariff.version
        return _lacks(case, "tariff.version", expected, found, "tariff versions count up one by one")
    return True


def _agent_registered(case: Case, event: AgentRegistered) -> bool:
    if event.agent != case.books.registered + 1:
        return _lacks(case, "agent", case.books.registered + 1, event.agent, "agents are numbered one by one")
    if event.name in case.books.agent_names:
        return _lacks(case, "name", "a new name", event.name, "an agent's name is used once")
    return _plans_of(case, event)


def _agent_updated(case: Case, event: AgentUpdated) -> bool:
    agent = case.books.agents.get(event.agent)
    if agent is None:
        return _lacks(case, "agent", "an agent", event.agent, f"there is no agent {event.agent}")
    if agent.terms.name != event.name:
        return _lacks(case, "name", agent.terms.name, event.name, "an agent keeps its name")
    return _plans_of(case, event)


def _plans_of(case: Case, event: AgentRegistered) -> bool:
    for name in event.plans:
        if name not in case.books.plans:
            _lacks(case, "plans", "plans", name, f"there is no plan {name!r}")
    return True


def _agent_retired(case: Case, event: AgentRetired) -> bool:
    if event.agent not in case.books.agents:
        return _lacks(case, "agent", "an agent", event.agent, f"there is no agent {event.agent}")
    return True


def _refused(case: Case, event: RefusedRequests) -> bool:
    if event.reason not in Reason.__members__.values():
        _lacks(case, "reason", "a reason of the closed list", event.reason, "there is no such reason to refuse")
    if event.plan not in case.books.plans:
        _lacks(case, "plan", "a plan", event.plan, f"there is no plan {event.plan!r}")
    return _agent(case, event.agent)


def _agent(case: Case, number: int) -> bool:
    if number and number not in case.books.agents:
        return _lacks(case, "agent", "an agent", number, f"there is no agent {number}")
    return True


# -- accounts ----------------------------------------------------------------------------------------------------------


def _account(case: Case, number: int) -> bool:
    case.account = case.books.accounts.get(number)
    if case.account is None:
        return _lacks(case, "account", "an account", number, f"there is no account {number}")
    case.plan = case.books.plans[case.account.plan]
    return True


def _tariff(case: Case, version: int) -> bool:
    assert case.plan is not None
    if not 1 <= version <= len(case.plan.tariffs):
        found = f"the plan has {len(case.plan.tariffs)} versions of its tariff"
        return _lacks(case, "tariff", f"1 to {len(case.plan.tariffs)}", version, found)
    return True


def _lots(case: Case, field: str, names: Iterable[int], started: bool = True) -> bool:
    assert case.account is not None
    for name in names:
        lot = case.account.lots.get(name)
        if lot is None or (started and not lot.started):
            what = f"account {case.account.number} has no {'started ' if started else ''}lot {name}"
            return _lacks(case, field, "lots of the account", name, what)
    return True


def _purchased(case: Case, event: Purchased) -> bool:
    books = case.books
    if event.plan not in books.plans:
        return _lacks(case, "plan", "a plan", event.plan, f"there is no plan {event.plan!r}")
    number = books.names.get((event.subscriber, event.plan), books.opened + 1)
    if event.account != number:
        return _lacks(case, "account", number, event.account, f"{event.subscriber!r} has another number there")
    start = case.at if event.start is None else event.start
    if event.expiry is not None and event.expiry <= start:
        return _lacks(case, "expiry", f"after {start}", event.expiry, "the lot ends before it starts")
    case.account, case.plan = books.accounts.get(number), books.plans[event.plan]
    return _once(case, "payment", payment_digest(event.funding, event.payment))


def _once(case: Case, field: str, name: bytes | None) -> bool:
    """A payment, and what a chain said, is taken in once. A second time is found, and still counts."""
    if name is not None and case.taken is not None:
        case.taken.append(name)
    known = case.books.payments.get(name) if name is not None else None
    if known is not None:
        _lacks(case, field, "a new one", known[1], f"this was taken in before, at {known[1]}")
    return True


def _fact(case: Case, event: Withdrawn | Frozen) -> bool:
    return _once(case, "fact", None if event.fact is None else fact_digest(event.fact))


def _started(case: Case, event: Started) -> bool:
    if not _account(case, event.account) or not _lots(case, "lot", [event.lot], started=False):
        return False
    assert case.account is not None
    if case.account.lots[event.lot].reversed:
        return _lacks(case, "lot", "a lot that stands", event.lot, "a lot whose whole payment was void never starts")
    return True


def _lapsed(case: Case, event: Lapsed) -> bool:
    return _account(case, event.account) and _lots(case, "lot", [event.lot])


def _withdrawn(case: Case, event: Withdrawn) -> bool:
    return (
        _account(case, event.account)
        and _lots(case, "draws", (lot for lot, _ in event.draws))
        and _lots(case, "money", event.money, started=False)
        and _fact(case, event)
    )


def _reversed(case: Case, event: Reversed) -> bool:
    if not _account(case, event.account) or not _lots(case, "lot", [event.lot], started=False):
        return False
    assert case.account is not None
    if case.account.lots[event.lot].reversed:
        return _lacks(case, "lot", "a lot not reversed before", event.lot, "a lot is reversed once")
    return True


def _reinstated(case: Case, event: Reinstated) -> bool:
    if not _account(case, event.account) or not _lots(case, "lot", [event.lot], started=False):
        return False
    assert case.account is not None
    lot = case.account.lots[event.lot]
    if event.lot not in case.sums.reversals or lot.reversal is None:
        return _lacks(case, "lot", "a lot that was reversed", event.lot, "only what was reversed is reinstated")
    if lot.escrow is not None:
        return _lacks(case, "lot", "a lot that no chain holds", event.lot, "what a chain took back is bought again")
    return True


def _unfrozen(case: Case, event: Unfrozen) -> bool:
    return _account(case, event.account)


def _frozen(case: Case, event: Frozen) -> bool:
    return _account(case, event.account) and _fact(case, event)


# -- requests, charges, adjustments ------------------------------------------------------------------------------------


def _requested(case: Case, event: Requested) -> bool:
    return (
        _account(case, event.account)
        and _tariff(case, event.tariff)
        and _agent(case, event.agent)
        and _lots(case, "draws", (lot for lot, _ in event.draws))
    )


def _reheld(case: Case, event: Reheld) -> bool:
    if not _open(case, event):
        return False
    assert case.account is not None
    assert case.request is not None
    if case.account.number != event.account:
        message = f"request {event.request} is another account's"
        return _lacks(case, "account", case.account.number, event.account, message)
    return _lots(case, "draws", (lot for lot, _ in event.draws if lot))


def _open(case: Case, event: Extended | Reheld | Released) -> bool:
    """The request must be open: one that is closed was charged or released before."""
    number = case.books.open.get(event.request)
    account = case.books.accounts.get(number or 0)
    request = None if account is None else account.requests.get(event.request)
    if account is None or request is None:
        return _closed(case, event.request)
    case.account, case.plan, case.request = account, case.books.plans[account.plan], request
    return True


def _closed(case: Case, request: int) -> bool:
    if case.sums.was_admitted(request):
        message = f"request {request} was charged or released before"
        case.find("hold", "request", "an open request", request, message)
        return False
    return _lacks(case, "request", "a request", request, f"there is no request {request}")


def _charged(case: Case, event: Charged) -> bool:
    if not _account(case, event.account) or not _tariff(case, event.tariff) or not _agent(case, event.agent):
        return False
    if not _lots(case, "draws", (lot for lot, _ in event.draws if lot)):
        return False
    if not _lots(case, "repaid", (lot for lot, _ in event.repaid)):
        return False
    if not event.request:
        return True
    account = case.account
    assert account is not None
    case.request = account.requests.get(event.request)
    case.late = account.late.get(event.request) if case.request is None else None
    request = case.request or case.late
    if request is None:
        owner = case.books.open.get(event.request)
        if owner is not None and owner != account.number:
            return _lacks(case, "account", owner, account.number, f"request {event.request} is another account's")
        return _closed(case, event.request)
    if request.agent != event.agent:
        _lacks(case, "agent", request.agent, event.agent, "a charge has its request's agent")
    return True


def _adjusted(case: Case, event: Adjusted) -> bool:
    if not _account(case, event.account):
        return False
    if event.charge:
        charge = case.sums.charges.get(event.charge)
        if charge is None:
            return _lacks(case, "charge", "a charge", event.charge, f"there is no charge {event.charge}")
        if charge.account != event.account:
            message = f"charge {event.charge} is another account's"
            return _lacks(case, "account", charge.account, event.account, message)
    return (
        (not event.tariff or _tariff(case, event.tariff))
        and _lots(case, "draws", (lot for lot, _ in event.draws if lot))
        and _lots(case, "repaid", (lot for lot, _ in event.repaid))
    )


_RESOLVERS: dict[type, Callable[[Case, Any], bool]] = {
    PlanCreated: _plan_created,
    PlanRepriced: _plan_changed,
    PlanRetired: _plan_changed,
    AgentRegistered: _agent_registered,
    AgentUpdated: _agent_updated,
    AgentRetired: _agent_retired,
    RefusedRequests: _refused,
    Purchased: _purchased,
    Started: _started,
    Lapsed: _lapsed,
    Withdrawn: _withdrawn,
    Reversed: _reversed,
    Reinstated: _reinstated,
    Frozen: _frozen,
    Unfrozen: _unfrozen,
    Requested: _requested,
    Extended: _open,
    Reheld: _reheld,
    Released: _open,
    Charged: _charged,
    Adjusted: _adjusted,
    SettlementOpened: settlements.expect,
    SettlementAdopted: adoptions.expect,
    SettlementSubmitted: settlements.is_open,
    SettlementCommitted: settlements.is_open,
    SettlementUnknown: settlements.is_open,
    SettlementConfirmed: settlements.is_open,
    SettlementFailed: settlements.is_open,
}
"""By event, what finds that it refers to things that exist."""
