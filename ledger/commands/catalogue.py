"""Commands of the catalogue: plans and agents."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from ..events import (
    DAY_SECONDS,
    KEY_SECONDS,
    MAX_DUE_DAYS,
    AgentRegistered,
    AgentRetired,
    AgentUpdated,
    BillingMode,
    Endpoint,
    Limits,
    Metering,
    OnLapse,
    OnOverdue,
    Overrun,
    PlanCreated,
    PlanRepriced,
    PlanRetired,
    Unpriced,
)
from .command import (
    MAX_SECONDS,
    AssetDecimals,
    Command,
    Name,
    Priority,
    Seconds,
    Text,
    WrittenCredits,
    WrittenPrice,
)


class CreatePlan(Command[PlanCreated], frozen=True, kw_only=True, tag="create_plan"):
    """Put a plan on sale. `price` is money by receiver; `policy` and `parameters` are its first tariff.

    Without a policy a request costs 1 credit (`per_credit`), and nothing on a plan that sells only time (`time`). Units
    that no rate of the tariff reads cost nothing if `unpriced` is `free`; if it is `refuse`, the request is refused.
    `key_seconds` is how long the idempotency keys of the plan's accounts are remembered (default 35 days).

    Amounts may be written as text or Decimal, in credits or in the asset (`credits="10.00"`,
    `price={"acme": "9.50"}`, rates of `parameters` such as `"0.001"`): with more `decimals` the same rates are charged
    more finely. Whole numbers are in the smallest unit. `asset_decimals` None is what the ledger knows of the asset
    already, or else the minor units of its ISO 4217 code.

    With `billing="postpaid"` nothing is bought in advance: `price` is the money of `credits`, and what a subscriber has
    used is invoiced at the end of each `period` (month or day), due after `due_days`. A subscriber may owe up to
    `credit_limit` credits: used, held and invoiced. While an invoice is overdue, requests are served or, with
    `overdue="stop"`, refused.
    """

    plan: Name
    owner: Name
    asset: Name = "USD"
    asset_decimals: AssetDecimals | None = None
    price: WrittenPrice = {}
    credits: WrittenCredits = 0
    seconds: Seconds = 0
    policy: Name | None = None
    parameters: dict[str, Any] = {}
    decimals: Annotated[int, Meta(ge=0, le=36)] = 0
    priority: Priority = 0
    trial: bool = False
    on_lapse: OnLapse = "earn"
    limits: Limits = Limits()
    hold_seconds: Seconds = 600
    longest_seconds: Seconds = DAY_SECONDS
    late_seconds: Seconds = DAY_SECONDS
    overrun: Overrun = "cap"
    debt_limit: WrittenCredits = 0
    period: Metering = "month"
    record_refusals: bool = False
    record_lines: bool = False
    unpriced: Unpriced = "refuse"
    billing: BillingMode = "prepaid"
    credit_limit: WrittenCredits = 0
    due_days: Annotated[int, Meta(ge=0, le=MAX_DUE_DAYS)] = 30
    overdue: OnOverdue = "serve"
    onchain_id: Text = ""
    key_seconds: Annotated[int, Meta(ge=1, le=MAX_SECONDS)] = KEY_SECONDS


class RepricePlan(Command[PlanRepriced], frozen=True, kw_only=True, tag="reprice_plan"):
    """Give a plan its next tariff. Requests admitted before keep the tariff of their admission."""

    plan: Name
    policy: Name
    parameters: dict[str, Any] = {}


class RetirePlan(Command[PlanRetired], frozen=True, kw_only=True, tag="retire_plan"):
    """Stop selling a plan. Lots bought before may still be used."""

    plan: Name


class RegisterAgent(Command[AgentRegistered], frozen=True, kw_only=True, tag="register_agent"):
    """Offer an agent, a service, to subscribers of plans. Without any endpoints, all are allowed."""

    agent: Name
    owner: Name
    plans: tuple[Name, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    open_endpoints: tuple[Endpoint, ...] = ()
    metadata: dict[str, Any] = {}


class UpdateAgent(Command[AgentUpdated], frozen=True, kw_only=True, tag="update_agent"):
    """Change an agent's fields; None keeps the present value."""

    agent: Name
    plans: tuple[Name, ...] | None = None
    endpoints: tuple[Endpoint, ...] | None = None
    open_endpoints: tuple[Endpoint, ...] | None = None
    metadata: dict[str, Any] | None = None


class RetireAgent(Command[AgentRetired], frozen=True, kw_only=True, tag="retire_agent"):
    """Let an agent take no new requests."""

    agent: Name
