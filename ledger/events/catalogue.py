"""Events of the catalogue: plans, tariffs and agents."""

from __future__ import annotations

from typing import Any

from ..amounts import check_credits
from ..values import (
    DAY_SECONDS,
    KEY_SECONDS,
    MAX_DUE_DAYS,
    BillingMode,
    Endpoint,
    Limits,
    Metering,
    OnLapse,
    OnOverdue,
    Overrun,
    Share,
    Tariff,
    Unpriced,
    check,
    check_asset_decimals,
)
from .event import Event


class PlanCreated(Event, frozen=True, kw_only=True, tag="plan_created"):
    """A plan is on sale: its price, what it grants (credits, seconds, or both), its tariff and its rules, which are
    those of `CreatePlan`. They never change, except for the tariff.

    Fields:
        plan: Name of the plan.
        onchain_id: Id of the plan on a chain, if that is not its name.
        owner: Name of the seller.
        asset: Asset of the price.
        asset_decimals: Decimals of the asset; None: unknown. 950 with 2 decimals is shown as 9.50.
        decimals: Decimals of a credit.
        price: Money of one purchase, by receiver; a fee is one of them. On a postpaid plan, the money of `credits`.
        credits: Credits of one purchase, in the smallest unit. 0: only time is sold.
        seconds: Seconds of the window of one purchase. 0: none.
        priority: Order in which lots are drawn: the lowest first.
        trial: True: sold once to a subscriber, without a price.
        on_lapse: Rule for the money of credits that expire unused: "earn" or "refund".
        tariff: First tariff, of version 1.
        limits: Limits on requests.
        hold_seconds: Seconds from a request's admission to its deadline.
        longest_seconds: Seconds from a request's admission to its last possible deadline.
        late_seconds: Seconds after its deadline in which an expired request may still be charged, and after the end of
            access a direct charge is accepted. The period is not decided by it.
        overrun: Rule for the part of a charge that exceeds the available credits: "cap" or "debt".
        debt_limit: Credits that an account may owe under "debt".
        period: Metering period: "month", "day", "purchase" or "forever".
        record_refusals: True: refused requests are counted in the log.
        record_lines: True: every charge has the lines of its price.
        unpriced: Rule for units that no rate of the tariff reads: "refuse" or "free".
        billing: "prepaid" or "postpaid".
        credit_limit: Credits that a postpaid account may owe: used, held and invoiced.
        due_days: Days from the end of an invoice's period to its due time.
        overdue: Rule for requests while an invoice is overdue: "serve" or "stop".
        key_seconds: Seconds for which keys of the plan's accounts are remembered, from the commit of the command that
            used one, and 5 minutes more, since clocks differ.
    """

    plan: str
    onchain_id: str = ""
    owner: str
    asset: str
    asset_decimals: int | None = None
    decimals: int = 0
    price: tuple[Share, ...] = ()
    credits: int = 0
    seconds: int = 0
    priority: int = 0
    trial: bool = False
    on_lapse: OnLapse = "earn"
    tariff: Tariff
    limits: Limits = Limits()
    hold_seconds: int
    longest_seconds: int
    late_seconds: int = DAY_SECONDS
    overrun: Overrun = "cap"
    debt_limit: int = 0
    period: Metering
    record_refusals: bool = False
    record_lines: bool = False
    unpriced: Unpriced = "refuse"
    billing: BillingMode = "prepaid"
    credit_limit: int = 0
    due_days: int = 30
    overdue: OnOverdue = "serve"
    key_seconds: int = KEY_SECONDS

    def __post_init__(self) -> None:
        check_credits(self.credits, self.debt_limit, self.seconds, self.late_seconds, self.key_seconds)
        check(bool(self.plan) and bool(self.owner) and bool(self.asset), "a plan has a name, an owner and an asset")
        check(self.credits > 0 or self.seconds > 0, "a plan grants credits, a time window, or both")
        check(not self.trial or self.cost == 0, "a trial has no price")
        self._check_billing()
        check(1 <= self.hold_seconds <= self.longest_seconds, "hold_seconds is from 1 to longest_seconds")
        check(self.key_seconds >= 1, "a key is remembered for a second at least")
        check(self.tariff.version == 1, "a plan begins with version 1 of its tariff")
        check(0 <= self.decimals <= 36, "decimals are from 0 to 36")
        check_asset_decimals(self.asset_decimals)
        receivers = [share.receiver for share in self.price]
        check(len(set(receivers)) == len(receivers), "each receiver has one share of a price")

    def _check_billing(self) -> None:
        check_credits(self.credit_limit, self.due_days)
        if self.billing == "prepaid":
            unread = {"credit_limit": 0, "due_days": 30, "overdue": "serve"}
            for name, default in unread.items():
                check(getattr(self, name) == default, f'{name}: only a plan with billing="postpaid" has one')
            return
        check(
            self.cost > 0 and self.credits > 0 and not self.seconds, "a postpaid plan has a price for its credits alone"
        )
        check(self.period in ("month", "day"), "a postpaid plan is invoiced by the month or by the day")
        check(self.credit_limit > 0, "a postpaid plan has a credit_limit: the credits that may be owed")
        check(self.due_days <= MAX_DUE_DAYS, f"an invoice is due within {MAX_DUE_DAYS} days")

    @property
    def cost(self) -> int:
        """The whole price, in the asset's smallest unit."""
        return sum(share.amount for share in self.price)

    @property
    def grants_credits(self) -> bool:
        """True if requests hold credits; a plan that sells only time logs them without a hold."""
        return self.credits > 0


class PlanRepriced(Event, frozen=True, kw_only=True, tag="plan_repriced"):
    """The plan has a new tariff. Charges and open requests under an older tariff keep it.

    Fields:
        tariff: New tariff, of the next version.
    """

    plan: str
    tariff: Tariff


class PlanRetired(Event, frozen=True, kw_only=True, tag="plan_retired"):
    """The plan is no longer sold. Lots bought before may still be used."""

    plan: str


class AgentRegistered(Event, frozen=True, kw_only=True, tag="agent_registered"):
    """An agent, a service, is offered to subscribers of plans. Without any endpoints, all are allowed.

    Fields:
        agent: Number of the agent, from 1.
        name: Name of the agent.
        owner: Name of its owner.
        plans: Names of the plans that it serves.
        endpoints: Endpoints that requests may call.
        open_endpoints: Further endpoints, where `endpoints` names any.
        metadata: Anything else about the agent.
    """

    agent: int
    name: str
    owner: str
    plans: tuple[str, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    open_endpoints: tuple[Endpoint, ...] = ()
    metadata: dict[str, Any] = {}

    def __post_init__(self) -> None:
        check(self.agent >= 1 and bool(self.name) and bool(self.owner), "an agent has a number, a name and an owner")


class AgentUpdated(AgentRegistered, frozen=True, kw_only=True, tag="agent_updated"):
    """The agent's terms are replaced by this event's."""


class AgentRetired(Event, frozen=True, kw_only=True, tag="agent_retired"):
    """The agent takes no new requests."""

    agent: int
