"""Schema: everything that an event refers to must exist. If it does not, that is a finding, and the event is not
folded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ledger.events import (
    Adjusted,
    AgentRegistered,
    AgentRetired,
    AgentUpdated,
    Charged,
    Extended,
    Frozen,
    Invoiced,
    InvoicePaid,
    Lapsed,
    Overdue,
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
    Subscribed,
    Unfrozen,
    Withdrawn,
    WrittenOff,
)

from . import account_references as accounts
from . import adoptions, batch_order, invoices, payouts
from . import catalogue_references as catalogue
from . import request_references as requests
from .case import Case
from .lookups import (
    is_hex,
    missing,
    open_request,
)


def resolve(case: Case) -> bool:
    """Find the account, plan and request of the event. Return False where it cannot be folded, which is a finding."""
    case.account = case.plan = case.request = case.late = None
    event = case.event
    if event.fingerprint is not None and not is_hex(event.fingerprint):
        return missing(case, "fingerprint", "hexadecimal digits", event.fingerprint, "a fingerprint is a digest")
    resolver = _RESOLVERS.get(type(event))
    return resolver is None or resolver(case, event)


# -- accounts ----------------------------------------------------------------------------------------------------------


_RESOLVERS: dict[type, Callable[[Case, Any], bool]] = {
    PlanCreated: catalogue.plan_created,
    PlanRepriced: catalogue.plan_changed,
    PlanRetired: catalogue.plan_changed,
    AgentRegistered: catalogue.agent_registered,
    AgentUpdated: catalogue.agent_updated,
    AgentRetired: catalogue.agent_retired,
    RefusedRequests: catalogue.refused,
    Purchased: accounts.purchased,
    Started: accounts.started,
    Lapsed: accounts.lapsed,
    Withdrawn: accounts.withdrawn,
    Reversed: accounts.reversed,
    Reinstated: accounts.reinstated,
    Frozen: accounts.frozen,
    Unfrozen: accounts.unfrozen,
    Subscribed: invoices.subscription_exists,
    Invoiced: invoices.account_is_billed,
    InvoicePaid: invoices.invoice_exists,
    WrittenOff: invoices.invoice_exists,
    Overdue: invoices.invoice_exists,
    Requested: requests.requested,
    Extended: open_request,
    Reheld: requests.reheld,
    Released: open_request,
    Charged: requests.charged,
    Adjusted: requests.adjusted,
    SettlementOpened: payouts.expect,
    SettlementAdopted: adoptions.expect,
    SettlementSubmitted: batch_order.is_open,
    SettlementCommitted: batch_order.is_open,
    SettlementUnknown: batch_order.is_open,
    SettlementConfirmed: batch_order.is_open,
    SettlementFailed: batch_order.is_open,
}
"""By event, what finds that it refers to things that exist."""
