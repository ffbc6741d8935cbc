"""Refusals: values of a closed list, in order of precedence, each with its facts."""

from __future__ import annotations

from enum import StrEnum, auto
from typing import ClassVar, Literal, NoReturn

import msgspec

from .amounts import amount_text
from .errors import LedgerError


class Reason(StrEnum):
    """The reasons for which a command is refused. If several apply, the first in this list is returned.

    Members:
        malformed: The command contradicts itself, the terms of its plan or what it names. Facts: detail.
        key_reused: The key, payment or name was used before with other content. Facts: detail.
        key_too_old: The command was issued longer ago than keys are remembered. Facts: detail.
        payment_reversed: The payment was reversed since, and buys nothing when it is repeated. Facts: detail.
        plan_unknown: There is no such plan. Facts: detail.
        plan_retired: The plan is no longer sold. Facts: detail.
        agent_unknown: There is no such agent. Facts: detail.
        agent_retired: The agent takes no new requests. Facts: detail.
        agent_not_in_plan: The agent does not serve the plan. Facts: detail.
        endpoint_not_allowed: The agent does not allow the method and URL. Facts: detail.
        trial_used: The subscriber has had the trial of this plan.
        not_subscribed: The subscriber has no account on the plan, or nothing on it has started. Facts: top_up,
            retry_after_us.
        frozen: The account is frozen. Facts: detail.
        expired: All that the account has had is over. Facts: top_up, retry_after_us.
        request_unknown: There is no such request. Facts: detail.
        request_closed: The request was charged or released, or has expired. Facts: detail.
        charge_unknown: There is no such charge, or the meter that the correction needs is not kept. Facts: detail.
        invoice_unknown: The account has no such invoice. Facts: detail.
        adjustment_exceeds: The correction takes back more than was charged. Facts: needed, available, detail.
        unpriced: No rate of the tariff reads some units of the estimate. Facts: detail.
        in_debt: The account owes credits, and takes no new requests. Facts: available, top_up, retry_after_us.
        overdue: An invoice is overdue, and the plan then serves no requests. Facts: detail.
        rate_limited: The plan's rate of requests is reached. Facts: retry_after_us.
        window_exhausted: The credits of the plan's window do not suffice. Facts: needed, available, retry_after_us.
        too_many_open: As many requests are open as the plan allows. Facts: needed, available, retry_after_us.
        insufficient_credits: The available credits do not suffice. Facts: needed, available, top_up, retry_after_us,
            detail.
        overflow: An amount or a time would exceed its bounds. Facts: detail.
        policy_failed: The pricing policy cannot be made, raised an error, or gave no valid price. Facts: detail.
        batch_open: A batch must be submitted or confirmed before the next one. Facts: detail.
    """

    malformed = auto()
    key_reused = auto()
    key_too_old = auto()
    payment_reversed = auto()
    plan_unknown = auto()
    plan_retired = auto()
    agent_unknown = auto()
    agent_retired = auto()
    agent_not_in_plan = auto()
    endpoint_not_allowed = auto()
    trial_used = auto()
    not_subscribed = auto()
    frozen = auto()
    expired = auto()
    request_unknown = auto()
    request_closed = auto()
    charge_unknown = auto()
    invoice_unknown = auto()
    adjustment_exceeds = auto()
    unpriced = auto()
    in_debt = auto()
    overdue = auto()
    rate_limited = auto()
    window_exhausted = auto()
    too_many_open = auto()
    insufficient_credits = auto()
    overflow = auto()
    policy_failed = auto()
    batch_open = auto()


_BAD_REQUEST, _CONFLICT, _TOO_MANY = 400, 409, 429
_STATUS = {
    Reason.malformed: _BAD_REQUEST,
    Reason.adjustment_exceeds: _BAD_REQUEST,
    Reason.overflow: _BAD_REQUEST,
    Reason.unpriced: _BAD_REQUEST,
    Reason.plan_unknown: 404,
    Reason.agent_unknown: 404,
    Reason.request_unknown: 404,
    Reason.charge_unknown: 404,
    Reason.invoice_unknown: 404,
    Reason.agent_not_in_plan: 403,
    Reason.endpoint_not_allowed: 403,
    Reason.frozen: 403,
    Reason.key_reused: _CONFLICT,
    Reason.key_too_old: _CONFLICT,
    Reason.payment_reversed: _CONFLICT,
    Reason.trial_used: _CONFLICT,
    Reason.request_closed: _CONFLICT,
    Reason.batch_open: _CONFLICT,
    Reason.plan_retired: 410,
    Reason.agent_retired: 410,
    Reason.rate_limited: _TOO_MANY,
    Reason.window_exhausted: _TOO_MANY,
    Reason.too_many_open: _TOO_MANY,
    Reason.policy_failed: 500,
}


_HINTS = {
    Reason.malformed: "correct the command, as its detail says",
    Reason.key_reused: "choose another key, payment or name; the same one is for the same command alone",
    Reason.key_too_old: "look in the log whether the command was done, and give it a new key if it was not",
    Reason.payment_reversed: "`Reinstate` what was reversed, or buy with another payment",
    Reason.plan_unknown: "create the plan, or correct its name",
    Reason.plan_retired: "sell another plan; what was bought of this one may still be used",
    Reason.agent_unknown: "register the agent, or correct its name",
    Reason.agent_retired: "name another agent, or none",
    Reason.agent_not_in_plan: "add the plan to the agent (`UpdateAgent`), or name an agent of the plan",
    Reason.endpoint_not_allowed: "add the endpoint to the agent (`UpdateAgent`), or call one that is allowed",
    Reason.trial_used: "buy another plan: a subscriber tries a plan once",
    Reason.not_subscribed: "buy the plan (`Purchase`, or `Subscribe` if it is postpaid), or wait for its start",
    Reason.frozen: "unfreeze the account (`Unfreeze`), unless its subscriber leaves a chain",
    Reason.expired: "buy the plan again",
    Reason.request_unknown: "give the number (`seq`) that the answer to the request has",
    Reason.request_closed: "admit new work under another key; charge directly what is done, or `Adjust` the charge",
    Reason.charge_unknown: "give the number (`seq`) of the answer to the charge; by `credits` it is always corrected",
    Reason.invoice_unknown: "give the number of an invoice of that account: `ledger.invoices()` lists them",
    Reason.overdue: "pay the overdue invoice (`PayInvoice`), or write it off",
    Reason.adjustment_exceeds: "correct by what is left of the charge at most",
    Reason.unpriced: 'add a rate (`RepricePlan`), or create the plan with `unpriced="free"`',
    Reason.in_debt: "buy credits (`top_up` are enough), or pay an invoice of a postpaid plan",
    Reason.rate_limited: "wait as long as `retry_after_us` says",
    Reason.window_exhausted: "wait as long as `retry_after_us` says, or estimate less",
    Reason.too_many_open: "charge or release open requests first",
    Reason.insufficient_credits: "buy credits (`top_up` are enough), pay an invoice of a postpaid plan, or use less",
    Reason.overflow: "use smaller amounts: credits and usage fit in 64 bits",
    Reason.policy_failed: "correct the policy, as the detail says, or its parameters",
    Reason.batch_open: "run the settlement on until the open batch is submitted or confirmed",
}


class Refused(msgspec.Struct, frozen=True, gc=False):
    """A refused command: nothing changed, nothing was written.

    `facts` by name: `needed` and `available` (credits in the plan's smallest unit, with its `decimals` if it has any;
    requests); `top_up`, the fewest credits whose purchase now lets
    the same command pass; `retry_after_us`, the least wait (microseconds, counted from the clock) after which it passes
    if the account does not change otherwise; `clock_behind_us`, how far that clock is behind the log; `detail` (text).
    """

    reason: Reason
    facts: dict[str, int | str] = {}

    accepted: ClassVar[Literal[False]] = False

    def __bool__(self) -> Literal[False]:
        return False

    def __str__(self) -> str:
        facts = {**self.facts}
        decimals = facts.pop("decimals", 0)
        assert isinstance(decimals, int)
        for name in ("needed", "available", "top_up"):
            if isinstance(amount := facts.get(name), int):
                facts[name] = amount_text(amount, decimals)
        known = ", ".join(f"{name} {value}" for name, value in facts.items())
        return f"{self.reason}: {known}" if known else str(self.reason)

    @property
    def http_status(self) -> int:
        """The HTTP status for this refusal; 402 (Payment Required) if only credits are missing."""
        return _STATUS.get(self.reason, 402)

    @property
    def hint(self) -> str:
        """The remedy, as text."""
        return _HINTS[self.reason]

    def unwrap(self) -> NoReturn:
        """Raise PaymentRequired with this refusal."""
        raise PaymentRequired(self)


class PaymentRequired(LedgerError):
    """A command was refused, in an API that raises instead of returning refusals. `refused` has the reason and
    facts."""

    code = "refused"

    def __init__(self, refused: Refused) -> None:
        super().__init__(str(refused), refused.hint)
        self.refused = refused


class Refusal(Exception):
    """Carries a refusal inside `decide`, from the rule that refuses to the answer. It never leaves the core."""

    def __init__(self, reason: Reason, **facts: int | str) -> None:
        super().__init__(reason)
        self.refused = Refused(reason, facts)
