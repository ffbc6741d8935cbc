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
    """A plan is on sale: its price, what it grants (credits, seconds, or both), its tariff and its limits.

    With `record_lines` every charge has the lines of its computation, otherwise only where they cannot be derived.
    `price` is split among receivers; a fee is one of them. `hold_seconds` is the time from a request's admission to its
    deadline, `longest_seconds` the maximum to which that can be extended, `late_seconds` how long after expiring a
    request may still be charged, and how long after the end of access a direct charge is accepted. `unpriced` is the
    rule for a request whose estimate has units that no rate of the tariff reads. `decimals` are those of a credit,
    `asset_decimals` those of the asset (None: unknown): an amount of 950 with 2 decimals is shown as 9.50. The keys of
    the plan's accounts are remembered for `key_seconds` from the commit of the command that used one.

    With `billing` postpaid nothing is bought in advance: `price` is the money of `credits`, what is used is invoiced at
    the end of each period, due after `due_days`, and up to `credit_limit` credits may be owed: used, held and invoiced.
    `overdue` is the rule for requests while an invoice is overdue.
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
            check(self.credit_limit == 0, "only a postpaid plan has a credit_limit")
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
    """The plan has a new tariff. Charges and open requests under an older tariff keep it."""

    plan: str
    tariff: Tariff


class PlanRetired(Event, frozen=True, kw_only=True, tag="plan_retired"):
    """The plan is no longer sold. Lots bought before may still be used."""

    plan: str


class AgentRegistered(Event, frozen=True, kw_only=True, tag="agent_registered"):
    """An agent, a service, is offered to subscribers of plans. Without any endpoints, all are allowed."""

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
